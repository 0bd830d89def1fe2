//! The ops. Each has one file with its shape rule, gradient rule, CPU kernel and GPU call: op `foo` is
//! `src/engine/ops/foo.rs`, `shaders/foo.wgsl` and `kernels-tests/foo.rs`.

pub mod adam;
pub mod broadcast;
mod concat;
mod conv2d;
mod conv2d_transpose;
mod conv2d_weight_grad;
mod convolution;
mod convolve;
mod copy;
pub mod elementwise;
mod fill;
mod gather;
pub(crate) mod half;
pub(crate) mod lanes;
mod log_softmax;
pub mod matmul;
mod monitor;
mod random;
pub mod reduce;
mod shuffle;
mod softmax_cross_entropy;
mod squared_distances;
pub mod weighted_mean;

pub use adam::{AdamSettings, adam};
pub use concat::concat;
pub use conv2d_weight_grad::conv2d_weight_grad;
pub use convolution::{Convolution, ImageShape};
pub use convolve::{conv2d, conv2d_transpose};
pub use copy::store;
pub use fill::{fill, fill_to};
pub use gather::{byte_table_words, gather, gather_bytes};
pub use half::half;
pub use log_softmax::log_softmax;
pub use matmul::{COOPERATIVE_TILINGS, TILINGS, half_linear, linear, matmul};
pub use monitor::{SUMS, monitor};
pub use random::{normal, uniform};
pub use shuffle::{examples_of, shuffle};
pub use softmax_cross_entropy::{CrossEntropy, softmax_cross_entropy};
pub use squared_distances::squared_distances;
pub use weighted_mean::{TERMS, Term, weighted_mean};

use crate::engine::kernel::Kernel;

/// Every kernel of the engine. A test fails where a file of `shaders/` is missing here, or a kernel here has no shader
/// or no test of its name.
pub static KERNELS: &[&Kernel] = &[
    &adam::ADAM,
    &broadcast::BROADCAST,
    &concat::CONCAT,
    &conv2d::CONV2D,
    &conv2d_transpose::CONV2D_TRANSPOSE,
    &conv2d_weight_grad::CONV2D_WEIGHT_GRAD,
    &copy::COPY,
    &elementwise::ELEMENTWISE,
    &fill::FILL,
    &gather::GATHER,
    &half::HALF,
    &log_softmax::LOG_SOFTMAX,
    &matmul::MATMUL,
    &monitor::MONITOR,
    &random::RANDOM,
    &reduce::REDUCE,
    &shuffle::SHUFFLE,
    &softmax_cross_entropy::SOFTMAX_CROSS_ENTROPY,
    &squared_distances::SQUARED_DISTANCES,
    &weighted_mean::WEIGHTED_MEAN,
];
