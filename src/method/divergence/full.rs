//! The divergences for full covariances (docs/method.md, section 3; eqs 12-21 of the paper).
//!
//! With Cholesky factors `S_a = K K'` and `S_b = L L'`, the matrix under the root in eqs 13-21 has the eigenvalues
//! `m = c^2` of `S_b^(1/2) S_a S_b^(1/2)`, where `c` are the singular values of `L' K`: that product differs from
//! `S_b^(1/2) S_a^(1/2)` by rotations only. Taking `c` itself, rather than the eigenvalues of the squared
//! matrix, keeps small ones exact to rounding. Everything asked for is a sum over `c`:
//!
//! - `Tr Psi = sum 2 g m / (u + 1)`, `u = sqrt(1 + 4 g^2 m)`, the form of `sqrt(1/(4 g^2) + m) - 1/(2 g)` that does not
//!   cancel and is 0 at `g = 0`;
//! - `W2^2 = |m_a - m_b|^2 + Tr(S_a + S_b) - 2 sum c`;
//! - `log|S_b| + log|S_a - Psi S_b^-1 Psi'| = sum log(m - b^2) = sum log(b / g)`, with `b` the terms of `Tr Psi`, and
//!   `sum log m = log|S_a| + log|S_b|` from the factors.

use std::f64::consts::{E, PI};

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SVD};
use serde::{Deserialize, Serialize};

/// A pair of Gaussians with full covariances (row by row) and the coupling `gamma >= 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FullCase {
    pub gamma: f64,
    pub mu_a: Vec<f64>,
    pub cov_a: Vec<Vec<f64>>,
    pub mu_b: Vec<f64>,
    pub cov_b: Vec<Vec<f64>>,
}

/// Every divergence of a [`FullCase`], under the names of the `divergence` command's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FullOut {
    /// The trace of the optimal cross-covariance.
    pub trace_psi: f64,
    /// The entropy-regularised Wasserstein divergence `WD_gamma`.
    pub wd: f64,
    /// The squared 2-Wasserstein distance (eq 12, the Bures form).
    pub w2: f64,
    /// `KL(q_a || q_b)`.
    pub kl_ab: f64,
}

/// How far a covariance may be from symmetric, relative to its largest entry: room for rounding in text.
const SYMMETRY: f64 = 1e-9;

impl FullCase {
    /// All divergences of the pair. Lengths, finiteness and `gamma >= 0` are the caller's to check.
    ///
    /// # Errors
    /// A sentence beginning with the key at fault: a covariance that is not square of the mean's length, not
    /// symmetric or not positive definite, or numbers too extreme for float64.
    pub fn evaluate(&self) -> Result<FullOut, String> {
        let dimension = self.mu_a.len();
        let (a, ka) = factor("cov_a", &self.cov_a, dimension)?;
        let (b, lb) = factor("cov_b", &self.cov_b, dimension)?;
        let product = lb.l().transpose() * ka.l();
        if product.iter().any(|x| !x.is_finite()) {
            return Err("cov_a and cov_b are too large for float64".into());
        }
        let svd = SVD::try_new(product, false, false, f64::EPSILON, 100_000)
            .ok_or("cov_a and cov_b have no singular values that float64 can find")?;
        let singular = svd.singular_values;

        let g = self.gamma;
        let shift = DVector::from_iterator(dimension, self.mu_a.iter().zip(&self.mu_b).map(|(a, b)| a - b));
        let (logdet_a, logdet_b) = (log_determinant(&ka), log_determinant(&lb));
        let (mut trace_psi, mut log_joint) = (0.0, logdet_a + logdet_b);
        for &c in &singular {
            let u = (2.0 * g * c).hypot(1.0);
            trace_psi += 2.0 * g * c * c / (u + 1.0);
            // log(b / g) = log m - log((u + 1) / 2); the first part is in the determinants already.
            log_joint -= ((u - 1.0) / 2.0).ln_1p();
        }
        let traces = a.trace() + b.trace();
        let distance = shift.norm_squared();
        let cost = distance + traces - 2.0 * trace_psi;
        let wd = g / 2.0 * cost - dimension as f64 * (2.0 * PI * E).ln() - log_joint / 2.0;
        let w2 = distance + (traces - 2.0 * singular.sum()).max(0.0);

        // Tr(S_b^-1 S_a) = |L^-1 K|^2, and the quadratic form alike.
        let lower = lb.l();
        let singular_factor = "cov_b is not positive definite to float64's precision";
        let whitened = lower.solve_lower_triangular(&ka.l()).ok_or(singular_factor)?;
        let whitened_shift = lower.solve_lower_triangular(&shift).ok_or(singular_factor)?;
        let quadratic = whitened.norm_squared() + whitened_shift.norm_squared();
        let kl_ab = (quadratic - dimension as f64 + logdet_b - logdet_a) / 2.0;
        Ok(FullOut { trace_psi, wd, w2, kl_ab })
    }
}

/// Checks a covariance and factors it: the matrix, and its Cholesky factor.
fn factor(
    key: &str,
    rows: &[Vec<f64>],
    dimension: usize,
) -> Result<(DMatrix<f64>, Cholesky<f64, Dyn>), String> {
    if rows.len() != dimension || rows.iter().any(|row| row.len() != dimension) {
        return Err(format!(
            "{key} must be {dimension}x{dimension}, as mu_a and mu_b have {dimension} entries"
        ));
    }
    let matrix = DMatrix::from_fn(dimension, dimension, |i, j| rows[i][j]);
    let largest = matrix.amax();
    for i in 0..dimension {
        for j in 0..i {
            let difference = (matrix[(i, j)] - matrix[(j, i)]).abs();
            if difference > SYMMETRY * largest {
                return Err(format!("{key} is not symmetric: entries [{i}][{j}] and [{j}][{i}] differ"));
            }
        }
    }
    let matrix = (&matrix + matrix.transpose()) / 2.0;
    match Cholesky::new(matrix.clone()) {
        Some(factor) => Ok((matrix, factor)),
        None => Err(format!("{key} is not positive definite")),
    }
}

/// `log|S|` from the Cholesky factor.
fn log_determinant(factor: &Cholesky<f64, Dyn>) -> f64 {
    2.0 * factor.l_dirty().diagonal().iter().map(|x| x.ln()).sum::<f64>()
}
