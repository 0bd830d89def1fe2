//! Transposed convolution with an optional bias and ReLU; `shaders/conv2d_transpose.wgsl`. Its op is in
//! `convolve.rs`, its sizes in `convolution.rs`.

use crate::engine::ops::convolution::{self, Convolution, conv2d_transpose_cpu};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::Kernel;

pub static CONV2D_TRANSPOSE: Kernel = Kernel {
    name: "conv2d_transpose",
    wgsl: &[
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/common/convolution.wgsl"),
        include_str!("../../../shaders/conv2d_transpose.wgsl"),
    ],
    bindings: &[Read, Read, Read, Write],
    cpu: conv2d_transpose_cpu,
    trusted: true,
};

/// The workgroups that `rows` examples take: tiles of the pixels of a class of equal taps, the largest class.
pub(super) fn grid(c: &Convolution, rows: usize) -> [u32; 3] {
    let [channels, height, width] = c.large;
    let pixels = rows * height.div_ceil(c.stride) * width.div_ceil(c.stride);
    convolution::grid(pixels, channels, c.stride * c.stride)
}
