//! Linear bounds on the way back through a ReLU; `shaders/relax.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static RELAX: "relax" {
        shaders: ["common/flat.wgsl", "relax.wgsl"],
        params: {
            rows: u32,
            cols: u32,
            /// The rows after which `a` repeats.
            period: u32,
            rows_an_image: u32,
        },
        constants: {},
        bindings: { a: read f32, positive: read f32, negative: read f32, out: write f32 },
        cpu: relax_cpu,
    }
}

/// Inputs: the coefficients, and the slopes for positive and for negative ones. Output: the scaled coefficients.
#[derive(Debug, Clone, Copy)]
struct Relax {
    rows_an_image: usize,
}

/// `a[r, j]` times `positive[i, j]` where it is positive, else times `negative[i, j]`: `[images rows_an_image, cols]`.
/// Row `r` belongs to the image `i = r / rows_an_image`; `positive` and `negative` are `[images, cols]`. `a` has the
/// rows of all images, or those of one, `[rows_an_image, cols]`, which all images then share. The result has no
/// gradient.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn relax(
    g: &mut Graph,
    a: Tensor,
    positive: Tensor,
    negative: Tensor,
    rows_an_image: usize,
) -> Result<Tensor> {
    g.apply_one(Relax { rows_an_image }, &[a, positive, negative])
}

/// The rows of all images, for coefficients and two tensors with a row for each image.
///
/// # Errors
/// What does not fit.
pub(super) fn rows_of_images(inputs: &Inputs, rows_an_image: usize) -> std::result::Result<usize, String> {
    match inputs {
        [(a, DType::F32), (first, DType::F32), (second, DType::F32)]
            if first == second
                && first.cols() == a.cols()
                && [rows_an_image, first.rows() * rows_an_image].contains(&a.rows()) =>
        {
            Ok(first.rows() * rows_an_image)
        }
        _ => Err(format!("{inputs:?}: needs floats, with {rows_an_image} rows of the first for each image")),
    }
}

/// The tensors of a row on the CPU: its own coefficients, and what its image has.
pub(super) struct OfRow<'a> {
    /// The coefficients of a tile's rows, or those that all images share.
    pub a: &'a [f32],
    /// Two tensors with a row for each image.
    pub of_images: [&'a [f32]; 2],
    pub cols: usize,
    /// The rows after which the coefficients repeat.
    pub period: usize,
    pub rows_an_image: usize,
    /// The row whose coefficients stand first.
    pub first: usize,
}

impl OfRow<'_> {
    #[inline(always)]
    pub fn at(&self, r: usize) -> [&[f32]; 3] {
        let (row, image) = ((r % self.period - self.first) * self.cols, r / self.rows_an_image * self.cols);
        let [first, second] = self.of_images;
        [&self.a[row..][..self.cols], &first[image..][..self.cols], &second[image..][..self.cols]]
    }
}

impl Op for Relax {
    fn name(&self) -> &'static str {
        RELAX.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let rows = rows_of_images(inputs, self.rows_an_image)?;
        Ok(vec![([rows, inputs[0].0.cols()].into(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let (a, images) = (&io.inputs[0].0, io.inputs[1].0.rows());
        let (rows, cols) = (images * self.rows_an_image, a.cols());
        let params = Params {
            rows: rows as u32,
            cols: cols as u32,
            period: a.rows() as u32,
            rows_an_image: self.rows_an_image as u32,
        };
        Args {
            a: if a.rows() == rows { io.input(0).by_row() } else { io.input(0).whole() },
            positive: io.input(1).whole(),
            negative: io.input(2).whole(),
            out: io.output(0).by_row(),
        }
        .call(params, Constants {})
        .grid(rows, flat_tile(cols), flat_grid(rows * cols))
        .flops(rows * cols)
    }
}

fn relax_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, rows, a, positive, negative, out, .. } = self;
        let (cols, period, rows_an_image) = (p.cols as usize, p.period as usize, p.rows_an_image as usize);
        let first = if p.period < p.rows { 0 } else { rows.start };
        let of_row = OfRow { a, of_images: [positive, negative], cols, period, rows_an_image, first };
        for (r, out) in rows.zip(out.chunks_exact_mut(cols)) {
            lanes::map(of_row.at(r), [out], |[a, positive, negative]| {
                ([a * if a > 0.0 { positive } else { negative }], [])
            });
        }
    }
}
