//! The ops: one file each, everything about an op in it (shape rule, gradient rule, CPU kernel,
//! GPU call). Op `foo` is `src/engine/ops/foo.rs`, `shaders/foo.wgsl` and `kernels-tests/foo.rs`.

pub mod adam;
pub mod broadcast;
mod classify;
mod concat;
mod conv2d;
mod conv2d_transpose;
mod conv2d_weight_grad;
mod convolution;
mod cosine_logits;
pub mod elementwise;
mod entropic_distance;
mod entropic_wasserstein;
mod fill;
mod gather;
mod gaussian_log_likelihood;
mod half;
mod lanes;
mod log_softmax;
pub mod matmul;
mod monitor;
mod pgd_mlp;
mod pgd_start;
mod pgd_step;
mod random;
pub mod reduce;
mod reparameterise;
mod reparameterise_grad;
mod shuffle;
mod sinkhorn;
mod softmax_cross_entropy;
mod squared_distances;
mod transport_plan;
mod wasserstein2;
pub mod weighted_mean;

pub use adam::{AdamSettings, adam};
pub use classify::mark_wrong;
pub use concat::concat;
pub use conv2d::conv2d;
pub use conv2d_transpose::conv2d_transpose;
pub use conv2d_weight_grad::conv2d_weight_grad;
pub use convolution::{Convolution, ImageShape};
pub use cosine_logits::cosine_logits;
pub use entropic_distance::entropic_distance;
pub use entropic_wasserstein::entropic_wasserstein;
pub use fill::{fill, fill_to};
pub use gather::{COLORS, byte_table_words, gather, gather_bytes, gather_colored};
pub use gaussian_log_likelihood::gaussian_log_likelihood;
pub use half::half;
pub use log_softmax::log_softmax;
pub use matmul::{TILINGS, UNIT_TILINGS, half_linear, linear, matmul};
pub use monitor::{SUMS, monitor};
pub use pgd_mlp::{Ascent, Dense, Goal, MAX_LAYERS, SHARINGS, Start, fits, in_half, pgd_mlp};
pub use pgd_start::{StartNoise, pgd_start};
pub use pgd_step::{Norm, pgd_step};
pub use random::{normal, uniform};
pub use reparameterise::{Sample, reparameterise};
pub use reparameterise_grad::reparameterise_grad;
pub use shuffle::{examples_of, shuffle};
pub use sinkhorn::{MOST_STATES, sinkhorn};
pub use softmax_cross_entropy::{CrossEntropy, softmax_cross_entropy};
pub use squared_distances::squared_distances;
pub use transport_plan::transport_plan;
pub use wasserstein2::{Distance, wasserstein2};
pub use weighted_mean::{TERMS, Term, weighted_mean};

use crate::engine::recording::Kernel;

/// Every kernel. A test fails when a file in `shaders/` is missing here, or a kernel here has no
/// shader or no test of its name.
pub static KERNELS: &[&Kernel] = &[
    &adam::ADAM,
    &broadcast::BROADCAST,
    &classify::CLASSIFY,
    &concat::CONCAT,
    &conv2d::CONV2D,
    &conv2d_transpose::CONV2D_TRANSPOSE,
    &conv2d_weight_grad::CONV2D_WEIGHT_GRAD,
    &cosine_logits::COSINE_LOGITS,
    &elementwise::ELEMENTWISE,
    &entropic_distance::ENTROPIC_DISTANCE,
    &entropic_wasserstein::ENTROPIC_WASSERSTEIN,
    &fill::FILL,
    &gather::GATHER,
    &half::HALF,
    &gaussian_log_likelihood::GAUSSIAN_LOG_LIKELIHOOD,
    &log_softmax::LOG_SOFTMAX,
    &matmul::MATMUL,
    &monitor::MONITOR,
    &pgd_mlp::PGD_MLP,
    &pgd_start::PGD_START,
    &pgd_step::PGD_STEP,
    &random::RANDOM,
    &reduce::REDUCE,
    &reparameterise::REPARAMETERISE,
    &reparameterise_grad::REPARAMETERISE_GRAD,
    &shuffle::SHUFFLE,
    &sinkhorn::SINKHORN,
    &softmax_cross_entropy::SOFTMAX_CROSS_ENTROPY,
    &squared_distances::SQUARED_DISTANCES,
    &transport_plan::TRANSPORT_PLAN,
    &wasserstein2::WASSERSTEIN2,
    &weighted_mean::WEIGHTED_MEAN,
];
