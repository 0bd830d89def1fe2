//! Convolution with an optional bias and ReLU; `shaders/conv2d.wgsl`. Its op is in `convolve.rs`, its sizes in
//! `convolution.rs`.

use crate::engine::kernel::{Arg, UNUSED};
use crate::engine::ops::convolution::{self, CPU_TILE, Convolution, Params, correlate};
use crate::engine::recording::Call;
use crate::engine::simd::LANES;
use crate::kernel;

kernel! {
    pub static CONV2D: "conv2d" {
        shaders: ["common/bits.wgsl", "common/convolution.wgsl", "conv2d.wgsl"],
        params: Params,
        constants: { BIAS, RELU },
        bindings: { x: read f32, w: read f32, bias: read f32, y: write f32 },
        cpu: conv2d_cpu,
    }
}

fn conv2d_cpu(Tile { p, constants, x, w, bias, y, .. }: Tile) {
    correlate(p, false, [x, w, bias], constants.RELU == 1, y);
}

/// The call for x, w, bias and y of `rows` examples.
pub(super) fn call(c: &Convolution, rows: usize, [x, w, bias, y]: [Arg; 4], relu: bool) -> Call {
    let [channels, height, width] = c.small;
    Args { x, w, bias, y }
        .call(c.params(rows, 0), Constants { BIAS: (bias != UNUSED).into(), RELU: relu.into() })
        .grid(rows, LANES, convolution::grid(rows * height * width, channels, 1))
        .up_to(CPU_TILE)
}
