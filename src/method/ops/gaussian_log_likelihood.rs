//! The decoder's Gaussian log-likelihood with its derivative; `shaders/gaussian_log_likelihood.wgsl`.

use std::f64::consts::PI;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::{broadcast, elementwise, lanes};
use crate::engine::recording::{Call, flat_tile, row_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static GAUSSIAN_LOG_LIKELIHOOD: "gaussian_log_likelihood" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "gaussian_log_likelihood.wgsl"],
        params: { rows: u32, cols: u32, inverse_v: f32, normaliser: f32 },
        constants: { SIGMOID },
        bindings: { output: read f32, x: read f32, ll: write f32, d: write f32 },
        cpu: gaussian_log_likelihood_cpu,
    }
}

/// Inputs: the decoder's output and x. Outputs: ll and its derivative by the decoder's output.
#[derive(Debug, Clone, Copy)]
struct GaussianLogLikelihood {
    v: f32,
    sigmoid: bool,
}

/// `log N(x; xhat, v I)` `[rows]` of every row of x `[rows, cols]`, constants included. `xhat` is `output` `[rows,
/// cols]`, or with `sigmoid` the logistic function of it.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn gaussian_log_likelihood(
    g: &mut Graph,
    output: Tensor,
    x: Tensor,
    v: f32,
    sigmoid: bool,
) -> Result<Tensor> {
    g.apply_one(GaussianLogLikelihood { v, sigmoid }, &[output, x])
}

impl Op for GaussianLogLikelihood {
    fn name(&self) -> &'static str {
        GAUSSIAN_LOG_LIKELIHOOD.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(output, DType::F32), (x, DType::F32)]
                if output.rows() == x.rows() && output.cols() == x.cols() =>
            {
                Ok(vec![([x.rows()].into(), DType::F32), ((*output).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float output and x of one size")),
        }
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        if wanted[1] && self.sigmoid {
            let message = "has no gradient with respect to x behind a sigmoid".to_string();
            return Err(crate::Error::Shape { op: self.name(), message });
        }
        let d_output = broadcast::through_saved(g, self.name(), upstream, node.outputs[1])?;
        let d_x = d_output.filter(|_| wanted[1]).map(|d| elementwise::scale(g, d, -1.0)).transpose()?;
        Ok(vec![d_output, d_x])
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[1].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        let normaliser = 0.5 * cols as f64 * (2.0 * PI * f64::from(self.v)).ln();
        let params = Params {
            rows: rows as u32,
            cols: cols as u32,
            inverse_v: 1.0 / self.v,
            normaliser: normaliser as f32,
        };
        Args {
            output: io.input(0).by_row(),
            x: io.input(1).by_row(),
            ll: io.output(0).by_row(),
            d: io.output(1).by_row(),
        }
        .call(params, Constants { SIGMOID: self.sigmoid.into() })
        .grid(rows, flat_tile(cols), row_grid(rows))
        .flops(rows * cols * if self.sigmoid { 11 } else { 4 })
    }
}

fn gaussian_log_likelihood_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, constants, output, x, ll, d, .. } = self;
        let cols = p.cols as usize;
        let images = output.chunks_exact(cols).zip(x.chunks_exact(cols));
        for ((ll, (output, x)), d) in ll.iter_mut().zip(images).zip(d.chunks_exact_mut(cols)) {
            let [squares] = match constants.SIGMOID {
                0 => lanes::map([output, x], [d], |[xhat, x]| {
                    let difference = x - xhat;
                    ([difference * p.inverse_v], [difference * difference])
                }),
                _ => lanes::map([output, x], [d], |[output, x]| {
                    // xhat and 1 - xhat from e^-|output|: neither overflows or cancels.
                    let depth = if output.abs() > 80.0 { 80.0 } else { output.abs() };
                    let e = simd::flush(simd::exp(-depth));
                    let large = 1.0 / (1.0 + e);
                    let xhat = if output >= 0.0 { large } else { e * large };
                    let difference = x - xhat;
                    // At a black pixel the derivative is about -e^2, which may be subnormal.
                    let factor = if difference.abs() < 1e-15 { 0.0 } else { difference };
                    let d = simd::flush(factor * (p.inverse_v * e * large * large));
                    ([d], [difference * difference])
                }),
            };
            *ll = -0.5 * p.inverse_v * squares - p.normaliser;
        }
    }
}
