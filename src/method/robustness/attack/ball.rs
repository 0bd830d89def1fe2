//! What an attack's points must fulfil: the one rule by which examples are kept, and by which they are checked later.

use crate::method::ops::Norm;

/// The distance of two images, in double precision; NaN where a pixel is.
pub fn distance(norm: Norm, a: &[f32], b: &[f32]) -> f64 {
    let apart = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    match norm {
        Norm::Linf => apart.fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most }),
        Norm::L2 => apart.map(|d| d * d).sum::<f64>().sqrt(),
    }
}

/// The distance at which a point still counts as within the radius. Points are made in single precision: in L-infinity
/// a pixel is off by half the unit in the last place of 1, 2^-24, at the most. In L2 the length itself is a sum in
/// single precision, and 1e-5 of the radius covers its rounding.
pub fn reach(norm: Norm, radius: f32) -> f64 {
    /// Half the distance from 1 to the next larger number.
    const HALF_A_UNIT: f64 = f32::EPSILON as f64 / 2.0;
    match norm {
        Norm::Linf => f64::from(radius) + HALF_A_UNIT,
        Norm::L2 => f64::from(radius) * (1.0 + 1e-5) + HALF_A_UNIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_exact_and_radii_allow_for_one_rounding() {
        let (a, b) = ([0.0, 0.5, 1.0], [0.25, 0.5, 0.75]);
        assert_eq!(distance(Norm::Linf, &a, &b), 0.25);
        assert_eq!(distance(Norm::L2, &a, &b), 0.125_f64.sqrt());
        // A pixel and the radius, added as an attack adds them.
        for (x, radius) in [(0.7, 0.1_f32), (0.3, 0.05), (0.123, 0.3), (0.9999, 0.00005)] {
            let (x, moved): (f32, f32) = (x, x + radius);
            let away = distance(Norm::Linf, &[x], &[moved]);
            assert!(away <= reach(Norm::Linf, radius), "{x} {radius}: {away}");
            let too_far = moved + 2.0 * f32::EPSILON;
            assert!(distance(Norm::Linf, &[x], &[too_far]) > reach(Norm::Linf, radius), "{x} {radius}");
        }
        assert!(reach(Norm::L2, 2.0) < 2.000_03 && reach(Norm::L2, 2.0) > 2.0);
    }

    #[test]
    fn what_is_no_number_has_no_distance() {
        for norm in [Norm::Linf, Norm::L2] {
            assert!(distance(norm, &[0.0, f32::NAN, 0.0], &[0.5, 0.5, 0.75]).is_nan(), "{norm:?}");
        }
    }
}
