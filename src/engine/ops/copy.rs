//! A copy of a tensor's words; `shaders/copy.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::Call;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static COPY: "copy" {
        shaders: ["common/flat.wgsl", "copy.wgsl"],
        params: { n: u32 },
        constants: {},
        bindings: { x: read u32, out: write u32 },
        cpu: copy_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Copy;

/// Sets (a view of) the variable `target` to `value`, of its shape and type. Most such copies are elided: where no node
/// sees a difference, the node that makes the value writes the variable.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::{elementwise::scale, store};
///
/// let x: Vec<f32> = evaluate([floats([2], &[1.0, 2.0])], |g, [x]| {
///     let doubled = scale(g, x, 2.0)?;
///     store(g, doubled, x)?;
///     Ok(x)
/// })?;
/// assert_eq!(x, [2.0, 4.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit, and where `target` is no variable.
pub fn store(g: &mut Graph, value: Tensor, target: Tensor) -> Result<()> {
    g.apply_to(Copy, &[value], &[target])
}

impl Op for Copy {
    fn name(&self) -> &'static str {
        COPY.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let (shape, kind) = inputs[0];
        Ok(vec![(shape.clone(), kind)])
    }

    fn is_copy(&self) -> bool {
        true
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let n = shape.len();
        Args { x: io.input(0).by_row(), out: io.output(0).by_row() }
            .call(Params { n: n as u32 }, Constants {})
            .elementwise(shape)
    }
}

fn copy_cpu(Tile { x, out, .. }: Tile) {
    out.copy_from_slice(x);
}
