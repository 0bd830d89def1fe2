//! Plans of entropic optimal transport; `shaders/transport_plan.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::simd::exp_and_exp_m1;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static TRANSPORT_PLAN: "transport_plan" {
        shaders: ["common/flat.wgsl", "transport_plan.wgsl"],
        params: { rows: u32, n: u32, m: u32 },
        constants: {},
        bindings: { d: read f32, f: read f32, h: read f32, cost: read f32, out: write f32 },
        cpu: transport_plan_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct TransportPlan;

/// `sum over r of d[r] e^(f[r, i] + h[r, j] - cost[i, j])` `[n, m]`: the sum of the optimal plans of
/// [`sinkhorn`](super::sinkhorn) with its potentials `f` `[rows, n]` and `h` `[rows, m]`, weighted by `d` `[rows]`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn transport_plan(g: &mut Graph, d: Tensor, f: Tensor, h: Tensor, cost: Tensor) -> Result<Tensor> {
    g.apply_one(TransportPlan, &[d, f, h, cost])
}

impl Op for TransportPlan {
    fn name(&self) -> &'static str {
        TRANSPORT_PLAN.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
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
        Args {
            d: io.input(0).whole(),
            f: io.input(1).whole(),
            h: io.input(2).whole(),
            cost: io.input(3).by_row(),
            out: io.output(0).by_row(),
        }
        .call(Params { rows: rows as u32, n: n as u32, m: m as u32 }, Constants {})
        .grid(n, flat_tile(m * rows), flat_grid(n * m))
        .flops(4 * rows * n * m)
    }
}

fn transport_plan_cpu(Tile { p, rows, d, f, h, cost, out, .. }: Tile) {
    let (n, m) = (p.n as usize, p.m as usize);
    for ((i, cost), out) in rows.zip(cost.chunks_exact(m)).zip(out.chunks_exact_mut(m)) {
        out.fill(0.0);
        for ((d, f), h) in d.iter().zip(f.chunks_exact(n)).zip(h.chunks_exact(m)) {
            for ((out, h), cost) in out.iter_mut().zip(h).zip(cost) {
                *out += d * exp_and_exp_m1(f[i] + h - cost).0;
            }
        }
    }
}
