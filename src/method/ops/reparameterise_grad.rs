//! The gradient of `reparameterise`; `shaders/reparameterise_grad.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static REPARAMETERISE_GRAD: Kernel = Kernel {
    name: "reparameterise_grad",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/reparameterise_grad.wgsl"),
    ],
    bindings: &[Read, Read, Read, Read, Read, Write],
    cpu: reparameterise_grad_cpu,
    trusted: true,
};

/// Inputs: h, u, dz, dprior, dminus_kl. Output: dh.
#[derive(Debug, Clone, Copy)]
struct ReparameteriseGrad;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    batch: u32,
    latents: u32,
}

/// The gradient with respect to the head `h` `[rows, 2 latents]`, given `[dz, dprior, dminus_kl]`,
/// what flows into the sample, the prior term and minus KL.
pub fn reparameterise_grad(g: &mut Graph, h: Tensor, u: Tensor, flow: [Tensor; 3]) -> Result<Tensor> {
    let [dz, dprior, dminus_kl] = flow;
    g.apply_one(ReparameteriseGrad, &[h, u, dz, dprior, dminus_kl])
}

impl Op for ReparameteriseGrad {
    fn name(&self) -> &'static str {
        REPARAMETERISE_GRAD.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
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
        let call = Call::new(&REPARAMETERISE_GRAD, &params).row(io.input(0));
        let call = match rows == batch {
            true => call.row(io.input(1)).row(io.input(2)),
            false => call.whole(io.input(1)).whole(io.input(2)),
        };
        call.row(io.input(3))
            .row(io.input(4))
            .row(io.output(0))
            .grid(rows, CPU_TILE, flat_grid(rows * latents))
            .flops(rows * latents * 12)
    }
}

/// Rows that one thread computes at a time.
const CPU_TILE: usize = 32;

fn reparameterise_grad_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let (batch, latents) = (p.batch as usize, p.latents as usize);
    // Only rows below `batch` are sampled; the others have neither u nor dz.
    let sampled = rows.start.min(batch)..rows.end.min(batch);
    let u = call.rows::<f32>(1, &sampled, latents).chunks_exact(latents);
    let dz = call.rows::<f32>(2, &sampled, latents).chunks_exact(latents);
    let dprior = call.rows::<f32>(3, &rows, 1);
    let dminus_kl = call.rows::<f32>(4, &rows, 1);
    let h = call.rows::<f32>(0, &rows, 2 * latents).chunks_exact(2 * latents);
    let dh = call.rows_mut::<f32>(5, &rows, 2 * latents);
    for (((h, dh), dprior), dminus_kl) in h.zip(dh.chunks_exact_mut(2 * latents)).zip(dprior).zip(dminus_kl) {
        let ((mu, l), (d_mu, d_l)) = (h.split_at(latents), dh.split_at_mut(latents));
        let both = dprior + dminus_kl;
        d_mu.iter_mut().zip(mu).for_each(|(d, mu)| *d = -both * mu);
        for (d, l) in d_l.iter_mut().zip(l) {
            let deviation = (0.5 * l).exp();
            *d = 0.5 * (dminus_kl - both * deviation * deviation);
        }
    }
    let heads = call.rows::<f32>(0, &sampled, 2 * latents).chunks_exact(2 * latents);
    for (((dh, h), u), dz) in dh.chunks_exact_mut(2 * latents).zip(heads).zip(u).zip(dz) {
        let (d_mu, d_l) = dh.split_at_mut(latents);
        d_mu.iter_mut().zip(dz).for_each(|(d, dz)| *d += dz);
        for (((d, l), u), dz) in d_l.iter_mut().zip(&h[latents..]).zip(u).zip(dz) {
            *d += 0.5 * dz * u * (0.5 * l).exp();
        }
    }
}
