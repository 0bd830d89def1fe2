// box: the set of images, [0, 1] in every pixel. No min, max or clamp here, which may turn a NaN
// into a number.

fn clip(value: f32, low: f32, high: f32) -> f32 {
    let raised = select(value, low, value < low);
    return select(raised, high, raised > high);
}
