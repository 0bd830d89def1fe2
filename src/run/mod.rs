//! What a run leaves on the disk and what it is made from: settings, directory, metrics, checkpoints, results.

pub mod checkpoint;
pub mod config;
pub mod dir;
pub mod metrics;
pub mod result;
pub mod tensorboard;

/// The double whose shortest decimal is that of the single-precision `value`: 0.1f32 becomes 0.1 and not
/// 0.10000000149. Everything written as text goes through this.
pub fn short(value: f32) -> f64 {
    // The text of a float always parses; the fallback is the plain conversion.
    value.to_string().parse().unwrap_or(f64::from(value))
}
