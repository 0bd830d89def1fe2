//! Selection of the fictive point x_b near x (SPEC section 4).

use crate::autodiff;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::ops::{self, Norm, StartNoise};
use crate::rng::{Key, Purpose};
use crate::tensor::DType;
use crate::vae::Vae;

/// What the ascent makes as large as it can.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// The squared 2-Wasserstein distance of the two codes, eq 12.
    W2,
    /// The entropy-regularised divergence of the training objective.
    Entropic { gamma: f32 },
}

/// A random point of the ball, and how it is driven outwards.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    pub norm: Norm,
    /// Radius of the ball.
    pub eps: f32,
    /// Steps of projected gradient ascent; 0 leaves the random point.
    pub steps: usize,
    pub step_size: f32,
    pub metric: Metric,
}

/// Noise for the random starts of points of this shape in the step in `clock`.
pub fn start_noise(
    g: &mut Graph,
    norm: Norm,
    clock: Tensor,
    shape: [usize; 2],
    seed: u64,
) -> Result<StartNoise> {
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
    /// x_b for the points `x` `[rows, inputs]`, in the variable `selected`.
    ///
    /// The gradient is taken with respect to the input alone. No gradient flows through the
    /// result: it is a variable.
    pub fn select(
        &self,
        g: &mut Graph,
        vae: &Vae,
        weights: &[Tensor],
        x: Tensor,
        start: StartNoise,
    ) -> Result<Tensor> {
        let shape = g.shape(x).clone();
        let selected = g.variable("selected", shape, DType::F32)?;
        ops::pgd_start(g, selected, x, start, self.eps)?;
        if self.steps == 0 {
            return Ok(selected);
        }
        let reference = vae.encode(g, weights, x)?;
        g.repeat(self.steps, |g| {
            let head = vae.encode(g, weights, selected)?;
            let distance = match self.metric {
                Metric::W2 => ops::wasserstein2(g, reference, head)?,
                Metric::Entropic { gamma } => ops::entropic_distance(g, reference, head, gamma)?,
            };
            let gradient = autodiff::gradients_from(g, &[(head, distance.d_b)], &[selected])?[0];
            ops::pgd_step(g, self.norm, selected, gradient, x, self.eps, self.step_size)
        })?;
        Ok(selected)
    }
}
