//! A chain of layers with its weights, apart from any device: what is exported, and what other programs made.

use crate::engine::nn::{self, NamedTensor, find_f32};
use crate::engine::ops::{Convolution, ImageShape};
use crate::error::{Error, Result};
use crate::method::vae::Vae;
use crate::runs::model_file;

/// What a layer does to its input, before any ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// A matrix; an image is read row by row, channel after channel.
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

/// Layers, each of which takes what the one before gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub layers: Vec<Layer>,
}

impl Network {
    /// Elements of an input.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.map.widths().0)
    }

    /// Elements of an output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.map.widths().1)
    }

    /// The classifier that a model's encoder and the probe of `task` make: images to means to logits. The weights are
    /// `tensors`, under the names of `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Request`] for a tensor that is missing or of another size.
    pub fn classifier(vae: &Vae, task: &str, classes: usize, tensors: &[NamedTensor]) -> Result<Network> {
        let all = vae.encoder.layers();
        let mut layers = Vec::new();
        for (n, layer) in all.iter().enumerate() {
            let map = match *layer {
                nn::Layer::Linear { inputs, outputs } => Map::Linear { inputs, outputs },
                nn::Layer::Conv2d(convolution) => Map::Conv2d(convolution),
                nn::Layer::Relu | nn::Layer::Flatten => continue,
                nn::Layer::ConvTranspose2d(_) | nn::Layer::Unflatten(_) => {
                    return Err(Error::run(format!("an encoder has no layer such as {layer:?}")));
                }
            };
            let relu = all.get(n + 1) == Some(&nn::Layer::Relu);
            layers.push(Layer::named(map, &format!("encoder.{n}."), relu, tensors)?);
        }
        // The encoder's output is [mean, log-variance].
        if let Some(Layer { map: Map::Linear { inputs, outputs }, weight, bias, .. }) = layers.last_mut() {
            *outputs = vae.latent;
            weight.truncate(vae.latent * *inputs);
            bias.truncate(vae.latent);
        }
        let probe = Map::Linear { inputs: vae.latent, outputs: classes };
        layers.push(Layer::named(probe, &model_file::probe_prefix(task), false, tensors)?);
        Ok(Network { layers })
    }
}

impl Layer {
    /// A layer whose weights are among `tensors`, under names that start with `prefix`.
    fn named(map: Map, prefix: &str, relu: bool, tensors: &[NamedTensor]) -> Result<Layer> {
        let shape = map.weight_shape();
        let find = |name: &str, len| find_f32(tensors, &format!("{prefix}{name}"), len).map(<[f32]>::to_vec);
        let weight = find("weight", shape.iter().product())?;
        Ok(Layer { map, weight, bias: find("bias", shape[0])?, relu })
    }
}
