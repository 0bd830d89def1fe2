//! The gradient of `reparameterise`; `shaders/reparameterise_grad.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::{Arg, View};
use crate::engine::recording::{Call, flat_grid};
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

fn reparameterise_grad_cpu(Tile { p, h, u, dz, dprior, dminus_kl, dh, .. }: Tile) {
    let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
    let [sampled_h, _] = h;
    let [mut sampled_dh, mut fictive_dh] = dh;
    let parts = h.into_iter().zip([&mut sampled_dh, &mut fictive_dh]).zip(dprior).zip(dminus_kl);
    for (((h, dh), dprior), dminus_kl) in parts {
        let rows = h.chunks_exact(width).zip(dh.chunks_exact_mut(width));
        for (((h, dh), dprior), dminus_kl) in rows.zip(dprior).zip(dminus_kl) {
            let ((mu, l), (d_mu, d_l)) = (h.split_at(latents), dh.split_at_mut(latents));
            let both = dprior + dminus_kl;
            d_mu.iter_mut().zip(mu).for_each(|(d, mu)| *d = -both * mu);
            for (d, l) in d_l.iter_mut().zip(l) {
                let deviation = (0.5 * l).exp();
                *d = 0.5 * (dminus_kl - both * deviation * deviation);
            }
        }
    }
    // Only data points are sampled.
    let (u, dz) = (u.chunks_exact(latents), dz.chunks_exact(latents));
    let heads = sampled_h.chunks_exact(width);
    for (((dh, h), u), dz) in sampled_dh.chunks_exact_mut(width).zip(heads).zip(u).zip(dz) {
        let (d_mu, d_l) = dh.split_at_mut(latents);
        d_mu.iter_mut().zip(dz).for_each(|(d, dz)| *d += dz);
        for (((d, l), u), dz) in d_l.iter_mut().zip(&h[latents..]).zip(u).zip(dz) {
            *d += 0.5 * dz * u * (0.5 * l).exp();
        }
    }
}
