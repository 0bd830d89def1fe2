//! Grey images of a table in the seven colours of ColorMNIST; `shaders/paint.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::data::color::COLORS;
use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid, flat_tile};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static PAINT: Kernel = Kernel {
    name: "paint",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/paint.wgsl"),
    ],
    bindings: &[Read, Read, Write],
    cpu: paint_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct Paint {
    pixels: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    pixels: u32,
    /// Grey images of the table.
    n: u32,
}

/// Coloured images `[indices, 3 * pixels]` as floats in [0, 1] from a table of grey ones, `[n, pixels]` packed
/// bytes: image `i` is row `i / 7` in colour `i % 7` (docs/method.md, section 6).
pub fn paint(g: &mut Graph, table: Tensor, indices: Tensor, pixels: usize) -> Result<Tensor> {
    g.apply_one(Paint { pixels }, &[table, indices])
}

impl Op for Paint {
    fn name(&self) -> &'static str {
        PAINT.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
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
        Call::new(
            &PAINT,
            &Params {
                rows: rows as u32,
                pixels: self.pixels as u32,
                n: u32::try_from(n).unwrap_or(u32::MAX),
            },
        )
        .whole(io.input(0))
        .row(io.input(1))
        .row(io.output(0))
        .grid(rows, flat_tile(cols), flat_grid(rows * cols))
    }
}

fn paint_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let pixels = p.pixels as usize;
    let table: &[u8] = bytemuck::cast_slice(call.whole::<u32>(0));
    let indices = call.rows::<u32>(1, &rows, 1);
    let images = call.rows_mut::<f32>(2, &rows, 3 * pixels).chunks_exact_mut(3 * pixels);
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
