//! Smooth encoders on a from-scratch tensor engine.

pub mod autodiff;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod data;
pub mod error;
pub mod experiment;
pub mod files;
pub mod graph;
pub mod nn;
pub mod ops;
pub mod progress;
pub mod recording;
pub mod report;
pub mod reproduce;
pub mod rng;
pub mod robustness;
pub mod run;
pub mod runs;
pub mod sampler;
pub mod selection;
pub mod session;
pub mod simd;
pub mod sweep;
pub mod tabular;
pub mod tensor;
pub mod vae;

pub use error::{Error, Result};
