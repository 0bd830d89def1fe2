//! The trait of ops.

use std::fmt::Debug;

use crate::engine::graph::{Graph, Node, Tensor};
use crate::engine::kernel::View;
use crate::engine::recording::Call;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};

/// Shapes and types of a node's inputs.
pub type Inputs<'a> = [(&'a Shape, DType)];

/// Those of its outputs, or what is wrong with the inputs.
pub type Outputs = std::result::Result<Vec<(Shape, DType)>, String>;

/// The gradients by a node's inputs; none where nothing flows back.
pub type Gradients = Result<Vec<Option<Tensor>>>;

/// An op: a shape rule, a gradient rule, and the one kernel call it becomes.
pub trait Op: Debug + Send + Sync + 'static {
    /// The kernel's name.
    fn name(&self) -> &'static str;

    /// Shapes and types of the outputs.
    ///
    /// # Errors
    /// What is wrong with the inputs, in words.
    fn outputs(&self, inputs: &Inputs) -> Outputs;

    /// Adds nodes for the gradients by the inputs that are `wanted`, given those of the outputs; `None` is zero.
    /// Returns one for each input.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op has no such gradient, as by default.
    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        let _ = (graph, upstream, wanted);
        Err(Error::Shape { op: self.name(), message: format!("has no gradient (node {node:?})") })
    }

    /// The input whose memory output 0 may take over where no node reads it afterwards.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Whether output 0 is input 0, word by word.
    fn is_copy(&self) -> bool {
        false
    }

    /// The kernel call, given where every tensor lies.
    fn call(&self, io: &Io) -> Call;
}

/// The placed inputs and outputs of a node.
#[derive(Debug, Clone)]
pub struct Io {
    /// Shape and place of each input.
    pub inputs: Vec<(Shape, View)>,
    /// Shape and place of each output.
    pub outputs: Vec<(Shape, View)>,
}

impl Io {
    /// The place of input `i`.
    ///
    /// # Panics
    /// Where there is no such input.
    pub fn input(&self, i: usize) -> View {
        self.inputs[i].1
    }

    /// The place of output `i`.
    ///
    /// # Panics
    /// Where there is no such output.
    pub fn output(&self, i: usize) -> View {
        self.outputs[i].1
    }

    /// Whether output 0 has taken over the memory of input `i`.
    pub fn is_in_place(&self, i: usize) -> bool {
        self.inputs[i].1 == self.outputs[0].1
    }
}
