//! Two tensors stacked by rows; `shaders/concat.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid};
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static CONCAT: "concat" {
        shaders: ["common/flat.wgsl", "concat.wgsl"],
        params: { na: u32, nb: u32 },
        constants: {},
        bindings: { a: read u32, b: read u32, out: write u32 },
        cpu: concat_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Concat;

/// The rows of `a` `[ra, cols]`, then those of `b` `[rb, cols]`: `[ra + rb, cols]`, of either type.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::concat;
///
/// let inputs = [floats([1, 2], &[1.0, 2.0]), floats([2, 2], &[3.0, 4.0, 5.0, 6.0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [a, b]| concat(g, a, b))?;
/// assert_eq!(y, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn concat(g: &mut Graph, a: Tensor, b: Tensor) -> Result<Tensor> {
    g.apply_one(Concat, &[a, b])
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        CONCAT.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let ((a, kind), (b, _)) = (inputs[0], inputs[1]);
        if a.cols() != b.cols() || inputs[1].1 != kind {
            return Err(format!("{a} and {b} do not stack"));
        }
        Ok(vec![([a.rows() + b.rows(), a.cols()].into(), kind)])
    }

    fn call(&self, io: &Io) -> Call {
        let (na, nb) = (io.inputs[0].0.len(), io.inputs[1].0.len());
        Args { a: io.input(0).whole(), b: io.input(1).whole(), out: io.output(0).by_row() }
            .call(Params { na: na as u32, nb: nb as u32 }, Constants {})
            .grid(na + nb, 65536, flat_grid(na + nb))
    }
}

fn concat_cpu(Tile { rows: range, a, b, out, .. }: Tile) {
    // The row of the output at which b begins, within this range.
    let border = a.len().clamp(range.start, range.end);
    let (top, bottom) = out.split_at_mut(border - range.start);
    if !top.is_empty() {
        top.copy_from_slice(&a[range.start..border]);
    }
    if !bottom.is_empty() {
        bottom.copy_from_slice(&b[border - a.len()..range.end - a.len()]);
    }
}
