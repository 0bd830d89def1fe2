//! A static-graph tensor engine with reverse-mode gradients, on the CPU and on GPUs through WGSL kernels. It knows
//! nothing of the paper, the data sets or the command line.

#![deny(missing_docs)]

pub mod autodiff;
pub mod device;
pub mod evaluate;
pub mod graph;
pub mod kernel;
pub mod nn;
pub mod ops;
pub mod recording;
pub mod rng;
pub mod session;
pub mod simd;
pub mod tensor;
