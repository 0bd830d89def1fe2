//! Sums along one side of a matrix; `shaders/reduce.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::{broadcast, lanes};
use crate::engine::recording::{Call, flat_tile, row_grid};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static REDUCE: "reduce" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "reduce.wgsl"],
        params: { rows: u32, cols: u32 },
        constants: { COLUMNS },
        bindings: { a: read f32, out: write f32 },
        cpu: reduce_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Reduce {
    columns: bool,
}

/// The sum of each row: `[rows]` for `[rows, cols]`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::reduce::row_sums;
///
/// let y: Vec<f32> = evaluate([floats([2, 2], &[1.0, 2.0, 3.0, 4.0])], |g, [a]| row_sums(g, a))?;
/// assert_eq!(y, [3.0, 7.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for integers.
pub fn row_sums(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(Reduce { columns: false }, &[a])
}

/// The sum of each column: `[cols]` for `[rows, cols]`. It is the gradient of a bias.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::reduce::column_sums;
///
/// let y: Vec<f32> = evaluate([floats([2, 2], &[1.0, 2.0, 3.0, 4.0])], |g, [a]| column_sums(g, a))?;
/// assert_eq!(y, [4.0, 6.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for integers.
pub fn column_sums(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    g.apply_one(Reduce { columns: true }, &[a])
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        REDUCE.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let (a, dtype) = inputs[0];
        if dtype != DType::F32 {
            return Err(format!("{a} of {dtype:?}: needs floats"));
        }
        Ok(vec![([if self.columns { a.cols() } else { a.rows() }].into(), DType::F32)])
    }

    fn gradient(&self, g: &mut Graph, node: &Node, upstream: &[Option<Tensor>], _: &[bool]) -> Gradients {
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
        let out = io.output(0).by_row();
        let call = |a| {
            let params = Params { rows: rows as u32, cols: cols as u32 };
            Args { a, out }.call(params, Constants { COLUMNS: self.columns.into() }).flops(rows * cols)
        };
        match self.columns {
            true => call(a.whole()).grid(cols, COLUMN_TILE, row_grid(cols.div_ceil(GPU_COLUMNS))),
            false => call(a.by_row()).grid(rows, flat_tile(cols), row_grid(rows)),
        }
    }
}

/// Columns that one thread sums at a time.
const COLUMN_TILE: usize = 64;
/// Columns that one workgroup sums: `ACROSS` in the shader.
const GPU_COLUMNS: usize = 16;

fn reduce_cpu(Tile { p, constants, rows, a, out, .. }: Tile) {
    let a = a.chunks_exact(p.cols as usize);
    if constants.COLUMNS == 1 {
        out.fill(0.0);
        for row in a {
            out.iter_mut().zip(&row[rows.clone()]).for_each(|(sum, x)| *sum += x);
        }
    } else {
        out.iter_mut().zip(a).for_each(|(sum, row)| *sum = lanes::sum(row));
    }
}
