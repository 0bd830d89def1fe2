//! A chain of layers with its weights, apart from any device: what is exported, and what other programs made.

use crate::engine::nn::{self, Layout, NamedTensor, TensorData, find_weight};
use crate::engine::ops::{Convolution, ImageShape};
use crate::error::{Error, Result};
use crate::method::vae::Vae;
use crate::runs::model_file;

/// What a reader of a network has, or what is wrong with it.
pub(super) type Told<T> = std::result::Result<T, String>;

/// What a layer does to its input, before any ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// A matrix.
    Linear { inputs: usize, outputs: usize },
    /// From the convolution's large image to its small one.
    Conv2d(Convolution),
}

impl Map {
    /// Elements of the input and of the output.
    pub fn widths(&self) -> (usize, usize) {
        let len = |image: ImageShape| image.iter().product();
        match *self {
            Map::Linear { inputs, outputs } => (inputs, outputs),
            Map::Conv2d(c) => (len(c.large), len(c.small)),
        }
    }

    /// The shape of the weight, in PyTorch's layout.
    pub fn weight_shape(&self) -> Vec<usize> {
        match *self {
            Map::Linear { inputs, outputs } => vec![outputs, inputs],
            Map::Conv2d(c) => c.weight_shape().to_vec(),
        }
    }
}

/// A layer with its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub map: Map,
    /// Row by row, of [`Map::weight_shape`].
    pub weight: Vec<f32>,
    /// One number for each row of the weight.
    pub bias: Vec<f32>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// Layers, each of which takes what the one before gives. Images are rows of words, channel by channel, so flattening
/// changes the sides alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub layers: Vec<Layer>,
    /// The sides of an output, and of an input where there is no layer yet.
    pub sides: Vec<usize>,
}

impl Network {
    /// One without layers, for inputs of these sides.
    pub fn new(sides: &[usize]) -> Network {
        Network { layers: vec![], sides: sides.to_vec() }
    }

    /// Elements of an input, of a network that has a layer.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.map.widths().0)
    }

    /// Elements of an output.
    pub fn outputs(&self) -> usize {
        self.sides.iter().product()
    }

    /// Makes each output a row.
    pub fn flatten(&mut self) {
        self.sides = vec![self.outputs()];
    }

    /// Adds a dense layer; `weight` is [outputs, inputs].
    ///
    /// # Errors
    /// Where it does not fit the output so far.
    pub fn linear(&mut self, [outputs, inputs]: [usize; 2], weight: Vec<f32>, bias: Vec<f32>) -> Told<()> {
        if self.sides != [inputs] || outputs == 0 {
            return Err(format!(
                "its weight of {} takes rows of {inputs}, and the layer gets {}",
                in_words(&[outputs, inputs]),
                in_words(&self.sides)
            ));
        }
        self.layers.push(Layer { map: Map::Linear { inputs, outputs }, weight, bias, relu: false });
        self.sides = vec![outputs];
        Ok(())
    }

    /// Adds a convolution with a weight of the sides `weight_sides`, [channels, input channels, height, width].
    ///
    /// # Errors
    /// Where it does not fit the output so far.
    pub fn conv2d(
        &mut self,
        weight_sides: [usize; 4],
        stride: usize,
        padding: usize,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Told<()> {
        let [channels, depth, height, width] = weight_sides;
        let large = match self.sides[..] {
            [c, h, w] if c == depth => [c, h, w],
            _ => {
                return Err(format!(
                    "its weight of {} takes images of {depth} channels, and the layer gets {}",
                    in_words(&weight_sides),
                    in_words(&self.sides)
                ));
            }
        };
        if padding > 0 && padding >= height.min(width) {
            return Err(format!(
                "its padding of {padding} is not smaller than its {height} x {width} kernel"
            ));
        }
        if stride > large[1].max(large[2]) + 2 * padding {
            return Err(format!("its stride of {stride} leads out of images of {}", in_words(&large)));
        }
        let map = Convolution::new(large, channels, [height, width], stride, padding);
        let map = map.map_err(|error| error.to_string())?;
        self.layers.push(Layer { map: Map::Conv2d(map), weight, bias, relu: false });
        self.sides = map.small.to_vec();
        Ok(())
    }

    /// Puts a ReLU after the last layer.
    ///
    /// # Errors
    /// Where there is none.
    pub fn relu(&mut self) -> Told<()> {
        let last = self.layers.last_mut().ok_or("it comes before any layer with weights")?;
        last.relu = true;
        Ok(())
    }

    /// Leaves the first `outputs`; returns whether that can be: of a network that ends in a dense layer, or all.
    pub(super) fn cut(&mut self, outputs: usize) -> bool {
        match self.layers.last_mut() {
            Some(Layer { map: Map::Linear { inputs, outputs: all }, weight, bias, .. })
                if outputs <= *all =>
            {
                *all = outputs;
                weight.truncate(outputs * *inputs);
                bias.truncate(outputs);
                self.sides = vec![outputs];
                true
            }
            _ => outputs == self.outputs(),
        }
    }

    /// The classifier that a model's encoder and the probe of `task` make: images to means to logits. The weights are
    /// `tensors`, under the names of `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Request`] for a tensor that is missing or of another shape.
    pub fn of_run(vae: &Vae, task: &str, classes: usize, tensors: &[NamedTensor]) -> Result<Network> {
        let mut network = Network::new(&[]);
        for (n, layer) in vae.encoder.layers().iter().enumerate() {
            let map = match *layer {
                nn::Layer::Linear { inputs, outputs } => Map::Linear { inputs, outputs },
                nn::Layer::Conv2d(convolution) => Map::Conv2d(convolution),
                nn::Layer::Flatten => continue,
                nn::Layer::Relu => {
                    network.relu().map_err(Error::run)?;
                    continue;
                }
                nn::Layer::ConvTranspose2d(_) | nn::Layer::Unflatten(_) => {
                    return Err(Error::run(format!("an encoder has no layer such as {layer:?}")));
                }
            };
            network.layers.push(Layer::named(map, &format!("encoder.{n}."), tensors)?);
        }
        // The encoder's output is [mean, log-variance].
        network.cut(vae.latent);
        let probe = Map::Linear { inputs: vae.latent, outputs: classes };
        network.layers.push(Layer::named(probe, &model_file::probe_prefix(task), tensors)?);
        network.sides = vec![classes];
        Ok(network)
    }

    /// The network as an encoder and a linear classifier, which is the last layer where that is dense and has another
    /// before it, else the identity.
    pub fn split(mut self) -> (Network, Layer) {
        if let [.., before, Layer { map: Map::Linear { .. }, relu: false, .. }] = &self.layers[..] {
            let width = before.map.widths().1;
            if let Some(last) = self.layers.pop() {
                self.sides = vec![width];
                return (self, last);
            }
        }
        let n = self.outputs();
        let weight = (0..n * n).map(|i| f32::from(i % (n + 1) == 0)).collect();
        let map = Map::Linear { inputs: n, outputs: n };
        (self, Layer { map, weight, bias: vec![0.0; n], relu: false })
    }

    /// The layers for the engine, which needs none that flatten.
    pub fn stack(&self) -> Vec<nn::Layer> {
        let mut stack = Vec::new();
        for layer in &self.layers {
            stack.push(match layer.map {
                Map::Linear { inputs, outputs } => nn::Layer::Linear { inputs, outputs },
                Map::Conv2d(convolution) => nn::Layer::Conv2d(convolution),
            });
            stack.extend(layer.relu.then_some(nn::Layer::Relu));
        }
        stack
    }

    /// The weights under the names of `layout`, which was made of [`stack`](Self::stack).
    pub fn tensors(&self, layout: &Layout) -> Vec<NamedTensor> {
        let weights = self.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]);
        let named = |(entry, values): (&nn::Entry, &Vec<f32>)| NamedTensor {
            name: entry.name.clone(),
            shape: entry.shape.dims().to_vec(),
            data: TensorData::F32(values.clone()),
        };
        layout.entries().iter().zip(weights).map(named).collect()
    }
}

impl Layer {
    /// A layer whose weights are among `tensors`, under names that start with `prefix`.
    fn named(map: Map, prefix: &str, tensors: &[NamedTensor]) -> Result<Layer> {
        let shape = map.weight_shape();
        let find =
            |name: &str, shape| find_weight(tensors, &format!("{prefix}{name}"), shape).map(<[f32]>::to_vec);
        Ok(Layer { map, weight: find("weight", &shape)?, bias: find("bias", &shape[..1])?, relu: false })
    }
}

/// Sides in words: 1 x 28 x 28.
pub(super) fn in_words(sides: &[usize]) -> String {
    sides.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}
