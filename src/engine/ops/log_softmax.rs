//! Logarithms of probabilities from logits, row by row; `shaders/log_softmax.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::elementwise::{exp, subtract};
use crate::engine::ops::lanes::Lanes;
use crate::engine::ops::{broadcast, reduce};
use crate::engine::recording::{Call, flat_tile, row_grid};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static LOG_SOFTMAX: "log_softmax" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "log_softmax.wgsl"],
        params: { rows: u32, cols: u32 },
        constants: {},
        bindings: { a: read f32, out: write f32 },
        cpu: log_softmax_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct LogSoftmax;

/// `a - log sum exp a` of each row of `a` `[rows, cols]`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::log_softmax;
///
/// let y: Vec<f32> = evaluate([floats([1, 2], &[7.0, 7.0])], |g, [a]| log_softmax(g, a))?;
/// assert_eq!(y, [-std::f32::consts::LN_2; 2]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for integers.
pub fn log_softmax(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(LogSoftmax, &[a])
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        LOG_SOFTMAX.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(a, DType::F32)] => Ok(vec![((*a).clone(), DType::F32)]),
            _ => Err(format!("{inputs:?}: needs floats [rows, cols]")),
        }
    }

    /// `d - softmax(a) sum of d`.
    fn gradient(&self, g: &mut Graph, node: &Node, upstream: &[Option<Tensor>], _: &[bool]) -> Gradients {
        let Some(d) = upstream[0] else { return Ok(vec![None]) };
        let softmax = exp(g, node.outputs[0])?;
        let sums = reduce::row_sums(g, d)?;
        let back = broadcast::scale_rows(g, sums, softmax)?;
        Ok(vec![Some(subtract(g, d, back)?)])
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        Args { a: io.input(0).by_row(), out: io.output(0).by_row() }
            .call(Params { rows: rows as u32, cols: cols as u32 }, Constants {})
            .grid(rows, flat_tile(cols), row_grid(rows))
            .flops(rows * cols * 4)
    }
}

fn log_softmax_cpu(Tile { p, a, out, .. }: Tile) {
    let cols = p.cols as usize;
    for (a, out) in a.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        let m = a.iter().copied().fold(a[0], f32::max);
        let mut sum = Lanes::default();
        a.iter().enumerate().for_each(|(c, a)| sum.add(c, (a - m).exp()));
        let total = sum.total().ln();
        out.iter_mut().zip(a).for_each(|(out, a)| *out = (a - m) - total);
    }
}
