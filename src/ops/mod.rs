//! The ops: one file each, everything about an op in it (shape rule, gradient rule, CPU kernel,
//! GPU call). Op `foo` is `src/ops/foo.rs`, `shaders/foo.wgsl` and `kernels-tests/foo.rs`.

pub mod adam;
pub mod broadcast;
mod concat;
pub mod elementwise;
mod fill;
mod gather;
pub mod matmul;
mod monitor;
mod random;
pub mod reduce;
mod shuffle;
pub mod weighted_mean;

pub use adam::{AdamSettings, adam};
pub use concat::concat;
pub use fill::{fill, fill_to};
pub use gather::{byte_table_words, gather, gather_bytes};
pub use matmul::{linear, matmul};
pub use monitor::{SUMS, monitor};
pub use random::{normal, uniform};
pub use shuffle::shuffle;
pub use weighted_mean::{TERMS, Term, weighted_mean};

use crate::recording::Kernel;

/// Every kernel. A test fails when a file in `shaders/` is missing here, or a kernel here has no
/// shader or no test of its name.
pub static KERNELS: &[&Kernel] = &[
    &adam::ADAM,
    &broadcast::BROADCAST,
    &concat::CONCAT,
    &elementwise::ELEMENTWISE,
    &fill::FILL,
    &gather::GATHER,
    &matmul::MATMUL,
    &monitor::MONITOR,
    &random::RANDOM,
    &reduce::REDUCE,
    &shuffle::SHUFFLE,
    &weighted_mean::WEIGHTED_MEAN,
];
