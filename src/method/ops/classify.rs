//! Marks the rows that a classifier gets wrong; `shaders/classify.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid, flat_tile};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static CLASSIFY: Kernel = Kernel {
    name: "classify",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/bits.wgsl"),
        include_str!("../../../shaders/classify.wgsl"),
    ],
    bindings: &[Read, Read, Write],
    cpu: classify_cpu,
    trusted: true,
};

/// Inputs: logits and labels. Updates: wrong.
#[derive(Debug, Clone, Copy)]
struct Classify;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    cols: u32,
}

/// Sets the variable `wrong` `[rows]` (u32) to 1 in every row whose first largest logit is not the
/// label, or that has a NaN; the other rows keep what they were. `logits` `[rows, cols]`, `labels`
/// `[rows]` u32.
pub fn mark_wrong(g: &mut Graph, logits: Tensor, labels: Tensor, wrong: Tensor) -> Result<()> {
    g.apply_to(Classify, &[logits, labels], &[wrong])
}

impl Op for Classify {
    fn name(&self) -> &'static str {
        CLASSIFY.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        match inputs {
            [(logits, DType::F32), (labels, DType::U32)] if labels.len() == logits.rows() => {
                Ok(vec![([logits.rows()].into(), DType::U32)])
            }
            _ => Err(format!("{inputs:?}: needs float logits [rows, cols] and u32 labels [rows]")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        Call::new(&CLASSIFY, &Params { rows: rows as u32, cols: cols as u32 })
            .row(io.input(0))
            .row(io.input(1))
            .row(io.output(0))
            .grid(rows, flat_tile(cols), flat_grid(rows))
            .flops(rows * cols)
    }
}

fn classify_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let logits = call.rows::<f32>(0, &rows, cols).chunks_exact(cols);
    let labels = call.rows::<u32>(1, &rows, 1);
    for ((wrong, logits), label) in call.rows_mut::<u32>(2, &rows, 1).iter_mut().zip(logits).zip(labels) {
        let Some(own) = logits.get(*label as usize) else {
            *wrong = 1;
            continue;
        };
        let (before, after) = logits.split_at(*label as usize);
        // A NaN fails either comparison.
        if !(before.iter().all(|x| x < own) && after.iter().all(|x| x <= own)) {
            *wrong = 1;
        }
    }
}
