//! Variational auto-encoders: the model, its objectives and the closed-form divergences.

pub mod divergence;
mod model;
mod objective;

pub use model::Vae;
pub use objective::{Loss, Objective};
