//! The method's mathematics.

pub mod divergence;
