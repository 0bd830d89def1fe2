//! Variational auto-encoders: the model and its objectives.

mod model;
mod objective;

pub use model::Vae;
pub use objective::{Loss, Objective};
