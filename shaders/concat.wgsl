// concat: the rows of a, then the rows of b
//
//   a, b  [na], [nb] words
//   out   [na + nb]
//
// One invocation a word.

struct Params { na: u32, nb: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i < p.na {
        out[i] = a[i];
    } else if i < p.na + p.nb {
        out[i] = b[i - p.na];
    }
}
