//! A sample of the encoder's Gaussian and its closed-form terms; `shaders/reparameterise.wgsl`.

use std::f64::consts::PI;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::fill;
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, row_grid};
use crate::engine::simd::{self, Vector, Work};
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

fn reparameterise_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile {
            p,
            h: [h, fictive_h],
            u,
            z,
            prior: [prior, fictive_prior],
            minus_kl: [minus_kl, fictive_kl],
            ..
        } = self;
        let latents = p.latents as usize;
        let write = |sums: [f32; 2], prior: &mut f32, minus_kl: &mut f32| {
            *prior = -0.5 * sums[0] - p.normaliser;
            *minus_kl = -0.5 * sums[1];
        };
        // Data points are sampled; fictive points have neither u nor z.
        let draws = u.chunks_exact(latents).zip(z.chunks_exact_mut(latents));
        let sampled = h.chunks_exact(2 * latents).zip(prior).zip(minus_kl).zip(draws);
        for (((h, prior), minus_kl), (u, z)) in sampled {
            let (mu, l) = h.split_at(latents);
            let sums = lanes::map([mu, l, u], [z], |[mu, l, u]| {
                let deviation = simd::exp(0.5 * l);
                ([mu + deviation * u], squares_and_distances(mu, l, deviation))
            });
            write(sums, prior, minus_kl);
        }
        let fictive = fictive_h.chunks_exact(2 * latents).zip(fictive_prior).zip(fictive_kl);
        for ((h, prior), minus_kl) in fictive {
            let (mu, l) = h.split_at(latents);
            let sums =
                lanes::map([mu, l], [], |[mu, l]| ([], squares_and_distances(mu, l, simd::exp(0.5 * l))));
            write(sums, prior, minus_kl);
        }
    }
}

/// `mu^2 + s^2` and `mu^2 + s^2 - 1 - l`, given s.
#[inline(always)]
fn squares_and_distances(mu: f32, l: f32, s: f32) -> [f32; 2] {
    [mu * mu + s * s, mu * mu + above_tangent(l, s * s)]
}

/// `exp(l) - 1 - l >= 0`, given `exp(l)`; by its series where the difference would cancel.
#[inline(always)]
fn above_tangent(l: f32, exp: f32) -> f32 {
    // l^2/2 (1 + l/3 (1 + l/4 ..)); the first term left out is 1e-8 of the value.
    let series = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0].iter().fold(1.0, |sum, k| 1.0 + l * (1.0 / k) * sum);
    if l.abs() < 0.5 { 0.5 * l * l * series } else { exp - 1.0 - l }
}
