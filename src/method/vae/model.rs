//! The variational auto-encoder: an encoder and a decoder over one arena of weights (docs/method.md, section 1).

use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Layer, Layout, Stack, linears};
use crate::engine::ops::{self, Convolution};
use crate::error::Result;
use crate::method::ops::gaussian_log_likelihood;

/// An encoder `inputs -> 2 latent` (mean, log-variance) and a decoder `latent -> inputs`.
#[derive(Debug, Clone)]
pub struct Vae {
    /// The layout of the weights.
    pub layout: Layout,
    /// The encoder, `inputs -> 2 latent`.
    pub encoder: Stack,
    /// The decoder, `latent -> inputs`.
    pub decoder: Stack,
    /// The dimensions of a code.
    pub latent: usize,
    /// The observation variance v of `p(x|z) = N(g(z), v I)`.
    pub variance: f32,
    /// Whether the decoder's output goes through a sigmoid.
    pub sigmoid: bool,
}

impl Vae {
    /// A model of dense layers; encoder and decoder have hidden layers of the sizes `hidden`, in this order.
    pub fn mlp(inputs: usize, hidden: &[usize], latent: usize, variance: f32, sigmoid: bool) -> Self {
        let sizes = |first, last| [&[first], hidden, &[last]].concat();
        let (encoder, decoder) = (linears(&sizes(inputs, 2 * latent)), linears(&sizes(latent, inputs)));
        Vae::new(encoder, decoder, latent, variance, sigmoid)
    }

    /// A ConvNet: the encoder has at least one convolution, each of the one before, then dense layers of the sizes
    /// `hidden`; the decoder has the same in reverse order.
    pub fn conv(
        convolutions: &[Convolution],
        hidden: &[usize],
        latent: usize,
        variance: f32,
        sigmoid: bool,
    ) -> Self {
        let smallest = convolutions.last().map_or([0; 3], |c| c.small);
        let flat = smallest.iter().product();
        let mirrored: Vec<usize> = hidden.iter().rev().copied().collect();
        let sizes = |first: usize, hidden: &[usize], last: usize| [&[first], hidden, &[last]].concat();

        let mut encoder: Vec<_> =
            convolutions.iter().flat_map(|c| [Layer::Conv2d(*c), Layer::Relu]).collect();
        encoder.push(Layer::Flatten);
        encoder.extend(linears(&sizes(flat, hidden, 2 * latent)));
        let mut decoder = linears(&sizes(latent, &mirrored, flat));
        decoder.extend([Layer::Relu, Layer::Unflatten(smallest)]);
        let transposed = convolutions.iter().rev().map(|c| Layer::ConvTranspose2d(*c));
        decoder.extend(transposed.flat_map(|layer| [Layer::Relu, layer]).skip(1));
        Vae::new(encoder, decoder, latent, variance, sigmoid)
    }

    /// An encoder of these layers alone, from another program: every output is a part of the code's mean. There is no
    /// decoder, and what needs one is an error.
    pub fn encoder_alone(encoder: Vec<Layer>) -> Self {
        let mut vae = Vae::new(encoder, vec![], 0, 1.0, false);
        vae.latent = vae.encoder.outputs();
        vae
    }

    /// Whether its codes are distributions: their heads have log-variances beside the means.
    pub fn has_variances(&self) -> bool {
        self.encoder.outputs() > self.latent
    }

    fn new(encoder: Vec<Layer>, decoder: Vec<Layer>, latent: usize, variance: f32, sigmoid: bool) -> Self {
        let mut layout = Layout::default();
        let encoder = Stack::new(&mut layout, "encoder", encoder);
        let decoder = Stack::new(&mut layout, "decoder", decoder);
        Vae { layout, encoder, decoder, latent, variance, sigmoid }
    }

    /// The model with dense layers that multiply halves and sum floats. Convolutions stay in single precision.
    pub fn in_half(mut self) -> Self {
        (self.encoder.half, self.decoder.half) = (true, true);
        self
    }

    /// Means and log-variances `[rows, 2 latent]` of the codes of `x` `[rows, inputs]`. `weights` are the layout's
    /// views.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn encode(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.encoder.forward(g, weights, x)
    }

    /// The means `[rows, latent]` alone: the representation that the linear probe sees.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn encode_mean(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.encoder.forward_head(g, weights, x, self.latent)
    }

    /// The mean of `p(x|z)` `[rows, inputs]` for codes `z` `[rows, latent]`: the decoded images.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn decode(&self, g: &mut Graph, weights: &[Tensor], z: Tensor) -> Result<Tensor> {
        let output = self.decoder.forward(g, weights, z)?;
        if self.sigmoid { ops::elementwise::sigmoid(g, output) } else { Ok(output) }
    }

    /// `log p(x|z)` `[rows]` for images `x` `[rows, inputs]` and codes `z` `[rows, latent]`, constants included.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn log_likelihood(&self, g: &mut Graph, weights: &[Tensor], z: Tensor, x: Tensor) -> Result<Tensor> {
        let output = self.decoder.forward(g, weights, z)?;
        gaussian_log_likelihood(g, output, x, self.variance, self.sigmoid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tensor::DType::F32;

    #[test]
    fn an_encoder_alone_decodes_nothing() {
        let vae = Vae::encoder_alone(linears(&[3, 2]));
        assert_eq!((vae.latent, vae.encoder.inputs(), vae.decoder.outputs()), (2, 3, 0));
        let mut g = Graph::new();
        let z = g.variable("z", [1, 2], F32).unwrap();
        assert!(vae.decode(&mut g, &[], z).unwrap_err().to_string().contains("no layer with weights"));
    }
}
