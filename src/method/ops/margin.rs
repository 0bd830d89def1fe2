//! The slope of a classifier's margin, for attacks on a class of their choice; `shaders/margin.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static MARGIN: "margin" {
        shaders: ["common/flat.wgsl", "common/bits.wgsl", "margin.wgsl"],
        params: { rows: u32, cols: u32 },
        constants: {},
        bindings: { logits: read f32, labels: read u32, targets: read u32, dlogits: write f32 },
        cpu: margin_cpu,
    }
}

/// The target of a row that has none: the class of the largest logit but the label's.
pub const ANY: u32 = u32::MAX;

/// Inputs: logits, labels and targets. Outputs: the slopes.
#[derive(Debug, Clone, Copy)]
struct Margin;

/// The derivative of `logits[target] - logits[label]` by `logits` `[rows, cols]`: 1 at the target, -1 at the label, 0
/// elsewhere. `targets` `[rows]` (u32) has the class of each row's target. One that is no class, such as [`ANY`], or is
/// the label, stands for the first largest logit of the others. A row whose label in `labels` `[rows]` (u32) is no
/// class is NaN. The result has no gradient.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::method::ops::{ANY, margin};
///
/// let inputs = [floats([2, 3], &[3.0, 1.0, 2.0, 3.0, 1.0, 2.0]), words([2], &[0, 0]), words([2], &[1, ANY])];
/// let slope: Vec<f32> = evaluate(inputs, |g, [logits, labels, targets]| margin(g, logits, labels, targets))?;
/// assert_eq!(slope, [-1.0, 1.0, 0.0, -1.0, 0.0, 1.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn margin(g: &mut Graph, logits: Tensor, labels: Tensor, targets: Tensor) -> Result<Tensor> {
    g.apply_one(Margin, &[logits, labels, targets])
}

impl Op for Margin {
    fn name(&self) -> &'static str {
        MARGIN.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(logits, DType::F32), (labels, DType::U32), (targets, DType::U32)]
                if labels.len() == logits.rows() && targets.len() == logits.rows() =>
            {
                Ok(vec![((*logits).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float logits [rows, cols], u32 labels and targets [rows]")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        Args {
            logits: io.input(0).by_row(),
            labels: io.input(1).by_row(),
            targets: io.input(2).by_row(),
            dlogits: io.output(0).by_row(),
        }
        .call(Params { rows: rows as u32, cols: cols as u32 }, Constants {})
        .grid(rows, flat_tile(cols), flat_grid(rows))
        .flops(rows * cols)
    }
}

/// The class of a row's target: its own, or the first largest of `logit` but the label's. Not a class where there is no
/// other.
#[inline(always)]
pub(super) fn target(classes: usize, label: u32, wanted: u32, logit: impl Fn(usize) -> f32) -> usize {
    let (label, wanted) = (label as usize, wanted as usize);
    if wanted < classes && wanted != label {
        return wanted;
    }
    let first = usize::from(label == 0);
    (first + 1..classes).fold(first, |best, c| if c != label && logit(c) > logit(best) { c } else { best })
}

/// The derivative of a row's margin by its logit of class `c`.
#[inline(always)]
pub(super) fn slope(c: usize, label: usize, target: usize) -> f32 {
    let raised = if c == target { 1.0 } else { 0.0 };
    if c == label { -1.0 } else { raised }
}

fn margin_cpu(Tile { p, logits, labels, targets, dlogits, .. }: Tile) {
    let classes = p.cols as usize;
    let (logits, slopes) = (logits.chunks_exact(classes), dlogits.chunks_exact_mut(classes));
    for (((logits, slopes), label), wanted) in logits.zip(slopes).zip(labels).zip(targets) {
        let target = target(classes, *label, *wanted, |c| logits[c]);
        let label = *label as usize;
        slopes.iter_mut().enumerate().for_each(|(c, to)| *to = slope(c, label, target));
        if label >= classes {
            slopes.fill(f32::NAN);
        }
    }
}
