//! The squared 2-Wasserstein distance of two heads, with its gradient; `shaders/wasserstein2.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::broadcast;
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, row_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;
use crate::method::ops::entropic_wasserstein::{CPU_TILE, deviations, w2_squared};

kernel! {
    pub static WASSERSTEIN2: "wasserstein2" {
        shaders: [
            "common/flat.wgsl",
            "common/reduce.wgsl",
            "common/precise.wgsl",
            "common/entropic.wgsl",
            "wasserstein2.wgsl",
        ],
        params: { rows: u32, latents: u32 },
        constants: {},
        bindings: { h_a: read f32, h_b: read f32, w2: write f32, dh_b: write f32 },
        cpu: wasserstein2_cpu,
    }
}

/// Inputs: the two heads. Outputs: the distances and their gradients with respect to the second.
#[derive(Debug, Clone, Copy)]
struct Wasserstein2;

/// A selection metric between the rows of two heads, with its derivative.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    /// The distance of each row, `[rows]`.
    pub value: Tensor,
    /// The derivative of each row's distance by the row of the second head, `[rows, 2 latents]`: a seed for
    /// [`gradients_from`](crate::engine::autodiff::gradients_from). It has no gradient itself.
    pub d_b: Tensor,
}

/// `W2^2` of eq 12 between the rows of the heads `h_a` and `h_b`, `[rows, 2 latents]` each, means and log-variances
/// side by side.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::method::ops::wasserstein2;
///
/// // Of one latent: means 0 and 3, deviations 1 and 1.
/// let inputs = [floats([1, 2], &[0.0, 0.0]), floats([1, 2], &[3.0, 0.0])];
/// let w2: Vec<f32> = evaluate(inputs, |g, [a, b]| Ok(wasserstein2(g, a, b)?.value))?;
/// assert_eq!(w2, [9.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn wasserstein2(g: &mut Graph, h_a: Tensor, h_b: Tensor) -> Result<Distance> {
    let outputs = g.apply(Wasserstein2, &[h_a, h_b])?;
    Ok(Distance { value: outputs[0], d_b: outputs[1] })
}

/// The shape rule of a metric between two heads.
pub(crate) fn distance_outputs(inputs: &Inputs) -> Outputs {
    match inputs {
        [(h_a, DType::F32), (h_b, DType::F32)]
            if h_a.rows() == h_b.rows() && h_a.cols() == h_b.cols() && h_b.cols().is_multiple_of(2) =>
        {
            Ok(vec![([h_b.rows()].into(), DType::F32), ((*h_b).clone(), DType::F32)])
        }
        _ => Err(format!("{inputs:?}: needs two float heads [rows, 2 latents]")),
    }
}

/// The gradient rule of a symmetric metric between two heads that saves its derivative by the second. That by the first
/// is the one that the op with swapped heads saves.
pub(crate) fn distance_gradient(
    op: impl Op,
    g: &mut Graph,
    node: &Node,
    upstream: &[Option<Tensor>],
    wanted: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let (name, swapped) = (op.name(), [node.inputs[1], node.inputs[0]]);
    let d_b = broadcast::through_saved(g, name, upstream, node.outputs[1])?;
    if !wanted[0] {
        return Ok(vec![None, d_b]);
    }
    let dh_a = g.apply(op, &swapped)?[1];
    Ok(vec![broadcast::through_saved(g, name, upstream, dh_a)?, d_b])
}

impl Op for Wasserstein2 {
    fn name(&self) -> &'static str {
        WASSERSTEIN2.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        distance_outputs(inputs)
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        distance_gradient(*self, g, node, upstream, wanted)
    }

    fn call(&self, io: &Io) -> Call {
        let h = &io.inputs[1].0;
        let (rows, latents) = (h.rows(), h.cols() / 2);
        Args {
            h_a: io.input(0).by_row(),
            h_b: io.input(1).by_row(),
            w2: io.output(0).by_row(),
            dh_b: io.output(1).by_row(),
        }
        .call(Params { rows: rows as u32, latents: latents as u32 }, Constants {})
        .grid(rows, CPU_TILE, row_grid(rows))
        .flops(rows * latents * 16)
    }
}

fn wasserstein2_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, h_a, h_b, w2, dh_b, .. } = self;
        let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
        let heads = h_a.chunks_exact(width).zip(h_b.chunks_exact(width));
        for ((w2, (a, b)), d) in w2.iter_mut().zip(heads).zip(dh_b.chunks_exact_mut(width)) {
            let ((mu_a, l_a), (mu_b, l_b)) = (a.split_at(latents), b.split_at(latents));
            let (d_mu, d_l) = d.split_at_mut(latents);
            [*w2] = lanes::map([mu_a, l_a, mu_b, l_b], [d_mu, d_l], |[mu_a, l_a, mu_b, l_b]| {
                let e = w2_squared(mu_a, mu_b, deviations(l_a, l_b));
                ([e.d_mu_b, e.d_l_b], [e.value])
            });
        }
    }
}
