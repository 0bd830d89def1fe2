//! Marks the rows that a classifier gets wrong; `shaders/classify.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static CLASSIFY: "classify" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "classify.wgsl"],
        params: { rows: u32, cols: u32 },
        constants: {},
        bindings: { logits: read f32, labels: read u32, wrong: write u32 },
        cpu: classify_cpu,
    }
}

/// Inputs: logits and labels. Updates: wrong.
#[derive(Debug, Clone, Copy)]
struct Classify;

/// Sets the variable `wrong` `[rows]` (u32) to 1 in every row of `logits` `[rows, cols]` whose first largest logit is
/// not that of the label in `labels` `[rows]` (u32), or that has a NaN. Other rows are left as they are.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::method::ops::mark_wrong;
///
/// let inputs = [floats([2, 2], &[1.0, 2.0, 4.0, 3.0]), words([2], &[1, 1]), words([2], &[0, 0])];
/// let wrong: Vec<u32> = evaluate(inputs, |g, [logits, labels, wrong]| {
///     mark_wrong(g, logits, labels, wrong)?;
///     Ok(wrong)
/// })?;
/// assert_eq!(wrong, [0, 1]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn mark_wrong(g: &mut Graph, logits: Tensor, labels: Tensor, wrong: Tensor) -> Result<()> {
    g.apply_to(Classify, &[logits, labels], &[wrong])
}

impl Op for Classify {
    fn name(&self) -> &'static str {
        CLASSIFY.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
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
        Args { logits: io.input(0).by_row(), labels: io.input(1).by_row(), wrong: io.output(0).by_row() }
            .call(Params { rows: rows as u32, cols: cols as u32 }, Constants {})
            .grid(rows, flat_tile(cols), flat_grid(rows))
            .flops(rows * cols)
    }
}

fn classify_cpu(Tile { p, logits, labels, wrong, .. }: Tile) {
    let logits = logits.chunks_exact(p.cols as usize);
    for ((wrong, logits), label) in wrong.iter_mut().zip(logits).zip(labels) {
        let Some(own) = logits.get(*label as usize) else {
            *wrong = 1;
            continue;
        };
        let (before, after) = logits.split_at(*label as usize);
        // A NaN fails both comparisons.
        if !(before.iter().all(|x| x < own) && after.iter().all(|x| x <= own)) {
            *wrong = 1;
        }
    }
}
