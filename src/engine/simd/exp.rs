//! The exponential function as vector code.

/// `e^x` and `e^x - 1`, each within 2 units in the last place; NaN of NaN. Compilers turn it into vector code.
///
/// With x = n log 2 + r and |r| <= log(2) / 2, e^x - 1 = 2^n (e^r - 1) + (2^n - 1). The polynomial for e^r - 1 does not
/// cancel near 0.
#[inline(always)]
pub fn exp_and_exp_m1(x: f32) -> (f32, f32) {
    // Adding and subtracting it rounds to an integer, which is then in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these bounds the results do not change: 0 and -1, or infinity.
    let x = x.clamp(-104.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor to r^7 / 7!; the next term is below 2^-26 of the sum.
    let p = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let p = 1.0 / 24.0 + r * (1.0 / 120.0 + r * p);
    let p = r + r * r * (0.5 + r * (1.0 / 6.0 + r * p));
    // 2^n as two normal factors, so that results may be subnormal or infinite.
    let n = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
    let half = n >> 1;
    let (a, b) = (power_of_two(half), power_of_two(n - half));
    let exp = (1.0 + p) * a * b;
    let exp_m1 = (p * a + (a - power_of_two(half - n))) * b;
    (exp, exp_m1)
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let close = |value: f32, exact: f64, x: f32| {
            let unit = f64::from((exact as f32).abs().next_up() - (exact as f32).abs());
            let error = (f64::from(value) - exact).abs();
            assert!(error <= 2.0 * unit || f64::from(value) == exact, "at {x}: {value} for {exact}");
        };
        for i in -20_000..18_000 {
            for x in [i as f32 / 200.0 + 1e-3 * (i % 7) as f32, i as f32 * 1e-6, i as f32 * 1e-12] {
                let (exp, exp_m1) = exp_and_exp_m1(x);
                let exact = f64::from(x);
                if exact.exp() < f64::from(f32::MAX) {
                    close(exp, exact.exp(), x);
                    close(exp_m1, exact.exp_m1(), x);
                }
            }
        }
        assert_eq!(exp_and_exp_m1(0.0), (1.0, 0.0));
        assert_eq!(exp_and_exp_m1(f32::INFINITY), (f32::INFINITY, f32::INFINITY));
        assert_eq!(exp_and_exp_m1(f32::NEG_INFINITY), (0.0, -1.0));
        let (exp, exp_m1) = exp_and_exp_m1(f32::NAN);
        assert!(exp.is_nan() && exp_m1.is_nan());
    }
}
