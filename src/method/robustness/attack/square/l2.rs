//! Proposals in L2 (Andriushchenko et al., 2020, algorithm 3): a pattern is added in one square, at the cost of what
//! the change had there and in a second square, so that its length stays that of the radius.

use super::place;
use crate::engine::ops::ImageShape;
use crate::engine::rng::Stream;
use crate::method::robustness::attack::apgd::norm;

/// The tiles of the first point, along each side of the image.
const TILES: usize = 5;

/// The least side of a square: a smaller one has no pattern.
const LEAST_SIDE: usize = 3;

/// The first point: the pattern in every tile of the image, each with a sign for each channel.
pub fn first(radius: f32, x: &[f32], shape: ImageShape, draws: &mut Stream, point: &mut [f32]) {
    let [channels, height, width] = shape;
    let tile = (height.min(width) / TILES).max(1);
    let mut change = vec![0.0; x.len()];
    for top in (0..height + 1 - tile).step_by(tile) {
        for left in (0..width + 1 - tile).step_by(tile) {
            let pattern = pattern(tile, draws);
            for c in 0..channels {
                let sign = sign(draws);
                for (at, value) in window(c, top, left, tile, shape).zip(&pattern) {
                    change[at] = sign * value;
                }
            }
        }
    }
    write(radius, x, &change, point);
}

/// The next point, from the best so far.
pub fn next(
    radius: f32,
    x: &[f32],
    shape: ImageShape,
    side: usize,
    best: &[f32],
    draws: &mut Stream,
    point: &mut [f32],
) {
    let [channels, height, width] = shape;
    let side = (side.max(LEAST_SIDE) | 1).min(height.min(width));
    let (top, left) = place(draws, side, shape);
    let (from_top, from_left) = place(draws, side, shape);
    let mut change: Vec<f32> = best.iter().zip(x).map(|(best, x)| best - x).collect();
    // What clipping to the box left unused goes to all channels.
    let unused = (radius * radius - norm(&change).powi(2)).max(0.0) / channels as f32;
    let pattern = pattern(side, draws);
    for c in 0..channels {
        let here = || window(c, top, left, side, shape);
        let before: Vec<f32> = here().map(|at| change[at]).collect();
        here().for_each(|at| change[at] = 0.0);
        let from: Vec<usize> = window(c, from_top, from_left, side, shape).collect();
        let taken: f32 = from.iter().map(|&at| change[at] * change[at]).sum();
        from.into_iter().for_each(|at| change[at] = 0.0);
        let (size, sign) = (norm(&before), sign(draws));
        let share = if size > 0.0 { 1.0 / size } else { 0.0 };
        let added: Vec<f32> = pattern.iter().zip(before).map(|(p, b)| sign * p + share * b).collect();
        let length = (unused + taken + size * size).sqrt();
        let added_size = norm(&added);
        // The pattern may be minus what was there.
        let scale = if added_size > 0.0 { length / added_size } else { 0.0 };
        here().zip(added).for_each(|(at, value)| change[at] = scale * value);
    }
    write(radius, x, &change, point);
}

/// Writes the point at the radius from `x` in the direction of the change, clipped to the box.
fn write(radius: f32, x: &[f32], change: &[f32], point: &mut [f32]) {
    let size = norm(change);
    let scale = if size > 0.0 { radius / size } else { 0.0 };
    point.iter_mut().zip(x).zip(change).for_each(|((p, x), d)| *p = (x + scale * d).clamp(0.0, 1.0));
}

/// The places of a square in a channel, row by row.
fn window(
    c: usize,
    top: usize,
    left: usize,
    side: usize,
    [_, height, width]: ImageShape,
) -> impl Iterator<Item = usize> {
    (top..top + side).flat_map(move |y| {
        let first = (c * height + y) * width + left;
        first..first + side
    })
}

fn sign(draws: &mut Stream) -> f32 {
    if draws.uniform() < 0.5 { -1.0 } else { 1.0 }
}

/// A square of length 1 with a peak in one half and its opposite in the other, the halves being above or beside each
/// other.
fn pattern(side: usize, draws: &mut Stream) -> Vec<f32> {
    let half = side / 2;
    let (above, below) = (peak(half, side), peak(side - half, side));
    let values: Vec<f32> = above.into_iter().chain(below.into_iter().map(|v| -v)).collect();
    let size = norm(&values);
    let turned = draws.uniform() < 0.5;
    let at = |i: usize| if turned { i % side * side + i / side } else { i };
    (0..side * side).map(|i| values[at(i)] / size).collect()
}

/// A rectangle that falls off from its middle: the sum of growing rectangles around it, each `1 / n^2` high; of length
/// 1.
fn peak(rows: usize, cols: usize) -> Vec<f32> {
    let away = |at: usize, side: usize| at.abs_diff(side / 2);
    let rings = rows.max(cols) / 2 + 1;
    let height = |ring: usize| (ring..rings).map(|n| 1.0 / ((n + 1) * (n + 1)) as f32).sum::<f32>();
    let values: Vec<f32> =
        (0..rows * cols).map(|i| height(away(i / cols, rows).max(away(i % cols, cols)))).collect();
    let size = norm(&values);
    values.into_iter().map(|v| v / size.max(f32::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::{Key, Purpose};
    use crate::method::ops::Norm;
    use crate::method::robustness::{distance, reach};

    fn draws() -> Stream {
        Stream::new(Key::new(5, Purpose::Square), 0)
    }

    #[test]
    fn a_pattern_has_two_peaks_of_opposite_sign() {
        for side in [3, 5, 14, 25] {
            let pattern = pattern(side, &mut draws());
            assert!((norm(&pattern) - 1.0).abs() < 1e-5, "{side}");
            let [low, high] = [f32::min, f32::max].map(|of| pattern.iter().copied().fold(0.0, of));
            assert!(low < -1.5 / side as f32 && high > 1.5 / side as f32, "{side}: {low} {high}");
        }
        // The middle is in all rectangles, the next ring in all but the first.
        let peak = peak(3, 3);
        assert!((peak[4] / peak[0] - 1.25 / 0.25).abs() < 1e-5 && peak[0] == peak[8], "{peak:?}");
    }

    /// No proposal leaves the ball or the box, and all of the radius is used where the box does not cut.
    #[test]
    fn proposals_have_the_length_of_the_radius() {
        for shape in [[1, 28, 28], [3, 9, 12], [2, 1, 4], [1, 2, 2]] {
            let inputs = shape.iter().product();
            let mut draws = draws();
            for (grey, radius) in [(0.5, 0.4), (0.1, 2.0)] {
                let x = vec![grey; inputs];
                let (mut best, mut point) = (vec![0.0; inputs], vec![0.0; inputs]);
                first(radius, &x, shape, &mut draws, &mut point);
                for side in [shape[1].min(shape[2]), 3, 1] {
                    let away = distance(Norm::L2, &point, &x);
                    assert!(away <= reach(Norm::L2, radius), "{shape:?} {radius}: {away}");
                    assert!(point.iter().all(|p| (0.0..=1.0).contains(p)));
                    let cut = point.iter().any(|p| [0.0, 1.0].contains(p));
                    assert!(cut || away > f64::from(radius) * 0.9999, "{shape:?} {radius}: {away}");
                    best.copy_from_slice(&point);
                    next(radius, &x, shape, side.min(shape[1]).min(shape[2]), &best, &mut draws, &mut point);
                    assert_ne!(best, point, "{shape:?}");
                }
            }
        }
    }
}
