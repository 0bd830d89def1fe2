//! One step of projected gradient ascent; `shaders/pgd_step.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::ops::lanes::sum_of;
use crate::engine::recording::{Call, flat_grid, flat_tile, row_grid};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static PGD_STEP: "pgd_step" {
        shaders: [
            "common/flat.wgsl",
            "common/reduce.wgsl",
            "common/bits.wgsl",
            "common/box.wgsl",
            "common/ball.wgsl",
            "pgd_step.wgsl",
        ],
        params: { rows: u32, cols: u32, eps: f32, step: f32 },
        constants: { NORM, BY_ROW },
        bindings: { grad: read f32, x: read f32, lengths: read f32, x_adv: write f32 },
        cpu: pgd_step_cpu,
    }
}

/// The norm of the ball, numbered as in the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// L-infinity.
    Linf = 0,
    /// L2.
    L2,
}

/// How long a step is.
#[derive(Debug, Clone, Copy)]
pub enum StepLength {
    /// The same in every row.
    Same(f32),
    /// Of each row its own, `[rows]`.
    ByRow(Tensor),
}

/// Inputs: the gradient, the centres, and the lengths where each row has its own. Updates: the points.
#[derive(Debug, Clone, Copy)]
struct PgdStep {
    norm: Norm,
    eps: f32,
    step: StepLength,
}

/// Moves the variable `x_adv` `[rows, cols]` by a step up the gradient `grad`, then projects it onto the ball of radius
/// `eps` around `x` and onto the box [0, 1]; all of one shape.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::method::ops::{Norm, StepLength, pgd_step};
///
/// let inputs = [floats([1, 2], &[0.5, 0.02]), floats([1, 2], &[7.0, -7.0]), floats([1, 2], &[0.5, 0.02])];
/// let moved: Vec<f32> = evaluate(inputs, |g, [x_adv, grad, x]| {
///     pgd_step(g, Norm::Linf, x_adv, grad, x, 0.125, StepLength::Same(0.25))?;
///     Ok(x_adv)
/// })?;
/// assert_eq!(moved, [0.625, 0.0]); // onto the ball, and onto the box
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn pgd_step(
    g: &mut Graph,
    norm: Norm,
    x_adv: Tensor,
    grad: Tensor,
    x: Tensor,
    eps: f32,
    step: StepLength,
) -> Result<()> {
    let lengths = if let StepLength::ByRow(lengths) = step { Some(lengths) } else { None };
    let inputs: Vec<_> = [grad, x].into_iter().chain(lengths).collect();
    g.apply_to(PgdStep { norm, eps, step }, &inputs, &[x_adv])
}

/// The grid of a call on images. A CPU tile has at least as many rows as one of a matrix product, since such calls
/// share a loop with products.
pub(crate) fn image_grid(norm: Norm, call: Call, rows: usize, cols: usize) -> Call {
    let workgroups = match norm {
        Norm::Linf => flat_grid(rows * cols),
        Norm::L2 => row_grid(rows),
    };
    call.grid(rows, flat_tile(cols).max(32), workgroups)
}

/// `value` clipped to `[low, high]`. Unlike `clamp` it accepts bounds that are NaN; a NaN value stays one.
#[inline(always)]
pub(crate) fn clip(value: f32, low: f32, high: f32) -> f32 {
    let raised = if value < low { low } else { value };
    if raised > high { high } else { raised }
}

impl Op for PgdStep {
    fn name(&self) -> &'static str {
        PGD_STEP.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(grad, DType::F32), (x, DType::F32), lengths @ ..]
                if grad.rows() == x.rows()
                    && grad.cols() == x.cols()
                    && lengths.iter().all(|(l, dtype)| l.len() == x.rows() && *dtype == DType::F32) =>
            {
                Ok(vec![((*x).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float gradient and x of one size, and lengths [rows]")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[1].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        let (step, lengths) = match self.step {
            StepLength::Same(step) => (step, UNUSED),
            StepLength::ByRow(_) => (0.0, io.input(2).by_row()),
        };
        let params = Params { rows: rows as u32, cols: cols as u32, eps: self.eps, step };
        let constants = Constants { NORM: self.norm as u32, BY_ROW: u32::from(io.inputs.len() == 3) };
        let args = Args {
            grad: io.input(0).by_row(),
            x: io.input(1).by_row(),
            lengths,
            x_adv: io.output(0).by_row(),
        };
        let call = args.call(params, constants);
        let flops = if self.norm == Norm::Linf { 8 } else { 17 };
        image_grid(self.norm, call, rows, cols).flops(rows * cols * flops)
    }
}

fn pgd_step_cpu(Tile { p, constants, grad, x, lengths, x_adv, .. }: Tile) {
    let cols = p.cols as usize;
    let rows = grad.chunks_exact(cols).zip(x.chunks_exact(cols)).zip(x_adv.chunks_exact_mut(cols));
    for (r, ((grad, x), x_adv)) in rows.enumerate() {
        let step = if constants.BY_ROW == 1 { lengths[r] } else { p.step };
        if constants.NORM == Norm::Linf as u32 {
            for ((x_adv, x), grad) in x_adv.iter_mut().zip(x).zip(grad) {
                *x_adv = step_linf(*x_adv, *x, *grad, p.eps, step);
            }
        } else {
            step_l2(p.eps, step, grad, x, x_adv);
        }
    }
}

/// The new `x_adv`: a step along the sign of the gradient, projected onto the ball around `x` and onto the box.
#[inline(always)]
pub(crate) fn step_linf(x_adv: f32, x: f32, grad: f32, eps: f32, step: f32) -> f32 {
    // The sign; of 0 it is 0 and of a NaN a NaN.
    let negative = if grad < 0.0 { -1.0 } else { grad };
    let direction = if grad > 0.0 { 1.0 } else { negative };
    let (low, high) = (x - eps, x + eps);
    let low = if low < 0.0 { 0.0 } else { low };
    let high = if high > 1.0 { 1.0 } else { high };
    clip(x_adv + step * direction, low, high)
}

/// The L2 step of one row.
fn step_l2(eps: f32, step: f32, grad: &[f32], x: &[f32], x_adv: &mut [f32]) {
    // A power of two scales the gradient so that its squares neither over- nor underflow.
    let size = sum_of(grad, grad, |g, _| g.abs());
    let up = if size < 1e-10 { 2.0f32.powi(80) } else { 1.0 };
    let scale = if size > 1e15 { 2.0f32.powi(-80) } else { up };
    let norm = sum_of(grad, grad, |g, _| (scale * g) * (scale * g)).sqrt();
    let factor = if norm == 0.0 { 0.0 } else { step / norm };
    for (x_adv, g) in x_adv.iter_mut().zip(grad) {
        *x_adv += factor * (scale * g);
    }
    let distance = sum_of(x_adv, x, |a, x| (a - x) * (a - x)).sqrt();
    if distance > eps {
        let shrink = eps / distance;
        for (x_adv, x) in x_adv.iter_mut().zip(x) {
            *x_adv = x + shrink * (*x_adv - x);
        }
    }
    x_adv.iter_mut().for_each(|a| *a = clip(*a, 0.0, 1.0));
}
