// bits: comparisons that hold for a NaN too
//
// By the bits of a float, since a shader compiler may assume that comparisons meet no NaN, and make a maximum of a
// comparison with a choice of what was compared, which turns a NaN into a number. (NVIDIA's does.) The bits of
// negative numbers begin behind -0, 0x80000000, and end with minus infinity, 0xff800000; behind either infinity come
// NaNs.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn nans(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// A NaN, which no constant expression may be.
fn nan() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

// Which are below 0.
fn negative(x: vec4f) -> vec4<bool> {
    return bitcast<vec4u>(x) - vec4u(0x80000001u) < vec4u(0x7f800000u);
}

// max(x, 0), and a NaN of a NaN.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, bitcast<u32>(x) - 0x80000001u < 0x7f800000u);
}
