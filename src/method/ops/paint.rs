//! Rows of a table of grey images, in the seven colours of ColorMNIST; `shaders/paint.wgsl`.

use crate::data::color::COLORS;
use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static PAINT: "paint" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "paint.wgsl"],
        params: {
            rows: u32,
            pixels: u32,
            /// The grey images of the table.
            n: u32,
        },
        constants: {},
        bindings: { table: read u32, indices: read u32, out: write f32 },
        cpu: paint_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Paint {
    pixels: usize,
}

/// Coloured images `[indices, 3 * pixels]` as floats in [0, 1] from a table of grey ones, `[n, pixels]` packed
/// bytes: image `i` is row `i / 7` in colour `i % 7` (docs/method.md, section 6).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a table or indices that are floats.
pub fn paint(g: &mut Graph, table: Tensor, indices: Tensor, pixels: usize) -> Result<Tensor> {
    g.apply_one(Paint { pixels }, &[table, indices])
}

impl Op for Paint {
    fn name(&self) -> &'static str {
        PAINT.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(_, DType::U32), (indices, DType::U32)] => {
                Ok(vec![([indices.len(), 3 * self.pixels].into(), DType::F32)])
            }
            _ => Err("indices and packed bytes are integers".into()),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, cols) = (io.inputs[1].0.len(), 3 * self.pixels);
        let n = 4 * io.inputs[0].0.len() / self.pixels;
        let params =
            Params { rows: rows as u32, pixels: self.pixels as u32, n: u32::try_from(n).unwrap_or(u32::MAX) };
        Args { table: io.input(0).whole(), indices: io.input(1).by_row(), out: io.output(0).by_row() }
            .call(params, Constants {})
            .grid(rows, flat_tile(cols), flat_grid(rows * cols))
    }
}

fn paint_cpu(Tile { p, table, indices, out, .. }: Tile) {
    let pixels = p.pixels as usize;
    let table: &[u8] = bytemuck::cast_slice(table);
    let images = out.chunks_exact_mut(3 * pixels);
    for (image, &index) in images.zip(indices) {
        let (row, color) = (index as usize / COLORS, index as usize % COLORS);
        if row >= p.n as usize {
            image.fill(f32::NAN);
            continue;
        }
        let grey = &table[row * pixels..][..pixels];
        for (channel, plane) in image.chunks_exact_mut(pixels).enumerate() {
            let lit = f32::from((color as u8 + 1) >> channel & 1);
            plane.iter_mut().zip(grey).for_each(|(x, &byte)| *x = lit * (f32::from(byte) / 255.0));
        }
    }
}
