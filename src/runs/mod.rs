//! Training runs: their settings, their directories and files, the work on them from start to result, folders of
//! them, and grids of settings.

pub mod change;
pub mod check;
pub mod checkpoint;
pub mod codes;
pub mod compare;
pub mod config;
pub mod destination;
pub mod dir;
pub mod evaluate;
#[cfg(test)]
mod faults_tests;
mod identity;
pub mod list;
mod loaded;
#[cfg(test)]
pub(crate) mod made_up;
pub mod metrics;
pub mod model_file;
mod numpy;
mod outcomes;
mod pictures;
pub mod pipeline;
pub mod recipe;
pub mod record;
mod replace;
pub mod showcase;
pub mod store;
pub mod sweep;
pub mod tensorboard;
mod train;
pub mod writing;

pub use loaded::{LoadedRun, load_data};
pub use train::{check_resumable, train};

/// The double whose shortest decimal is that of the single-precision `value`: 0.1f32 becomes 0.1 and not
/// 0.10000000149. Everything written as text goes through this.
pub fn short(value: f32) -> f64 {
    // The text of a float always parses; the fallback is the plain conversion.
    value.to_string().parse().unwrap_or(f64::from(value))
}
