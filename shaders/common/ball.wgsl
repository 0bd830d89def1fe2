// ball: the start and a step of projected gradient ascent, for one pixel or one row   docs/method.md, section 4
//
// Needs common/bits.wgsl and common/box.wgsl. The Rust twins are in src/method/ops/pgd_start.rs and pgd_step.rs.

// L-infinity: a random point of the ball around x, by a uniform draw, clipped to the box.
fn start_linf(x: f32, draw: f32, eps: f32) -> f32 {
    return clip(x + eps * (2.0 * draw - 1.0), 0.0, 1.0);
}

// The sign: 0 of 0, NaN of NaN. By the bits, since comparisons may flush subnormal numbers to 0.
fn direction(g: f32) -> f32 {
    let size = bitcast<u32>(g) & 0x7fffffffu;
    return select(g, select(1.0, -1.0, bitcast<u32>(g) >= 0x80000000u), size > 0 && size <= 0x7f800000u);
}

// L-infinity: a step along the sign of the gradient, projected onto the ball around x and onto the box.
fn step_linf(x_adv: f32, x: f32, grad: f32, eps: f32, step: f32) -> f32 {
    let moved = x_adv + step * direction(grad);
    let low = x - eps;
    let high = x + eps;
    return clip(moved, select(low, 0.0, low < 0.0), select(high, 1.0, high > 1.0));
}

// L2: the exponent of the power of two by which a gradient is scaled so that its squares neither over- nor underflow,
// by the sum of its magnitudes.
fn scale_of(size: f32) -> i32 {
    return select(select(0, 80, size < 1e-10), -80, size > 1e15);
}

// L2: an element of the gradient times 2^scale. By the bits, since a compiler may multiply 2^scale by `factor_of`
// first, which can underflow, and since multiplications may flush subnormal numbers, m 2^-149, to 0.
fn scaled(g: f32, scale: i32) -> f32 {
    let bits = bitcast<u32>(g);
    let sign = bits & 0x80000000u;
    let exponent = i32((bits >> 23u) & 0xffu);
    if exponent == 255 { return g; }
    if exponent == 0 {
        let size = select(0.0, f32(bits & 0x7fffffu) * 0x1p-69, scale == 80); // 2^(80 - 149)
        return bitcast<f32>(bitcast<u32>(size) | sign);
    }
    let moved = exponent + scale;
    if moved <= 0 { return 0.0; }
    return bitcast<f32>((bits & 0x807fffffu) | (u32(moved) << 23u));
}

// L2: the factor of the scaled gradient, given its norm. A comparison with a NaN is false, so a NaN in the gradient
// makes the whole row NaN.
fn factor_of(norm: f32, step: f32) -> f32 {
    return select(step / norm, 0.0, norm == 0.0);
}

// L2: a point at `distance` from x, projected onto the ball, then onto the box.
fn onto_ball(moved: f32, x: f32, distance: f32, eps: f32) -> f32 {
    let outside = distance > eps;
    let shrink = eps / select(1.0, distance, outside);
    return clip(select(moved, x + shrink * (moved - x), outside), 0.0, 1.0);
}
