//! The entropy-regularised Wasserstein divergence of two heads, with its gradient with respect to
//! the second; `shaders/entropic_distance.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, row_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::error::Result;
use crate::kernel;
use crate::method::ops::entropic_wasserstein::{CPU_TILE, ENTROPIC_FLOPS, entropic};
use crate::method::ops::wasserstein2::{Distance, distance_gradient, distance_outputs};

kernel! {
    pub static ENTROPIC_DISTANCE: "entropic_distance" {
        shaders: [
            "common/flat.wgsl",
            "common/reduce.wgsl",
            "common/precise.wgsl",
            "common/entropic.wgsl",
            "entropic_distance.wgsl",
        ],
        params: { rows: u32, latents: u32, gamma: f32 },
        constants: {},
        bindings: { h_a: read f32, h_b: read f32, wd: write f32, dh_b: write f32 },
        cpu: entropic_distance_cpu,
    }
}

/// Inputs: the two heads. Outputs: the divergences and their gradients with respect to the second.
#[derive(Debug, Clone, Copy)]
struct EntropicDistance {
    gamma: f32,
}

/// `WD_gamma` between the rows of the heads `h_a` and `h_b`, `[rows, 2 latents]` each, means and log-variances side by
/// side; all constants included, `gamma >= 0`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn entropic_distance(g: &mut Graph, h_a: Tensor, h_b: Tensor, gamma: f32) -> Result<Distance> {
    let outputs = g.apply(EntropicDistance { gamma }, &[h_a, h_b])?;
    Ok(Distance { value: outputs[0], d_b: outputs[1] })
}

impl Op for EntropicDistance {
    fn name(&self) -> &'static str {
        ENTROPIC_DISTANCE.name
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
        let params = Params { rows: rows as u32, latents: latents as u32, gamma: self.gamma };
        Args {
            h_a: io.input(0).by_row(),
            h_b: io.input(1).by_row(),
            wd: io.output(0).by_row(),
            dh_b: io.output(1).by_row(),
        }
        .call(params, Constants {})
        .grid(rows, CPU_TILE, row_grid(rows))
        .flops(rows * latents * ENTROPIC_FLOPS)
    }
}

fn entropic_distance_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, h_a, h_b, wd, dh_b, .. } = self;
        let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
        let heads = h_a.chunks_exact(width).zip(h_b.chunks_exact(width));
        for ((wd, (a, b)), d) in wd.iter_mut().zip(heads).zip(dh_b.chunks_exact_mut(width)) {
            let ((mu_a, l_a), (mu_b, l_b)) = (a.split_at(latents), b.split_at(latents));
            let (d_mu, d_l) = d.split_at_mut(latents);
            [*wd] = lanes::map([mu_a, l_a, mu_b, l_b], [d_mu, d_l], |[mu_a, l_a, mu_b, l_b]| {
                let e = entropic(p.gamma, mu_a, l_a, mu_b, l_b);
                ([e.d_mu_b, e.d_l_b], [e.value])
            });
        }
    }
}
