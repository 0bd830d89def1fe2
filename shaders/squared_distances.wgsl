// squared_distances: between the rows of two matrices
//
//   out[i, j] = sum over d of (x[i, d] - y[j, d])^2
//
//   x  [n, dims]      y  [m, dims]      out  [n, m]
//
// By differences, which do not cancel for near points. One invocation an element; sums run in blocks of 32.

struct Params { n: u32, m: u32, dims: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let e = flat_index(group, groups, local);
    if e >= p.n * p.m { return; }
    let i = e / p.m * p.dims;
    let j = e % p.m * p.dims;
    var total = 0.0;
    for (var block = 0u; block < p.dims; block += 32) {
        var sum = 0.0;
        for (var d = block; d < min(block + 32, p.dims); d++) {
            let difference = x[i + d] - y[j + d];
            sum += difference * difference;
        }
        total += sum;
    }
    out[e] = total;
}
