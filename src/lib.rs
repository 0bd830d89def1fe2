//! Smooth encoders on a from-scratch tensor engine.

pub mod cli;
pub mod data;
pub mod error;
pub mod run;
pub mod vae;

pub use error::{Error, Result};
