// half: numbers in half precision, two to a word
//
//   a    [n], n even
//   out  [words]: a[2i] in the low 16 bits of out[i], a[2i + 1] in the high ones; zeros from word n / 2 on
//
// The selection reads its weights as halves with --precision f16, in half the memory. shaders/common/halves.wgsl
// explains the rounding. One invocation a word.

struct Params { words: u32, pairs: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.words { return; }
    var word = 0u;
    if i < p.pairs {
        let halves = half_bits(vec4f(a[i], 0.0, 0.0));
        word = halves.x | halves.y << 16;
    }
    out[i] = word;
}
