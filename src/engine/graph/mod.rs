//! The static graph: what is computed, with shapes, before any device is chosen.
//!
//! Nodes run in the order they were added. A tensor is either a *value*, written once by its
//! node, or (a view of) a *variable*, which keeps its content between runs and may be written
//! by several nodes; a read sees the last write before it in the order.

mod copies;
mod op;
mod plan;

pub use op::{Io, Op};
pub use plan::{Plan, plan};

use std::ops::Range;
use std::sync::Arc;

use crate::engine::recording::ALIGN_WORDS;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};

/// A handle to a tensor of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tensor(u32);

/// Where a tensor's words live.
#[derive(Debug, Clone)]
enum Storage {
    /// Written once by its node; the plan finds it scratch memory.
    Value,
    /// Named, kept between runs, shared by name between the programs of a session.
    Variable(String),
    /// Words of another tensor, from `offset` on.
    View { base: Tensor, offset: usize },
}

#[derive(Debug, Clone)]
struct TensorInfo {
    shape: Shape,
    dtype: DType,
    storage: Storage,
}

/// An op applied to tensors.
#[derive(Debug, Clone)]
pub struct Node {
    pub op: Arc<dyn Op>,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// The outputs are variables (the node is an assignment, not a function of its inputs).
    pub assigns: bool,
}

/// A span of nodes that runs several times in a row.
#[derive(Debug, Clone)]
struct Loop {
    nodes: Range<usize>,
    times: usize,
}

/// A graph under construction. See the module's text for its rules.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    tensors: Vec<TensorInfo>,
    nodes: Vec<Node>,
    loops: Vec<Loop>,
    in_loop: bool,
}

impl Graph {
    pub fn new() -> Self {
        Graph::default()
    }

    fn info(&self, t: Tensor) -> &TensorInfo {
        &self.tensors[t.0 as usize]
    }

    fn push(&mut self, shape: Shape, dtype: DType, storage: Storage) -> Tensor {
        self.tensors.push(TensorInfo { shape, dtype, storage });
        Tensor(self.tensors.len() as u32 - 1)
    }

    pub fn shape(&self, t: Tensor) -> &Shape {
        &self.info(t).shape
    }

    pub fn dtype(&self, t: Tensor) -> DType {
        self.info(t).dtype
    }

    /// The nodes so far, in the order they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The variable of this name, made on first use. Asking again with another shape or type
    /// is an error.
    pub fn variable(&mut self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        let known = self.tensors.iter().position(|t| matches!(&t.storage, Storage::Variable(n) if n == name));
        match known.map(|i| Tensor(i as u32)) {
            Some(t) if *self.shape(t) == shape && self.dtype(t) == dtype => Ok(t),
            Some(t) => Err(Error::Shape {
                op: "variable",
                message: format!("{name} is {} and was asked for as {shape}", self.shape(t)),
            }),
            None => Ok(self.push(shape, dtype, Storage::Variable(name.to_string()))),
        }
    }

    /// Part of `base` under another shape, without a copy. `offset` is in words and a multiple
    /// of [`ALIGN_WORDS`].
    pub fn view(&mut self, base: Tensor, offset: usize, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if !offset.is_multiple_of(ALIGN_WORDS) || offset + shape.len() > self.shape(base).len() {
            let whole = self.shape(base);
            let message = format!("{shape} from word {offset} of {whole}: out of range or not aligned");
            return Err(Error::Shape { op: "view", message });
        }
        let dtype = self.dtype(base);
        Ok(self.push(shape, dtype, Storage::View { base, offset }))
    }

    /// Applies `op`, making its outputs as new values.
    pub fn apply(&mut self, op: impl Op, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let specs = self.output_specs(&op, inputs)?;
        let outputs: Vec<_> = specs.into_iter().map(|(s, d)| self.push(s, d, Storage::Value)).collect();
        self.nodes.push(Node {
            op: Arc::new(op),
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            assigns: false,
        });
        Ok(outputs)
    }

    /// [`apply`](Self::apply) for an op of one output.
    pub fn apply_one(&mut self, op: impl Op, inputs: &[Tensor]) -> Result<Tensor> {
        let outputs = self.apply(op, inputs)?;
        Ok(outputs[0])
    }

    /// Applies `op`, writing its outputs to (views of) variables. An op that updates a
    /// variable takes it as an output only.
    pub fn apply_to(&mut self, op: impl Op, inputs: &[Tensor], outputs: &[Tensor]) -> Result<()> {
        let specs = self.output_specs(&op, inputs)?;
        let fits = specs.len() == outputs.len()
            && specs.iter().zip(outputs).all(|((s, d), &t)| s == self.shape(t) && *d == self.dtype(t));
        if !fits || outputs.iter().any(|&t| !self.is_variable(t)) {
            let got: Vec<_> = outputs.iter().map(|&t| self.shape(t).to_string()).collect();
            let message = format!("writes {specs:?}, given {got:?}; outputs must be variables");
            return Err(Error::Shape { op: op.name(), message });
        }
        self.nodes.push(Node {
            op: Arc::new(op),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            assigns: true,
        });
        Ok(())
    }

    fn output_specs(&self, op: &impl Op, inputs: &[Tensor]) -> Result<Vec<(Shape, DType)>> {
        let shapes: Vec<_> = inputs.iter().map(|&t| (self.shape(t), self.dtype(t))).collect();
        op.outputs(&shapes).map_err(|message| Error::Shape { op: op.name(), message })
    }

    /// Runs the nodes that `body` adds `times` times in a row. What it carries from one turn to
    /// the next are the variables it writes. Loops do not nest.
    pub fn repeat(&mut self, times: usize, body: impl FnOnce(&mut Graph) -> Result<()>) -> Result<()> {
        if self.in_loop {
            return Err(Error::Shape { op: "repeat", message: "loops do not nest".into() });
        }
        let start = self.nodes.len();
        self.in_loop = true;
        let done = body(self);
        self.in_loop = false;
        self.loops.push(Loop { nodes: start..self.nodes.len(), times });
        done
    }

    /// The tensor that owns `t`'s words, and where in it they start.
    fn root(&self, mut t: Tensor) -> (Tensor, usize) {
        let mut offset = 0;
        while let Storage::View { base, offset: o } = self.info(t).storage {
            (t, offset) = (base, offset + o);
        }
        (t, offset)
    }

    /// The tensors that `t` is a view of, the nearest first.
    pub(crate) fn bases(&self, t: Tensor) -> impl Iterator<Item = Tensor> {
        let base = |t: &Tensor| match self.info(*t).storage {
            Storage::View { base, .. } => Some(base),
            _ => None,
        };
        std::iter::successors(base(&t), base)
    }

    /// Whether both are (views of) one variable and share words of it.
    pub(crate) fn overlap(&self, a: Tensor, b: Tensor) -> bool {
        let ((one, from), (other, at)) = (self.root(a), self.root(b));
        self.is_variable(one)
            && one == other
            && from < at + self.shape(b).len()
            && at < from + self.shape(a).len()
    }

    /// A tensor in words, for messages.
    pub(crate) fn describe(&self, t: Tensor) -> String {
        match &self.info(self.root(t).0).storage {
            Storage::Variable(name) => format!("variable {name}"),
            _ => format!("a value of shape {}", self.shape(t)),
        }
    }

    fn is_variable(&self, t: Tensor) -> bool {
        matches!(self.info(self.root(t).0).storage, Storage::Variable(_))
    }
}
