//! The least value of linear functions on a box; `shaders/box_minimum.wgsl`.

use super::relax::{OfRow, rows_of_images};
use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, flat_tile, row_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static BOX_MINIMUM: "box_minimum" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "box_minimum.wgsl"],
        params: {
            rows: u32,
            cols: u32,
            /// The rows after which `a` repeats.
            period: u32,
            rows_an_image: u32,
        },
        constants: {},
        bindings: { a: read f32, low: read f32, high: read f32, out: write f32 },
        cpu: box_minimum_cpu,
    }
}

/// Inputs: the coefficients, and the lower and upper corners of the boxes. Output: the minima.
#[derive(Debug, Clone, Copy)]
struct BoxMinimum {
    rows_an_image: usize,
}

/// The least value of `sum over j of a[r, j] x[j]` for x between `low[i]` and `high[i]`, `[images rows_an_image]`. Row
/// `r` belongs to the image `i = r / rows_an_image`; `low` and `high` are `[images, cols]`. `a` has the rows of all
/// images, or those of one, `[rows_an_image, cols]`, which all images then share. The result has no gradient.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn box_minimum(
    g: &mut Graph,
    a: Tensor,
    low: Tensor,
    high: Tensor,
    rows_an_image: usize,
) -> Result<Tensor> {
    g.apply_one(BoxMinimum { rows_an_image }, &[a, low, high])
}

impl Op for BoxMinimum {
    fn name(&self) -> &'static str {
        BOX_MINIMUM.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        Ok(vec![([rows_of_images(inputs, self.rows_an_image)?].into(), DType::F32)])
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
            low: io.input(1).whole(),
            high: io.input(2).whole(),
            out: io.output(0).by_row(),
        }
        .call(params, Constants {})
        .grid(rows, flat_tile(cols), row_grid(rows))
        .flops(2 * rows * cols)
    }
}

fn box_minimum_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, rows, a, low, high, out, .. } = self;
        let (cols, period, rows_an_image) = (p.cols as usize, p.period as usize, p.rows_an_image as usize);
        let first = if p.period < p.rows { 0 } else { rows.start };
        let of_row = OfRow { a, of_images: [low, high], cols, period, rows_an_image, first };
        for (r, out) in rows.zip(out) {
            [*out] =
                lanes::map(of_row.at(r), [], |[a, low, high]| ([], [a * if a > 0.0 { low } else { high }]));
        }
    }
}
