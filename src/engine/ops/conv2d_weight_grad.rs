//! The gradient of a convolution's weights, in either direction; `shaders/conv2d_weight_grad.wgsl`.

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::ops::convolution::{Convolution, Params, Taps, blocks, len, with_sides};
use crate::engine::ops::reduce;
use crate::engine::recording::Call;
use crate::engine::simd::{self, Column, LANES, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static CONV2D_WEIGHT_GRAD: "conv2d_weight_grad" {
        shaders: ["common/convolution.wgsl", "conv2d_weight_grad.wgsl"],
        params: Params,
        constants: {},
        bindings: { small: read f32, large: read f32, d: write f32 },
        cpu: conv2d_weight_grad_cpu,
    }
}

/// Examples of a partial sum; the partial sums are then added in order. Fixed, so that results do not depend on the
/// number of threads.
const CHUNK: usize = 32;

#[derive(Debug, Clone, Copy)]
struct Conv2dWeightGrad(Convolution);

/// The gradient by the weights, flat: for each weight the sum over rows and pixels of `small` `[rows, small]` times the
/// pixel of `large` `[rows, large]` that the weight joins it to. For `conv2d`, `small` is the gradient of its output
/// and `large` its input; for `conv2d_transpose` `small` is the input.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::{Convolution, conv2d_weight_grad};
///
/// let kernel = Convolution::new([1, 1, 3], 1, [1, 2], 1, 0)?;
/// let inputs = [floats([1, 2], &[1.0, 10.0]), floats([1, 3], &[1.0, 2.0, 3.0])];
/// let d: Vec<f32> = evaluate(inputs, |g, [small, large]| conv2d_weight_grad(g, kernel, small, large))?;
/// assert_eq!(d, [21.0, 32.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn conv2d_weight_grad(
    g: &mut Graph,
    convolution: Convolution,
    small: Tensor,
    large: Tensor,
) -> Result<Tensor> {
    let partial = g.apply_one(Conv2dWeightGrad(convolution), &[small, large])?;
    reduce::column_sums(g, partial)
}

impl Op for Conv2dWeightGrad {
    fn name(&self) -> &'static str {
        CONV2D_WEIGHT_GRAD.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let [(small, DType::F32), (large, DType::F32)] = inputs else {
            return Err(format!("{inputs:?}: needs floats"));
        };
        if small.rows() != large.rows()
            || small.cols() != len(self.0.small)
            || large.cols() != len(self.0.large)
        {
            return Err(format!("{small} and {large} do not fit {:?}", self.0));
        }
        let weights = self.0.weight_shape().iter().product();
        Ok(vec![([small.rows().div_ceil(CHUNK), weights].into(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let rows = io.inputs[0].0.rows();
        let chunks = rows.div_ceil(CHUNK);
        let [outputs, inputs, kernel_h, kernel_w] = self.0.weight_shape();
        let workgroups =
            [(inputs * kernel_h * kernel_w).div_ceil(32) as u32, outputs.div_ceil(32) as u32, chunks as u32];
        // Inputs are bound as a whole, since the last chunk may have fewer rows.
        Args { small: io.input(0).whole(), large: io.input(1).whole(), d: io.output(0).by_row() }
            .call(self.0.params(rows, CHUNK), Constants {})
            .grid(chunks, 1, workgroups)
            .flops(self.0.flops(rows))
    }
}

/// The memory of a thread.
#[derive(Debug, Default)]
struct Memory {
    /// The small images of some examples, pixel after pixel, in columns of 16 channels.
    small: Vec<Column>,
    /// The sums: `[blocks of 16 small channels, kernel elements, large channels]`.
    sums: Vec<Column>,
}

fn conv2d_weight_grad_cpu(Tile { p, rows: chunks, small, large, d, .. }: Tile) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static MEMORY: RefCell<Memory> = RefCell::default();
    }
    MEMORY.with_borrow_mut(|memory| {
        let weights = d.len() / chunks.len();
        for (chunk, d) in chunks.zip(d.chunks_exact_mut(weights)) {
            simd::run(Chunk { p, chunk, small, large, d, memory });
        }
    });
}

/// One partial sum.
struct Chunk<'a> {
    p: Params,
    chunk: usize,
    /// The images of all examples.
    small: &'a [f32],
    large: &'a [f32],
    /// The sum.
    d: &'a mut [f32],
    memory: &'a mut Memory,
}

/// Examples whose images stay in the first-level cache during the loop over all weights.
const GROUP: usize = 2;

impl Work for Chunk<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Chunk { p, chunk, small: small_images, large: large_images, d, memory } = self;
        let (large, small, [kernel_h, kernel_w]) = p.sides();
        let (stride, padding) = (p.stride as usize, p.padding as usize);
        let (elements, columns) = (kernel_h * kernel_w, small[0].div_ceil(LANES));
        let rows = chunk * CHUNK..(p.rows as usize).min((chunk + 1) * CHUNK);
        let range = |rows: &Range<usize>, width| rows.start * width..rows.end * width;

        memory.sums.clear();
        memory.sums.resize(columns * elements * large[0], Column::ZERO);
        for first in rows.clone().step_by(GROUP) {
            let group = first..rows.end.min(first + GROUP);
            to_columns(&small_images[range(&group, len(small))], small, columns, &mut memory.small);
            let sum = Sum {
                large: &large_images[range(&group, len(large))],
                shape: large,
                small: &memory.small,
                small_shape: small,
                columns,
                examples: group.len(),
                stride,
            };
            let most = 1 << V::CONVOLUTION[0].ilog2();
            for (column, many) in blocks(columns, most.min(4)) {
                for (channel, width) in blocks(large[0], (most / many).min(8)) {
                    for element in 0..elements {
                        let (ky, kx) = (element / kernel_w, element % kernel_w);
                        let y = Taps::plain(small[1], kernel_h, stride, padding);
                        let x = Taps::plain(small[2], kernel_w, stride, padding);
                        let inside = [y.reached(ky, large[1]), x.reached(kx, large[2])];
                        let shift = [ky as isize - padding as isize, kx as isize - padding as isize];
                        let at = |v: usize| ((column + v) * elements + element) * large[0] + channel;
                        let sums = &mut memory.sums;
                        with_sides!(
                            (width, many),
                            sum.tile::<V>([column, channel], &inside, shift, at, sums)
                        );
                    }
                }
            }
        }

        let weights = large[0] * elements;
        for (n, out) in d.chunks_exact_mut(weights).enumerate() {
            let sums = &memory.sums[n / LANES * weights..][..weights];
            for (channel, out) in out.chunks_exact_mut(elements).enumerate() {
                for (element, out) in out.iter_mut().enumerate() {
                    *out = sums[element * large[0] + channel][n % LANES];
                }
            }
        }
    }
}

/// Images, channel by channel, as `[image, pixel, columns]`, each column of 16 channels.
#[inline(always)]
fn to_columns(images: &[f32], [channels, height, width]: [usize; 3], columns: usize, out: &mut Vec<Column>) {
    let pixels = height * width;
    out.clear();
    out.resize(images.len() / channels * columns, Column::ZERO);
    for (image, out) in images.chunks_exact(channels * pixels).zip(out.chunks_exact_mut(pixels * columns)) {
        for (c, plane) in image.chunks_exact(pixels).enumerate() {
            let (column, lane) = (c / LANES, c % LANES);
            out[column..].iter_mut().step_by(columns).zip(plane).for_each(|(out, x)| out[lane] = *x);
        }
    }
}

/// The factors of a sum over a few examples.
struct Sum<'a> {
    /// `[examples, large image]`.
    large: &'a [f32],
    shape: [usize; 3],
    /// `[examples, pixels, columns]`.
    small: &'a [Column],
    small_shape: [usize; 3],
    columns: usize,
    examples: usize,
    stride: usize,
}

impl Sum<'_> {
    /// For one element of the kernel, adds C large channels times V columns of small channels over the pixels `[ys,
    /// xs]`, with the sums in registers. `at(v)` is the place in `sums` of those of column v.
    #[inline(always)]
    fn tile<R: Vector, const C: usize, const V: usize>(
        &self,
        [column, channel]: [usize; 2],
        [ys, xs]: &[Range<usize>; 2],
        [shift_y, shift_x]: [isize; 2],
        at: impl Fn(usize) -> usize,
        sums: &mut [Column],
    ) {
        if ys.is_empty() || xs.is_empty() {
            return;
        }
        let [channels, height, width] = self.shape;
        let [_, small_h, small_w] = self.small_shape;
        let mut tile = [[R::splat(0.0); C]; V];
        for (v, tile) in tile.iter_mut().enumerate() {
            tile.iter_mut().zip(&sums[at(v)..][..C]).for_each(|(tile, sum)| *tile = sum.vector());
        }
        let plane = height * width;
        for example in 0..self.examples {
            for qy in ys.clone() {
                let y = (qy * self.stride).wrapping_add_signed(shift_y);
                let x = (xs.start * self.stride).wrapping_add_signed(shift_x);
                let start = ((example * channels + channel) * height + y) * width + x;
                let large = &self.large[start..][..(C - 1) * plane + (xs.len() - 1) * self.stride + 1];
                let first = ((example * small_h + qy) * small_w + xs.start) * self.columns + column;
                let small = &self.small[first..][..(xs.len() - 1) * self.columns + V];
                for q in 0..xs.len() {
                    // SAFETY: q < xs.len(), v < V, c < C: within the slices above, here and below.
                    let s: [R; V] =
                        from_fn(|v| unsafe { small.get_unchecked(q * self.columns + v) }.vector());
                    // By channel, so that few registers hold what is not a sum.
                    for c in 0..C {
                        let l = R::splat(unsafe { *large.get_unchecked(c * plane + q * self.stride) });
                        for (tile, s) in tile.iter_mut().zip(s) {
                            tile[c] = tile[c].add_product(l, s);
                        }
                    }
                }
            }
        }
        for (v, tile) in tile.into_iter().enumerate() {
            sums[at(v)..][..C].iter_mut().zip(tile).for_each(|(sum, tile)| *sum = Column::of(tile));
        }
    }
}
