// transport_plan: the weighted sum of plans of entropic optimal transport       docs/method.md, section 7
//
//   out[i, j] = sum over r of d[r] e^(f[r, i] + h[r, j] - cost[i, j])
//
//   f and h are the potentials of row r by `sinkhorn`, and e^.. is its optimal plan. So out is the derivative by the
//   cost of sum over r of d[r] value[r].
//
//   d [rows]   f [rows, n]   h [rows, m]   cost [n, m]   out [n, m]
//
// One invocation an element.

struct Params { rows: u32, n: u32, m: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> d: array<f32>;
@group(0) @binding(2) var<storage, read> f: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read> cost: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let e = flat_index(group, groups, local);
    if e >= p.n * p.m { return; }
    let i = e / p.m;
    let j = e % p.m;
    var sum = 0.0;
    for (var r = 0u; r < p.rows; r++) {
        sum += d[r] * exp(f[r * p.n + i] + h[r * p.m + j] - cost[e]);
    }
    out[e] = sum;
}
