// log_softmax: the logarithms of the probabilities that logits give
//
//   out[r, c] = a[r, c] - log sum over k of e^a[r, k]
//
//   a, out  [rows, cols]
//
// Computed as a - m - log(sum of e^(a - m)), m the row's largest, which does not overflow. One workgroup a row; each of
// its invocations has every 256th element, then their maxima and sums are reduced in a tree, in a fixed order.

struct Params { rows: u32, cols: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> largest: array<f32, FLAT>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    let first = r * p.cols;
    var m = a[first];
    for (var c = local; c < p.cols; c += FLAT) { m = max(m, a[first + c]); }
    largest[local] = m;
    workgroupBarrier();
    for (var half = FLAT / 2; half > 0; half /= 2) {
        if local < half { largest[local] = max(largest[local], largest[local + half]); }
        workgroupBarrier();
    }
    m = largest[0];
    var sum = 0.0;
    for (var c = local; c < p.cols; c += FLAT) { sum += exp(a[first + c] - m); }
    let total = log(workgroup_sum(sum, local));
    for (var c = local; c < p.cols; c += FLAT) { out[first + c] = (a[first + c] - m) - total; }
}
