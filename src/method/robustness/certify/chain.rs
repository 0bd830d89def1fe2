//! Encoder and probe as one chain of layers, with what a bound needs of each.

use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Layer, Layout, Weighted, Weights};
use crate::engine::ops::{conv2d, conv2d_transpose, linear, matmul};
use crate::error::{Error, Result};
use crate::method::robustness::Target;

/// The arenas of weights in a graph, or of their magnitudes.
#[derive(Debug)]
pub struct Arenas {
    model: Weights,
    probe: Weights,
}

impl Arenas {
    /// Those in the variables named `model` and `probe` behind `prefix`.
    pub fn new(g: &mut Graph, target: &Target, prefix: &str) -> Result<Self> {
        let model = Weights::new(g, &target.vae.layout, &format!("{prefix}model"))?;
        let probe = Weights::new(g, &target.probe.layout, &format!("{prefix}probe"))?;
        Ok(Arenas { model, probe })
    }

    /// The encoder's and decoder's weights.
    pub fn model(&self) -> &[Tensor] {
        &self.model.views
    }
}

/// A layer of the chain.
#[derive(Debug, Clone)]
pub struct Link {
    weighted: Weighted,
    /// Whether it is the probe's.
    probe: bool,
    /// Elements of its input.
    pub inputs: usize,
    /// Elements of its output. The encoder's last layer has only the means.
    pub outputs: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// The bias of each output.
    pub bias: Vec<f32>,
    /// The most products in a sum, on the way forward and back.
    pub terms: usize,
}

/// The layers of the encoder up to the means, then the probe. `model` and `probe` are the arenas' contents.
///
/// # Errors
/// [`Error::Request`] for a transposed convolution.
pub fn chain(target: &Target, model: &[f32], probe: &[f32]) -> Result<Vec<Link>> {
    let vae = target.vae;
    let last = vae.encoder.weighted().count().checked_sub(1);
    let encoder = vae.encoder.weighted().enumerate().map(|(l, weighted)| {
        let outputs = (Some(l) == last).then_some(vae.latent);
        link(weighted, false, outputs, &vae.layout, model)
    });
    let head = target.probe.stack().weighted();
    let head = head.map(|weighted| link(weighted, true, None, &target.probe.layout, probe));
    encoder.chain(head).collect()
}

fn link(
    weighted: Weighted,
    of_probe: bool,
    outputs: Option<usize>,
    layout: &Layout,
    arena: &[f32],
) -> Result<Link> {
    let (inputs, all) = weighted.layer.widths().unwrap_or_default();
    let outputs = outputs.unwrap_or(all);
    let biases = layout.slice(arena, weighted.bias);
    let (bias, terms) = match weighted.layer {
        Layer::Conv2d(c) => {
            let pixels = c.small[1] * c.small[2];
            let taps: usize = c.kernel.iter().product();
            let bias = biases.iter().flat_map(|b| std::iter::repeat_n(*b, pixels)).collect();
            (bias, taps * c.large[0].max(c.small[0]))
        }
        Layer::Linear { .. } => (biases[..outputs].to_vec(), inputs.max(outputs)),
        other => {
            return Err(Error::request(format!("there are no certificates for {other:?} in an encoder")));
        }
    };
    Ok(Link { weighted, probe: of_probe, inputs, outputs, relu: weighted.relu, bias, terms })
}

impl Link {
    fn weights(&self, g: &mut Graph, arenas: &Arenas) -> Result<(Tensor, Tensor)> {
        let views = if self.probe { &arenas.probe.views } else { &arenas.model.views };
        let (weight, bias) = (views[self.weighted.weight], views[self.weighted.bias]);
        match self.weighted.layer {
            Layer::Linear { inputs, .. } => {
                Ok((g.view(weight, 0, [self.outputs, inputs])?, g.view(bias, 0, [self.outputs])?))
            }
            _ => Ok((weight, bias)),
        }
    }

    /// The layer's output `[rows, outputs]` for `x` `[rows, inputs]`, without a ReLU.
    pub fn forward(&self, g: &mut Graph, arenas: &Arenas, x: Tensor) -> Result<Tensor> {
        let (weight, bias) = self.weights(g, arenas)?;
        match self.weighted.layer {
            Layer::Conv2d(c) => conv2d(g, c, x, weight, Some(bias), false),
            _ => linear(g, x, weight, bias, false),
        }
    }

    /// The coefficients `[rows, inputs]` in the layer's input, for those `a` `[rows, outputs]` in its output.
    pub fn pull_back(&self, g: &mut Graph, arenas: &Arenas, a: Tensor) -> Result<Tensor> {
        let (weight, _) = self.weights(g, arenas)?;
        match self.weighted.layer {
            Layer::Conv2d(c) => conv2d_transpose(g, c, a, weight, None, false),
            _ => matmul(g, a, false, weight, false),
        }
    }
}
