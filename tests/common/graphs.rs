//! What tests of graphs share.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use smoothenc::engine::device;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::elementwise::scale;
use smoothenc::engine::ops::store;
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::F32;

/// A session on the CPU.
pub fn cpu() -> Session {
    Session::new(device::open("cpu", false).unwrap())
}

/// Keeps a copy of `t`, which the plan remains free to put anywhere.
pub fn keep(g: &mut Graph, name: &str, t: Tensor) {
    let copy = scale(g, t, 1.0).unwrap();
    let shape = g.shape(t).unwrap().clone();
    let target = g.variable(name, shape, F32).unwrap();
    store(g, copy, target).unwrap();
}
