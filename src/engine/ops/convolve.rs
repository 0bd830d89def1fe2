//! The op of both convolutions: each direction is the other's gradient by the input. The kernels are in `conv2d.rs` and
//! `conv2d_transpose.rs`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::{Kernel, UNUSED};
use crate::engine::ops::conv2d::{self, CONV2D};
use crate::engine::ops::conv2d_transpose::{self, CONV2D_TRANSPOSE};
use crate::engine::ops::conv2d_weight_grad::conv2d_weight_grad;
use crate::engine::ops::convolution::{Convolution, ImageShape, channel_sums};
use crate::engine::ops::elementwise;
use crate::engine::recording::Call;
use crate::error::Result;

/// The direction through a [`Convolution`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the large image to the small one: `conv2d`.
    Down,
    /// From the small image to the large one: `conv2d_transpose`.
    Up,
}

#[derive(Debug, Clone, Copy)]
struct Convolve {
    convolution: Convolution,
    direction: Direction,
    bias: bool,
    relu: bool,
}

/// `act(x * W + b)` `[rows, small]` for x `[rows, large]`, W as in [`Convolution::weight_shape`] and b `[small
/// channels]`. Without a bias there is no ReLU.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::{Convolution, conv2d};
///
/// // Differences of neighbours in a row of three pixels.
/// let kernel = Convolution::new([1, 1, 3], 1, [1, 2], 1, 0)?;
/// let inputs = [floats([1, 3], &[1.0, 4.0, 9.0]), floats([1, 1, 1, 2], &[-1.0, 1.0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [x, weight]| conv2d(g, kernel, x, weight, None, false))?;
/// assert_eq!(y, [3.0, 5.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn conv2d(
    g: &mut Graph,
    convolution: Convolution,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    relu: bool,
) -> Result<Tensor> {
    convolve(g, convolution, Direction::Down, [x, weight], bias, relu)
}

/// The transposed convolution, with bias and ReLU: `[rows, large]` for x `[rows, small]`, W as in
/// [`Convolution::weight_shape`] and b `[large channels]`. Without a bias there is no ReLU.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::{Convolution, conv2d_transpose};
///
/// let kernel = Convolution::new([1, 1, 3], 1, [1, 2], 1, 0)?;
/// let inputs = [floats([1, 2], &[3.0, 5.0]), floats([1, 1, 1, 2], &[-1.0, 1.0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [x, weight]| conv2d_transpose(g, kernel, x, weight, None, false))?;
/// assert_eq!(y, [-3.0, -2.0, 5.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn conv2d_transpose(
    g: &mut Graph,
    convolution: Convolution,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    relu: bool,
) -> Result<Tensor> {
    convolve(g, convolution, Direction::Up, [x, weight], bias, relu)
}

fn convolve(
    g: &mut Graph,
    convolution: Convolution,
    direction: Direction,
    [x, weight]: [Tensor; 2],
    bias: Option<Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let op = Convolve { convolution, direction, bias: bias.is_some(), relu: relu && bias.is_some() };
    let inputs: Vec<_> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
    g.apply_one(op, &inputs)
}

impl Direction {
    fn kernel(self) -> &'static Kernel {
        match self {
            Direction::Down => &CONV2D,
            Direction::Up => &CONV2D_TRANSPOSE,
        }
    }

    fn back(self) -> Direction {
        match self {
            Direction::Down => Direction::Up,
            Direction::Up => Direction::Down,
        }
    }

    /// The images that go in and come out.
    fn ends(self, c: &Convolution) -> [ImageShape; 2] {
        match self {
            Direction::Down => [c.large, c.small],
            Direction::Up => [c.small, c.large],
        }
    }
}

impl Op for Convolve {
    fn name(&self) -> &'static str {
        self.direction.kernel().name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let [from, to] = self.direction.ends(&self.convolution);
        self.convolution.outputs(inputs, from, to)
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        let Some(mut dy) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        if self.relu {
            dy = elementwise::relu_grad(g, dy, node.outputs[0])?;
        }
        let (c, x, weight) = (self.convolution, node.inputs[0], node.inputs[1]);
        let mut gradients = vec![None; node.inputs.len()];
        if wanted[0] {
            gradients[0] = Some(convolve(g, c, self.direction.back(), [dy, weight], None, false)?);
        }
        if wanted[1] {
            let (small, large) = match self.direction {
                Direction::Down => (dy, x),
                Direction::Up => (x, dy),
            };
            gradients[1] = Some(conv2d_weight_grad(g, c, small, large)?);
        }
        if self.bias && wanted[2] {
            let [_, to] = self.direction.ends(&c);
            gradients[2] = Some(channel_sums(g, dy, to)?);
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let (c, rows) = (self.convolution, io.inputs[0].0.rows());
        let bias = if self.bias { io.input(2).whole() } else { UNUSED };
        let args = [io.input(0).by_row(), io.input(1).whole(), bias, io.output(0).by_row()];
        let call = match self.direction {
            Direction::Down => conv2d::call(&c, rows, args, self.relu),
            Direction::Up => conv2d_transpose::call(&c, rows, args, self.relu),
        };
        call.flops(c.flops(rows))
    }
}
