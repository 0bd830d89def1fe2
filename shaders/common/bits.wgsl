// bits: comparisons that are right for NaN
//
// They use the bits of a float, since shader compilers may assume that there is no NaN. NVIDIA's turns a comparison and
// a selection into a maximum, which makes a NaN a number. The bits of negative numbers lie between -0, 0x80000000, and
// minus infinity, 0xff800000; above each infinity are NaNs.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn nans(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// A NaN, which a constant expression may not be.
fn nan() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

// Whether each is below 0.
fn negative(x: vec4f) -> vec4<bool> {
    return bitcast<vec4u>(x) - vec4u(0x80000001u) < vec4u(0x7f800000u);
}

// max(x, 0); NaN of NaN.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, bitcast<u32>(x) - 0x80000001u < 0x7f800000u);
}
