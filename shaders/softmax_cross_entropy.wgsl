// softmax_cross_entropy: the loss of each row's label and its derivative        docs/method.md, section 5
//
//   loss[r]       = -log softmax(logits[r])[label]
//   dlogits[r, c] = softmax(logits[r])[c] - (1 where c is the label)
//
//   logits   [rows, cols]
//   labels   [rows] u32; for a label that is no class, loss and derivatives are NaN
//   loss     [rows]
//   dlogits  [rows, cols]
//
// With m the largest logit, at index top, and rest the sum of exp(logit - m) over all others, loss = (m -
// logits[label]) + log1p(rest), two terms >= 0. The label's derivative is minus the sum of the others', which does not
// cancel where the label's probability is near 1. One invocation a row, since classes are few; sums run in blocks of
// 32.

struct Params { rows: u32, cols: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_index(group, groups, local);
    if r >= p.rows { return; }
    let first = r * p.cols;
    let label = labels[r];
    if label >= p.cols {
        for (var c = 0u; c < p.cols; c++) { dlogits[first + c] = nan(); }
        loss[r] = nan();
        return;
    }
    // A NaN never compares larger, but it makes `rest` NaN.
    var top = 0u;
    var m = logits[first];
    for (var c = 1u; c < p.cols; c++) {
        let value = logits[first + c];
        if value > m && !is_nan(value) {
            m = value;
            top = c;
        }
    }
    var rest = select(0.0, logits[first], is_nan(logits[first]));
    for (var block = 0u; block < p.cols; block += 32) {
        var sum = 0.0;
        for (var c = block; c < min(block + 32, p.cols); c++) {
            var e = 1.0;
            if c != top {
                e = exp(logits[first + c] - m);
                sum += e;
            }
            dlogits[first + c] = e;
        }
        rest += sum;
    }
    let total = 1.0 + rest;
    var others = rest;
    if label != top { others = total - dlogits[first + label]; }
    for (var c = 0u; c < p.cols; c++) { dlogits[first + c] /= total; }
    dlogits[first + label] = -others / total;
    loss[r] = (m - logits[first + label]) + log1p(rest);
}
