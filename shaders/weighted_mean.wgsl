// weighted_mean: the means of an objective's terms, and their weighted sum docs/method.md, section 2
//
//   t0..t3  up to four vectors with a value per example; term k has rows begin_k..end_k of its vector (two terms may
//           share a vector)
//   means   [4]: means[k] = (sum over its rows) / batch
//   total   [1]: sum over k of weight_k means[k]
//
// One workgroup. Unused terms have no rows.

struct Params {
    begin: vec4u, end: vec4u, weight: vec4f,
    batch: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> t0: array<f32>;
@group(0) @binding(2) var<storage, read> t1: array<f32>;
@group(0) @binding(3) var<storage, read> t2: array<f32>;
@group(0) @binding(4) var<storage, read> t3: array<f32>;
@group(0) @binding(5) var<storage, read_write> total: array<f32>;
@group(0) @binding(6) var<storage, read_write> means: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(local_invocation_index) local: u32) {
    var sums = vec4f();
    for (var r = p.begin[0] + local; r < p.end[0]; r += FLAT) { sums[0] += t0[r]; }
    for (var r = p.begin[1] + local; r < p.end[1]; r += FLAT) { sums[1] += t1[r]; }
    for (var r = p.begin[2] + local; r < p.end[2]; r += FLAT) { sums[2] += t2[r]; }
    for (var r = p.begin[3] + local; r < p.end[3]; r += FLAT) { sums[3] += t3[r]; }
    var result = 0.0;
    for (var k = 0u; k < 4; k++) {
        let mean = workgroup_sum(sums[k], local) / p.batch;
        result += p.weight[k] * mean;
        if local == 0 { means[k] = mean; }
    }
    if local == 0 { total[0] = result; }
}
