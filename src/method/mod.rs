//! What the paper adds to the engine: its ops, the VAE and its objectives, the selection of fictive points, the probe
//! and the attack, the tabular system of section 2.2 and the sampler of appendix D.1.

#![deny(missing_docs)]

pub mod divergence;
mod elbo;
pub mod lipschitz;
pub mod ops;
pub mod robustness;
pub mod sampler;
pub mod selection;
mod table;
pub mod tabular;
mod trainer;
pub mod vae;

pub use elbo::{check_elbo, mean_elbo};
pub use table::{RESIDENT_BYTES, Table};
pub use trainer::{Averages, TrainSettings, Trainer, training_graph};
