//! The ops: one file each, everything about an op in it (shape rule, gradient rule, CPU kernel,
//! GPU call). Op `foo` is `src/ops/foo.rs`, `shaders/foo.wgsl` and `kernels-tests/foo.rs`.

pub mod broadcast;
pub mod elementwise;
mod fill;
pub mod matmul;
pub mod reduce;

pub use fill::{fill, fill_to};
pub use matmul::{linear, matmul};

use crate::recording::Kernel;

/// Every kernel. A test fails when a file in `shaders/` is missing here, or a kernel here has no
/// shader or no test of its name.
pub static KERNELS: &[&Kernel] =
    &[&broadcast::BROADCAST, &elementwise::ELEMENTWISE, &fill::FILL, &matmul::MATMUL, &reduce::REDUCE];
