// margin: the slope of a classifier's margin, logits[target] - logits[label]      docs/method.md, section 5
//
//   dlogits[r, c] = (1 where c is the target) - (1 where c is the label)
//
// A target that is no class, or is the label, stands for the first largest logit of the other classes.
//
//   logits   [rows, cols]
//   labels   [rows] u32; for a label that is no class the row is NaN
//   targets  [rows] u32
//   dlogits  [rows, cols]
//
// One invocation a row, since classes are few.

struct Params { rows: u32, cols: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_index(group, groups, local);
    if r >= p.rows { return; }
    let first = r * p.cols;
    let label = labels[r];
    var best = u32(label == 0);
    for (var c = best + 1; c < p.cols; c++) {
        let h = logits[first + c];
        let m = logits[first + best];
        if c != label && h > m && !is_nan(h) && !is_nan(m) { best = c; }
    }
    let wanted = targets[r];
    let target_class = select(best, wanted, wanted < p.cols && wanted != label);
    for (var c = 0u; c < p.cols; c++) {
        let slope = select(select(0.0, 1.0, c == target_class), -1.0, c == label);
        dlogits[first + c] = select(slope, nan(), label >= p.cols);
    }
}
