//! The gradient of `reparameterise`; `shaders/reparameterise_grad.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::{Arg, View};
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, flat_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static REPARAMETERISE_GRAD: "reparameterise_grad" {
        shaders: ["common/flat.wgsl", "reparameterise_grad.wgsl"],
        params: { rows: u32, batch: u32, latents: u32 },
        constants: {},
        bindings: {
            h: read_pair f32,
            u: read f32,
            dz: read f32,
            dprior: read_pair f32,
            dminus_kl: read_pair f32,
            dh: write_pair f32,
        },
        cpu: reparameterise_grad_cpu,
    }
}

/// Inputs: h, u, dz, dprior, dminus_kl. Output: dh.
#[derive(Debug, Clone, Copy)]
struct ReparameteriseGrad;

/// The gradient of [`reparameterise`](fn@super::reparameterise) by the head `h` `[rows, 2 latents]`, for draws `u`
/// `[batch, latents]` and the gradients `[dz, dprior, dminus_kl]` of its outputs.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn reparameterise_grad(g: &mut Graph, h: Tensor, u: Tensor, flow: [Tensor; 3]) -> Result<Tensor> {
    let [dz, dprior, dminus_kl] = flow;
    g.apply_one(ReparameteriseGrad, &[h, u, dz, dprior, dminus_kl])
}

impl Op for ReparameteriseGrad {
    fn name(&self) -> &'static str {
        REPARAMETERISE_GRAD.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(h, _), (u, _), (dz, _), (dprior, _), (dminus_kl, _)]
                if inputs.iter().all(|(_, dtype)| *dtype == DType::F32)
                    && h.cols() == 2 * u.cols()
                    && h.rows() >= u.rows()
                    && dz.len() == u.len()
                    && dprior.len() == h.rows()
                    && dminus_kl.len() == h.rows() =>
            {
                Ok(vec![((*h).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs h, u, dz, dprior, dminus_kl of reparameterise's sizes")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, batch, latents) = (io.inputs[0].0.rows(), io.inputs[1].0.rows(), io.inputs[1].0.cols());
        let params = Params { rows: rows as u32, batch: batch as u32, latents: latents as u32 };
        let by_point = |view| by_point(view, rows == batch);
        Args {
            h: by_point(io.input(0)),
            u: io.input(1).by_row(),
            dz: io.input(2).by_row(),
            dprior: by_point(io.input(3)),
            dminus_kl: by_point(io.input(4)),
            dh: by_point(io.output(0)),
        }
        .call(params, Constants {})
        .grid(batch, CPU_TILE, flat_grid(rows * latents))
        .flops(rows * latents * 12)
    }
}

/// Rows that one thread computes at a time, mostly pairs of a point and its fictive point.
const CPU_TILE: usize = 16;

/// A row of the call is a data point, with its fictive point unless there are data points `alone`.
pub(super) fn by_point(view: View, alone: bool) -> Arg {
    if alone { view.by_row() } else { view.by_pair() }
}

fn reparameterise_grad_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, h: [h, fictive_h], u, dz, dprior, dminus_kl, dh: [dh, fictive_dh], .. } = self;
        let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
        // Only data points are sampled.
        let draws = u.chunks_exact(latents).zip(dz.chunks_exact(latents));
        let rows = h.chunks_exact(width).zip(dh.chunks_exact_mut(width)).zip(dprior[0]).zip(dminus_kl[0]);
        for ((((h, dh), dprior), dminus_kl), (u, dz)) in rows.zip(draws) {
            let ((mu, l), (d_mu, d_l)) = (h.split_at(latents), dh.split_at_mut(latents));
            let _: [f32; 0] = lanes::map([mu, l, u, dz], [d_mu, d_l], |[mu, l, u, dz]| {
                let [d_mu, d_l] = of_prior(mu, l, *dprior, *dminus_kl);
                ([d_mu + dz, d_l + 0.5 * dz * u * simd::exp(0.5 * l)], [])
            });
        }
        let rows = fictive_h.chunks_exact(width).zip(fictive_dh.chunks_exact_mut(width));
        for (((h, dh), dprior), dminus_kl) in rows.zip(dprior[1]).zip(dminus_kl[1]) {
            let ((mu, l), (d_mu, d_l)) = (h.split_at(latents), dh.split_at_mut(latents));
            let _: [f32; 0] =
                lanes::map([mu, l], [d_mu, d_l], |[mu, l]| (of_prior(mu, l, *dprior, *dminus_kl), []));
        }
    }
}

/// The derivatives of the prior and of `minus_kl` by mu and l, weighted.
#[inline(always)]
fn of_prior(mu: f32, l: f32, dprior: f32, dminus_kl: f32) -> [f32; 2] {
    let (both, deviation) = (dprior + dminus_kl, simd::exp(0.5 * l));
    [-both * mu, 0.5 * (dminus_kl - both * deviation * deviation)]
}
