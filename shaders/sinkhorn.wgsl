// sinkhorn: entropic optimal transport between rows of probabilities, in logarithms          docs/method.md, section 7
//
//   value[r] = min over plans Q with the marginals a[r], b[r] of
//              sum over i, j of Q[i, j] cost[i, j]  -  H(Q),    H(Q) = -sum of Q log Q
//
//   At the optimum Q[i, j] = e^(f[i] + h[j] - cost[i, j]), and the value is sum a f + sum b h. An iteration of
//   Sinkhorn's algorithm renews the potentials f, which makes one marginal right, then h for the other:
//
//   f[i] = log a[i] - log sum over j of e^(h[j] - cost[i, j])
//   h[j] = log b[j] - log sum over i of e^(f[i] - cost[i, j])
//
//   By the envelope theorem the potentials are the value's derivatives by a and b, and Q is that by the cost.
//
//   log_a [rows, n]   log_b [rows, m]   cost [n, m], which includes the coupling
//   value [rows]      f [rows, n]       h [rows, m]
//
// One workgroup a row; the potentials are in workgroup memory, and each invocation renews every 256th of them.

override ITERATIONS: u32 = 100;

const MOST: u32 = 512;

struct Params { rows: u32, n: u32, m: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> log_a: array<f32>;
@group(0) @binding(2) var<storage, read> log_b: array<f32>;
@group(0) @binding(3) var<storage, read> cost: array<f32>;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;
@group(0) @binding(5) var<storage, read_write> f_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> h_out: array<f32>;

var<workgroup> f: array<f32, MOST>;
var<workgroup> h: array<f32, MOST>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    for (var j = local; j < p.m; j += FLAT) { h[j] = 0.0; }
    workgroupBarrier();
    for (var iteration = 0u; iteration < ITERATIONS; iteration++) {
        for (var i = local; i < p.n; i += FLAT) {
            var top = h[0] - cost[i * p.m];
            for (var j = 1u; j < p.m; j++) { top = max(top, h[j] - cost[i * p.m + j]); }
            var sum = 0.0;
            for (var j = 0u; j < p.m; j++) { sum += exp(h[j] - cost[i * p.m + j] - top); }
            f[i] = log_a[r * p.n + i] - top - log(sum);
        }
        workgroupBarrier();
        for (var j = local; j < p.m; j += FLAT) {
            var top = f[0] - cost[j];
            for (var i = 1u; i < p.n; i++) { top = max(top, f[i] - cost[i * p.m + j]); }
            var sum = 0.0;
            for (var i = 0u; i < p.n; i++) { sum += exp(f[i] - cost[i * p.m + j] - top); }
            h[j] = log_b[r * p.m + j] - top - log(sum);
        }
        workgroupBarrier();
    }
    var sum = 0.0;
    for (var i = local; i < p.n; i += FLAT) {
        f_out[r * p.n + i] = f[i];
        sum += exp(log_a[r * p.n + i]) * f[i];
    }
    for (var j = local; j < p.m; j += FLAT) {
        h_out[r * p.m + j] = h[j];
        sum += exp(log_b[r * p.m + j]) * h[j];
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { value[r] = sum; }
}
