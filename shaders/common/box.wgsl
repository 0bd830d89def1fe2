// box: the set of images, [0, 1] in every pixel
//
// Needs common/bits.wgsl.

// `value` clipped to [low, high], both numbers; NaN of NaN.
fn clip(value: f32, low: f32, high: f32) -> f32 {
    return select(clamp(value, low, high), value, is_nan(value));
}
