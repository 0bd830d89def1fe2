// random: uniform or standard normal draws                                 docs/method.md, section 9
//
//   clock  [2]: the step, which every draw depends on
//   out    [n]: words 2i and 2i + 1 come from block i,
//          uniform: ((bits >> 8) + 0.5) 2^-24 of either word
//          normal, where NORMAL = 1: Box-Muller of both words u, v:
//            sqrt(-2 log u) cos(2 pi v), sqrt(-2 log u) sin(2 pi v)
//
// -log u is computed as log(1 + (1 - u) / u), since a device's log of a number just below 1 is mostly rounding error.
// One invocation a block of two.

override NORMAL: u32 = 0;

struct Params { n: u32, key0: u32, key1: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let block = flat_index(group, groups, local);
    if 2 * block >= p.n { return; }
    let bits = threefry(vec2u(block, clock[0]), vec2u(p.key0, p.key1));
    var draw = vec2f(unit(bits.x), unit(bits.y));
    if NORMAL == 1 {
        let angle = 6.283185307179586 * draw.y;
        draw = sqrt(2.0 * log1p((1.0 - draw.x) / draw.x)) * vec2f(cos(angle), sin(angle));
    }
    out[2 * block] = draw.x;
    if 2 * block + 1 < p.n { out[2 * block + 1] = draw.y; }
}
