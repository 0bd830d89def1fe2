//! Selection of the fictive point x_b near x (docs/method.md, section 4).

use crate::engine::autodiff;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Weights;
use crate::engine::ops;
use crate::engine::rng::{Key, Purpose};
use crate::engine::tensor::DType;
use crate::error::Result;

use crate::method::ops::{
    Ascent, DrawnStart, Goal, Norm, StartNoise, StepLength, entropic_distance, fits, in_half, pgd_mlp,
    pgd_start, pgd_step, wasserstein2,
};
use crate::method::vae::Vae;

/// The distance that the ascent maximises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// The squared 2-Wasserstein distance of the two codes, eq 12.
    W2,
    /// The entropy-regularised divergence of the training objective, with coupling `gamma`.
    Entropic {
        /// The coupling.
        gamma: f32,
    },
}

/// How a fictive point is selected: a random point of the ball, moved by projected gradient ascent on a distance.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// The norm of the ball.
    pub norm: Norm,
    /// Radius of the ball, on the [0, 1] scale.
    pub eps: f32,
    /// Steps of projected gradient ascent; 0 leaves the random point.
    pub steps: usize,
    /// The length of a step.
    pub step_size: f32,
    /// The distance that is maximised.
    pub metric: Metric,
    /// Whether all steps run in one kernel call where the encoder allows it; else op by op, with the same result up to
    /// rounding.
    pub fused: bool,
}

/// The most operations of one kernel call, half of those of a submission. A desktop's watchdog resets a GPU that one
/// call keeps busy for about two seconds.
const MAX_FLOPS: usize = 50_000_000_000;

/// The fewest calls, of equally many steps each, that stay within [`MAX_FLOPS`]; at most one for each step.
fn calls(steps: usize, flops: usize) -> usize {
    let short = |calls: &usize| steps.is_multiple_of(*calls) && flops / calls <= MAX_FLOPS;
    (1..=steps).find(short).unwrap_or(steps)
}

/// The source of a random start.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// Draws of the step in `clock` (u32).
    Drawn {
        /// The step, in its first word (u32).
        clock: Tensor,
        /// The seed of the draws.
        seed: u64,
    },
    /// Given noise.
    From(StartNoise),
}

/// Noise for random starts of this shape, in the step in `clock`.
fn start_noise(g: &mut Graph, norm: Norm, clock: Tensor, shape: [usize; 2], seed: u64) -> Result<StartNoise> {
    let key = Key::new(seed, Purpose::Selection);
    Ok(match norm {
        Norm::Linf => StartNoise::Linf(ops::uniform(g, clock, shape, key)?),
        Norm::L2 => {
            let normals = ops::normal(g, clock, shape, key)?;
            let radius = ops::uniform(g, clock, [shape[0]], Key::new(seed, Purpose::SelectionRadius))?;
            StartNoise::L2 { normals, radius }
        }
    })
}

impl Selection {
    /// x_b `[rows, inputs]` for the points `x` `[rows, inputs]`, in a new variable; the first one of a graph is
    /// `selected`. For an encoder in half precision, the fused kernel reads the weights as halves; with cooperative
    /// matrices it rounds points and activations too.
    ///
    /// The gradient is taken by the points alone. No gradient flows through the result, since it is a variable.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn select(
        &self,
        g: &mut Graph,
        vae: &Vae,
        weights: &Weights,
        x: Tensor,
        start: Start,
    ) -> Result<Tensor> {
        let shape = g.shape(x)?.clone();
        let selected = g.new_variable("selected", shape, DType::F32)?;
        if self.steps == 0 {
            self.start(g, x, selected, start)?;
            return Ok(selected);
        }
        // Keep the reference in f32.
        let mut single = vae.encoder.clone();
        single.half = false;
        let reference = single.forward(g, &weights.views, x)?;
        let layers = vae.encoder.dense(&vae.layout, vae.encoder.outputs());
        match layers.filter(|layers| self.fused && fits(layers, vae.encoder.inputs())) {
            Some(layers) => {
                let goal = match self.metric {
                    Metric::W2 => Goal::W2 { reference },
                    Metric::Entropic { gamma } => Goal::Entropic { reference, gamma },
                };
                let (norm, eps, step, steps) = (self.norm, self.eps, self.step_size, self.steps);
                let (weights, points) = match vae.encoder.half {
                    true => in_half(g, weights.arena, &layers, x).map(|(w, points)| (w, Some(points)))?,
                    false => (weights.arena, None),
                };
                let ascent =
                    Ascent { weights, layers, goal, norm, eps, step, fall: 0.0, steps, start: None, points };
                self.ascend(g, ascent, x, selected, start)?;
            }
            None => {
                self.start(g, x, selected, start)?;
                self.ascend_op_by_op(g, vae, weights, x, selected, reference)?;
            }
        }
        Ok(selected)
    }

    /// Sets `selected` to the random points.
    fn start(&self, g: &mut Graph, x: Tensor, selected: Tensor, start: Start) -> Result<()> {
        let noise = match start {
            Start::From(noise) => noise,
            Start::Drawn { clock, seed } => {
                let shape = [g.shape(x)?.rows(), g.shape(x)?.cols()];
                start_noise(g, self.norm, clock, shape, seed)?
            }
        };
        pgd_start(g, selected, x, noise, self.eps)
    }

    /// The whole ascent in one kernel call, with the random start, or in a few calls where one would take a GPU too
    /// long. It makes no values, so memory does not depend on the steps.
    fn ascend(
        &self,
        g: &mut Graph,
        mut ascent: Ascent,
        x: Tensor,
        selected: Tensor,
        start: Start,
    ) -> Result<()> {
        let mut calls = calls(ascent.steps, ascent.flops(g.shape(x)?.rows(), g.shape(x)?.cols()));
        ascent.steps /= calls;
        match start {
            Start::Drawn { clock, seed } if self.norm == Norm::Linf => {
                let drawn = DrawnStart { clock, key: Key::new(seed, Purpose::Selection) };
                pgd_mlp(g, selected, x, Ascent { start: Some(drawn), ..ascent.clone() })?;
                calls -= 1;
            }
            _ => self.start(g, x, selected, start)?,
        }
        if calls > 0 {
            g.repeat(calls, |g| pgd_mlp(g, selected, x, ascent))?;
        }
        Ok(())
    }

    /// The ascent op by op: for encoders that the fused kernel does not take, and as its reference in tests.
    fn ascend_op_by_op(
        &self,
        g: &mut Graph,
        vae: &Vae,
        weights: &Weights,
        x: Tensor,
        selected: Tensor,
        reference: Tensor,
    ) -> Result<()> {
        g.repeat(self.steps, |g| {
            let head = vae.encode(g, &weights.views, selected)?;
            let distance = match self.metric {
                Metric::W2 => wasserstein2(g, reference, head)?,
                Metric::Entropic { gamma } => entropic_distance(g, reference, head, gamma)?,
            };
            let gradient = autodiff::gradients_from(g, &[(head, distance.d_b)], &[selected])?[0];
            pgd_step(g, self.norm, selected, gradient, x, self.eps, StepLength::Same(self.step_size))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_ascent_is_cut_into_equal_calls() {
        assert_eq!(calls(20, 3_000_000_000), 1);
        assert_eq!(calls(20, MAX_FLOPS), 1);
        assert_eq!(calls(20, 2 * MAX_FLOPS + 20), 4);
        assert_eq!(calls(7, 2 * MAX_FLOPS), 7);
        assert_eq!(calls(7, 1000 * MAX_FLOPS), 7);
    }
}
