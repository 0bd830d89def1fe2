// ball: what a step of projected gradient ascent does to one pixel or one row        SPEC section 4
//
// Needs common/box.wgsl. The Rust twins are in src/ops/pgd_step.rs.

// The sign; of 0 it is 0 and of a NaN a NaN.
fn direction(g: f32) -> f32 {
    return select(select(g, -1.0, g < 0.0), 1.0, g > 0.0);
}

// L-infinity: up the sign of the gradient, back into the ball around x and into the box.
fn step_linf(x_adv: f32, x: f32, grad: f32, eps: f32, step: f32) -> f32 {
    let moved = x_adv + step * direction(grad);
    let low = x - eps;
    let high = x + eps;
    return clip(moved, select(low, 0.0, low < 0.0), select(high, 1.0, high > 1.0));
}

// L2: the power of two that brings a gradient's squares into range, by the sum of its magnitudes.
fn scale_of(size: f32) -> f32 {
    return select(select(1.0, 0x1p80, size < 1e-10), 0x1p-80, size > 1e15);
}

// L2: what the scaled gradient of this norm is multiplied with. A comparison with a NaN is false,
// so that a NaN in the gradient reaches the whole row.
fn factor_of(norm: f32, step: f32) -> f32 {
    return select(step / norm, 0.0, norm == 0.0);
}

// L2: a point at `distance` from x back onto the ball, then into the box.
fn onto_ball(moved: f32, x: f32, distance: f32, eps: f32) -> f32 {
    let outside = distance > eps;
    let shrink = eps / select(1.0, distance, outside);
    return clip(select(moved, x + shrink * (moved - x), outside), 0.0, 1.0);
}
