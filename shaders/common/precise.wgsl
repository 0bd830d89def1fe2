// precise: functions without cancellation near 0, which WGSL lacks. Their Rust twins are simd::exp_and_exp_m1 and
// f32::ln_1p.

// e^x - 1.
fn expm1(x: f32) -> f32 {
    if abs(x) > 0.5 { return exp(x) - 1.0; }
    // Taylor to x^8; the next term is below 2^-26 of the sum.
    let tail = 1.0 + x / 5.0 * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)));
    return x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * tail)));
}

// log(1 + x) for x >= 0.
fn log1p(x: f32) -> f32 {
    if x > 0.25 { return log(1.0 + x); }
    // 2 artanh(t); t <= 1/9, so that the next term is below 2^-28 of the sum.
    let t = x / (2.0 + x);
    let q = t * t;
    return 2.0 * t * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q / 7.0)));
}
