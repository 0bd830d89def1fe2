//! The static graph: what is computed, with shapes, before any device is chosen.
//!
//! Nodes run in the order they were added. A tensor is either a *value*, written once by its node, or (a view of) a
//! *variable*, which keeps its content between runs. Several nodes may write a variable; a read sees the last write
//! before it.

mod copies;
mod op;
mod plan;

pub use op::{Gradients, Inputs, Io, Op, Outputs};
pub use plan::{Plan, plan};

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::kernel::ALIGN_WORDS;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};

/// A handle to a tensor of one graph. Other graphs refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tensor {
    graph: u32,
    index: u32,
}

/// Where a tensor's words live.
#[derive(Debug, Clone)]
enum Storage {
    /// Written once by its node; the plan assigns it scratch memory.
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
    /// The op.
    pub op: Arc<dyn Op>,
    /// Its inputs, in order.
    pub inputs: Vec<Tensor>,
    /// Its outputs, in order.
    pub outputs: Vec<Tensor>,
    /// Whether it is an assignment: its outputs are variables.
    pub assigns: bool,
}

/// A span of nodes that runs several times in a row.
#[derive(Debug, Clone)]
struct Loop {
    nodes: Range<usize>,
    times: usize,
}

/// A graph under construction. The [module](self) has its rules.
#[derive(Debug)]
pub struct Graph {
    /// Its number in this process, by which it knows its own tensors.
    number: u32,
    tensors: Vec<TensorInfo>,
    nodes: Vec<Node>,
    loops: Vec<Loop>,
    in_loop: bool,
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl Graph {
    /// A graph without nodes.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Graph { number, tensors: Vec::new(), nodes: Vec::new(), loops: Vec::new(), in_loop: false }
    }

    /// A copy for the planner to change; the tensors of the original are valid in it.
    fn duplicate(&self) -> Graph {
        let (tensors, nodes, loops) = (self.tensors.clone(), self.nodes.clone(), self.loops.clone());
        Graph { number: self.number, tensors, nodes, loops, in_loop: self.in_loop }
    }

    /// # Errors
    /// [`Error::Shape`] for a tensor of another graph, in the name of the op that it is given to.
    fn check_own(&self, op: &'static str, tensors: &[Tensor]) -> Result<()> {
        match tensors.iter().all(|t| t.graph == self.number) {
            true => Ok(()),
            false => Err(Error::Shape { op, message: "is given a tensor of another graph".into() }),
        }
    }

    fn info(&self, t: Tensor) -> &TensorInfo {
        &self.tensors[t.index as usize]
    }

    fn push(&mut self, shape: Shape, dtype: DType, storage: Storage) -> Tensor {
        self.tensors.push(TensorInfo { shape, dtype, storage });
        self.tensor(self.tensors.len() - 1)
    }

    fn tensor(&self, index: usize) -> Tensor {
        Tensor { graph: self.number, index: index as u32 }
    }

    /// A tensor's shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for a tensor of another graph.
    pub fn shape(&self, t: Tensor) -> Result<&Shape> {
        self.check_own("shape", &[t])?;
        Ok(&self.info(t).shape)
    }

    /// A tensor's element type.
    ///
    /// # Errors
    /// [`Error::Shape`] for a tensor of another graph.
    pub fn dtype(&self, t: Tensor) -> Result<DType> {
        self.check_own("dtype", &[t])?;
        Ok(self.info(t).dtype)
    }

    /// The nodes so far, in the order they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The variable `name`, made on first use.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape or type than the first time, and for a shape without elements;
    /// [`Error::TooLarge`].
    pub fn variable(&mut self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        check_size("variable", &shape)?;
        let known = self.tensors.iter().position(|t| matches!(&t.storage, Storage::Variable(n) if n == name));
        match known.map(|i| (self.tensor(i), &self.tensors[i])) {
            Some((t, info)) if info.shape == shape && info.dtype == dtype => Ok(t),
            Some((_, TensorInfo { shape: its, dtype: kind, .. })) => Err(Error::Shape {
                op: "variable",
                message: format!("{name} is {its} of {kind:?} and was asked for as {shape} of {dtype:?}"),
            }),
            None => Ok(self.push(shape, dtype, Storage::Variable(name.to_string()))),
        }
    }

    /// A new variable: `name`, or `name 2` and so on where the graph has one of that name.
    ///
    /// # Errors
    /// As [`variable`](Self::variable).
    pub fn new_variable(&mut self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let is_free = |name: &String| {
            !self.tensors.iter().any(|t| matches!(&t.storage, Storage::Variable(n) if n == name))
        };
        let mut names = std::iter::once(name.to_string()).chain((2..).map(|i| format!("{name} {i}")));
        let free = names.find(is_free).expect("numbers do not end");
        self.variable(&free, shape, dtype)
    }

    /// A part of `base` from word `offset` on, under another shape and without a copy. `offset` is a multiple of
    /// [`ALIGN_WORDS`].
    ///
    /// # Errors
    /// [`Error::Shape`] for words that are not all in `base`, another alignment, a shape without elements, or a tensor
    /// of another graph.
    pub fn view(&mut self, base: Tensor, offset: usize, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_size("view", &shape)?;
        let whole = self.shape(base)?;
        let fits = offset.checked_add(shape.len()).is_some_and(|end| end <= whole.len());
        if !offset.is_multiple_of(ALIGN_WORDS) || !fits {
            let message = format!("{shape} from word {offset} of {whole}: out of range or not aligned");
            return Err(Error::Shape { op: "view", message });
        }
        let dtype = self.info(base).dtype;
        Ok(self.push(shape, dtype, Storage::View { base, offset }))
    }

    /// Applies `op`; its outputs are new values.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs that the op cannot take, a tensor of another graph, and an output without elements;
    /// [`Error::TooLarge`].
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

    /// [`apply`](Self::apply); returns the first output.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_one(&mut self, op: impl Op, inputs: &[Tensor]) -> Result<Tensor> {
        let outputs = self.apply(op, inputs)?;
        Ok(outputs[0])
    }

    /// Applies `op`, which writes its outputs to (views of) variables. An op that updates a variable takes it as an
    /// output only.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), and [`Error::Shape`] for outputs that are no variables or of other shapes.
    pub fn apply_to(&mut self, op: impl Op, inputs: &[Tensor], outputs: &[Tensor]) -> Result<()> {
        let specs = self.output_specs(&op, inputs)?;
        self.check_own(op.name(), outputs)?;
        let is = |(shape, dtype): &(Shape, DType), t: Tensor| {
            *shape == self.info(t).shape && *dtype == self.info(t).dtype
        };
        let fits = specs.len() == outputs.len() && specs.iter().zip(outputs).all(|(spec, &t)| is(spec, t));
        if !fits || outputs.iter().any(|&t| !self.is_variable(t)) {
            let got: Vec<_> = outputs.iter().map(|&t| self.info(t).shape.to_string()).collect();
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
        self.check_own(op.name(), inputs)?;
        let infos = inputs.iter().map(|&t| self.info(t));
        let shapes: Vec<_> = infos.map(|info| (&info.shape, info.dtype)).collect();
        let specs = op.outputs(&shapes).map_err(|message| Error::Shape { op: op.name(), message })?;
        specs.iter().try_for_each(|(shape, _)| check_size(op.name(), shape))?;
        Ok(specs)
    }

    /// Runs the nodes that `body` adds `times` times in a row. Only variables carry data from one iteration to the
    /// next. Loops do not nest.
    ///
    /// # Errors
    /// [`Error::Shape`] inside another loop, and the errors of `body`.
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

    /// The tensor that owns `t`'s words, and the word in it at which they start.
    fn root(&self, mut t: Tensor) -> (Tensor, usize) {
        let mut offset = 0;
        while let Storage::View { base, offset: o } = self.info(t).storage {
            (t, offset) = (base, offset + o);
        }
        (t, offset)
    }

    /// The tensors that `t` is a view of, the nearest one first.
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
            && from < at + self.info(b).shape.len()
            && at < from + self.info(a).shape.len()
    }

    /// A tensor in words, for messages.
    pub(crate) fn describe(&self, t: Tensor) -> String {
        match &self.info(self.root(t).0).storage {
            Storage::Variable(name) => format!("variable {name}"),
            _ => format!("a value of shape {}", self.info(t).shape),
        }
    }

    fn is_variable(&self, t: Tensor) -> bool {
        matches!(self.info(self.root(t).0).storage, Storage::Variable(_))
    }
}

/// A tensor has elements, and kernels count them in 32 bits.
fn check_size(op: &'static str, shape: &Shape) -> Result<()> {
    let len = shape.dims().iter().try_fold(1_usize, |len, &side| len.checked_mul(side));
    match len.map(u32::try_from) {
        Some(Ok(0)) => {
            Err(Error::Shape { op, message: format!("a tensor of shape {shape} has no elements") })
        }
        Some(Ok(_)) => Ok(()),
        _ => Err(Error::too_large(format!("{op}: a tensor of shape {shape} has more than 2^32 elements"))),
    }
}
