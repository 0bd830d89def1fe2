//! The entropy-regularised Wasserstein divergence of two heads, with its gradient with respect to
//! the second; `shaders/entropic_distance.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Node, Op, Tensor};
use crate::engine::ops::lanes::Lanes;
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, row_grid};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;
use crate::method::ops::entropic_wasserstein::{CPU_TILE, ENTROPIC_FLOPS, entropic};
use crate::method::ops::wasserstein2::{Distance, distance_gradient, distance_outputs};

pub static ENTROPIC_DISTANCE: Kernel = Kernel {
    name: "entropic_distance",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/reduce.wgsl"),
        include_str!("../../../shaders/common/precise.wgsl"),
        include_str!("../../../shaders/common/entropic.wgsl"),
        include_str!("../../../shaders/entropic_distance.wgsl"),
    ],
    bindings: &[Read, Read, Write, Write],
    cpu: entropic_distance_cpu,
    trusted: true,
};

/// Inputs: the two heads. Outputs: the divergences and their gradients with respect to the second.
#[derive(Debug, Clone, Copy)]
struct EntropicDistance {
    gamma: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    latents: u32,
    gamma: f32,
}

/// `WD_gamma` between the rows of the heads `h_a` and `h_b`, `[rows, 2 latents]` each, means and
/// log-variances side by side, all constants included; `gamma >= 0`.
pub fn entropic_distance(g: &mut Graph, h_a: Tensor, h_b: Tensor, gamma: f32) -> Result<Distance> {
    let outputs = g.apply(EntropicDistance { gamma }, &[h_a, h_b])?;
    Ok(Distance { value: outputs[0], d_b: outputs[1] })
}

impl Op for EntropicDistance {
    fn name(&self) -> &'static str {
        ENTROPIC_DISTANCE.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        distance_outputs(inputs)
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        distance_gradient(*self, g, node, upstream, wanted)
    }

    fn call(&self, io: &Io) -> Call {
        let h = &io.inputs[1].0;
        let (rows, latents) = (h.rows(), h.cols() / 2);
        let params = Params { rows: rows as u32, latents: latents as u32, gamma: self.gamma };
        Call::new(&ENTROPIC_DISTANCE, &params)
            .row(io.input(0))
            .row(io.input(1))
            .row(io.output(0))
            .row(io.output(1))
            .grid(rows, CPU_TILE, row_grid(rows))
            .flops(rows * latents * ENTROPIC_FLOPS)
    }
}

fn entropic_distance_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
    let a = call.rows::<f32>(0, &rows, width).chunks_exact(width);
    let b = call.rows::<f32>(1, &rows, width).chunks_exact(width);
    let d = call.rows_mut::<f32>(3, &rows, width).chunks_exact_mut(width);
    for (((wd, a), b), d) in call.rows_mut::<f32>(2, &rows, 1).iter_mut().zip(a).zip(b).zip(d) {
        let ((mu_a, l_a), (mu_b, l_b)) = (a.split_at(latents), b.split_at(latents));
        let (d_mu, d_l) = d.split_at_mut(latents);
        let mut sum = Lanes::default();
        for j in 0..latents {
            let e = entropic(p.gamma, mu_a[j], l_a[j], mu_b[j], l_b[j]);
            (d_mu[j], d_l[j]) = (e.d_mu_b, e.d_l_b);
            sum.add(j, e.value);
        }
        *wd = sum.total();
    }
}
