// copy: copies words, to measure the device's bandwidth              a ceiling for `smoothenc bench`
//
//   source, to  [n] vectors of four words
//
// One invocation a vector.

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4f>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i < p.n { to[i] = source[i]; }
}
