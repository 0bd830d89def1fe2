//! Training runs: their settings, their directories and files, the work on them from start to result, folders of
//! them, and grids of settings.

pub mod audit;
mod certificates;
pub mod change;
pub mod check;
pub mod checkpoint;
pub mod codes;
pub mod compare;
pub mod config;
pub mod destination;
pub mod dir;
pub mod evaluate;
pub mod examples;
pub mod export;
#[cfg(test)]
mod faults_tests;
pub mod foreign;
pub(crate) mod identity;
pub mod list;
mod loaded;
#[cfg(test)]
pub(crate) mod made_up;
mod mark;
pub mod metrics;
pub mod model_file;
pub mod network;
pub(crate) mod numpy;
pub mod onnx;
mod outcomes;
pub mod output;
pub mod paired;
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
mod vnnlib;
pub mod writing;

pub use loaded::{LoadedRun, Location, load_data};
pub use train::{check_resumable, train};

/// A radius for people: four significant digits at the most, so that 4/255 is 0.01569.
pub fn shown(radius: f64) -> String {
    format!("{radius:.3e}").parse().unwrap_or(radius).to_string()
}

/// The double whose shortest decimal is that of the single-precision `value`: 0.1f32 becomes 0.1 and not
/// 0.10000000149. Everything written as text goes through this.
pub fn short(value: f32) -> f64 {
    // The text of a float always parses; the fallback is the plain conversion.
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_are_shown_in_four_digits() {
        for (radius, text) in
            [(4.0 / 255.0, "0.01569"), (0.1, "0.1"), (0.0, "0"), (1.5, "1.5"), (12.0, "12"), (1e-4, "0.0001")]
        {
            assert_eq!(shown(short(radius)), text);
        }
    }
}
