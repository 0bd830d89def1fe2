//! Sums that CPU kernels share: over interleaved lanes, then over the lanes in order. They are fast, accurate, and the
//! same on every machine.

pub(crate) const LANES: usize = 16;

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
