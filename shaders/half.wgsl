// half: numbers in half precision, two to a word
//
//   a    [n], n even
//   out  [words]: a[2i] in the low 16 bits of out[i], a[2i + 1] in the high ones; zeros from word n / 2 on
//
// A half (IEEE 754 binary16) has a sign, 5 bits of exponent and 10 digits. What is read often and needs few digits,
// such as the weights of the selection (--precision f16), then takes half the memory. Rounding is to the nearest, of
// two equally near to the even one, in integers, since not every device has the conversion and not all that have it
// round alike. One invocation a word.

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
    // The largest half is 65504; from halfway to the next on it is infinity.
    if magnitude >= 0x477ff000u { return sign | 0x7c00u; }
    // Below 2^-14 halves lie 2^-24 apart: added to 1/2, the device rounds to just that.
    if magnitude < 0x38800000u { return sign | (bitcast<u32>(abs(x) + 0.5) - bitcast<u32>(0.5f)); }
    // 13 of 23 digits go; a carry runs on into the exponent, whose bias falls from 127 to 15.
    let rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return sign | ((rounded >> 13) - (112u << 10));
}
