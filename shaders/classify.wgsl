// classify: whether rows are classified right, as part of their verdicts            docs/method.md, section 5
//
//   verdict[r] <- verdict[r] + 1 where the first largest of logits[r] is the label's, + WRONG where it is not;
//   a verdict that has WRONG stays (common/verdict.wgsl)
//
//   logits    [rows, cols]; a row with a NaN counts as wrong
//   labels    [rows] u32; a row whose label is no class counts as wrong
//   verdicts  [rows] u32, updated
//
// One invocation a row.

struct Params { rows: u32, cols: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> verdicts: array<u32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_index(group, groups, local);
    if r >= p.rows { return; }
    let label = labels[r];
    let own = logits[r * p.cols + min(label, p.cols - 1)];
    var right = label < p.cols;
    for (var c = 0u; c < p.cols; c++) {
        let value = logits[r * p.cols + c];
        right &= !(is_nan(value) || value > own || (value == own && c < label));
    }
    verdicts[r] = verdict(verdicts[r], right);
}
