//! Rows of a table by their indices; `shaders/gather.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static GATHER: "gather" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "gather.wgsl"],
        params: {
            rows: u32,
            cols: u32,
            /// The rows of the table.
            n: u32,
        },
        constants: { BYTES },
        bindings: { table: read u32, indices: read u32, out: write u32 },
        cpu: gather_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Gather {
    cols: usize,
    content: Content,
}

/// The elements of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Words,
    Bytes,
}

/// The rows `[indices, cols]` of a word table `[n, cols]` at `indices` (u32), of its type. The row of an index from `n`
/// on is NaN. So it is for [`gather_bytes`], where rows in the padding of the last word count as rows.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::engine::ops::gather;
///
/// let inputs = [floats([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), words([2], &[2, 0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [table, indices]| gather(g, table, indices))?;
/// assert_eq!(y, [5.0, 6.0, 1.0, 2.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for indices that are floats.
pub fn gather(g: &mut Graph, table: Tensor, indices: Tensor) -> Result<Tensor> {
    let cols = g.shape(table)?.cols();
    g.apply_one(Gather { cols, content: Content::Words }, &[table, indices])
}

/// The rows `[indices, cols]` of a table of bytes at `indices` (u32), as floats in [0, 1]. `table` holds `[n, cols]`
/// bytes in [`byte_table_words`] words.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, words};
/// use smoothenc::engine::ops::gather_bytes;
///
/// // Two rows of two bytes: 0 and 255, 51 and 0.
/// let inputs = [words([1], &[u32::from_le_bytes([0, 255, 51, 0])]), words([2], &[1, 0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [table, indices]| gather_bytes(g, table, indices, 2))?;
/// assert_eq!(y, [0.2, 0.0, 0.0, 1.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a table or indices that are floats.
pub fn gather_bytes(g: &mut Graph, table: Tensor, indices: Tensor, cols: usize) -> Result<Tensor> {
    g.apply_one(Gather { cols, content: Content::Bytes }, &[table, indices])
}

/// The words that hold `bytes` packed bytes.
pub fn byte_table_words(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        GATHER.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let ((_, table), (indices, kind)) = (inputs[0], inputs[1]);
        let bytes = self.content != Content::Words;
        if kind != DType::U32 || (bytes && table != DType::U32) {
            return Err("indices and packed bytes are integers".into());
        }
        Ok(vec![([indices.len(), self.cols].into(), if bytes { DType::F32 } else { table })])
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, cols) = (io.inputs[1].0.len(), self.cols);
        let bytes = self.content != Content::Words;
        let n = io.inputs[0].0.len() * if bytes { 4 } else { 1 } / cols;
        let params = Params { rows: rows as u32, cols: cols as u32, n: u32::try_from(n).unwrap_or(u32::MAX) };
        Args { table: io.input(0).whole(), indices: io.input(1).by_row(), out: io.output(0).by_row() }
            .call(params, Constants { BYTES: bytes.into() })
            .grid(rows, flat_tile(cols), flat_grid(rows * cols))
    }
}

fn gather_cpu(Tile { p, constants, table, indices, out, .. }: Tile) {
    let cols = p.cols as usize;
    let starts = indices.iter().map(|&i| (i < p.n).then_some(i as usize * cols));
    let rows = out.chunks_exact_mut(cols).zip(starts);
    if constants.BYTES == 1 {
        let table: &[u8] = bytemuck::cast_slice(table);
        for (out, start) in rows {
            let out: &mut [f32] = bytemuck::cast_slice_mut(out);
            let Some(start) = start else {
                out.fill(f32::NAN);
                continue;
            };
            let bytes = &table[start..start + cols];
            out.iter_mut().zip(bytes).for_each(|(x, &byte)| *x = f32::from(byte) / 255.0);
        }
    } else {
        for (out, start) in rows {
            match start {
                Some(start) => out.copy_from_slice(&table[start..start + cols]),
                None => out.fill(f32::NAN.to_bits()),
            }
        }
    }
}
