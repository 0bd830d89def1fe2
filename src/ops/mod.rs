//! The ops: one file each, everything about an op in it (shape rule, gradient rule, CPU kernel,
//! GPU call). Op `foo` is `src/ops/foo.rs`, `shaders/foo.wgsl` and `kernels-tests/foo.rs`.

pub mod broadcast;
mod classify;
pub mod elementwise;
mod entropic_distance;
mod entropic_wasserstein;
mod fill;
mod gaussian_log_likelihood;
mod lanes;
pub mod matmul;
mod pgd_start;
mod pgd_step;
pub mod reduce;
mod reparameterise;
mod reparameterise_grad;
mod softmax_cross_entropy;
mod wasserstein2;

pub use classify::mark_wrong;
pub use entropic_distance::entropic_distance;
pub use entropic_wasserstein::entropic_wasserstein;
pub use fill::{fill, fill_to};
pub use gaussian_log_likelihood::gaussian_log_likelihood;
pub use matmul::{linear, matmul};
pub use pgd_start::{StartNoise, pgd_start};
pub use pgd_step::{Norm, pgd_step};
pub use reparameterise::{Sample, reparameterise};
pub use reparameterise_grad::reparameterise_grad;
pub use softmax_cross_entropy::{CrossEntropy, softmax_cross_entropy};
pub use wasserstein2::{Distance, wasserstein2};

use crate::recording::Kernel;

/// Every kernel. A test fails when a file in `shaders/` is missing here, or a kernel here has no
/// shader or no test of its name.
pub static KERNELS: &[&Kernel] = &[
    &broadcast::BROADCAST,
    &classify::CLASSIFY,
    &elementwise::ELEMENTWISE,
    &entropic_distance::ENTROPIC_DISTANCE,
    &entropic_wasserstein::ENTROPIC_WASSERSTEIN,
    &fill::FILL,
    &gaussian_log_likelihood::GAUSSIAN_LOG_LIKELIHOOD,
    &matmul::MATMUL,
    &pgd_start::PGD_START,
    &pgd_step::PGD_STEP,
    &reduce::REDUCE,
    &reparameterise::REPARAMETERISE,
    &reparameterise_grad::REPARAMETERISE_GRAD,
    &softmax_cross_entropy::SOFTMAX_CROSS_ENTROPY,
    &wasserstein2::WASSERSTEIN2,
];
