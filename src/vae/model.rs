//! The variational auto-encoder: an encoder and a decoder over one arena of weights (SPEC 1).

use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::{Layout, Mlp};
use crate::ops;

/// An encoder `inputs -> 2 latent` (mean, log-variance) and a decoder `latent -> inputs`.
#[derive(Debug, Clone)]
pub struct Vae {
    pub layout: Layout,
    pub encoder: Mlp,
    pub decoder: Mlp,
    pub latent: usize,
    /// The observation variance v of `p(x|z) = N(g(z), v I)`.
    pub variance: f32,
    /// The decoder's output goes through a sigmoid.
    pub sigmoid: bool,
}

impl Vae {
    /// Both stacks with the `hidden` layer sizes, the encoder's first, the same for the decoder.
    pub fn mlp(inputs: usize, hidden: &[usize], latent: usize, variance: f32, sigmoid: bool) -> Self {
        let mut layout = Layout::default();
        let sizes = |first, last| [&[first], hidden, &[last]].concat();
        let encoder = Mlp::new(&mut layout, "encoder", &sizes(inputs, 2 * latent));
        let decoder = Mlp::new(&mut layout, "decoder", &sizes(latent, inputs));
        Vae { layout, encoder, decoder, latent, variance, sigmoid }
    }

    /// Means and log-variances `[rows, 2 latent]` of the codes of `x`.
    pub fn encode(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.encoder.forward(g, weights, x)
    }

    /// Means `[rows, latent]` alone: the representation that the linear probe sees.
    pub fn encode_mean(&self, g: &mut Graph, weights: &[Tensor], x: Tensor) -> Result<Tensor> {
        self.encoder.forward_head(g, weights, x, self.latent)
    }

    /// `log p(x|z)` `[rows]`, constants included, for codes `z` `[rows, latent]`.
    pub fn log_likelihood(&self, g: &mut Graph, weights: &[Tensor], z: Tensor, x: Tensor) -> Result<Tensor> {
        let output = self.decoder.forward(g, weights, z)?;
        ops::gaussian_log_likelihood(g, output, x, self.variance, self.sigmoid)
    }
}
