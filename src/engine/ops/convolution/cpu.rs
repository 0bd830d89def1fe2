//! The CPU twins of `shaders/conv2d.wgsl` and `shaders/conv2d_transpose.wgsl`.
//!
//! 16 examples are side by side in columns (`src/engine/simd/panel.rs`), ordered by pixel and then by channel, so that
//! the taps of one kernel row are contiguous columns. The outputs of a transposed convolution whose positions leave the
//! same remainder by the stride form a class: they are a plain convolution of stride 1 with every `stride`th tap of the
//! kernel, in reverse order. Taps on padding are left out, not multiplied by zeros.

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use super::{ImageShape, Params, len};
use crate::engine::simd::{self, Column, LANES, Vector, Work, transpose4x4};

/// The memory of a thread.
#[derive(Debug, Default)]
struct Memory {
    input: Vec<Column>,
    output: Vec<Column>,
    /// The weights in the order in which the sums take them.
    weights: Vec<f32>,
}

/// The convolution of some examples `x` to `y`. The bias is empty where there is none.
pub(crate) fn correlate(
    p: Params,
    transposed: bool,
    [x, weights, bias]: [&[f32]; 3],
    relu: bool,
    y: &mut [f32],
) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static MEMORY: RefCell<Memory> = RefCell::default();
    }
    MEMORY.with_borrow_mut(|memory| {
        simd::run(Correlate { p, transposed, x, weights, bias, relu, y, memory });
    });
}

/// The taps of a class of outputs along one axis: output `out + q out_step`, `q < count`, sums the inputs `input + q
/// in_step + t`, `t < taps`, times the kernel's elements `first + t element_step`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps {
    out: usize,
    out_step: usize,
    count: usize,
    input: isize,
    in_step: usize,
    taps: usize,
    first: usize,
    element_step: isize,
}

impl Taps {
    /// The taps of a convolution.
    pub(crate) fn plain(outputs: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Taps {
            out: 0,
            out_step: 1,
            count: outputs,
            input: -(padding as isize),
            in_step: stride,
            taps: kernel,
            first: 0,
            element_step: 1,
        }
    }

    /// The taps of a transposed convolution for the outputs of remainder `out` by the stride.
    fn transposed(out: usize, outputs: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        // Output y takes input i times the kernel's element y + padding - stride i.
        let least = (out + padding) % stride;
        let taps = kernel.saturating_sub(least).div_ceil(stride);
        let last = (out + padding - least) / stride;
        Taps {
            out,
            out_step: stride,
            count: outputs.saturating_sub(out).div_ceil(stride),
            input: last as isize + 1 - taps as isize,
            in_step: 1,
            taps,
            first: least + stride * taps.saturating_sub(1),
            element_step: -(stride as isize),
        }
    }

    fn element(&self, tap: usize) -> usize {
        (self.first as isize + tap as isize * self.element_step) as usize
    }

    /// The input of tap 0 of output number `q`; it may lie outside.
    fn origin(&self, q: usize) -> isize {
        self.input + (q * self.in_step) as isize
    }

    /// The taps of output number `q` that fall on one of `inputs`.
    fn inside(&self, q: usize, inputs: usize) -> Range<usize> {
        let origin = self.origin(q);
        let end = (inputs as isize - origin).clamp(0, self.taps as isize) as usize;
        ((-origin).max(0) as usize).min(end)..end
    }

    /// The outputs whose tap number `tap` falls on one of `inputs`.
    pub(crate) fn reached(&self, tap: usize, inputs: usize) -> Range<usize> {
        let at = self.input + tap as isize;
        let begin = (-at).max(0).unsigned_abs().div_ceil(self.in_step);
        let end = (inputs as isize - at).max(0).unsigned_abs().div_ceil(self.in_step).min(self.count);
        begin.min(end)..end
    }
}

/// The convolution of a thread's examples.
struct Correlate<'a> {
    p: Params,
    transposed: bool,
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    relu: bool,
    y: &'a mut [f32],
    memory: &'a mut Memory,
}

impl Work for Correlate<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Correlate { p, transposed, x, weights, bias, relu, y: out, memory } = self;
        let (large, small, [kernel_h, kernel_w]) = p.sides();
        let (stride, padding) = (p.stride as usize, p.padding as usize);
        let (from, to) = if transposed { (small, large) } else { (large, small) };
        let axis = |remainder: usize, side: usize, kernel: usize| match transposed {
            false => Taps::plain(to[side], kernel, stride, padding),
            true => Taps::transposed(remainder, to[side], kernel, stride, padding),
        };
        let classes = if transposed { stride } else { 1 };
        // Words from one output channel's weights to the next, and from one input channel's.
        let element = kernel_h * kernel_w;
        let (by_output, by_input) = match transposed {
            false => (from[0] * element, element),
            true => (element, to[0] * element),
        };
        memory.weights.resize(weights.len(), 0.0);
        let mut free = memory.weights.as_mut_slice();
        for y in 0..classes {
            for x in 0..classes {
                let taps = (axis(y, 1, kernel_h), axis(x, 2, kernel_w));
                for (first, width) in blocks(to[0], V::CONVOLUTION[1]) {
                    let weight = |o: usize, i: usize, ty: usize, tx: usize| {
                        let at = taps.0.element(ty) * kernel_w + taps.1.element(tx);
                        weights[(first + o) * by_output + i * by_input + at]
                    };
                    let taps = [taps.0.taps, taps.1.taps];
                    let (packed, rest) = free.split_at_mut(taps[0] * taps[1] * from[0] * width);
                    pack(packed, width, from[0], taps, weight);
                    free = rest;
                }
            }
        }
        memory.output.resize(len(to), Column::ZERO);
        for (x, out) in x.chunks(LANES * len(from)).zip(out.chunks_mut(LANES * len(to))) {
            to_panel(x, from, &mut memory.input);
            let mut at = 0;
            for y in 0..classes {
                for x in 0..classes {
                    let taps = [axis(y, 1, kernel_h), axis(x, 2, kernel_w)];
                    for (first, width, blocks) in bands(to[0], V::CONVOLUTION[1]) {
                        let words = taps[0].taps * taps[1].taps * from[0] * width * blocks;
                        let band = Band {
                            taps,
                            from,
                            input: &memory.input,
                            weights: &memory.weights[at..at + words],
                            to,
                            first,
                            blocks,
                            bias,
                            relu,
                        };
                        band.run::<V>(width, &mut memory.output);
                        at += words;
                    }
                }
            }
            from_panel(&memory.output, to, out);
        }
    }
}

/// The [`blocks`], those of one width together: (first channel, width, number of blocks).
fn bands(channels: usize, most: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let wide = channels / most;
    let rest = blocks(channels, most).skip(wide).map(|(first, width)| (first, width, 1));
    (wide > 0).then_some((0, most, wide)).into_iter().chain(rest)
}

/// Channels in blocks of powers of two, none larger than `most`: (first channel, channels).
pub(crate) fn blocks(channels: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let left = channels - first;
        let width = if left >= most { most } else { 1 << left.checked_ilog2()? };
        first += width;
        (left > 0).then_some((first - width, width))
    })
}

/// Packs the weights of a block of `width` output channels: by tap, by input channel, by output channel.
#[inline(always)]
fn pack(
    packed: &mut [f32],
    width: usize,
    inputs: usize,
    [taps_y, taps_x]: [usize; 2],
    weight: impl Fn(usize, usize, usize, usize) -> f32,
) {
    // In the order in which the weights lie, so that each is read from a line that is in the cache.
    for o in 0..width {
        for i in 0..inputs {
            for ty in 0..taps_y {
                for tx in 0..taps_x {
                    packed[((ty * taps_x + tx) * inputs + i) * width + o] = weight(o, i, ty, tx);
                }
            }
        }
    }
}

/// Up to 16 images, channel by channel, to columns `[height, width, channels]`. Lanes without an image repeat the last
/// one.
#[inline(always)]
fn to_panel(x: &[f32], shape: ImageShape, columns: &mut Vec<Column>) {
    let (channels, pixels) = (shape[0], shape[1] * shape[2]);
    let images = x.len() / len(shape);
    columns.resize(len(shape), Column::ZERO);
    for c in 0..channels {
        let row = |e: usize| &x[e.min(images - 1) * len(shape) + c * pixels..][..pixels];
        let rows: [_; LANES] = from_fn(|e| row(e).as_chunks::<4>());
        let mut at = c;
        // In blocks of 4 x 4, so that words are read and written four at a time.
        for quad in 0..pixels / 4 {
            for e in 0..4 {
                let values = transpose4x4(from_fn(|r| rows[4 * e + r].0[quad]));
                for (k, values) in values.into_iter().enumerate() {
                    columns[at + k * channels].as_chunks_mut().0[e] = values;
                }
            }
            at += 4 * channels;
        }
        for last in 0..pixels % 4 {
            columns[at] = Column(rows.map(|(_, row)| row[last]));
            at += channels;
        }
    }
}

/// The inverse of [`to_panel`].
#[inline(always)]
fn from_panel(columns: &[Column], shape: ImageShape, out: &mut [f32]) {
    let (channels, pixels) = (shape[0], shape[1] * shape[2]);
    let mut images = out.chunks_exact_mut(len(shape));
    // Empty where there is no image.
    let mut images: [&mut [f32]; LANES] = from_fn(|_| images.next().unwrap_or_default());
    for c in 0..channels {
        let row = |image| <[f32]>::get_mut(image, c * pixels..(c + 1) * pixels).unwrap_or_default();
        let mut rows = images.each_mut().map(|image| row(image).as_chunks_mut::<4>());
        let mut at = c;
        for quad in 0..pixels / 4 {
            for (e, rows) in rows.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let values = transpose4x4(from_fn(|k| columns[at + k * channels].as_chunks().0[e]));
                for ((row, _), values) in rows.iter_mut().zip(values) {
                    row.get_mut(quad).into_iter().for_each(|to| *to = values);
                }
            }
            at += 4 * channels;
        }
        for last in 0..pixels % 4 {
            for ((_, row), value) in rows.iter_mut().zip(columns[at].iter()) {
                row.get_mut(last).into_iter().for_each(|to| *to = *value);
            }
            at += channels;
        }
    }
}

/// The outputs of one class, in blocks of channels of one width, for the 16 examples of a panel.
struct Band<'a> {
    /// Along height and width.
    taps: [Taps; 2],
    from: ImageShape,
    /// `[height, width, channels]`.
    input: &'a [Column],
    /// `[blocks, taps in y, taps in x, input channels, width]`.
    weights: &'a [f32],
    to: ImageShape,
    /// The first output channel.
    first: usize,
    blocks: usize,
    bias: &'a [f32],
    relu: bool,
}

/// Calls a method with the sides of a register tile as const generics, whose product is at most 24.
macro_rules! with_sides {
    ($sides:expr, $object:ident.$method:ident::<$vector:ident>($($argument:expr),*)) => {
        match $sides {
            (8, 3) => $object.$method::<$vector, 8, 3>($($argument),*),
            (4, 3) => $object.$method::<$vector, 4, 3>($($argument),*),
            (2, 3) => $object.$method::<$vector, 2, 3>($($argument),*),
            (1, 3) => $object.$method::<$vector, 1, 3>($($argument),*),
            (8, 2) => $object.$method::<$vector, 8, 2>($($argument),*),
            (4, 4) => $object.$method::<$vector, 4, 4>($($argument),*),
            (2, 8) => $object.$method::<$vector, 2, 8>($($argument),*),
            (8, 1) => $object.$method::<$vector, 8, 1>($($argument),*),
            (4, 2) => $object.$method::<$vector, 4, 2>($($argument),*),
            (4, 1) => $object.$method::<$vector, 4, 1>($($argument),*),
            (2, 4) => $object.$method::<$vector, 2, 4>($($argument),*),
            (2, 2) => $object.$method::<$vector, 2, 2>($($argument),*),
            (2, 1) => $object.$method::<$vector, 2, 1>($($argument),*),
            (1, 8) => $object.$method::<$vector, 1, 8>($($argument),*),
            (1, 4) => $object.$method::<$vector, 1, 4>($($argument),*),
            (1, 2) => $object.$method::<$vector, 1, 2>($($argument),*),
            (1, 1) => $object.$method::<$vector, 1, 1>($($argument),*),
            sides => unreachable!("a register tile of {sides:?}"),
        }
    };
}
pub(crate) use with_sides;

/// Columns of the input (16 KiB, half of a first-level cache, but at least one row of the kernel) that all blocks of a
/// band process before the next ones, so that they stay in the cache.
const INPUT_AT_ONCE: usize = 256;

/// Rows of the kernel that a tile adds to its sums in one go.
struct Part {
    rows: Range<usize>,
    /// Whether the sums begin here; else they start from what the output holds.
    first: bool,
    /// Whether the outputs are complete afterwards.
    last: bool,
}

impl Part {
    /// All of `rows`, `many` at a time; one empty part where there are none.
    fn of(rows: Range<usize>, many: usize) -> impl Iterator<Item = Part> {
        let part = move |start: usize| {
            let end = rows.end.min(start + many);
            Part { rows: start..end, first: start == rows.start, last: end == rows.end }
        };
        (rows.start..rows.end.max(rows.start + 1)).step_by(many).map(part)
    }
}

impl Band<'_> {
    /// Computes all outputs of this class and these channels, in blocks of `width`, into the panel `output`.
    #[inline(always)]
    fn run<V: Vector>(&self, width: usize, output: &mut [Column]) {
        let [ty, tx] = self.taps;
        let all = 0..tx.taps;
        let words = ty.taps * tx.taps * self.from[0] * width;
        for qy in 0..ty.count {
            let ys = ty.inside(qy, self.from[1]);
            let mut qx = 0;
            while qx < tx.count {
                let xs = tx.inside(qx, self.from[2]);
                // Neighbouring pixels with all taps inside the image share a tile.
                let share = |pixels: &usize| {
                    xs == all
                        && pixels * width <= V::CONVOLUTION[0]
                        && qx + pixels <= tx.count
                        && tx.inside(qx + pixels - 1, self.from[2]) == all
                };
                let pixels = [8, 4, 3, 2].into_iter().find(share).unwrap_or(1);
                let row = (xs.len() + (pixels - 1) * tx.in_step) * self.from[0];
                let at_once = if self.blocks == 1 { ty.taps } else { INPUT_AT_ONCE / row.max(1) };
                for part in Part::of(ys.clone(), at_once.max(1)) {
                    for block in 0..self.blocks {
                        let weights = &self.weights[block * words..][..words];
                        let first = self.first + block * width;
                        with_sides!(
                            (width, pixels),
                            self.tile::<V>([qy, qx], &part, &xs, first, weights, output)
                        );
                    }
                }
                qx += pixels;
            }
        }
    }

    /// Applies the bias and the ReLU to a sum.
    #[inline(always)]
    fn finish(&self, output: &mut Column, bias: Option<f32>) {
        for e in 0..LANES {
            let value = bias.map_or(output[e], |bias| output[e] + bias);
            // Not `max`, which makes a NaN 0.
            output[e] = if self.relu && value < 0.0 { 0.0 } else { value };
        }
    }

    /// The sums of C channels from `first` on, of P neighbouring pixels, held in registers during the loop over the
    /// taps.
    #[inline(always)]
    fn tile<V: Vector, const C: usize, const P: usize>(
        &self,
        [qy, qx]: [usize; 2],
        part: &Part,
        xs: &Range<usize>,
        first: usize,
        weights: &[f32],
        output: &mut [Column],
    ) {
        let [ty, tx] = self.taps;
        let [channels, _, width] = self.from;
        let oy = ty.out + qy * ty.out_step;
        let at = |p: usize| (oy * self.to[2] + tx.out + (qx + p) * tx.out_step) * self.to[0] + first;
        let step = tx.in_step * channels;
        let mut sums = [[V::splat(0.0); C]; P];
        if !part.first {
            for (p, sums) in sums.iter_mut().enumerate() {
                sums.iter_mut().zip(&output[at(p)..][..C]).for_each(|(sum, output)| *sum = output.vector());
            }
        }
        let run = xs.len() * channels;
        for y in part.rows.clone() {
            if run == 0 {
                break;
            }
            // Inside the image: the ranges hold only taps that are.
            let (row, column) = (ty.origin(qy) + y as isize, tx.origin(qx) + xs.start as isize);
            let start = (row as usize * width + column as usize) * channels;
            let input = &self.input[start..][..(P - 1) * step + run];
            let weights = &weights[(y * tx.taps + xs.start) * channels * C..][..run * C];
            for (k, weights) in weights.as_chunks::<C>().0.iter().enumerate() {
                // SAFETY: k < run, p < P: within the slice above.
                let x: [V; P] = from_fn(|p| unsafe { input.get_unchecked(p * step + k) }.vector());
                // By weight, so that few registers hold what is not a sum.
                for (c, weight) in weights.iter().enumerate() {
                    let weight = V::splat(*weight);
                    for (sums, x) in sums.iter_mut().zip(x) {
                        sums[c] = sums[c].add_product(weight, x);
                    }
                }
            }
        }
        for (p, sums) in sums.into_iter().enumerate() {
            let output = &mut output[at(p)..][..C];
            for (c, (output, sum)) in output.iter_mut().zip(sums).enumerate() {
                *output = Column::of(sum);
                if part.last {
                    self.finish(output, self.bias.get(first + c).copied());
                }
            }
        }
    }
}
