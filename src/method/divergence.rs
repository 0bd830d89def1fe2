//! Closed-form divergences between Gaussians in float64 (docs/method.md, section 3; appendix B.2 and C of the paper).
//!
//! This file has factorised Gaussians, given by mean and log-variance; [`full`] has full covariances. The `divergence`
//! command prints them, and the float32 kernels are tested against them. So every formula is in a form that does not
//! cancel: differences of deviations use `expm1`, and `psi`, `u - 1` and the like have no subtraction. Distances and KL
//! are sums of terms that are not negative.

mod device;
pub mod full;

#[cfg(test)]
mod near_tests;
#[cfg(test)]
mod tests;

use std::f64::consts::{E, LN_2, PI};

use serde::{Deserialize, Serialize};

pub use device::on_device;
pub use full::{FullCase, FullOut};

/// A pair of factorised Gaussians, all four lists of one length, and the coupling `gamma >= 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagonalCase {
    /// The coupling.
    pub gamma: f64,
    /// The mean of the first Gaussian.
    pub mu_a: Vec<f64>,
    /// The log-variances of the first Gaussian.
    pub logvar_a: Vec<f64>,
    /// The mean of the second Gaussian.
    pub mu_b: Vec<f64>,
    /// The log-variances of the second Gaussian.
    pub logvar_b: Vec<f64>,
}

/// Every divergence of a [`DiagonalCase`], under the names of the `divergence` command's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagonalOut {
    /// The entropy-regularised Wasserstein divergence `WD_gamma`.
    pub wd: f64,
    /// The gradient of `wd`.
    pub wd_grad: WdGrad,
    /// The squared 2-Wasserstein distance (eq 12).
    pub w2: f64,
    /// The gradient of `w2`.
    pub w2_grad: W2Grad,
    /// `KL(q_a || q_b)`.
    pub kl_ab: f64,
    /// `KL(q_a || N(0, I))`.
    pub kl_a_std: f64,
    /// `KL(q_b || N(0, I))`.
    pub kl_b_std: f64,
}

/// The gradient of `wd`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WdGrad {
    /// By the mean of the first Gaussian.
    pub d_mu_a: Vec<f64>,
    /// By the log-variances of the first Gaussian.
    pub d_logvar_a: Vec<f64>,
    /// By the mean of the second Gaussian.
    pub d_mu_b: Vec<f64>,
    /// By the log-variances of the second Gaussian.
    pub d_logvar_b: Vec<f64>,
}

/// The gradient of `w2` with respect to the second Gaussian, the only one the selection needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct W2Grad {
    /// By its mean.
    pub d_mu_b: Vec<f64>,
    /// By its log-variances.
    pub d_logvar_b: Vec<f64>,
}

impl DiagonalCase {
    /// The latent dimensions as `(mu_a, logvar_a, mu_b, logvar_b)`, as many as the shortest list has.
    fn dimensions(&self) -> impl Iterator<Item = (f64, f64, f64, f64)> {
        let a = self.mu_a.iter().zip(&self.logvar_a);
        let b = self.mu_b.iter().zip(&self.logvar_b);
        a.zip(b).map(|((&ma, &la), (&mb, &lb))| (ma, la, mb, lb))
    }

    /// All divergences of the pair. The caller must check that the lists are of one length and finite, and that `gamma`
    /// is finite and not negative: it can say where they came from.
    pub fn evaluate(&self) -> DiagonalOut {
        let g = self.gamma;
        let (mut wd, mut w2, mut kl_ab) = (0.0, 0.0, 0.0);
        let (mut wd_grad, mut w2_grad) = (WdGrad::default(), W2Grad::default());
        for (ma, la, mb, lb) in self.dimensions() {
            let (sa, sb) = ((la / 2.0).exp(), (lb / 2.0).exp());
            let shift = ma - mb;
            let spread = deviation_difference(la, lb);
            // The exponential of the mean: the product of the deviations may be 0 * infinity where this is finite.
            let [u_term, slope] = coupling_terms(2.0 * g * ((la + lb) / 2.0).exp());
            wd += g / 2.0 * (shift * shift + spread * spread) + u_term
                - (LN_2 + la + lb) / 2.0
                - (2.0 * PI).ln()
                - 1.0;
            wd_grad.d_mu_a.push(g * shift);
            wd_grad.d_mu_b.push(-g * shift);
            wd_grad.d_logvar_a.push(g / 2.0 * sa * spread - slope);
            wd_grad.d_logvar_b.push(-g / 2.0 * sb * spread - slope);
            w2 += shift * shift + spread * spread;
            w2_grad.d_mu_b.push(-2.0 * shift);
            w2_grad.d_logvar_b.push(-sb * spread);
            kl_ab += (expm1_minus(la - lb) + shift * shift * (-lb).exp()) / 2.0;
        }
        DiagonalOut {
            wd,
            wd_grad,
            w2,
            w2_grad,
            kl_ab,
            kl_a_std: kl_standard(&self.mu_a, &self.logvar_a),
            kl_b_std: kl_standard(&self.mu_b, &self.logvar_b),
        }
    }
}

/// `KL(N(mu, diag exp(logvar)) || N(0, I))`.
pub fn kl_standard(mu: &[f64], logvar: &[f64]) -> f64 {
    mu.iter().zip(logvar).map(|(m, &l)| (expm1_minus(l) + m * m) / 2.0).sum()
}

/// `E log N(z; 0, I)` under the Gaussian, constants included (`E2` of docs/method.md, section 2).
pub fn prior_term(mu: &[f64], logvar: &[f64]) -> f64 {
    mu.iter().zip(logvar).map(|(m, l)| -(m * m + l.exp() + (2.0 * PI).ln()) / 2.0).sum()
}

/// The Gaussian's entropy, constants included (`H` of docs/method.md, section 2).
pub fn entropy(logvar: &[f64]) -> f64 {
    logvar.iter().map(|l| (l + (2.0 * PI * E).ln()) / 2.0).sum()
}

/// The optimal covariance of one latent pair, `psi = (u - 1) / (2 gamma)`; 0 at `gamma = 0`. Written as
/// `2 gamma P / (u + 1)`, which does not cancel.
pub fn psi(gamma: f64, logvar_a: f64, logvar_b: f64) -> f64 {
    let p = (logvar_a + logvar_b).exp();
    let s = 2.0 * gamma * ((logvar_a + logvar_b) / 2.0).exp();
    2.0 * gamma * p / (1.0 + s.hypot(1.0))
}

/// `sqrt(S_a) - sqrt(S_b)` without cancellation, from the log-variances.
fn deviation_difference(logvar_a: f64, logvar_b: f64) -> f64 {
    let half = (logvar_a - logvar_b) / 2.0;
    if half <= 0.0 {
        (logvar_b / 2.0).exp() * half.exp_m1()
    } else {
        -(logvar_a / 2.0).exp() * (-half).exp_m1()
    }
}

/// For `s = 2 gamma sa sb` and `U = sqrt(1 + s^2)`, the coupling's part of one dimension, `1/2 - 1/(2 (s + U)) +
/// log1p(U)/2`, and `1/(4 (s + U)) + 1/4`, which is subtracted from the gradients of both log-variances.
fn coupling_terms(s: f64) -> [f64; 2] {
    let u = s.hypot(1.0);
    [0.5 - 0.5 / (s + u) + u.ln_1p() / 2.0, 0.25 / (s + u) + 0.25]
}

/// `exp(d) - 1 - d >= 0`; by its series where the difference would cancel.
fn expm1_minus(d: f64) -> f64 {
    if d.abs() < 0.1 {
        // From the last term inwards: d^2/2 (1 + d/3 (1 + d/4 ..)). The first term left out is 1e-19 of the value.
        (3..=12).rev().fold(1.0, |sum, k| 1.0 + d / f64::from(k) * sum) * d * d / 2.0
    } else {
        d.exp_m1() - d
    }
}
