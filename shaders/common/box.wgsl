// box: the set of images, [0, 1] in every pixel
//
// Needs common/bits.wgsl.

// The nearest to `value` that is neither below `low` nor above `high`, numbers in that order; a NaN of a NaN.
fn clip(value: f32, low: f32, high: f32) -> f32 {
    return select(clamp(value, low, high), value, is_nan(value));
}
