//! The divergences for full covariances (docs/method.md, section 3; eqs 12-21 of the paper).
//!
//! With square factors `S_a = K K'` and `S_b = L L'` (Cholesky's, or from the eigenvectors where a covariance is
//! singular), the matrix under the root in eqs 13-21 has the eigenvalues `m = c^2` of `S_b^(1/2) S_a S_b^(1/2)`,
//! where `c` are the singular values of `L' K`: that product differs from `S_b^(1/2) S_a^(1/2)` by rotations only.
//! Taking `c` itself, rather than the eigenvalues of the squared matrix, keeps small ones exact to rounding.
//! The results are sums over `c`:
//!
//! - `Tr Psi = sum 2 g m / (u + 1)`, `u = sqrt(1 + 4 g^2 m)`, the form of `sqrt(1/(4 g^2) + m) - 1/(2 g)` that
//!   does not cancel and is 0 at `g = 0`;
//! - the part of `WD` beside half of `g W2^2` and the two `log|S|` is the factorised one with `s = 2 g c`.
//!
//! `W2^2` and KL are computed from the difference `E = S_a - S_b`, which is exact where the two nearly agree, as sums
//! of terms that are not negative. So they do not cancel. `bures` and `kl_shape` have the formulas.

use std::f64::consts::{LN_2, PI};

use nalgebra::{Cholesky, DMatrix, SVD, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::{coupling_terms, expm1_minus};

/// A pair of Gaussians with full covariances, and the coupling `gamma >= 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FullCase {
    /// The coupling.
    pub gamma: f64,
    /// The mean of the first Gaussian.
    pub mu_a: Vec<f64>,
    /// The covariance of the first Gaussian, row by row.
    pub cov_a: Vec<Vec<f64>>,
    /// The mean of the second Gaussian.
    pub mu_b: Vec<f64>,
    /// The covariance of the second Gaussian, row by row.
    pub cov_b: Vec<Vec<f64>>,
}

/// Every divergence of a [`FullCase`], under the names of the `divergence` command's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FullOut {
    /// The trace of the optimal cross-covariance.
    pub trace_psi: f64,
    /// The entropy-regularised Wasserstein divergence `WD_gamma`; infinite where a covariance is singular.
    pub wd: f64,
    /// The squared 2-Wasserstein distance (eq 12, the Bures form).
    pub w2: f64,
    /// `KL(q_a || q_b)`; infinite where a covariance is singular.
    pub kl_ab: f64,
    /// Why values are not finite, beginning with the key of the input at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a covariance may be from symmetric and from positive semidefinite, relative to its largest entry and
/// eigenvalue: room for the rounding of float32.
const ROUNDING: f64 = 1e-6;

impl FullCase {
    /// All divergences of the pair. The caller must check lengths, finiteness and `gamma >= 0`.
    ///
    /// # Errors
    /// A sentence beginning with the key at fault: a covariance that is not square of the mean's length, not
    /// symmetric or not positive semidefinite.
    pub fn evaluate(&self) -> Result<FullOut, String> {
        let dimension = self.mu_a.len();
        let a = Covariance::new("cov_a", &self.cov_a, dimension)?;
        let b = Covariance::new("cov_b", &self.cov_b, dimension)?;
        let product = b.root.transpose() * &a.root;
        let svd = match product.iter().all(|x| x.is_finite()) {
            true => SVD::try_new(product, true, true, f64::EPSILON, ITERATIONS),
            false => None,
        };
        let Some(SVD { u: Some(left), v_t: Some(right), singular_values: roots }) = svd else {
            return Ok(FullOut::none("cov_a and cov_b are too large for float64"));
        };
        let difference = &a.matrix - &b.matrix;
        let midpoint = (&a.root + &b.root * left * right) / 2.0;
        let Some(shape) = bures(&difference, midpoint, a.singular || b.singular) else {
            return Ok(FullOut::none("cov_a and cov_b are beyond float64"));
        };

        let g = self.gamma;
        let shift =
            DMatrix::from_iterator(dimension, 1, self.mu_a.iter().zip(&self.mu_b).map(|(a, b)| a - b));
        let (mut trace_psi, mut coupling) = (0.0, 0.0);
        for &c in &roots {
            let s = 2.0 * g * c;
            trace_psi += s * c / (s.hypot(1.0) + 1.0);
            coupling += coupling_terms(s)[0];
        }
        let w2 = shift.norm_squared() + shape;
        let singular = match (a.singular, b.singular) {
            (true, true) => "cov_a and cov_b are singular",
            (true, false) => "cov_a is singular",
            (false, true) => "cov_b is singular",
            (false, false) => "",
        };
        if !singular.is_empty() {
            let fix = "so wd and kl_ab are infinite; add a small multiple of I to make them finite";
            let (wd, kl_ab, reason) = (f64::INFINITY, f64::INFINITY, Some(format!("{singular}, {fix}")));
            return Ok(FullOut { trace_psi, wd, w2, kl_ab, reason });
        }
        let constants = dimension as f64 * (LN_2 / 2.0 + (2.0 * PI).ln() + 1.0);
        let wd = g / 2.0 * w2 + coupling - (a.log_determinant() + b.log_determinant()) / 2.0 - constants;
        let kl_ab = (kl_shape(&a, &b, difference) + b.whiten(shift).norm_squared()) / 2.0;
        Ok(FullOut { trace_psi, wd, w2, kl_ab, reason: None })
    }
}

impl FullOut {
    fn none(reason: &str) -> Self {
        let [trace_psi, wd, w2, kl_ab] = [f64::NAN; 4];
        FullOut { trace_psi, wd, w2, kl_ab, reason: Some(reason.into()) }
    }
}

/// The most iterations of a decomposition; thousands of dimensions need fewer.
const ITERATIONS: usize = 100_000;

/// `Tr(S_a + S_b - 2 (S_b^(1/2) S_a S_b^(1/2))^(1/2))` of `E = S_a - S_b`.
///
/// With factors `S_a = K K'`, `S_b = L L'` and the orthogonal `U` that brings `F = L U` closest to `K`, it is `|K -
/// F|^2` (Bhatia, Jain and Lim, "On the Bures-Wasserstein distance between positive definite matrices", 2019, theorem
/// 1). `U` is `P R'` of the decomposition `L' K = P c R'`. With `D = K - F` and the midpoint `M = (K + F)/2` one has
/// `E = M D' + D M'` without a term of second order. The optimality of `U` makes `D = Y M` with a symmetric `Y`, so
/// `E = Y N + N Y` for `N = M M'`. In the eigenbasis of `N`, with its eigenvalues `n`, that gives
///
/// `|D|^2 = Tr(Y N Y) = sum_ij E_ij^2 / (2 (n_i + n_j))`.
///
/// It is exact at every distance, needs no inverse, and an error in `U` moves it in second order only. None where
/// the decomposition fails.
fn bures(difference: &DMatrix<f64>, midpoint: DMatrix<f64>, singular: bool) -> Option<f64> {
    let svd = SVD::try_new(midpoint, true, false, f64::EPSILON, ITERATIONS)?;
    let (basis, values) = (svd.u?, svd.singular_values.map(|x| x * x));
    let turned = basis.transpose() * difference * basis;
    // Where N is 0, so is E, up to rounding.
    let nothing = if singular { values.max() * rounding(values.len()) } else { 0.0 };
    let term = |i: usize, j: usize| {
        let (e, n) = (turned[(i, j)], values[i] + values[j]);
        if n > nothing { e * (e / (2.0 * n)) } else { 0.0 }
    };
    Some(DMatrix::from_fn(values.len(), values.len(), term).sum())
}

/// `Tr(S_b^-1 S_a) - Dz - log|S_b^-1 S_a|`: twice the part of KL that does not depend on the means.
///
/// It is the sum of `x - log(1 + x)` over the eigenvalues `x` of `L^-1 E L^-T`, that is of `exp(t) - 1 - t` with `t =
/// log(1 + x)`. Where the two are far apart, an eigenvalue near -1 may have lost its digits; there the determinants are
/// used, and nothing cancels.
fn kl_shape(a: &Covariance, b: &Covariance, difference: DMatrix<f64>) -> f64 {
    let whitened = b.whiten(b.whiten(difference).transpose());
    if whitened.norm() <= 0.5 {
        let whitened = (&whitened + whitened.transpose()) / 2.0;
        return whitened.symmetric_eigenvalues().iter().map(|x| expm1_minus(x.ln_1p())).sum();
    }
    let trace = b.whiten(a.root.clone()).norm_squared();
    let logs = b.log_determinant() - a.log_determinant();
    // Below 0 only where S_b is so nearly singular that the trace is all rounding.
    (trace - a.root.nrows() as f64 + logs).clamp(0.0, f64::INFINITY)
}

/// A covariance, symmetric, with a square factor `root root'` of it.
struct Covariance {
    matrix: DMatrix<f64>,
    /// Lower triangular unless the covariance is singular.
    root: DMatrix<f64>,
    singular: bool,
}

impl Covariance {
    /// Checks the matrix of `rows` and factors it.
    fn new(key: &str, rows: &[Vec<f64>], dimension: usize) -> Result<Self, String> {
        if rows.len() != dimension || rows.iter().any(|row| row.len() != dimension) {
            return Err(format!(
                "{key} must be {dimension}x{dimension}, as mu_a and mu_b have {dimension} entries"
            ));
        }
        let matrix = DMatrix::from_fn(dimension, dimension, |i, j| rows[i][j]);
        let largest = matrix.amax();
        for (i, j) in (0..dimension).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let apart = (matrix[(i, j)] - matrix[(j, i)]).abs();
            if apart > ROUNDING * largest {
                return Err(format!(
                    "{key} is not symmetric: entries [{i}][{j}] and [{j}][{i}] are {apart:e} apart, more than \
                     {ROUNDING:e} of the largest entry; give (S + S')/2 if that is rounding"
                ));
            }
        }
        let matrix = matrix.map_with_location(|i, j, x| x / 2.0 + rows[j][i] / 2.0);
        if let Some(factor) = Cholesky::new(matrix.clone()) {
            let root = factor.unpack();
            // Singular where the rows before leave only rounding of a row's variance. The test is relative to that
            // variance, so the scale of a dimension does not matter.
            let left = |i: usize| root[(i, i)] * root[(i, i)] / matrix[(i, i)];
            if (0..dimension).all(|i| left(i) > rounding(dimension)) {
                return Ok(Covariance { matrix, root, singular: false });
            }
        }
        let SymmetricEigen { eigenvectors, eigenvalues } = matrix.clone().symmetric_eigen();
        let (least, most) = (eigenvalues.min(), eigenvalues.max());
        if least < -ROUNDING * most || most < 0.0 {
            return Err(format!(
                "{key} is not positive semidefinite: its smallest eigenvalue is {least:e}, its largest {most:e}"
            ));
        }
        let roots = eigenvalues.map(|x| if x > most * rounding(dimension) { x.sqrt() } else { 0.0 });
        Ok(Covariance { matrix, root: eigenvectors * DMatrix::from_diagonal(&roots), singular: true })
    }

    /// `log|S|`.
    fn log_determinant(&self) -> f64 {
        2.0 * self.root.diagonal().iter().map(|x| x.ln()).sum::<f64>()
    }

    /// `root^-1 x`, for a covariance that is not singular.
    fn whiten(&self, mut x: DMatrix<f64>) -> DMatrix<f64> {
        self.root.solve_lower_triangular_unchecked_mut(&mut x);
        x
    }
}

/// The relative rounding of sums over `dimension` terms, with room.
fn rounding(dimension: usize) -> f64 {
    16.0 * dimension as f64 * f64::EPSILON
}
