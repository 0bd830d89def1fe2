//! Transposed convolution with an optional bias and ReLU; `shaders/conv2d_transpose.wgsl`. Its op is in
//! `convolve.rs`, its sizes in `convolution.rs`.

use crate::engine::kernel::{Arg, UNUSED};
use crate::engine::ops::convolution::{self, CPU_TILE, Convolution, Params, correlate};
use crate::engine::recording::Call;
use crate::engine::simd::LANES;
use crate::kernel;

kernel! {
    pub static CONV2D_TRANSPOSE: "conv2d_transpose" {
        shaders: ["common/bits.wgsl", "common/convolution.wgsl", "conv2d_transpose.wgsl"],
        params: Params,
        constants: { BIAS, RELU },
        bindings: { x: read f32, w: read f32, bias: read f32, y: write f32 },
        cpu: conv2d_transpose_cpu,
    }
}

fn conv2d_transpose_cpu(Tile { p, constants, x, w, bias, y, .. }: Tile) {
    correlate(p, true, [x, w, bias], constants.RELU == 1, y);
}

/// The call for x, w, bias and y of `rows` examples. A workgroup has a tile of pixels of one class, those with the same
/// taps. The grid is that of the largest class.
pub(super) fn call(c: &Convolution, rows: usize, [x, w, bias, y]: [Arg; 4], relu: bool) -> Call {
    let [channels, height, width] = c.large;
    let pixels = rows * height.div_ceil(c.stride) * width.div_ceil(c.stride);
    Args { x, w, bias, y }
        .call(c.params(rows, 0), Constants { BIAS: (bias != UNUSED).into(), RELU: relu.into() })
        .grid(rows, LANES, convolution::grid(pixels, channels, c.stride * c.stride))
        .up_to(CPU_TILE)
}
