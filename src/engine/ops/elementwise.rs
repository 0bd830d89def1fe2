//! Elementwise functions of one or two tensors; `shaders/elementwise.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::recording::Call;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static ELEMENTWISE: "elementwise" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "elementwise.wgsl"],
        params: { n: u32, alpha: f32 },
        constants: { FUNCTION, IN_PLACE },
        bindings: { a: read f32, b: read f32, out: write f32 },
        cpu: elementwise_cpu,
    }
}

/// The functions, numbered as in the shader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// `a + b`.
    Add = 0,
    /// `a - b`.
    Subtract,
    /// `a b`.
    Multiply,
    /// `alpha a`.
    Scale,
    /// `max(a, 0)`; NaN of NaN.
    Relu,
    /// The first argument where the second, the ReLU's output, is positive; else 0.
    ReluGrad,
    /// `1 / (1 + e^-a)`.
    Sigmoid,
    /// The first argument times the sigmoid's derivative, given its output as the second.
    SigmoidGrad,
    /// `e^a`.
    Exp,
}
use Function::*;

impl Function {
    /// Every function, in the order of the shader's numbers.
    pub const ALL: [Function; 9] =
        [Add, Subtract, Multiply, Scale, Relu, ReluGrad, Sigmoid, SigmoidGrad, Exp];

    /// Whether it takes two arguments.
    pub fn is_binary(self) -> bool {
        matches!(self, Add | Subtract | Multiply | ReluGrad | SigmoidGrad)
    }
}

#[derive(Debug, Clone, Copy)]
struct Elementwise {
    function: Function,
    alpha: f32,
}

/// `function` of `a`, and of `b` exactly where it takes two arguments; all of one shape. `alpha` is for
/// [`Scale`].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn elementwise(
    g: &mut Graph,
    function: Function,
    a: Tensor,
    b: Option<Tensor>,
    alpha: f32,
) -> Result<Tensor> {
    let inputs: Vec<_> = [Some(a), b].into_iter().flatten().collect();
    g.apply_one(Elementwise { function, alpha }, &inputs)
}

/// `a + b`, of one shape.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for other shapes, and for integers.
pub fn add(g: &mut Graph, a: Tensor, b: Tensor) -> Result<Tensor> {
    elementwise(g, Add, a, Some(b), 0.0)
}

/// `alpha a`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for integers.
pub fn scale(g: &mut Graph, a: Tensor, alpha: f32) -> Result<Tensor> {
    elementwise(g, Scale, a, None, alpha)
}

/// The logistic function `1 / (1 + e^-a)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for integers.
pub fn sigmoid(g: &mut Graph, a: Tensor) -> Result<Tensor> {
    elementwise(g, Sigmoid, a, None, 0.0)
}

/// The gradient through a ReLU: `dy` where its output `y` is positive, else 0.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where the shapes differ, and for integers.
pub fn relu_grad(g: &mut Graph, dy: Tensor, y: Tensor) -> Result<Tensor> {
    elementwise(g, ReluGrad, dy, Some(y), 0.0)
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        ELEMENTWISE.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let wanted = 1 + usize::from(self.function.is_binary());
        if inputs.len() != wanted || inputs.iter().any(|&(s, d)| s != inputs[0].0 || d != DType::F32) {
            let shapes: Vec<_> = inputs.iter().map(|(s, _)| s.to_string()).collect();
            return Err(format!(
                "{:?} of {shapes:?}: needs {wanted} float tensors of one shape",
                self.function
            ));
        }
        Ok(vec![(inputs[0].0.clone(), DType::F32)])
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        let Some(d) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        let (a, y) = (node.inputs[0], node.outputs[0]);
        let mut gradients = vec![match self.function {
            Add | Subtract => d,
            Multiply => elementwise(g, Multiply, d, Some(node.inputs[1]), 0.0)?,
            Scale => scale(g, d, self.alpha)?,
            Relu => relu_grad(g, d, y)?,
            Sigmoid => elementwise(g, SigmoidGrad, d, Some(y), 0.0)?,
            Exp => elementwise(g, Multiply, d, Some(y), 0.0)?,
            // Linear in the first argument.
            ReluGrad | SigmoidGrad => elementwise(g, self.function, d, Some(node.inputs[1]), 0.0)?,
        }];
        if self.function.is_binary() {
            gradients.push(match (wanted[1], self.function) {
                (false, _) => return Ok(vec![Some(gradients[0]), None]),
                (true, Add) => d,
                (true, Subtract) => scale(g, d, -1.0)?,
                (true, Multiply) => elementwise(g, Multiply, d, Some(a), 0.0)?,
                (true, _) => {
                    let message = "no second derivative".to_string();
                    return Err(crate::Error::Shape { op: self.name(), message });
                }
            });
        }
        Ok(gradients.into_iter().map(Some).collect())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn call(&self, io: &Io) -> Call {
        let (shape, out) = &io.outputs[0];
        let in_place = io.is_in_place(0);
        let n = shape.len();
        let b = if self.function.is_binary() { io.input(1).by_row() } else { UNUSED };
        Args { a: if in_place { UNUSED } else { io.input(0).by_row() }, b, out: out.by_row() }
            .call(
                Params { n: n as u32, alpha: self.alpha },
                Constants { FUNCTION: self.function as u32, IN_PLACE: in_place.into() },
            )
            .elementwise(shape)
            .flops(n)
    }
}

fn elementwise_cpu(Tile { p, constants, a, b, out, .. }: Tile) {
    let function = Function::ALL[constants.FUNCTION as usize];
    if constants.IN_PLACE == 0 {
        out.copy_from_slice(a);
    }
    let unary = |out: &mut [f32], f: fn(f32) -> f32| out.iter_mut().for_each(|x| *x = f(*x));
    match function {
        Add => out.iter_mut().zip(b).for_each(|(x, y)| *x += y),
        Subtract => out.iter_mut().zip(b).for_each(|(x, y)| *x -= y),
        Multiply => out.iter_mut().zip(b).for_each(|(x, y)| *x *= y),
        Scale => out.iter_mut().for_each(|x| *x *= p.alpha),
        Relu => unary(out, |x| if x < 0.0 { 0.0 } else { x }),
        ReluGrad => out.iter_mut().zip(b).for_each(|(x, y)| *x = if *y > 0.0 { *x } else { 0.0 }),
        Sigmoid => unary(out, stable_sigmoid),
        SigmoidGrad => out.iter_mut().zip(b).for_each(|(x, y)| *x *= y * (1.0 - y)),
        Exp => unary(out, f32::exp),
    }
}

/// By `exp(-|x|)`, which does not overflow.
fn stable_sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}
