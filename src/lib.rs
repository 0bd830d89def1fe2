//! Smooth encoders on a from-scratch tensor engine.

pub mod bench;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod files;
pub mod progress;
pub mod report;
pub mod reproduce;
pub mod robustness;
pub mod run;
pub mod runs;
pub mod sampler;
pub mod selection;
pub mod sweep;
pub mod tabular;
pub mod vae;

pub use error::{Error, Result};
