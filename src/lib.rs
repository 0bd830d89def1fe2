//! Smooth encoders on a from-scratch tensor engine.

#[cfg(feature = "cli")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod files;
#[cfg(any(all(test, feature = "cli"), feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod memory;
pub mod method;
#[cfg(feature = "cli")]
mod nearest;
pub mod progress;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod reproduce;
#[cfg(feature = "cli")]
pub mod runs;

pub use error::{Error, Result};

/// Every kernel: the engine's and the method's.
pub fn kernels() -> impl Iterator<Item = &'static engine::kernel::Kernel> + Clone {
    engine::ops::KERNELS.iter().chain(method::ops::KERNELS).copied()
}

/// The programs in docs/library.md compile.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/library.md")]
struct Pages;
