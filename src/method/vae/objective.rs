//! The training objectives (docs/method.md, section 2), as losses to minimise.

use crate::engine::graph::{Graph, Tensor};
use crate::engine::ops::{self, Term};
use crate::error::Result;
use crate::method::ops::{Rise, entropic_wasserstein, reparameterise};
use crate::method::vae::Vae;

/// The objective of training, which is maximised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// `E log p(x|z) - beta KL(q || p)`; the VAE's ELBO at beta 1.
    Elbo {
        /// The weight of KL.
        beta: f32,
    },
    /// `E1 + E2a + E2b - WD_g(q_a, q_b)`, coupling g.
    Smooth {
        /// The coupling.
        gamma: f32,
    },
}

/// A loss and its parts.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// `[1]`: minus the objective, averaged over the batch, constants included.
    pub total: Tensor,
    /// `[4]`: batch means of the objective's [`names`](Objective::names).
    pub means: Tensor,
}

impl Objective {
    /// Names of the terms behind [`Loss::means`].
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Objective::Elbo { .. } => &["log_likelihood", "minus_kl"],
            Objective::Smooth { .. } => &["log_likelihood", "prior_a", "prior_b", "wd"],
        }
    }

    /// Whether the objective couples every example to a selected one.
    pub fn needs_selection(&self) -> bool {
        matches!(self, Objective::Smooth { .. })
    }

    /// The loss of the batch `x` `[batch, inputs]` with noise `u` `[batch, latent]`. `selected` is x_b, of the shape of
    /// `x`, for [`Smooth`](Objective::Smooth), else `None`. x_b does not enter the decoder. `rise` is for a coupling
    /// that rises.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    #[allow(clippy::too_many_arguments, reason = "the terms of the objective")]
    pub fn loss(
        &self,
        g: &mut Graph,
        vae: &Vae,
        weights: &[Tensor],
        x: Tensor,
        selected: Option<Tensor>,
        u: Tensor,
        rise: Option<Rise>,
    ) -> Result<Loss> {
        let batch = g.shape(x)?.rows();
        let encoded = match selected {
            Some(selected) => ops::concat(g, x, selected)?,
            None => x,
        };
        let head = vae.encode(g, weights, encoded)?;
        let code = reparameterise(g, head, u)?;
        let log_likelihood = vae.log_likelihood(g, weights, code.z, x)?;
        let term = |values, rows, weight| Term { values, rows, weight };
        let (a, b) = (0..batch, batch..2 * batch);
        let terms = match *self {
            Objective::Elbo { beta } => {
                vec![term(log_likelihood, a.clone(), -1.0), term(code.minus_kl, a, -beta)]
            }
            Objective::Smooth { gamma } => {
                let wd = entropic_wasserstein(g, head, gamma, rise)?;
                vec![
                    term(log_likelihood, a.clone(), -1.0),
                    term(code.prior, a.clone(), -1.0),
                    term(code.prior, b, -1.0),
                    term(wd, a, 1.0),
                ]
            }
        };
        let (total, means) = ops::weighted_mean(g, &terms, batch)?;
        Ok(Loss { total, means })
    }
}
