//! Stacks of layers, numbered as PyTorch's `nn.Sequential` numbers them (docs/method.md, section 1).

use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Layout;
use crate::engine::ops::{self, Convolution, ImageShape};
use crate::error::Result;

/// A dense layer `act(W x + b)` of the network, by where its weights start in their arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    pub outputs: usize,
    /// First word of W, `[outputs, inputs]`.
    pub weight: usize,
    /// First word of b.
    pub bias: usize,
    pub relu: bool,
}

/// A layer. Images are rows of words here, channel by channel, so that to flatten them and to unflatten rows is to do
/// nothing; both are layers for their places in the numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    Linear {
        inputs: usize,
        outputs: usize,
    },
    /// From the convolution's large image to its small one.
    Conv2d(Convolution),
    /// From the small image to the large one.
    ConvTranspose2d(Convolution),
    /// After a layer with weights.
    Relu,
    Flatten,
    Unflatten(ImageShape),
}

impl Layer {
    /// Words of a row that goes in, and of one that comes out, of a layer with weights.
    fn widths(&self) -> Option<(usize, usize)> {
        let len = |image: ImageShape| image.iter().product();
        match *self {
            Layer::Linear { inputs, outputs } => Some((inputs, outputs)),
            Layer::Conv2d(c) => Some((len(c.large), len(c.small))),
            Layer::ConvTranspose2d(c) => Some((len(c.small), len(c.large))),
            Layer::Relu | Layer::Flatten | Layer::Unflatten(_) => None,
        }
    }

    /// The shape of its weight and the length of its bias, where it has them.
    fn weights(&self) -> Option<(Vec<usize>, usize)> {
        match *self {
            Layer::Linear { inputs, outputs } => Some((vec![outputs, inputs], outputs)),
            Layer::Conv2d(c) => Some((c.weight_shape().to_vec(), c.small[0])),
            Layer::ConvTranspose2d(c) => Some((c.weight_shape().to_vec(), c.large[0])),
            Layer::Relu | Layer::Flatten | Layer::Unflatten(_) => None,
        }
    }
}

/// Layers one after the other, the last of them with weights.
#[derive(Debug, Clone)]
pub struct Stack {
    layers: Vec<Layer>,
    /// Number of its first weight in the layout; weight and bias alternate.
    first: usize,
    /// Dense layers multiply halves, see [`ops::half_linear`].
    pub half: bool,
}

impl Stack {
    /// Adds the layers' weights to `layout` under PyTorch's names: `prefix.N.weight` and `prefix.N.bias`, N the
    /// layer's place in the stack.
    pub fn new(layout: &mut Layout, prefix: &str, layers: Vec<Layer>) -> Self {
        let first = layout.entries().len();
        for (n, layer) in layers.iter().enumerate() {
            if let Some((weight, bias)) = layer.weights() {
                layout.push(format!("{prefix}.{n}.weight"), weight);
                layout.push(format!("{prefix}.{n}.bias"), [bias]);
            }
        }
        Stack { layers, first, half: false }
    }

    /// A multilayer perceptron: `sizes[0] - sizes[1] - ... - sizes[n]` with ReLU between.
    pub fn mlp(layout: &mut Layout, prefix: &str, sizes: &[usize]) -> Self {
        Stack::new(layout, prefix, linears(sizes))
    }

    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub fn inputs(&self) -> usize {
        self.layers.iter().find_map(Layer::widths).map_or(0, |(inputs, _)| inputs)
    }

    pub fn outputs(&self) -> usize {
        self.layers.iter().rev().find_map(Layer::widths).map_or(0, |(_, outputs)| outputs)
    }

    /// Layers with weights, each with whether a ReLU follows.
    fn weighted(&self) -> impl Iterator<Item = (Layer, bool)> {
        let followed = self.layers.iter().zip(self.layers.iter().skip(1).map(Some).chain([None]));
        let weighted = followed.filter(|(layer, _)| layer.widths().is_some());
        weighted.map(|(layer, next)| (*layer, next == Some(&Layer::Relu)))
    }

    /// A stack of dense layers by their places in the arena of `layout`, the last one cut to its first `outputs`;
    /// none where there are other layers.
    pub fn dense(&self, layout: &Layout, outputs: usize) -> Option<Vec<Dense>> {
        let last = self.weighted().count() - 1;
        let place = |i: usize| layout.entries()[self.first + i].offset;
        let dense = |(l, (layer, relu))| match layer {
            Layer::Linear { outputs: all, .. } => Some(Dense {
                outputs: if l == last { outputs } else { all },
                weight: place(2 * l),
                bias: place(2 * l + 1),
                relu,
            }),
            _ => None,
        };
        self.weighted().enumerate().map(dense).collect()
    }

    /// `[rows, inputs] -> [rows, outputs]`, with the layout's `weights`.
    pub fn forward(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.forward_head(g, weights, x, self.outputs())
    }

    /// Only the first `outputs` columns of [`forward`](Self::forward), of a stack that ends in a dense layer. Weights
    /// are stored by output, so the head's first rows are a view and the rest is never computed.
    pub fn forward_head(
        &self,
        g: &mut Graph,
        weights: &[Tensor],
        x: Tensor,
        outputs: usize,
    ) -> Result<Tensor> {
        let mut x = x;
        let last = self.weighted().count() - 1;
        for (l, (layer, relu)) in self.weighted().enumerate() {
            let (mut weight, mut bias) = (weights[self.first + 2 * l], weights[self.first + 2 * l + 1]);
            x = match layer {
                Layer::Conv2d(c) => ops::conv2d(g, c, x, weight, Some(bias), relu)?,
                Layer::ConvTranspose2d(c) => ops::conv2d_transpose(g, c, x, weight, Some(bias), relu)?,
                _ => {
                    if l == last && outputs < self.outputs() {
                        weight = g.view(weight, 0, [outputs, g.shape(weight)?.cols()])?;
                        bias = g.view(bias, 0, [outputs])?;
                    }
                    let linear = if self.half { ops::half_linear } else { ops::linear };
                    linear(g, x, weight, bias, relu)?
                }
            };
        }
        Ok(x)
    }
}

/// Dense layers of these sizes with ReLU between.
pub fn linears(sizes: &[usize]) -> Vec<Layer> {
    let linear = sizes.windows(2).map(|pair| Layer::Linear { inputs: pair[0], outputs: pair[1] });
    linear.flat_map(|layer| [Layer::Relu, layer]).skip(1).collect()
}
