//! Plans of entropic optimal transport; `shaders/transport_plan.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid, flat_tile};
use crate::engine::simd::exp_and_exp_m1;
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static TRANSPORT_PLAN: Kernel = Kernel {
    name: "transport_plan",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/transport_plan.wgsl"),
    ],
    bindings: &[Read, Read, Read, Read, Write],
    cpu: transport_plan_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct TransportPlan;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    n: u32,
    m: u32,
}

/// `sum over r of d[r] e^(f[r, i] + h[r, j] - cost[i, j])` `[n, m]`: the optimal plans of
/// [`sinkhorn`](super::sinkhorn) for its potentials `f` `[rows, n]` and `h` `[rows, m]`, each row's weighed by `d`
/// `[rows]`.
pub fn transport_plan(g: &mut Graph, d: Tensor, f: Tensor, h: Tensor, cost: Tensor) -> Result<Tensor> {
    g.apply_one(TransportPlan, &[d, f, h, cost])
}

impl Op for TransportPlan {
    fn name(&self) -> &'static str {
        TRANSPORT_PLAN.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        let [(d, DType::F32), (f, DType::F32), (h, DType::F32), (cost, DType::F32)] = inputs else {
            return Err(format!("{inputs:?}: needs floats d, f, h and cost"));
        };
        let rows = d.len() == f.rows() && d.len() == h.rows();
        if !rows || (cost.rows(), cost.cols()) != (f.cols(), h.cols()) {
            return Err(format!("{d}, {f}, {h}, {cost}: needs [rows], [rows, n], [rows, m] and [n, m]"));
        }
        Ok(vec![((*cost).clone(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let (f, h) = (&io.inputs[1].0, &io.inputs[2].0);
        let (rows, n, m) = (f.rows(), f.cols(), h.cols());
        Call::new(&TRANSPORT_PLAN, &Params { rows: rows as u32, n: n as u32, m: m as u32 })
            .whole(io.input(0))
            .whole(io.input(1))
            .whole(io.input(2))
            .row(io.input(3))
            .row(io.output(0))
            .grid(n, flat_tile(m * rows), flat_grid(n * m))
            .flops(4 * rows * n * m)
    }
}

fn transport_plan_cpu(call: &CpuCall, range: Range<usize>) {
    let p: Params = call.params();
    let (n, m) = (p.n as usize, p.m as usize);
    let (d, f, h) = (call.whole::<f32>(0), call.whole::<f32>(1), call.whole::<f32>(2));
    let cost = call.rows::<f32>(3, &range, m).chunks_exact(m);
    let out = call.rows_mut::<f32>(4, &range, m).chunks_exact_mut(m);
    for ((i, cost), out) in range.zip(cost).zip(out) {
        out.fill(0.0);
        for ((d, f), h) in d.iter().zip(f.chunks_exact(n)).zip(h.chunks_exact(m)) {
            for ((out, h), cost) in out.iter_mut().zip(h).zip(cost) {
                *out += d * exp_and_exp_m1(f[i] + h - cost).0;
            }
        }
    }
}
