//! Elementwise functions of one or two tensors, from one table; `shaders/elementwise.wgsl`.
//!
//! A function is a row of the table at the end of this file: its expression, which is both Rust and WGSL, and its
//! gradients. The graph's function of its name, the shader's case and the CPU twin come from the row.
//!
//! ```
//! use smoothenc::engine::autodiff::gradients;
//! use smoothenc::engine::evaluate::{evaluate, floats};
//! use smoothenc::engine::ops::elementwise::{multiply, sigmoid};
//!
//! // The slope of x sigmoid(x).
//! let slope: Vec<f32> = evaluate([floats([3], &[-1000.0, 0.0, 1000.0])], |g, [x]| {
//!     let probability = sigmoid(g, x)?;
//!     let y = multiply(g, x, probability)?;
//!     Ok(gradients(g, y, &[x])?[0])
//! })?;
//! assert_eq!(slope, [0.0, 0.5, 1.0]);
//! # smoothenc::Result::Ok(())
//! ```

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::recording::Call;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::kernel;

kernel! {
    pub static ELEMENTWISE: "elementwise" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", (FUNCTIONS), "elementwise.wgsl"],
        params: { n: u32, alpha: f32 },
        constants: { FUNCTION, BINARY, IN_PLACE },
        bindings: { a: read f32, b: read f32, out: write f32 },
        cpu: elementwise_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Elementwise {
    function: Function,
    alpha: f32,
}

/// `function` of one or two tensors of one shape. `alpha` is for [`Function::Scale`].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for another number of tensors, other shapes, and integers.
pub fn elementwise(g: &mut Graph, function: Function, inputs: &[Tensor], alpha: f32) -> Result<Tensor> {
    g.apply_one(Elementwise { function, alpha }, inputs)
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        ELEMENTWISE.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let wanted = self.function.arguments();
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
        self.function.gradients(g, d, &node.inputs, node.outputs[0], self.alpha, wanted)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn call(&self, io: &Io) -> Call {
        let (shape, out) = &io.outputs[0];
        let (in_place, binary) = (io.is_in_place(0), self.function.arguments() == 2);
        let n = shape.len();
        Args {
            a: if in_place { UNUSED } else { io.input(0).by_row() },
            b: if binary { io.input(1).by_row() } else { UNUSED },
            out: out.by_row(),
        }
        .call(
            Params { n: n as u32, alpha: self.alpha },
            Constants { FUNCTION: self.function as u32, BINARY: binary.into(), IN_PLACE: in_place.into() },
        )
        .elementwise(shape)
        .flops(n)
    }
}

fn elementwise_cpu(Tile { p, constants, a, b, out, .. }: Tile) {
    if constants.IN_PLACE == 0 {
        out.copy_from_slice(a);
    }
    Function::ALL[constants.FUNCTION as usize].apply(out, b, p.alpha);
}

/// `a[i] = f(a[i], b[i])`; b is empty for a function of one argument.
#[inline(always)]
fn apply(a: &mut [f32], b: &[f32], f: impl Fn(f32, f32) -> f32) {
    if b.is_empty() {
        a.iter_mut().for_each(|a| *a = f(*a, 0.0));
    } else {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = f(*a, *b));
    }
}

/// Declares everything that a row of the table stands for.
macro_rules! functions {
    (@alpha) => { 0.0 };
    (@alpha $parameter:ident) => { $parameter };
    (
        $a:ident, $b:ident, $alpha:ident, $g:ident, $d:ident, $y:ident;
        $(
            $(#[$doc:meta])*
            $number:literal $Name:ident $name:ident($first:ident $(, $second:ident)? $(; $parameter:ident)?)
                = $value:expr, [$($gradient:expr),+];
        )*
    ) => {
        /// The functions, by their numbers in the shader.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Function {
            $($(#[$doc])* $Name = $number),*
        }

        impl Function {
            /// Every function, in the order of the numbers.
            pub const ALL: &[Function] = &[$(Function::$Name),*];

            /// How many tensors it takes: 1 or 2.
            pub const fn arguments(self) -> usize {
                match self {
                    $(Function::$Name => [stringify!($first) $(, stringify!($second))?].len()),*
                }
            }

            /// `a = f(a, b)` of each element; b is empty for a function of one argument.
            #[allow(unused_variables, reason = "a function may have one argument")]
            fn apply(self, a: &mut [f32], b: &[f32], $alpha: f32) {
                use scalar::*;
                match self {
                    $(Function::$Name => apply(a, b, |$a, $b| $value)),*
                }
            }

            /// The gradients by the arguments that are wanted.
            #[allow(unused_variables, reason = "a gradient may not need every argument")]
            fn gradients(
                self,
                $g: &mut Graph,
                $d: Tensor,
                inputs: &[Tensor],
                $y: Tensor,
                $alpha: f32,
                wanted: &[bool],
            ) -> Gradients {
                let ($a, $b) = (inputs[0], inputs[inputs.len() - 1]);
                let mut wanted = wanted.iter();
                Ok(match self {
                    $(Function::$Name => vec![$(match wanted.next() {
                        Some(true) => Some($gradient?),
                        _ => None,
                    }),+]),*
                })
            }
        }

        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Shape`](crate::Error::Shape) for tensors of other shapes than one another's, and for integers.
            pub fn $name(
                g: &mut Graph,
                $first: Tensor
                $(, $second: Tensor)?
                $(, $parameter: f32)?
            ) -> Result<Tensor> {
                elementwise(g, Function::$Name, &[$first $(, $second)?], functions!(@alpha $($parameter)?))
            }
        )*

        // Numbers count from 0, and there is a gradient by each argument.
        const _: () = {
            $(
                assert!(Function::ALL[$number] as usize == $number);
                assert!([$(stringify!($gradient)),+].len() == Function::$Name.arguments());
            )*
        };

        /// The table in WGSL.
        const FUNCTIONS: &str = concat!(
            "\nfn f(", stringify!($a), ": f32, ", stringify!($b), ": f32, ", stringify!($alpha), ": f32) -> f32 {\n",
            "    switch FUNCTION {\n",
            $("        case ", $number, ": { return ", stringify!($value), "; } // ", stringify!($name), "\n",)*
            "        default: { return 0.0; }\n    }\n}\n",
        );
    };
}

// A row: the function's number, its names, and its value by a, b and alpha, in what Rust and WGSL have in common. Then
// the gradient by each argument, from the gradient d by the value y.
functions! {
    a, b, alpha, g, d, y;

    /// `a + b`.
    0 Add add(a, b) = a + b, [Ok(d), Ok(d)];
    /// `a - b`.
    1 Subtract subtract(a, b) = a - b, [Ok(d), scale(g, d, -1.0)];
    /// `a b`.
    2 Multiply multiply(a, b) = a * b, [multiply(g, d, b), multiply(g, d, a)];
    /// `alpha a`.
    3 Scale scale(a; alpha) = alpha * a, [scale(g, d, alpha)];
    /// `max(a, 0)`; NaN of NaN.
    4 Relu relu(a) = relu(a), [relu_grad(g, d, y)];
    /// The gradient through a ReLU: `a` where the ReLU's output `b` is positive, else 0.
    5 ReluGrad relu_grad(a, b) = select(0.0, a, b > 0.0), [relu_grad(g, d, b), second_derivative()];
    /// The logistic function `1 / (1 + e^-a)`.
    6 Sigmoid sigmoid(a) = sigmoid(a), [sigmoid_grad(g, d, y)];
    /// The gradient through a sigmoid: `a b (1 - b)`, with the sigmoid's output `b`.
    7 SigmoidGrad sigmoid_grad(a, b) = a * (b * (1.0 - b)), [sigmoid_grad(g, d, b), second_derivative()];
    /// `e^a`.
    8 Exp exp(a) = exp(a), [multiply(g, d, y)];
}

fn second_derivative() -> Result<Tensor> {
    Err(Error::Shape { op: ELEMENTWISE.name, message: "no second derivative".into() })
}

/// What the table uses of WGSL, in Rust.
mod scalar {
    #[inline(always)]
    pub fn select(otherwise: f32, value: f32, condition: bool) -> f32 {
        if condition { value } else { otherwise }
    }

    #[inline(always)]
    pub fn exp(x: f32) -> f32 {
        x.exp()
    }

    #[inline(always)]
    pub fn relu(x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    /// By `e^-|x|`, which does not overflow.
    #[inline(always)]
    pub fn sigmoid(x: f32) -> f32 {
        let e = (-x.abs()).exp();
        select(e, 1.0, x >= 0.0) / (1.0 + e)
    }
}
