//! The backward half of a training step.

use crate::engine::autodiff;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Layout;
use crate::engine::ops::store;
use crate::engine::ops::{self, AdamSettings};
use crate::error::Result;

/// The arena of a layout in a graph: a variable, and every weight as a view of it.
#[derive(Debug, Clone)]
pub struct Weights {
    name: String,
    /// The whole arena, `[words]`.
    pub arena: Tensor,
    /// The weights, in the layout's order.
    pub views: Vec<Tensor>,
}

impl Weights {
    /// The arena of `layout` in the variable `name`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the graph has another variable of that name.
    pub fn new(g: &mut Graph, layout: &Layout, name: &str) -> Result<Self> {
        let arena = layout.variable(g, name)?;
        Ok(Weights { name: name.to_string(), arena, views: layout.views(g, arena)? })
    }
}

/// Adds the gradients of `scale` times `loss` by every weight, written to the flat variable `NAME.grad`, which it
/// returns.
///
/// # Errors
/// As [`autodiff::gradients`].
pub fn weight_gradients(
    g: &mut Graph,
    layout: &Layout,
    weights: &Weights,
    loss: Tensor,
    scale: f32,
) -> Result<Tensor> {
    let flat = layout.variable(g, &format!("{}.grad", weights.name))?;
    let shape = g.shape(loss)?.clone();
    let seed = ops::fill(g, shape, scale)?;
    let gradients = autodiff::gradients_from(g, &[(loss, seed)], &weights.views)?;
    for (gradient, target) in gradients.into_iter().zip(layout.views(g, flat)?) {
        // A convolution's gradient is a sum of rows, which is flat.
        let shape = g.shape(gradient)?.clone();
        let target = g.view(target, 0, shape)?;
        store(g, gradient, target)?;
    }
    Ok(flat)
}

/// Adds the gradients of `loss` and one step of Adam on the weights. `clock` `[2]` (u32) holds the step. The moments
/// are the variables `NAME.m` and `NAME.v`.
///
/// # Errors
/// As [`autodiff::gradients`].
pub fn train_step(
    g: &mut Graph,
    layout: &Layout,
    weights: &Weights,
    loss: Tensor,
    clock: Tensor,
    settings: AdamSettings,
) -> Result<()> {
    let gradients = weight_gradients(g, layout, weights, loss, settings.loss_scale)?;
    let m = layout.variable(g, &format!("{}.m", weights.name))?;
    let v = layout.variable(g, &format!("{}.v", weights.name))?;
    ops::adam(g, settings, clock, gradients, m, v, weights.arena)
}
