//! Transposed convolution with an optional bias and ReLU; `shaders/conv2d_transpose.wgsl`.

use crate::engine::graph::{Graph, Io, Node, Op, Tensor};
use crate::engine::ops::conv2d::CPU_TILE;
use crate::engine::ops::convolution::{self, Convolution, channel_sums, conv2d_transpose_cpu};
use crate::engine::ops::{conv2d, conv2d_weight_grad, elementwise};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, Kernel, NONE};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static CONV2D_TRANSPOSE: Kernel = Kernel {
    name: "conv2d_transpose",
    wgsl: &[
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/common/convolution.wgsl"),
        include_str!("../../../shaders/conv2d_transpose.wgsl"),
    ],
    bindings: &[Read, Read, Read, Write],
    cpu: conv2d_transpose_cpu,
};

#[derive(Debug, Clone, Copy)]
struct Conv2dTranspose {
    convolution: Convolution,
    bias: bool,
    relu: bool,
}

/// The way back of [`conv2d`]: x `[rows, small]`, W as in [`Convolution::weight_shape`], b
/// `[large channels]`; gives `[rows, large]`. Without a bias there is no ReLU.
pub fn conv2d_transpose(
    g: &mut Graph,
    convolution: Convolution,
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let op = Conv2dTranspose { convolution, bias: bias.is_some(), relu: relu && bias.is_some() };
    let inputs: Vec<_> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
    g.apply_one(op, &inputs)
}

impl Op for Conv2dTranspose {
    fn name(&self) -> &'static str {
        CONV2D_TRANSPOSE.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        self.convolution.outputs(inputs, self.convolution.small, self.convolution.large)
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
            gradients[0] = Some(conv2d(g, c, dy, weight, None, false)?);
        }
        if wanted[1] {
            gradients[1] = Some(conv2d_weight_grad(g, c, x, dy)?);
        }
        if self.bias && wanted[2] {
            gradients[2] = Some(channel_sums(g, dy, c.large)?);
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let (c, rows) = (self.convolution, io.inputs[0].0.rows());
        let [channels, height, width] = c.large;
        // The pixels of a class of equal taps, the largest class.
        let pixels = rows * height.div_ceil(c.stride) * width.div_ceil(c.stride);
        Call::new(&CONV2D_TRANSPOSE, &c.params(rows, 0))
            .constant("BIAS", self.bias.into())
            .constant("RELU", self.relu.into())
            .row(io.input(0))
            .whole(io.input(1))
            .whole(if self.bias { io.input(2) } else { NONE })
            .row(io.output(0))
            .grid(rows, CPU_TILE, convolution::grid(pixels, channels, c.stride * c.stride))
            .flops(c.flops(rows))
    }
}
