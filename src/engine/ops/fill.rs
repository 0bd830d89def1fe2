//! A constant; `shaders/fill.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::Call;
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static FILL: "fill" {
        shaders: ["common/flat.wgsl", "fill.wgsl"],
        params: { n: u32, value: f32 },
        constants: {},
        bindings: { out: write f32 },
        cpu: fill_cpu,
    }
}

#[derive(Debug, Clone)]
struct Fill {
    shape: Shape,
    value: f32,
}

/// A tensor of `shape` with every element `value`.
///
/// ```
/// use smoothenc::engine::evaluate::evaluate;
/// use smoothenc::engine::ops::fill;
///
/// let y: Vec<f32> = evaluate([], |g, []| fill(g, [3], 0.5))?;
/// assert_eq!(y, [0.5; 3]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a shape without elements; [`Error::TooLarge`](crate::Error::TooLarge).
pub fn fill(g: &mut Graph, shape: impl Into<Shape>, value: f32) -> Result<Tensor> {
    g.apply_one(Fill { shape: shape.into(), value }, &[])
}

/// Sets every element of the variable `target` to `value`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::fill_to;
///
/// let x: Vec<f32> = evaluate([floats([2], &[1.0, 2.0])], |g, [x]| {
///     fill_to(g, x, 0.5)?;
///     Ok(x)
/// })?;
/// assert_eq!(x, [0.5; 2]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for what is no variable of floats.
pub fn fill_to(g: &mut Graph, target: Tensor, value: f32) -> Result<()> {
    let shape = g.shape(target)?.clone();
    g.apply_to(Fill { shape, value }, &[], &[target])
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        FILL.name
    }

    fn outputs(&self, _: &Inputs) -> Outputs {
        Ok(vec![(self.shape.clone(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let (shape, out) = &io.outputs[0];
        let n = shape.len();
        Args { out: out.by_row() }
            .call(Params { n: n as u32, value: self.value }, Constants {})
            .elementwise(shape)
    }
}

fn fill_cpu(Tile { p, out, .. }: Tile) {
    out.fill(p.value);
}
