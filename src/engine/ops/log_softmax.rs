//! Logarithms of probabilities from logits, row by row; `shaders/log_softmax.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Node, Op, Tensor};
use crate::engine::ops::elementwise::{Function, elementwise};
use crate::engine::ops::lanes::Lanes;
use crate::engine::ops::{broadcast, reduce};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_tile, row_grid};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static LOG_SOFTMAX: Kernel = Kernel {
    name: "log_softmax",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/reduce.wgsl"),
        include_str!("../../../shaders/log_softmax.wgsl"),
    ],
    bindings: &[Read, Write],
    cpu: log_softmax_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct LogSoftmax;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    cols: u32,
}

/// `a - log sum exp a` of each row of `a` `[rows, cols]`.
pub fn log_softmax(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(LogSoftmax, &[a])
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        LOG_SOFTMAX.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        match inputs {
            [(a, DType::F32)] => Ok(vec![((*a).clone(), DType::F32)]),
            _ => Err(format!("{inputs:?}: needs floats [rows, cols]")),
        }
    }

    /// `d - softmax(a) sum of d`.
    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(d) = upstream[0] else { return Ok(vec![None]) };
        let softmax = elementwise(g, Function::Exp, node.outputs[0], None, 0.0)?;
        let sums = reduce::row_sums(g, d)?;
        let back = broadcast::scale_rows(g, sums, softmax)?;
        Ok(vec![Some(elementwise(g, Function::Subtract, d, Some(back), 0.0)?)])
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        Call::new(&LOG_SOFTMAX, &Params { rows: rows as u32, cols: cols as u32 })
            .row(io.input(0))
            .row(io.output(0))
            .grid(rows, flat_tile(cols), row_grid(rows))
            .flops(rows * cols * 4)
    }
}

fn log_softmax_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let a = call.rows::<f32>(0, &rows, cols).chunks_exact(cols);
    let out = call.rows_mut::<f32>(1, &rows, cols).chunks_exact_mut(cols);
    for (a, out) in a.zip(out) {
        let m = a.iter().copied().fold(a[0], f32::max);
        let mut sum = Lanes::default();
        a.iter().enumerate().for_each(|(c, a)| sum.add(c, (a - m).exp()));
        let total = sum.total().ln();
        out.iter_mut().zip(a).for_each(|(out, a)| *out = (a - m) - total);
    }
}
