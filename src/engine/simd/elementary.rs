//! Elementary functions as vector code.

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

/// `e^x`, as [`exp_and_exp_m1`] computes it.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_and_exp_m1(x).0
}

/// The natural logarithm of `x`, which is positive and normal, within 2 units in the last place; infinity and NaN of
/// themselves. Compilers turn it into vector code.
///
/// With x = 2^n y and y between sqrt(1/2) and sqrt(2), log x = n log 2 + 2 artanh(s), s = (y - 1) / (y + 1).
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const ROOT_HALF: i32 = 0x3f35_04f3;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let bits = x.to_bits() as i32;
    let n = (bits - ROOT_HALF) >> 23;
    let y = f32::from_bits((bits - (n << 23)) as u32);
    let s = (y - 1.0) / (y + 1.0);
    // Of the series, the first term left out is below 2^-28 of the sum, since |s| <= 0.172.
    let q = s * s;
    let series = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    let n = n as f32;
    let log = n * LN_2_HIGH + (n * LN_2_LOW + (2.0 * s + 2.0 * s * series));
    if x < f32::INFINITY { log } else { x }
}

/// `x`, or 0 where it is closer to 0 than 2^-100.
///
/// Products with such numbers may be subnormal, and processors take a hundred cycles for an operation on these.
#[inline(always)]
pub fn flush(x: f32) -> f32 {
    const LEAST: f32 = 1.0 / (1_u128 << 100) as f32;
    if x.abs() < LEAST { 0.0 } else { x }
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f32, exact: f64, x: f32) {
        let unit = f64::from((exact as f32).abs().next_up() - (exact as f32).abs());
        let error = (f64::from(value) - exact).abs();
        assert!(error <= 2.0 * unit || f64::from(value) == exact, "at {x}: {value} for {exact}");
    }

    #[test]
    fn what_is_near_zero_is_flushed() {
        let least = 2.0_f32.powi(-100);
        for x in [least, -least, 1.0, f32::INFINITY] {
            assert_eq!(flush(x), x);
        }
        for x in [least.next_down(), -least.next_down(), 1e-40, 0.0] {
            assert_eq!(flush(x), 0.0);
        }
        assert!(flush(f32::NAN).is_nan());
    }

    #[test]
    fn logarithms_are_right_to_the_last_places() {
        // All exponents, and finely around 1.
        for i in 0x0080_0000 / 4999 + 1..0x7f80_0000_u32 / 4999 {
            let x = f32::from_bits(i * 4999);
            close(ln(x), f64::from(x).ln(), x);
        }
        for i in 0..40_000 {
            let x = 0.5 + i as f32 * 5e-5;
            close(ln(x), f64::from(x).ln(), x);
        }
        assert_eq!((ln(1.0), ln(f32::INFINITY)), (0.0, f32::INFINITY));
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
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
