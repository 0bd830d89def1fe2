//! What the three convolution kernels share: the sizes of a convolution, and the CPU's code.
//!
//! A convolution relates a *large* and a *small* image. `conv2d` goes from the large one to the small one,
//! `conv2d_transpose` from the small one to the large one; each is the other's input gradient. Both have weights
//! `[small channels, large channels, kernel height, kernel width]`: PyTorch's layout of a `Conv2d` from large to small,
//! and of a `ConvTranspose2d` from small to large.

mod cpu;

pub(crate) use cpu::{Taps, blocks, correlate, with_sides};

use crate::engine::graph::{Graph, Inputs, Outputs, Tensor};
use crate::engine::ops::reduce;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::params;

/// Channels, height and width of an image; its words lie in this order.
pub type ImageShape = [usize; 3];

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// The large image.
    pub large: ImageShape,
    /// The small image.
    pub small: ImageShape,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels of the large image from one pixel of the small image to the next.
    pub stride: usize,
    /// Zeros on each side of the large image.
    pub padding: usize,
}

params! {
    /// The uniform block of the three kernels; `shaders/common/convolution.wgsl`.
    pub(crate) struct Params {
        rows: u32,
        large_c: u32,
        large_h: u32,
        large_w: u32,
        small_c: u32,
        small_h: u32,
        small_w: u32,
        kernel_h: u32,
        kernel_w: u32,
        stride: u32,
        padding: u32,
        /// Examples of a partial sum of weight gradients.
        chunk: u32,
    }
}

impl Params {
    /// The large image, the small one, and the kernel's sides.
    pub(crate) fn sides(&self) -> (ImageShape, ImageShape, [usize; 2]) {
        let sides = |[c, h, w]: [u32; 3]| [c as usize, h as usize, w as usize];
        let large = sides([self.large_c, self.large_h, self.large_w]);
        let small = sides([self.small_c, self.small_h, self.small_w]);
        (large, small, [self.kernel_h as usize, self.kernel_w as usize])
    }
}

/// The most examples that one thread computes at a time. Their panels share the packing of the weights.
pub(crate) const CPU_TILE: usize = 64;

impl Convolution {
    /// The convolution of `large` images to `channels` channels.
    ///
    /// # Errors
    /// [`Error::Shape`] where the small image would have no pixel, or a size is 0.
    pub fn new(
        large: ImageShape,
        channels: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: usize,
    ) -> Result<Self> {
        let side = |i: usize| {
            let reach = (large[1 + i] + 2 * padding).checked_sub(kernel[i])?;
            Some(reach.checked_div(stride)? + 1)
        };
        let sizes = [large[0], channels, kernel[0], kernel[1], large[1], large[2]];
        match (side(0), side(1)) {
            (Some(height), Some(width)) if !sizes.contains(&0) => {
                Ok(Convolution { large, small: [channels, height, width], kernel, stride, padding })
            }
            _ => Err(Error::Shape {
                op: "convolution",
                message: format!(
                    "{kernel:?} kernels, stride {stride}, padding {padding}, {channels} channels of {large:?}"
                ),
            }),
        }
    }

    /// The shape of the weights, in either direction.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.small[0], self.large[0], self.kernel[0], self.kernel[1]]
    }

    /// PyTorch's `output_padding`: rows and columns that its `ConvTranspose2d` must add to give the large image.
    pub fn output_padding(&self) -> [usize; 2] {
        std::array::from_fn(|i| (self.large[1 + i] + 2 * self.padding - self.kernel[i]) % self.stride)
    }

    /// Floating-point operations of `rows` examples in any of the three kernels, padding included.
    pub(crate) fn flops(&self, rows: usize) -> usize {
        2 * rows * self.weight_shape().iter().product::<usize>() * self.small[1] * self.small[2]
    }

    pub(crate) fn params(&self, rows: usize, chunk: usize) -> Params {
        let sides = |shape: ImageShape| shape.map(|n| n as u32);
        let ([large_c, large_h, large_w], [small_c, small_h, small_w]) =
            (sides(self.large), sides(self.small));
        Params {
            rows: rows as u32,
            large_c,
            large_h,
            large_w,
            small_c,
            small_h,
            small_w,
            kernel_h: self.kernel[0] as u32,
            kernel_w: self.kernel[1] as u32,
            stride: self.stride as u32,
            padding: self.padding as u32,
            chunk: chunk as u32,
        }
    }

    /// The shape rule of both directions: x `[rows, from]`, the weights and, where there is one, a bias.
    pub(crate) fn outputs(&self, inputs: &Inputs, from: ImageShape, to: ImageShape) -> Outputs {
        if inputs.iter().any(|(_, dtype)| *dtype != DType::F32) {
            return Err(format!("{inputs:?}: needs floats"));
        }
        let (x, weight) = (inputs[0].0, inputs[1].0);
        let fits = x.cols() == len(from) && weight.dims() == self.weight_shape();
        if !fits || inputs.get(2).is_some_and(|(bias, _)| bias.len() != to[0]) {
            return Err(format!("{inputs:?} do not fit {self:?}"));
        }
        Ok(vec![([x.rows(), len(to)].into(), DType::F32)])
    }
}

/// Words of an image.
pub(crate) fn len(shape: ImageShape) -> usize {
    shape.iter().product()
}

/// The gradient of a bias, `[channels]`: the sums of `d` `[rows, image]` over rows and pixels.
pub(crate) fn channel_sums(g: &mut Graph, d: Tensor, image: ImageShape) -> Result<Tensor> {
    let over_rows = reduce::column_sums(g, d)?;
    let by_channel = g.view(over_rows, 0, [image[0], image[1] * image[2]])?;
    reduce::row_sums(g, by_channel)
}

/// `layers` times the workgroups for tiles of 32 `pixels` x 32 `channels`. Those along the pixels are folded into two
/// dimensions, since a device allows 65,535 in one.
pub(crate) fn grid(pixels: usize, channels: usize, layers: usize) -> [u32; 3] {
    let tiles = pixels.div_ceil(32);
    let y = tiles.div_ceil(32768).max(1);
    [tiles.div_ceil(y) as u32, y as u32, (channels.div_ceil(32) * layers) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_pytorch() {
        let small = |side, kernel, stride, padding| {
            Convolution::new([1, side, side], 1, [kernel; 2], stride, padding).map(|c| c.small[1])
        };
        assert_eq!([small(28, 4, 2, 1).unwrap(), small(7, 4, 2, 1).unwrap()], [14, 3]);
        assert_eq!([small(5, 3, 1, 0).unwrap(), small(2, 4, 2, 1).unwrap()], [3, 1]);
        for (side, kernel, stride) in [(1, 4, 2), (0, 1, 1), (5, 0, 1), (5, 3, 0)] {
            assert!(small(side, kernel, stride, 1).is_err(), "{side} {kernel} {stride}");
        }
        let odd = Convolution::new([3, 7, 8], 5, [4, 4], 2, 1).unwrap();
        assert_eq!((odd.small, odd.output_padding()), ([5, 3, 4], [1, 0]));
    }
}
