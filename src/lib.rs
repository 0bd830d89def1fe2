//! Smooth encoders on a from-scratch tensor engine.

pub mod error;

pub use error::{Error, Result};
