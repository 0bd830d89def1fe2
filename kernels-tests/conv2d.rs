//! `conv2d`: ragged images, kernels, strides and paddings, with the bias, the ReLU, and without.

use smoothenc::Result;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::{Convolution, conv2d};

use crate::harness::{Case, Input};

/// A convolution by its sizes.
pub fn sizes(large: [usize; 3], channels: usize, kernel: [usize; 2], by: [usize; 2]) -> Convolution {
    let [stride, padding] = by;
    Convolution::new(large, channels, kernel, stride, padding).expect("something comes out")
}

/// The cases of the three kernels: rows of examples and a convolution.
pub fn shapes() -> Vec<(usize, Convolution)> {
    vec![
        (1, sizes([1, 1, 1], 1, [1, 1], [1, 0])),
        (1, sizes([1, 5, 7], 3, [3, 3], [1, 1])),
        (3, sizes([3, 9, 8], 5, [4, 4], [2, 1])),
        // Two panels of the CPU's, the second not full; one channel and nearly a block of eight.
        (17, sizes([7, 6, 6], 1, [3, 2], [1, 0])),
        (33, sizes([2, 5, 5], 9, [2, 3], [2, 0])),
        // The stride beyond the kernel: inputs that reach no output. Padding as wide as the kernel.
        (2, sizes([3, 8, 7], 2, [1, 1], [2, 0])),
        (2, sizes([2, 3, 4], 4, [2, 2], [1, 2])),
        (5, sizes([4, 7, 11], 6, [5, 3], [3, 2])),
        // More than one tile of 32 channels, and the three sizes of the models.
        (2, sizes([33, 4, 4], 35, [4, 4], [2, 1])),
        (2, sizes([1, 28, 28], 32, [4, 4], [2, 1])),
        (2, sizes([3, 16, 16], 32, [4, 4], [2, 1])),
        (2, sizes([32, 14, 14], 64, [4, 4], [2, 1])),
        (4, sizes([8, 7, 7], 12, [4, 4], [2, 1])),
    ]
}

/// The case's name.
pub fn name(rows: usize, c: &Convolution) -> String {
    let ([channels, height, width], [kernel_h, kernel_w]) = (c.large, c.kernel);
    let (small, stride, padding) = (c.small[0], c.stride, c.padding);
    format!("{rows}x{channels}x{height}x{width}_to_{small}_k{kernel_h}x{kernel_w}_s{stride}_p{padding}")
}

/// Calls `each(index in large, index in small, index in weights)` for every term of the convolution.
pub fn joins(rows: usize, c: &Convolution, mut each: impl FnMut(usize, usize, usize)) {
    let ([channels, height, width], [outputs, small_h, small_w]) = (c.large, c.small);
    let [kernel_h, kernel_w] = c.kernel;
    for (r, o, i) in product3(rows, outputs, channels) {
        for (y, x, k) in product3(small_h, small_w, kernel_h * kernel_w) {
            let (ky, kx) = (k / kernel_w, k % kernel_w);
            let row = (c.stride * y + ky).checked_sub(c.padding).filter(|&row| row < height);
            let column = (c.stride * x + kx).checked_sub(c.padding).filter(|&column| column < width);
            if let (Some(row), Some(column)) = (row, column) {
                let large = ((r * channels + i) * height + row) * width + column;
                let small = ((r * outputs + o) * small_h + y) * small_w + x;
                each(large, small, (o * channels + i) * kernel_h * kernel_w + k);
            }
        }
    }
}

fn product3(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |n| (n / (b * c), n / c % b, n % c))
}

/// Words of an image.
pub fn len(image: [usize; 3]) -> usize {
    image.iter().product()
}

/// Adds the bias of each channel of `image` and applies the ReLU, where the layer has them.
pub fn epilogue(y: &mut [f64], image: [usize; 3], bias: Option<&Vec<f64>>, relu: bool) {
    for (i, value) in y.iter_mut().enumerate() {
        *value += bias.map_or(0.0, |bias| bias[i / (image[1] * image[2]) % image[0]]);
        // Not `max`, which makes a NaN 0.
        *value = if relu && *value < 0.0 { 0.0 } else { *value };
    }
}

/// The epilogues of a layer: (name, with a bias, with a ReLU).
pub const EPILOGUES: [(&str, bool, bool); 3] =
    [("plain", false, false), ("bias", true, false), ("relu", true, true)];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, c) in shapes() {
        for (label, bias, relu) in EPILOGUES {
            let case = Case::new(
                format!("{label}_{}", name(rows, &c)),
                move |g, x| Ok(vec![conv2d(g, c, x[0], x[1], bias.then(|| x[2]), relu)?]),
                move |x| {
                    let mut y = vec![0.0; rows * len(c.small)];
                    joins(rows, &c, |large, small, weight| y[small] += x[0][large] * x[1][weight]);
                    epilogue(&mut y, c.small, bias.then(|| &x[2]), relu);
                    vec![y]
                },
            )
            .input(Input::normal([rows, len(c.large)]))
            .input(Input::normal(c.weight_shape()))
            .tolerance(1e-4, 1e-4);
            let case = if bias { case.input(Input::normal([c.small[0]])) } else { case };
            let inputs: &[usize] = if bias { &[0, 1, 2] } else { &[0, 1] };
            // Gradients of the larger ones would be slow.
            let small = rows * len(c.small) * len(c.large) < 100_000;
            cases.push(if small { case.gradient(inputs) } else { case });
        }
    }
    let (rows, c) = of_several_channels();
    let spoilt = move |g: &mut Graph, x: &[Tensor]| Ok(vec![conv2d(g, c, x[0], x[1], Some(x[2]), true)?]);
    cases.push(nan_bias(rows, c, spoilt, [c.large, c.small]));
    cases
}

/// The first with several channels on either side.
pub fn of_several_channels() -> (usize, Convolution) {
    let several = |(_, c): &(usize, Convolution)| c.small[0] > 1 && c.large[0] > 1;
    shapes().into_iter().find(several).expect("such a shape")
}

/// A layer with a ReLU `from` images `to` others, where the bias of the last channel is a NaN: so is that channel,
/// and 0 all else, since all else is negative.
pub fn nan_bias(
    rows: usize,
    c: Convolution,
    layer: impl Fn(&mut Graph, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    [from, to]: [[usize; 3]; 2],
) -> Case {
    let mut bias = vec![-1e6; to[0]];
    bias[to[0] - 1] = f32::NAN;
    let oracle = move |x: &[Vec<f64>]| {
        let mut y = vec![-1e6; rows * len(to)];
        epilogue(&mut y, to, Some(&x[2]), true);
        vec![y]
    };
    Case::new(format!("relu_keeps_nan_{}", name(rows, &c)), layer, oracle)
        .input(Input::normal([rows, len(from)]))
        .input(Input::normal(c.weight_shape()))
        .input(Input::values([to[0]], bias))
        .nonfinite()
}
