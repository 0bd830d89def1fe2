//! Stacks of dense layers with ReLU between them (SPEC section 1).

use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::Layout;
use crate::ops::{self, Dense};

/// A multilayer perceptron: `sizes[0] - sizes[1] - ... - sizes[n]`, no activation at the end.
#[derive(Debug, Clone)]
pub struct Mlp {
    sizes: Vec<usize>,
    /// Numbers of its first weight in the layout; weight and bias alternate.
    first: usize,
}

impl Mlp {
    /// Adds the layers' weights to `layout` under PyTorch's names for
    /// `Sequential(Linear, ReLU, Linear, ...)`: `prefix.0.weight`, `prefix.0.bias`, `prefix.2.weight`, ...
    pub fn new(layout: &mut Layout, prefix: &str, sizes: &[usize]) -> Self {
        let first = layout.entries().len();
        for (layer, pair) in sizes.windows(2).enumerate() {
            layout.push(format!("{prefix}.{}.weight", 2 * layer), [pair[1], pair[0]]);
            layout.push(format!("{prefix}.{}.bias", 2 * layer), [pair[1]]);
        }
        Mlp { sizes: sizes.to_vec(), first }
    }

    pub fn layers(&self) -> usize {
        self.sizes.len() - 1
    }

    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    pub fn outputs(&self) -> usize {
        self.sizes[self.layers()]
    }

    /// The sizes of all layers, the input's first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Its layers by their places in the arena of `layout`, the last one cut to its first `outputs`.
    pub fn dense(&self, layout: &Layout, outputs: usize) -> Vec<Dense> {
        let place = |i: usize| layout.entries()[i].offset;
        let dense = |l: usize| {
            let last = l + 1 == self.layers();
            Dense {
                outputs: if last { outputs } else { self.sizes[l + 1] },
                weight: place(self.first + 2 * l),
                bias: place(self.first + 2 * l + 1),
                relu: !last,
            }
        };
        (0..self.layers()).map(dense).collect()
    }

    /// `[rows, inputs] -> [rows, outputs]`, with the layout's `weights`.
    pub fn forward(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.forward_head(g, weights, x, self.outputs())
    }

    /// Only the first `outputs` columns of [`forward`](Self::forward). Weights are stored by
    /// output, so the head's first rows are a view and the rest is never computed.
    pub fn forward_head(
        &self,
        g: &mut Graph,
        weights: &[Tensor],
        x: Tensor,
        outputs: usize,
    ) -> Result<Tensor> {
        let mut x = x;
        for layer in 0..self.layers() {
            let last = layer + 1 == self.layers();
            let (mut weight, mut bias) =
                (weights[self.first + 2 * layer], weights[self.first + 2 * layer + 1]);
            if last && outputs < self.outputs() {
                weight = g.view(weight, 0, [outputs, self.sizes[layer]])?;
                bias = g.view(bias, 0, [outputs])?;
            }
            x = ops::linear(g, x, weight, bias, !last)?;
        }
        Ok(x)
    }
}
