//! What rounding can do to sums in single precision (Higham, 2002, Accuracy and Stability of Numerical Algorithms,
//! section 3.1), and the boxes and lines that hold in spite of it.

/// The most relative error of one operation in single precision. Twice that of rounding to the nearest, since a GPU may
/// round to either neighbour.
const UNIT: f64 = 1.0 / (1 << 23) as f64;

/// What all numbers together can lose that a device takes for 0 since they are subnormal.
pub const FLUSHED: f64 = 1e-20;

/// The relative error of a sum of `terms` products in any order: `n u / (1 - n u)`.
pub fn gamma(terms: usize) -> f64 {
    let nu = (terms + 4) as f64 * UNIT;
    nu / (1.0 - nu)
}

/// The largest float that is not above `x`.
pub fn down(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x { nearest.next_down() } else { nearest }
}

/// The smallest float that is not below `x`.
pub fn up(x: f64) -> f32 {
    -down(-x)
}

/// The corners of the box `[low, high]`, moved apart so far that [`box_minimum`](crate::method::ops::box_minimum) over
/// `terms` of them is not above the exact minimum.
pub fn corners(low: f64, high: f64, terms: usize) -> (f32, f32) {
    let error = gamma(terms);
    (down(low - error * low.abs()), up(high + error * high.abs()))
}

/// Lines below and above a ReLU, for inputs in an interval (Zhang et al., 2018, Efficient Neural Network Robustness
/// Certification with General Activation Functions): `below z <= max(z, 0) <= above z + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lines {
    pub below: f32,
    pub above: f32,
    pub offset: f32,
}

impl Lines {
    /// For inputs in `[low, high]`; none where these are not numbers.
    pub fn of(low: f64, high: f64) -> Option<Self> {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return None;
        }
        if low >= 0.0 {
            return Some(Lines { below: 1.0, above: 1.0, offset: 0.0 });
        }
        if high <= 0.0 {
            return Some(Lines { below: 0.0, above: 0.0, offset: 0.0 });
        }
        // Any slope will do, with the least offset that puts the line above the ReLU's ends, hence above all of it.
        let above = (high / (high - low)) as f32;
        let slope = f64::from(above);
        let offset = (-slope * low).max(high - slope * high);
        // The line below that leaves the smaller area between.
        Some(Lines { below: if high > -low { 1.0 } else { 0.0 }, above, offset: up(offset * (1.0 + 1e-12)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::{Key, Purpose, Stream};

    #[test]
    fn lines_enclose_the_relu() {
        let mut draws = Stream::new(Key::new(3, Purpose::Init), 0);
        let mut draw = |scale: f64| scale * (2.0 * f64::from(draws.uniform()) - 1.0);
        for i in 0..10_000 {
            let scale = 10f64.powi(i % 9 - 4);
            let (a, b) = (draw(scale), draw(1.0));
            let (low, high) = (a.min(b), a.max(b));
            let Lines { below, above, offset } = Lines::of(low, high).unwrap();
            for z in [low, high, 0.5 * (low + high), 0.0].into_iter().filter(|z| (low..=high).contains(z)) {
                let relu = z.max(0.0);
                assert!(f64::from(below) * z <= relu, "{low} {high} at {z}");
                assert!(f64::from(above) * z + f64::from(offset) >= relu, "{low} {high} at {z}");
            }
        }
        assert_eq!([Lines::of(f64::NAN, 1.0), Lines::of(0.0, f64::INFINITY), Lines::of(1.0, 0.0)], [None; 3]);
    }

    #[test]
    fn rounding_goes_outward() {
        for x in [0.1, -0.1, 1.0, 1e-50, -1e-50, 3.4e38, 0.0] {
            assert!(f64::from(down(x)) <= x && x <= f64::from(up(x)), "{x}");
        }
        assert_eq!((down(1.0), up(1.0)), (1.0, 1.0));
        let (low, high) = corners(0.5, 1.0, 100);
        assert!(f64::from(low) < 0.5 - 100.0 * UNIT * 0.5 && f64::from(high) > 1.0 + 100.0 * UNIT);
    }
}
