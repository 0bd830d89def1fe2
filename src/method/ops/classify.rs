//! The verdicts of a classifier on a row's points; `shaders/classify.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static CLASSIFY: "classify" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "common/verdict.wgsl", "classify.wgsl"],
        params: { rows: u32, cols: u32 },
        constants: {},
        bindings: { logits: read f32, labels: read u32, verdicts: write u32 },
        cpu: classify_cpu,
    }
}

/// Inputs: logits and labels. Updates: the verdicts.
#[derive(Debug, Clone, Copy)]
struct Classify;

/// What the verdict of a row has from its first wrong point on.
pub(super) const WRONG: u32 = 1 << 31;

/// The points of a row that were right before the first wrong one; none where all were right.
pub fn right_before_wrong(verdict: u32) -> Option<u32> {
    verdict.checked_sub(WRONG)
}

/// The verdict after one more point: the CPU's twin of `shaders/common/verdict.wgsl`.
#[inline(always)]
pub(super) fn verdict(before: u32, right: bool) -> u32 {
    match before >= WRONG {
        true => before,
        false => before + if right { 1 } else { WRONG },
    }
}

/// Takes one more point of each row into the variable `verdicts` `[rows]` (u32), which is 0 before the first. The point
/// is right where the first largest of its `logits` `[rows, cols]` is that of the label in `labels` `[rows]` (u32), and
/// none is a NaN. A verdict counts the right points before the first wrong one, see [`right_before_wrong`].
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::method::ops::{classify, right_before_wrong};
///
/// let inputs = [floats([2, 2], &[1.0, 2.0, 4.0, 3.0]), words([2], &[1, 1]), words([2], &[0, 0])];
/// let verdicts: Vec<u32> = evaluate(inputs, |g, [logits, labels, verdicts]| {
///     g.repeat(3, |g| classify(g, logits, labels, verdicts))?;
///     Ok(verdicts)
/// })?;
/// assert_eq!(verdicts[0], 3);
/// assert_eq!([right_before_wrong(verdicts[0]), right_before_wrong(verdicts[1])], [None, Some(0)]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn classify(g: &mut Graph, logits: Tensor, labels: Tensor, verdicts: Tensor) -> Result<()> {
    g.apply_to(Classify, &[logits, labels], &[verdicts])
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
        Args { logits: io.input(0).by_row(), labels: io.input(1).by_row(), verdicts: io.output(0).by_row() }
            .call(Params { rows: rows as u32, cols: cols as u32 }, Constants {})
            .grid(rows, flat_tile(cols), flat_grid(rows))
            .flops(rows * cols)
    }
}

fn classify_cpu(Tile { p, logits, labels, verdicts, .. }: Tile) {
    let logits = logits.chunks_exact(p.cols as usize);
    for ((so_far, logits), label) in verdicts.iter_mut().zip(logits).zip(labels) {
        let right = logits.get(*label as usize).is_some_and(|own| {
            let (before, after) = logits.split_at(*label as usize);
            // A NaN fails both comparisons.
            before.iter().all(|x| x < own) && after.iter().all(|x| x <= own)
        });
        *so_far = verdict(*so_far, right);
    }
}
