//! Sums along one side of a matrix; `shaders/reduce.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Node, Op, Tensor};
use crate::engine::ops::{broadcast, lanes};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_tile, row_grid};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static REDUCE: Kernel = Kernel {
    name: "reduce",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/reduce.wgsl"),
        include_str!("../../../shaders/reduce.wgsl"),
    ],
    bindings: &[Read, Write],
    cpu: reduce_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct Reduce {
    columns: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    cols: u32,
}

/// The sum of each row: `[rows, cols] -> [rows]`.
pub fn row_sums(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(Reduce { columns: false }, &[a])
}

/// The sum of each column: `[rows, cols] -> [cols]`. The gradient of a bias.
pub fn column_sums(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(Reduce { columns: true }, &[a])
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        REDUCE.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        let (a, dtype) = inputs[0];
        if dtype != DType::F32 {
            return Err(format!("{a} of {dtype:?}: needs floats"));
        }
        Ok(vec![([if self.columns { a.cols() } else { a.rows() }].into(), DType::F32)])
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(d) = upstream[0] else { return Ok(vec![None]) };
        let shape = g.shape(node.inputs[0])?.clone();
        Ok(vec![Some(if self.columns {
            broadcast::rows(g, d, shape)?
        } else {
            broadcast::columns(g, d, shape)?
        })])
    }

    fn call(&self, io: &Io) -> Call {
        let (shape, a) = &io.inputs[0];
        let (rows, cols) = (shape.rows(), shape.cols());
        let call = Call::new(&REDUCE, &Params { rows: rows as u32, cols: cols as u32 })
            .constant("COLUMNS", self.columns.into())
            .flops(rows * cols);
        match self.columns {
            true => {
                call.whole(*a).row(io.output(0)).grid(cols, COLUMN_TILE, row_grid(cols.div_ceil(GPU_COLUMNS)))
            }
            false => call.row(*a).row(io.output(0)).grid(rows, flat_tile(cols), row_grid(rows)),
        }
    }
}

/// Columns that one thread sums at a time.
const COLUMN_TILE: usize = 256;
/// Columns that one workgroup sums: `ACROSS` in the shader.
const GPU_COLUMNS: usize = 16;

fn reduce_cpu(call: &CpuCall, range: Range<usize>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let out = call.rows_mut::<f32>(1, &range, 1);
    if call.constant("COLUMNS") == 1 {
        out.fill(0.0);
        for row in call.whole::<f32>(0).chunks_exact(cols) {
            out.iter_mut().zip(&row[range.clone()]).for_each(|(sum, x)| *sum += x);
        }
    } else {
        let a = call.rows::<f32>(0, &range, cols);
        out.iter_mut().zip(a.chunks_exact(cols)).for_each(|(sum, row)| *sum = lanes::sum(row));
    }
}
