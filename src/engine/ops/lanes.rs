//! Sums that CPU kernels share: over interleaved lanes, then over the lanes in order. They are fast, accurate, and the
//! same on every machine.

pub(crate) use crate::engine::simd::LANES;
use crate::engine::simd::copy_lanes;

/// A running sum of terms that are added one by one.
#[derive(Debug, Default)]
pub(crate) struct Lanes([f32; LANES]);

impl Lanes {
    /// Adds the term number `i`.
    pub(crate) fn add(&mut self, i: usize, term: f32) {
        self.0[i % LANES] += term;
    }

    pub(crate) fn total(&self) -> f32 {
        self.0.iter().sum()
    }
}

/// The sum of `a`, vectorised.
pub(crate) fn sum(a: &[f32]) -> f32 {
    sum_of(a, a, |x, _| x)
}

/// The sum of `f(a[i], b[i])`, vectorised.
pub(crate) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().sum::<f32>() + tail
}

/// Maps a row element by element: `f` takes an element of every input and returns that of every output, and terms whose
/// sums over the row this returns. All have the length of the first input.
///
/// Vector code where it is inlined into [`Work::run`](crate::engine::simd::Work::run) and `f` has no call: the
/// functions of [`simd`](crate::engine::simd), not those of the standard library.
#[inline(always)]
pub(crate) fn map<const IN: usize, const OUT: usize, const SUMS: usize>(
    inputs: [&[f32]; IN],
    outputs: [&mut [f32]; OUT],
    f: impl Fn([f32; IN]) -> ([f32; OUT], [f32; SUMS]),
) -> [f32; SUMS] {
    let mut sums = [[0.0; LANES]; SUMS];
    let length = inputs[0].len();
    for start in (0..length).step_by(LANES) {
        let width = LANES.min(length - start);
        let mut x = [[0.0; LANES]; IN];
        for i in 0..IN {
            copy_lanes(&inputs[i][start..][..width], &mut x[i]);
        }
        let (mut y, mut terms) = ([[0.0; LANES]; OUT], [[0.0; LANES]; SUMS]);
        for e in 0..LANES {
            let mut elements = [0.0; IN];
            for i in 0..IN {
                elements[i] = x[i][e];
            }
            let (values, of_sums) = f(elements);
            for o in 0..OUT {
                y[o][e] = values[o];
            }
            for s in 0..SUMS {
                terms[s][e] = of_sums[s];
            }
        }
        for o in 0..OUT {
            copy_lanes(&y[o], &mut outputs[o][start..][..width]);
        }
        for s in 0..SUMS {
            for e in 0..LANES {
                sums[s][e] += if e < width { terms[s][e] } else { 0.0 };
            }
        }
    }
    sums.map(|lanes| lanes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_any_length_is_mapped_and_summed() {
        for length in [0, 1, 15, 16, 33, 48] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let b = vec![2.0; length];
            let (mut product, mut sum) = (vec![f32::NAN; length], vec![f32::NAN; length]);
            // The terms of what is not there would be 1.
            let sums = map([&a, &b], [&mut product, &mut sum], |[a, b]| ([a * b, a + b], [1.0, a]));
            assert_eq!(sums, [length as f32, a.iter().sum()], "{length}");
            for (i, (product, sum)) in product.into_iter().zip(sum).enumerate() {
                assert_eq!((product, sum), (2.0 * i as f32, 2.0 + i as f32));
            }
        }
    }
}
