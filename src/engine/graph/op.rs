//! What an op has to say about itself.

use std::fmt::Debug;

use crate::engine::graph::{Graph, Node, Tensor};
use crate::engine::kernel::View;
use crate::engine::recording::Call;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};

/// An op: a shape rule, a gradient rule, and the one kernel call it becomes.
pub trait Op: Debug + Send + Sync + 'static {
    /// The kernel's name.
    fn name(&self) -> &'static str;

    /// Shapes and types of the outputs, or what is wrong with the inputs.
    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String>;

    /// Adds nodes for the gradients with respect to the inputs that are `wanted`, given those
    /// of the outputs (`None`: nothing flows back). An op without a rule has no gradient.
    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let _ = (graph, upstream, wanted);
        Err(Error::Shape { op: self.name(), message: format!("has no gradient (node {node:?})") })
    }

    /// An input whose memory the output 0 may take over when nobody reads it afterwards.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Whether output 0 is input 0, word by word.
    fn is_copy(&self) -> bool {
        false
    }

    /// The kernel call, once every tensor has its place.
    fn call(&self, io: &Io) -> Call;
}

/// The placed inputs and outputs of a node.
#[derive(Debug, Clone)]
pub struct Io {
    pub inputs: Vec<(Shape, View)>,
    pub outputs: Vec<(Shape, View)>,
}

impl Io {
    pub fn input(&self, i: usize) -> View {
        self.inputs[i].1
    }

    pub fn output(&self, i: usize) -> View {
        self.outputs[i].1
    }

    /// True where output 0 took over the memory of input `i`.
    pub fn is_in_place(&self, i: usize) -> bool {
        self.inputs[i].1 == self.outputs[0].1
    }
}
