//! A vector spread over a matrix, or scaling its rows; `shaders/broadcast.wgsl`.

use std::ops::Range;

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};
use crate::kernel;

kernel! {
    pub static BROADCAST: "broadcast" {
        shaders: ["common/flat.wgsl", "broadcast.wgsl"],
        params: {
            rows: u32,
            cols: u32,
            alpha: f32,
            begin: u32,
            end: u32,
            /// The rows after which v repeats, in mode `ScaleRows`.
            period: u32,
        },
        constants: { MODE },
        bindings: { v: read f32, a: read f32, out: write f32 },
        cpu: broadcast_cpu,
    }
}

/// How the vector is spread, numbered as in the shader.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Scalar = 0,
    Columns,
    Rows,
    ScaleRows,
}

#[derive(Debug, Clone)]
struct Broadcast {
    mode: Mode,
    shape: Shape,
    alpha: f32,
    /// The rows that get a value; the others get 0.
    within: Range<usize>,
}

fn broadcast(g: &mut Graph, mode: Mode, shape: Shape, inputs: &[Tensor]) -> Result<Tensor> {
    let within = 0..shape.rows();
    g.apply_one(Broadcast { mode, shape, alpha: 1.0, within }, inputs)
}

/// `alpha v[0]` in the rows `within` of a tensor of `shape`, 0 in the others; `v` has one element.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::broadcast::scalar;
///
/// let y: Vec<f32> = evaluate([floats([1], &[3.0])], |g, [v]| scalar(g, v, [3, 2].into(), 2.0, 1..3))?;
/// assert_eq!(y, [0.0, 0.0, 6.0, 6.0, 6.0, 6.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub fn scalar(g: &mut Graph, v: Tensor, shape: Shape, alpha: f32, within: Range<usize>) -> Result<Tensor> {
    g.apply_one(Broadcast { mode: Mode::Scalar, shape, alpha, within }, &[v])
}

/// `out[r, c] = v[r]`, of shape `shape`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::broadcast::columns;
///
/// let y: Vec<f32> = evaluate([floats([2], &[1.0, 2.0])], |g, [v]| columns(g, v, [2, 3].into()))?;
/// assert_eq!(y, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub fn columns(g: &mut Graph, v: Tensor, shape: Shape) -> Result<Tensor> {
    broadcast(g, Mode::Columns, shape, &[v])
}

/// `out[r, c] = v[c]`, of shape `shape`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::broadcast::rows;
///
/// let y: Vec<f32> = evaluate([floats([2], &[1.0, 2.0])], |g, [v]| rows(g, v, [3, 2].into()))?;
/// assert_eq!(y, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub fn rows(g: &mut Graph, v: Tensor, shape: Shape) -> Result<Tensor> {
    broadcast(g, Mode::Rows, shape, &[v])
}

/// `out[r, c] = v[r] a[r, c]`: the gradient of a fused op from its saved derivative `a`. Where `a` has a multiple of
/// `v`'s rows, `v` repeats, so that the value of a pair of rows `r` and `batch + r` scales both.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::broadcast::scale_rows;
///
/// let inputs = [floats([2], &[1.0, 10.0]), floats([2, 2], &[1.0, 2.0, 3.0, 4.0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [v, a]| scale_rows(g, v, a))?;
/// assert_eq!(y, [1.0, 2.0, 30.0, 40.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub fn scale_rows(g: &mut Graph, v: Tensor, a: Tensor) -> Result<Tensor> {
    let shape = g.shape(a)?.clone();
    broadcast(g, Mode::ScaleRows, shape, &[v, a])
}

/// The gradient of a fused op with two outputs, a value per row and its saved `derivative`: the rows of the derivative,
/// scaled by the gradients of the values.
pub(crate) fn through_saved(
    g: &mut Graph,
    op: &'static str,
    upstream: &[Option<Tensor>],
    derivative: Tensor,
) -> Result<Option<Tensor>> {
    if upstream[1].is_some() {
        return Err(Error::Shape { op, message: "no second derivative".to_string() });
    }
    upstream[0].map(|d| scale_rows(g, d, derivative)).transpose()
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        BROADCAST.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let v = inputs[0].0.len();
        let floats = inputs.iter().all(|(_, dtype)| *dtype == DType::F32);
        let within = self.within.start <= self.within.end && self.within.end <= self.shape.rows();
        let fits = floats
            && within
            && match self.mode {
                Mode::Scalar => v == 1,
                Mode::Columns => v == self.shape.rows(),
                Mode::Rows => v == self.shape.cols(),
                Mode::ScaleRows => v > 0 && self.shape.rows().is_multiple_of(v),
            };
        match fits {
            true => Ok(vec![(self.shape.clone(), DType::F32)]),
            false => Err(format!("{} over {} by {:?}", inputs[0].0, self.shape, self.mode)),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, cols) = (self.shape.rows(), self.shape.cols());
        let (begin, end) = (self.within.start as u32, self.within.end as u32);
        let period = io.inputs[0].0.len();
        let params = Params {
            rows: rows as u32,
            cols: cols as u32,
            alpha: self.alpha,
            begin,
            end,
            period: period as u32,
        };
        let v = io.input(0);
        let (v, a) = match self.mode {
            Mode::Scalar | Mode::Rows => (v.whole(), UNUSED),
            Mode::Columns => (v.by_row(), UNUSED),
            Mode::ScaleRows if period < rows => (v.whole(), io.input(1).by_row()),
            Mode::ScaleRows => (v.by_row(), io.input(1).by_row()),
        };
        Args { v, a, out: io.output(0).by_row() }
            .call(params, Constants { MODE: self.mode as u32 })
            .grid(rows, flat_tile(cols), flat_grid(rows * cols))
            .flops(rows * cols)
    }
}

fn broadcast_cpu(Tile { p, constants, rows, v, a, out, .. }: Tile) {
    let cols = p.cols as usize;
    let out_rows = out.chunks_exact_mut(cols);
    match constants.MODE {
        0 => {
            let value = p.alpha * v[0];
            for (row, r) in out_rows.zip(rows.start as u32..) {
                row.fill(if (p.begin..p.end).contains(&r) { value } else { 0.0 });
            }
        }
        1 => out_rows.zip(v).for_each(|(row, v)| row.fill(p.alpha * v)),
        2 => {
            for row in out_rows {
                row.iter_mut().zip(v).for_each(|(x, v)| *x = p.alpha * v);
            }
        }
        _ => {
            // v has the values of these rows, or all where they repeat.
            let first = if p.period < p.rows { rows.start } else { 0 };
            for ((out, a), r) in out_rows.zip(a.chunks_exact(cols)).zip(first..) {
                let v = p.alpha * v[r % p.period as usize];
                out.iter_mut().zip(a).for_each(|(x, a)| *x = v * a);
            }
        }
    }
}
