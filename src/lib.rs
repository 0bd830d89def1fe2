//! Smooth encoders on a from-scratch tensor engine.

pub mod autodiff;
pub mod backend;
pub mod error;
pub mod graph;
pub mod ops;
pub mod recording;
pub mod rng;
pub mod session;
pub mod tensor;

pub use error::{Error, Result};
