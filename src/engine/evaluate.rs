//! A tensor's value at once, for trying an op out.

use crate::engine::device;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::{DType, Element, Shape};
use crate::error::Result;

/// An input of [`evaluate`].
#[derive(Debug, Clone)]
pub struct Input {
    shape: Shape,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f32>),
    Words(Vec<u32>),
}

/// Floats of this shape.
pub fn floats(shape: impl Into<Shape>, values: &[f32]) -> Input {
    Input { shape: shape.into(), values: Values::Floats(values.to_vec()) }
}

/// Words (u32) of this shape.
pub fn words(shape: impl Into<Shape>, values: &[u32]) -> Input {
    Input { shape: shape.into(), values: Values::Words(values.to_vec()) }
}

/// The elements of the tensor that `build` makes of `inputs`, which are variables, on the CPU.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::elementwise::add;
///
/// let inputs = [floats([2], &[1.0, 2.0]), floats([2], &[10.0, 20.0])];
/// let sum: Vec<f32> = evaluate(inputs, |g, [a, b]| add(g, a, b))?;
/// assert_eq!(sum, [11.0, 22.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// Those of `build`; [`Error::Device`](crate::Error::Device) for an input with another number of elements than its
/// shape, and for a tensor of another type than `T`.
pub fn evaluate<T: Element, const N: usize>(
    inputs: [Input; N],
    build: impl FnOnce(&mut Graph, [Tensor; N]) -> Result<Tensor>,
) -> Result<Vec<T>> {
    let mut g = Graph::new();
    let mut session = Session::new(device::open("cpu", false)?);
    let mut variables = Vec::with_capacity(N);
    for (i, Input { shape, values }) in inputs.into_iter().enumerate() {
        let name = format!("input {i}");
        let dtype = match values {
            Values::Floats(values) => session.set(&name, &values).map(|()| DType::F32),
            Values::Words(values) => session.set(&name, &values).map(|()| DType::U32),
        }?;
        variables.push(g.variable(&name, shape, dtype)?);
    }
    let value = build(&mut g, std::array::from_fn(|i| variables[i]))?;
    let (shape, dtype) = (g.shape(value)?.clone(), g.dtype(value)?);
    let output = g.variable("output", shape, dtype)?;
    store(&mut g, value, output)?;
    session.compile(&g)?.run()?;
    session.get("output")
}
