//! Stacks of layers, numbered as PyTorch's `nn.Sequential` numbers them (docs/method.md, section 1).

use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Layout;
use crate::engine::ops::{self, Convolution, ImageShape};
use crate::error::{Error, Result};

/// A dense layer `act(W x + b)`, with the places of its weights in their arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    /// The number of outputs.
    pub outputs: usize,
    /// First word of W, `[outputs, inputs]`.
    pub weight: usize,
    /// First word of b.
    pub bias: usize,
    /// Whether `act` is a ReLU, else the identity.
    pub relu: bool,
}

/// A layer. Images are rows of words, channel by channel, so flattening and unflattening do nothing; they are layers
/// because PyTorch numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A dense layer.
    Linear {
        /// Elements of a row of its input.
        inputs: usize,
        /// Elements of a row of its output.
        outputs: usize,
    },
    /// From the convolution's large image to its small one.
    Conv2d(Convolution),
    /// From the small image to the large one.
    ConvTranspose2d(Convolution),
    /// A ReLU, after a layer with weights.
    Relu,
    /// An image to a row.
    Flatten,
    /// A row to an image of this shape.
    Unflatten(ImageShape),
}

impl Layer {
    /// Words of a row of the input and of the output, for a layer with weights.
    pub(crate) fn widths(&self) -> Option<(usize, usize)> {
        let len = |image: ImageShape| image.iter().product();
        match *self {
            Layer::Linear { inputs, outputs } => Some((inputs, outputs)),
            Layer::Conv2d(c) => Some((len(c.large), len(c.small))),
            Layer::ConvTranspose2d(c) => Some((len(c.small), len(c.large))),
            Layer::Relu | Layer::Flatten | Layer::Unflatten(_) => None,
        }
    }

    /// The shape of its weight and the length of its bias, for a layer with weights.
    fn weights(&self) -> Option<(Vec<usize>, usize)> {
        match *self {
            Layer::Linear { inputs, outputs } => Some((vec![outputs, inputs], outputs)),
            Layer::Conv2d(c) => Some((c.weight_shape().to_vec(), c.small[0])),
            Layer::ConvTranspose2d(c) => Some((c.weight_shape().to_vec(), c.large[0])),
            Layer::Relu | Layer::Flatten | Layer::Unflatten(_) => None,
        }
    }
}

/// A layer with weights, in its stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted {
    pub layer: Layer,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// The indices of its weight and of its bias in the layout.
    pub weight: usize,
    pub bias: usize,
}

/// A sequence of layers, of which the last one has weights.
#[derive(Debug, Clone)]
pub struct Stack {
    layers: Vec<Layer>,
    /// The index of its first weight in the layout; weights and biases alternate.
    first: usize,
    /// Whether dense layers multiply halves, as [`ops::half_linear`].
    pub half: bool,
}

impl Stack {
    /// Adds the layers' weights to `layout` under PyTorch's names, `prefix.N.weight` and `prefix.N.bias`, N the layer's
    /// index in the stack.
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

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Elements of a row of the input.
    pub fn inputs(&self) -> usize {
        self.layers.iter().find_map(Layer::widths).map_or(0, |(inputs, _)| inputs)
    }

    /// Elements of a row of the output.
    pub fn outputs(&self) -> usize {
        self.layers.iter().rev().find_map(Layer::widths).map_or(0, |(_, outputs)| outputs)
    }

    /// Its layers with weights.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = Weighted> {
        let followed = self.layers.iter().zip(self.layers.iter().skip(1).map(Some).chain([None]));
        let weighted = followed.filter(|(layer, _)| layer.widths().is_some());
        weighted.enumerate().map(|(l, (layer, next))| Weighted {
            layer: *layer,
            relu: next == Some(&Layer::Relu),
            weight: self.first + 2 * l,
            bias: self.first + 2 * l + 1,
        })
    }

    /// The layers of a stack of dense ones, with their places in the arena of `layout`; the last one cut to its first
    /// `outputs`. `None` where there are other layers.
    pub fn dense(&self, layout: &Layout, outputs: usize) -> Option<Vec<Dense>> {
        let last = self.weighted().count().checked_sub(1)?;
        let place = |i: usize| layout.entries()[i].offset;
        let dense = |(l, Weighted { layer, relu, weight, bias })| match layer {
            Layer::Linear { outputs: all, .. } => Some(Dense {
                outputs: if l == last { outputs } else { all },
                weight: place(weight),
                bias: place(bias),
                relu,
            }),
            _ => None,
        };
        self.weighted().enumerate().map(dense).collect()
    }

    /// The output `[rows, outputs]` for x `[rows, inputs]`; `weights` are all of the layout's.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn forward(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.forward_head(g, weights, x, self.outputs())
    }

    /// The first `outputs` columns of [`forward`](Self::forward), for a stack that ends in a dense layer. Weights are
    /// stored by output, so those of the first outputs are a view, and the rest is not computed.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn forward_head(
        &self,
        g: &mut Graph,
        weights: &[Tensor],
        x: Tensor,
        outputs: usize,
    ) -> Result<Tensor> {
        let mut x = x;
        let Some(last) = self.weighted().count().checked_sub(1) else {
            return Err(Error::Shape { op: "stack", message: "it has no layer with weights".into() });
        };
        for (l, Weighted { layer, relu, weight, bias }) in self.weighted().enumerate() {
            let (mut weight, mut bias) = (weights[weight], weights[bias]);
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

/// Dense layers of these sizes, with ReLU between them.
pub fn linears(sizes: &[usize]) -> Vec<Layer> {
    let linear = sizes.windows(2).map(|pair| Layer::Linear { inputs: pair[0], outputs: pair[1] });
    linear.flat_map(|layer| [Layer::Relu, layer]).skip(1).collect()
}
