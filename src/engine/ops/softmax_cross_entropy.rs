//! The classifier's loss with its derivative; `shaders/softmax_cross_entropy.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::broadcast;
use crate::engine::ops::lanes::Lanes;
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static SOFTMAX_CROSS_ENTROPY: "softmax_cross_entropy" {
        shaders: [
            "common/flat.wgsl",
            "common/bits.wgsl",
            "common/precise.wgsl",
            "softmax_cross_entropy.wgsl",
        ],
        params: { rows: u32, cols: u32 },
        constants: {},
        bindings: { logits: read f32, labels: read u32, loss: write f32, dlogits: write f32 },
        cpu: softmax_cross_entropy_cpu,
    }
}

/// Inputs: logits and labels. Outputs: the losses and their derivatives.
#[derive(Debug, Clone, Copy)]
struct SoftmaxCrossEntropy;

/// The outputs of [`softmax_cross_entropy`].
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy {
    /// `-log softmax(logits)[label]`, `[rows]`.
    pub loss: Tensor,
    /// The derivative of each row's loss by its logits, `[rows, cols]`: a seed for
    /// [`gradients_from`](crate::engine::autodiff::gradients_from). It has no gradient itself.
    pub d_logits: Tensor,
}

/// The cross-entropy of `labels` `[rows]` (u32, each below `cols`) under `logits` `[rows, cols]`. The row of a label
/// that is no class is NaN.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::engine::ops::softmax_cross_entropy;
///
/// let inputs = [floats([1, 2], &[3.0, 3.0]), words([1], &[0])];
/// let d: Vec<f32> = evaluate(inputs, |g, [x, label]| Ok(softmax_cross_entropy(g, x, label)?.d_logits))?;
/// assert_eq!(d, [-0.5, 0.5]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn softmax_cross_entropy(g: &mut Graph, logits: Tensor, labels: Tensor) -> Result<CrossEntropy> {
    let outputs = g.apply(SoftmaxCrossEntropy, &[logits, labels])?;
    Ok(CrossEntropy { loss: outputs[0], d_logits: outputs[1] })
}

impl Op for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        SOFTMAX_CROSS_ENTROPY.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(logits, DType::F32), (labels, DType::U32)] if labels.len() == logits.rows() => {
                Ok(vec![([logits.rows()].into(), DType::F32), ((*logits).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float logits [rows, cols] and u32 labels [rows]")),
        }
    }

    fn gradient(&self, g: &mut Graph, node: &Node, upstream: &[Option<Tensor>], _: &[bool]) -> Gradients {
        Ok(vec![broadcast::through_saved(g, self.name(), upstream, node.outputs[1])?, None])
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        Args {
            logits: io.input(0).by_row(),
            labels: io.input(1).by_row(),
            loss: io.output(0).by_row(),
            dlogits: io.output(1).by_row(),
        }
        .call(Params { rows: rows as u32, cols: cols as u32 }, Constants {})
        .grid(rows, flat_tile(cols), flat_grid(rows))
        .flops(rows * cols * 4)
    }
}

fn softmax_cross_entropy_cpu(Tile { p, logits, labels, loss, dlogits, .. }: Tile) {
    let cols = p.cols as usize;
    let (logits, d) = (logits.chunks_exact(cols), dlogits.chunks_exact_mut(cols));
    for (((loss, logits), label), d) in loss.iter_mut().zip(logits).zip(labels).zip(d) {
        *loss = row(logits, *label as usize, d);
    }
}

/// One row: writes the derivative, returns the loss.
fn row(logits: &[f32], label: usize, d: &mut [f32]) -> f32 {
    if label >= logits.len() {
        d.fill(f32::NAN);
        return f32::NAN;
    }
    // A NaN never compares larger, but it makes `rest` NaN; as the first logit it stays the maximum.
    let (top, m) = logits
        .iter()
        .enumerate()
        .fold((0, logits[0]), |best, (c, &value)| if value > best.1 { (c, value) } else { best });
    let mut rest = Lanes::default();
    for (c, (d, logit)) in d.iter_mut().zip(logits).enumerate() {
        *d = 1.0;
        if c != top {
            *d = (logit - m).exp();
            rest.add(c, *d);
        }
    }
    let rest = rest.total();
    let total = 1.0 + rest;
    // Minus the sum of the others' derivatives, which does not cancel where the label's probability is near 1.
    let others = if label == top { rest } else { total - d[label] };
    d.iter_mut().for_each(|d| *d /= total);
    d[label] = -others / total;
    (m - logits[label]) + rest.ln_1p()
}
