//! Log-odds that peak at a place on a circle; `shaders/cosine_logits.wgsl`.

use std::f32::consts::TAU;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::elementwise::{multiply, scale};
use crate::engine::ops::reduce;
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static COSINE_LOGITS: "cosine_logits" {
        shaders: ["common/flat.wgsl", "cosine_logits.wgsl"],
        params: { rows: u32, cols: u32, shift: f32 },
        constants: {},
        bindings: { m: read f32, s: read f32, out: write f32 },
        cpu: cosine_logits_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct CosineLogits {
    cols: usize,
    /// Added to the peak, in revolutions.
    shift: f32,
}

/// `cos(2 pi (m[r] - (c + 1) / cols)) / exp(s[r])` for `m`, `s` `[rows]`: the tables of the tabular system
/// (docs/method.md, section 7) before they are normalised, from peaks `m` in revolutions and logarithms `s` of widths.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn cosine_logits(g: &mut Graph, m: Tensor, s: Tensor, cols: usize) -> Result<Tensor> {
    g.apply_one(CosineLogits { cols, shift: 0.0 }, &[m, s])
}

impl Op for CosineLogits {
    fn name(&self) -> &'static str {
        COSINE_LOGITS.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(m, DType::F32), (s, DType::F32)] if m.len() == s.len() && self.cols > 0 => {
                Ok(vec![([m.len(), self.cols].into(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs floats m [rows] and s [rows]")),
        }
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        let Some(d) = upstream[0] else { return Ok(vec![None, None]) };
        let summed = |g: &mut Graph, by: Tensor, factor: f32| -> Result<Tensor> {
            let products = multiply(g, d, by)?;
            let sums = reduce::row_sums(g, products)?;
            scale(g, sums, factor)
        };
        let mut gradients = vec![None, None];
        if wanted[0] {
            // cos'(x) = cos(x + pi / 2), a quarter of a revolution.
            let ahead = CosineLogits { shift: self.shift + 0.25, ..*self };
            let slope = g.apply_one(ahead, &node.inputs)?;
            gradients[0] = Some(summed(g, slope, TAU)?);
        }
        if wanted[1] {
            gradients[1] = Some(summed(g, node.outputs[0], -1.0)?);
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, cols) = (io.inputs[0].0.len(), self.cols);
        Args { m: io.input(0).by_row(), s: io.input(1).by_row(), out: io.output(0).by_row() }
            .call(Params { rows: rows as u32, cols: cols as u32, shift: self.shift }, Constants {})
            .grid(rows, flat_tile(cols), flat_grid(rows * cols))
            .flops(rows * cols * 4)
    }
}

fn cosine_logits_cpu(Tile { p, m, s, out, .. }: Tile) {
    let cols = p.cols as usize;
    for ((row, m), s) in out.chunks_exact_mut(cols).zip(m).zip(s) {
        let height = (-s).exp();
        for (c, out) in row.iter_mut().enumerate() {
            let revolutions = m + p.shift - (c + 1) as f32 / cols as f32;
            *out = (TAU * (revolutions - revolutions.round())).cos() * height;
        }
    }
}
