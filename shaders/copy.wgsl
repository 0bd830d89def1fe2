// copy: copies the words of a tensor
//
//   x     [n] words
//   out   [n]
//
// One invocation a word.

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i < p.n {
        out[i] = x[i];
    }
}
