// half: numbers in half precision, two to a word
//
//   a    [n], n even
//   out  [words]: a[2i] in the low 16 bits of out[i], a[2i + 1] in the high ones; zeros from word n / 2 on
//
// A half (IEEE 754 binary16) has a sign, 5 bits of exponent and 10 digits. The selection reads its weights as halves
// with --precision f16, in half the memory. Rounding is to the nearest, ties to even. It is done in integers, since not
// every device has the conversion and those that have it round differently. One invocation a word.

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
    if i < p.pairs { word = bits_of(a[i].x) | bits_of(a[i].y) << 16; }
    out[i] = word;
}

fn bits_of(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = bits >> 16 & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u { return sign | 0x7e00u; } // A NaN stays one.
    // The largest half is 65504; from half a step above it on the result is infinity.
    if magnitude >= 0x477ff000u { return sign | 0x7c00u; }
    // Below 2^-14 halves are 2^-24 apart, and so are floats at 1/2: adding 1/2 rounds to halves.
    if magnitude < 0x38800000u { return sign | (bitcast<u32>(abs(x) + 0.5) - bitcast<u32>(0.5f)); }
    // Drops 13 of 23 digits. A carry goes into the exponent, whose bias falls from 127 to 15.
    let rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return sign | ((rounded >> 13) - (112u << 10));
}
