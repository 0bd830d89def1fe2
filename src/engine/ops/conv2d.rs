//! Convolution with an optional bias and ReLU; `shaders/conv2d.wgsl`. Its op is in `convolve.rs`, its sizes in
//! `convolution.rs`.

use crate::engine::ops::convolution::{self, Convolution, conv2d_cpu};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::Kernel;

pub static CONV2D: Kernel = Kernel {
    name: "conv2d",
    wgsl: &[
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/common/convolution.wgsl"),
        include_str!("../../../shaders/conv2d.wgsl"),
    ],
    bindings: &[Read, Read, Read, Write],
    cpu: conv2d_cpu,
    trusted: true,
};

/// The workgroups that `rows` examples take.
pub(super) fn grid(c: &Convolution, rows: usize) -> [u32; 3] {
    let [channels, height, width] = c.small;
    convolution::grid(rows * height * width, channels, 1)
}
