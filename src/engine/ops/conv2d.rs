//! Convolution with an optional bias and ReLU; `shaders/conv2d.wgsl`.

use crate::engine::graph::{Graph, Io, Node, Op, Tensor};
use crate::engine::ops::convolution::{self, Convolution, channel_sums, conv2d_cpu};
use crate::engine::ops::{conv2d_transpose, conv2d_weight_grad, elementwise};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, Kernel, NONE};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static CONV2D: Kernel = Kernel {
    name: "conv2d",
    wgsl: &[
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/common/convolution.wgsl"),
        include_str!("../../../shaders/conv2d.wgsl"),
    ],
    bindings: &[Read, Read, Read, Write],
    cpu: conv2d_cpu,
};

#[derive(Debug, Clone, Copy)]
struct Conv2d {
    convolution: Convolution,
    bias: bool,
    relu: bool,
}

/// `act(x * W + b)`: x `[rows, large]`, W as in [`Convolution::weight_shape`], b `[small channels]`; gives
/// `[rows, small]`. Without a bias there is no ReLU.
pub fn conv2d(
    g: &mut Graph,
    convolution: Convolution,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let op = Conv2d { convolution, bias: bias.is_some(), relu: relu && bias.is_some() };
    let inputs: Vec<_> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
    g.apply_one(op, &inputs)
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        CONV2D.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        self.convolution.outputs(inputs, self.convolution.large, self.convolution.small)
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(mut dy) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        if self.relu {
            dy = elementwise::relu_grad(g, dy, node.outputs[0])?;
        }
        let (c, x, weight) = (self.convolution, node.inputs[0], node.inputs[1]);
        let mut gradients = vec![None; node.inputs.len()];
        if wanted[0] {
            gradients[0] = Some(conv2d_transpose(g, c, dy, weight, None, false)?);
        }
        if wanted[1] {
            gradients[1] = Some(conv2d_weight_grad(g, c, dy, x)?);
        }
        if self.bias && wanted[2] {
            gradients[2] = Some(channel_sums(g, dy, c.small)?);
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let (c, rows) = (self.convolution, io.inputs[0].0.rows());
        let [channels, height, width] = c.small;
        Call::new(&CONV2D, &c.params(rows, 0))
            .constant("BIAS", self.bias.into())
            .constant("RELU", self.relu.into())
            .row(io.input(0))
            .whole(io.input(1))
            .whole(if self.bias { io.input(2) } else { NONE })
            .row(io.output(0))
            .grid(rows, CPU_TILE, convolution::grid(rows * height * width, channels, 1))
            .flops(c.flops(rows))
    }
}

/// Examples that one thread computes at a time: two panels share the packing of the weights.
pub(crate) const CPU_TILE: usize = 32;
