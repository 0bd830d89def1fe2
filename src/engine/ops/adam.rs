//! One step of Adam over all weights at once; `shaders/adam.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static ADAM: "adam" {
        shaders: ["common/flat.wgsl", "adam.wgsl"],
        params: {
            n: u32,
            total: u32,
            rate: f32,
            last: f32,
            b1: f32,
            b2: f32,
            log_b1: f32,
            log_b2: f32,
            one_minus_b1: f32,
            one_minus_b2: f32,
            eps: f32,
            unscale: f32,
            weight_decay: f32,
        },
        constants: {},
        bindings: { clock: read u32, g: read f32, m: write f32, v: write f32, w: write f32 },
        cpu: adam_cpu,
    }
}

/// Adam's settings. The learning rate falls linearly from `rate` at step 0 to `rate * last` at step `total`.
#[derive(Debug, Clone, Copy)]
pub struct AdamSettings {
    /// The learning rate at step 0.
    pub rate: f32,
    /// The share of the rate that is left at step `total`.
    pub last: f32,
    /// The step from which on the rate is `rate * last`.
    pub total: u32,
    /// The decay rate of the mean of gradients.
    pub beta1: f64,
    /// The decay rate of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f32,
    /// Loss scale, a power of two; gradients are divided by it.
    pub loss_scale: f32,
    /// The share of each weight that is taken off per step and unit of the learning rate (Loshchilov and Hutter, 2019).
    pub weight_decay: f32,
}

impl AdamSettings {
    /// The usual decay rates 0.9 and 0.999, epsilon 1e-8, no weight decay.
    pub fn new(rate: f32, last: f32, total: u32) -> Self {
        let total = total.max(1);
        AdamSettings {
            rate,
            last,
            total,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            loss_scale: 1.0,
            weight_decay: 0.0,
        }
    }
}

/// Adds one step of Adam: updates the moments `m` and `v` and the weights `w`, variables of one shape, by the gradients
/// `grads` of that shape. `clock` (u32) holds the step in its first word.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::engine::ops::{AdamSettings, adam};
///
/// let (zero, grads) = (floats([2], &[0.0, 0.0]), floats([2], &[0.5, -3.0]));
/// let clock = words([2], &[0, 0]);
/// let w: Vec<f32> = evaluate([clock, grads, zero.clone(), zero, floats([2], &[1.0, 1.0])], |g, x| {
///     let [clock, grads, m, v, w] = x;
///     adam(g, AdamSettings::new(0.25, 0.0, 10), clock, grads, m, v, w)?;
///     Ok(w)
/// })?;
/// // The first step is as long as the rate, whatever the gradient.
/// assert_eq!(w, [0.75, 1.25]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn adam(
    g: &mut Graph,
    settings: AdamSettings,
    clock: Tensor,
    grads: Tensor,
    m: Tensor,
    v: Tensor,
    w: Tensor,
) -> Result<()> {
    g.apply_to(settings, &[clock, grads], &[m, v, w])
}

impl Op for AdamSettings {
    fn name(&self) -> &'static str {
        ADAM.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(clock, DType::U32), (grads, DType::F32)] if !clock.is_empty() => {
                Ok(vec![((*grads).clone(), DType::F32); 3])
            }
            _ => Err(format!("{inputs:?}: needs a clock of integers and float gradients")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let n = io.inputs[1].0.len();
        let params = Params {
            n: n as u32,
            total: self.total,
            rate: self.rate,
            last: self.last,
            b1: self.beta1 as f32,
            b2: self.beta2 as f32,
            log_b1: self.beta1.ln() as f32,
            log_b2: self.beta2.ln() as f32,
            one_minus_b1: (1.0 - self.beta1) as f32,
            one_minus_b2: (1.0 - self.beta2) as f32,
            eps: self.epsilon,
            unscale: 1.0 / self.loss_scale,
            weight_decay: self.weight_decay,
        };
        Args {
            clock: io.input(0).whole(),
            g: io.input(1).by_row(),
            m: io.output(0).by_row(),
            v: io.output(1).by_row(),
            w: io.output(2).by_row(),
        }
        .call(params, Constants {})
        .grid(n, flat_tile(1), flat_grid(n))
        .flops(14 * n)
    }
}

fn adam_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, clock, g, m, v, w, .. } = self;
        let step = clock[0] as f32;
        let done = (step / p.total as f32).min(1.0);
        let rate = p.rate * (1.0 - (1.0 - p.last) * done);
        let mean_share = -((step + 1.0) * p.log_b1).exp_m1();
        let square_share = -((step + 1.0) * p.log_b2).exp_m1();
        for (((&scaled, m), v), w) in g.iter().zip(m).zip(v).zip(w) {
            let gradient = p.unscale * scaled;
            // Moments must not become subnormal, which is slow: the share of the square of what counts as 0 would be.
            let gradient = if gradient.abs() < 1e-17 { 0.0 } else { gradient };
            *m = simd::flush(p.b1 * *m + p.one_minus_b1 * gradient);
            let square = p.b2 * *v + p.one_minus_b2 * gradient * gradient;
            *v = if square < 5e-38 { 0.0 } else { square };
            let step_taken = rate * (*m / mean_share) / ((*v / square_share).sqrt() + p.eps);
            *w -= step_taken + rate * p.weight_decay * *w;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::evaluate::{evaluate, floats, words};

    /// m and v after a step with these gradients.
    fn moments(grads: &[f32], m: f32, v: f32) -> [Vec<f32>; 2] {
        let n = grads.len();
        [true, false].map(|first| {
            let state = |value| floats([n], &vec![value; n]);
            let inputs = [words([2], &[0, 0]), floats([n], grads), state(m), state(v), state(1.0)];
            evaluate(inputs, |g, [clock, grads, m, v, w]| {
                adam(g, AdamSettings::new(0.25, 0.0, 10), clock, grads, m, v, w)?;
                Ok(if first { m } else { v })
            })
            .unwrap()
        })
    }

    #[test]
    fn moments_are_never_subnormal() {
        let grads: Vec<f32> = (0..40).map(|i| 10.0_f32.powi(-i)).collect();
        for (m, v) in [(0.0, 0.0), (1e-30, 4.9e-38), (-1e-37, 1e-37), (1e-10, 1e-20)] {
            for moment in moments(&grads, m, v) {
                assert!(!moment.iter().any(|x| x.is_subnormal()), "from {m} and {v}: {moment:?}");
            }
        }
        // What is not that small is kept.
        let [m, v] = moments(&[1e-15], 0.0, 0.0);
        assert!((m[0] / 1e-16 - 1.0).abs() < 1e-5 && (v[0] / 1e-33 - 1.0).abs() < 1e-4, "{m:?} {v:?}");
    }
}
