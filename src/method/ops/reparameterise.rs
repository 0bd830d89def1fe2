//! A sample of the encoder's Gaussian and its closed-form terms; `shaders/reparameterise.wgsl`.

use std::f64::consts::PI;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::fill;
use crate::engine::ops::lanes::Lanes;
use crate::engine::recording::{Call, row_grid};
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::kernel;
use crate::method::ops::reparameterise_grad::{by_point, reparameterise_grad};

kernel! {
    pub static REPARAMETERISE: "reparameterise" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "reparameterise.wgsl"],
        params: { rows: u32, batch: u32, latents: u32, normaliser: f32 },
        constants: {},
        bindings: { h: read_pair f32, u: read f32, z: write f32, prior: write_pair f32, minus_kl: write_pair f32 },
        cpu: reparameterise_cpu,
    }
}

/// Inputs: the head and the draws. Outputs: z, prior, minus_kl.
#[derive(Debug, Clone, Copy)]
struct Reparameterise;

/// The outputs of [`reparameterise`].
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// `mu + exp(l/2) u` of the data points, `[batch, latents]`.
    pub z: Tensor,
    /// `E log p(z)` under each row's Gaussian, `[rows]`: E2a, then E2b.
    pub prior: Tensor,
    /// `-KL(q || p)` of each row's Gaussian, `[rows]`: E2a + Ha, then E2b + Hb. Never above 0.
    pub minus_kl: Tensor,
}

/// Samples the Gaussians of the head `h` `[rows, 2 latents]`, means and log-variances side by side, with the standard
/// normal draws `u` `[batch, latents]`. `rows` is `batch`, or `2 batch` where the fictive points' rows, which are not
/// sampled, follow the data points'.
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub fn reparameterise(g: &mut Graph, h: Tensor, u: Tensor) -> Result<Sample> {
    let outputs = g.apply(Reparameterise, &[h, u])?;
    Ok(Sample { z: outputs[0], prior: outputs[1], minus_kl: outputs[2] })
}

impl Op for Reparameterise {
    fn name(&self) -> &'static str {
        REPARAMETERISE.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(h, DType::F32), (u, DType::F32)]
                if h.cols() == 2 * u.cols() && [u.rows(), 2 * u.rows()].contains(&h.rows()) =>
            {
                let terms = ([h.rows()].into(), DType::F32);
                Ok(vec![((*u).clone(), DType::F32), terms.clone(), terms])
            }
            _ => Err(format!("{inputs:?}: needs h [batch or 2 batch, 2 latents] and u [batch, latents]")),
        }
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        if wanted[1] {
            let message = "has no gradient with respect to the draws".to_string();
            return Err(Error::Shape { op: self.name(), message });
        }
        let mut flow = [node.outputs[0]; 3];
        for (i, flow) in flow.iter_mut().enumerate() {
            let shape = g.shape(node.outputs[i])?.clone();
            *flow = upstream[i].map_or_else(|| fill(g, shape, 0.0), Ok)?;
        }
        let dh = reparameterise_grad(g, node.inputs[0], node.inputs[1], flow)?;
        Ok(vec![Some(dh), None])
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, batch, latents) = (io.inputs[0].0.rows(), io.inputs[1].0.rows(), io.inputs[1].0.cols());
        let params = Params {
            rows: rows as u32,
            batch: batch as u32,
            latents: latents as u32,
            normaliser: (0.5 * latents as f64 * (2.0 * PI).ln()) as f32,
        };
        let by_point = |view| by_point(view, rows == batch);
        Args {
            h: by_point(io.input(0)),
            u: io.input(1).by_row(),
            z: io.output(0).by_row(),
            prior: by_point(io.output(1)),
            minus_kl: by_point(io.output(2)),
        }
        .call(params, Constants {})
        .grid(batch, CPU_TILE, row_grid(rows))
        .flops(rows * latents * 27)
    }
}

/// Rows that one thread computes at a time, mostly pairs of a point and its fictive point.
const CPU_TILE: usize = 16;

fn reparameterise_cpu(Tile { p, h, u, z, prior, minus_kl, .. }: Tile) {
    let latents = p.latents as usize;
    let parts = h.into_iter().zip(prior).zip(minus_kl);
    // Data points are sampled; fictive points have neither u nor z.
    for (((h, prior), minus_kl), (u, z)) in parts.zip([(u, z), Default::default()]) {
        let (mut u, mut z) = (u.chunks_exact(latents), z.chunks_exact_mut(latents));
        for ((h, prior), minus_kl) in h.chunks_exact(2 * latents).zip(prior).zip(minus_kl) {
            let (u, z) = (u.next().unwrap_or_default(), z.next().unwrap_or_default());
            let (squares, distances) = sample(h, u, z);
            *prior = -0.5 * squares - p.normaliser;
            *minus_kl = -0.5 * distances;
        }
    }
}

/// Computes one row: writes z where there are draws, and returns the sums of `mu^2 + s^2` and of `mu^2 + s^2 - 1 - l`.
fn sample(h: &[f32], u: &[f32], z: &mut [f32]) -> (f32, f32) {
    let (mu, l) = h.split_at(h.len() / 2);
    let (mut squares, mut distances) = (Lanes::default(), Lanes::default());
    for (j, (mu, l)) in mu.iter().zip(l).enumerate() {
        let deviation = (0.5 * l).exp();
        if let (Some(u), Some(z)) = (u.get(j), z.get_mut(j)) {
            *z = mu + deviation * u;
        }
        squares.add(j, mu * mu + deviation * deviation);
        distances.add(j, mu * mu + above_tangent(*l, deviation * deviation));
    }
    (squares.total(), distances.total())
}

/// `exp(l) - 1 - l >= 0`, given `exp(l)`; by its series where the difference would cancel.
fn above_tangent(l: f32, exp: f32) -> f32 {
    if l.abs() < 0.5 {
        // l^2/2 (1 + l/3 (1 + l/4 ..)); the first term left out is 1e-8 of the value.
        let series = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0].iter().fold(1.0, |sum, k| 1.0 + l / k * sum);
        0.5 * l * l * series
    } else {
        exp - 1.0 - l
    }
}
