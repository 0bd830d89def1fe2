//! Entropic optimal transport between rows of probabilities; `shaders/sinkhorn.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::broadcast;
use crate::engine::ops::elementwise::{exp, multiply};
use crate::engine::ops::lanes::{self, Lanes};
use crate::engine::recording::{Call, row_grid};
use crate::engine::simd::exp_and_exp_m1;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};
use crate::kernel;
use crate::method::ops::transport_plan;

kernel! {
    pub static SINKHORN: "sinkhorn" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "sinkhorn.wgsl"],
        params: { rows: u32, n: u32, m: u32 },
        constants: { ITERATIONS },
        bindings: {
            log_a: read f32,
            log_b: read f32,
            cost: read f32,
            value: write f32,
            f_out: write f32,
            h_out: write f32,
        },
        cpu: sinkhorn_cpu,
    }
}

/// Inputs: `log a`, `log b` and the cost. Outputs: the values and the potentials of both sides.
#[derive(Debug, Clone, Copy)]
struct Sinkhorn {
    iterations: u32,
}

/// The most states on either side: `MOST` in the shader.
pub const MOST_STATES: usize = 512;

/// The most rounds of an invocation's loops. Mesa's software Vulkan silently ends them after 65,535, inner loops
/// included.
const MOST_ROUNDS: usize = 60_000;

/// The most rounds of an invocation's loops in one iteration.
fn rounds(n: usize, m: usize) -> usize {
    const FLAT: usize = 256;
    let side = |own: usize, other: usize| own.div_ceil(FLAT) * (2 * other + 1);
    side(n, m) + side(m, n) + 1
}

/// `min over Q of <Q, cost> - H(Q)` `[rows]`, where Q has the marginals of row r of `a` and of `b`. `log_a` `[rows, n]`
/// and `log_b` `[rows, m]` are logarithms of probabilities; all rows share `cost` `[n, m]`, which includes the
/// coupling. The potentials come from `iterations` iterations of Sinkhorn's algorithm (Cuturi 2013): with 40 states at
/// most 368.
///
/// The gradients by the logarithms and by the cost are those at the optimum (the envelope theorem), so they are as
/// exact as the potentials.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::method::ops::sinkhorn;
///
/// // Without a cost the best plan is the product of the marginals, whose entropy is log 4.
/// let half = floats([1, 2], &[0.5_f32.ln(); 2]);
/// let cost = floats([2, 2], &[0.0; 4]);
/// let y: Vec<f32> = evaluate([half.clone(), half, cost], |g, [a, b, cost]| sinkhorn(g, a, b, cost, 3))?;
/// assert!((y[0] + 4.0_f32.ln()).abs() < 1e-6);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where they do not fit, for more than [`MOST_STATES`] states, and for too many iterations.
pub fn sinkhorn(
    g: &mut Graph,
    log_a: Tensor,
    log_b: Tensor,
    cost: Tensor,
    iterations: u32,
) -> Result<Tensor> {
    Ok(g.apply(Sinkhorn { iterations }, &[log_a, log_b, cost])?[0])
}

impl Op for Sinkhorn {
    fn name(&self) -> &'static str {
        SINKHORN.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let [(a, DType::F32), (b, DType::F32), (cost, DType::F32)] = inputs else {
            return Err(format!("{inputs:?}: needs floats log_a, log_b and cost"));
        };
        let fits = a.rows() == b.rows() && (cost.rows(), cost.cols()) == (a.cols(), b.cols());
        if !fits || a.cols().max(b.cols()) > MOST_STATES {
            return Err(format!(
                "{a}, {b}, {cost}: needs [rows, n], [rows, m] and [n, m] with at most {MOST_STATES} states"
            ));
        }
        let most = MOST_ROUNDS / rounds(a.cols(), b.cols());
        if self.iterations as usize > most {
            return Err(format!("{} iterations for {a} and {b}: at most {most}", self.iterations));
        }
        let value: Shape = [a.rows()].into();
        Ok([value, (*a).clone(), (*b).clone()].map(|shape| (shape, DType::F32)).into())
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        if upstream[1..].iter().any(Option::is_some) {
            let message = "only the value is differentiated, not the potentials".to_string();
            return Err(Error::Shape { op: self.name(), message });
        }
        let Some(d) = upstream[0] else { return Ok(vec![None; 3]) };
        let (f, h, cost) = (node.outputs[1], node.outputs[2], node.inputs[2]);
        let mut by_logarithms = |i: usize| -> Result<Option<Tensor>> {
            if !wanted[i] {
                return Ok(None);
            }
            // d value / d log a = a f.
            let mass = exp(g, node.inputs[i])?;
            let slope = multiply(g, mass, node.outputs[1 + i])?;
            broadcast::scale_rows(g, d, slope).map(Some)
        };
        let (by_a, by_b) = (by_logarithms(0)?, by_logarithms(1)?);
        let by_cost = if wanted[2] { Some(transport_plan(g, d, f, h, cost)?) } else { None };
        Ok(vec![by_a, by_b, by_cost])
    }

    fn call(&self, io: &Io) -> Call {
        let (rows, n, m) = (io.inputs[0].0.rows(), io.inputs[0].0.cols(), io.inputs[1].0.cols());
        Args {
            log_a: io.input(0).by_row(),
            log_b: io.input(1).by_row(),
            cost: io.input(2).whole(),
            value: io.output(0).by_row(),
            f_out: io.output(1).by_row(),
            h_out: io.output(2).by_row(),
        }
        .call(
            Params { rows: rows as u32, n: n as u32, m: m as u32 },
            Constants { ITERATIONS: self.iterations },
        )
        .grid(rows, 1, row_grid(rows))
        .flops(rows * n * m * self.iterations as usize * 8)
    }
}

fn sinkhorn_cpu(Tile { p, constants, log_a, log_b, cost, value, f_out, h_out, .. }: Tile) {
    let (n, m) = (p.n as usize, p.m as usize);
    let across: Vec<f32> = (0..n * m).map(|k| cost[k % n * m + k / n]).collect();
    let (log_a, log_b) = (log_a.chunks_exact(n), log_b.chunks_exact(m));
    let (f, h) = (f_out.chunks_exact_mut(n), h_out.chunks_exact_mut(m));
    // Where all costs are small, e^-cost is computed once, so that an iteration takes few exponentials.
    let small = cost.iter().all(|&cost| cost.abs() < SMALL_COST);
    let kernel = |cost: &[f32]| cost.iter().map(|cost| (-cost).exp()).collect::<Vec<f32>>();
    let kernels = if small { [kernel(cost), kernel(&across)] } else { [Vec::new(), Vec::new()] };
    for ((((log_a, log_b), value), f), h) in log_a.zip(log_b).zip(value).zip(f).zip(h) {
        h.fill(0.0);
        for _ in 0..constants.ITERATIONS {
            match small {
                true => {
                    renew_scaled(f, log_a, h, &kernels[0]);
                    renew_scaled(h, log_b, f, &kernels[1]);
                }
                false => {
                    renew(f, log_a, h, cost);
                    renew(h, log_b, f, &across);
                }
            }
        }
        let parts = log_a.iter().zip(&*f).chain(log_b.iter().zip(&*h));
        let mut sum = Lanes::default();
        parts.enumerate().for_each(|(i, (log, potential))| sum.add(i, log.exp() * potential));
        *value = sum.total();
    }
}

/// Costs below this are small: beside a term of `e^-50`, what underflows (below `e^-104`) is less than the rounding.
const SMALL_COST: f32 = 50.0;

/// [`renew`] with `kernel = e^-cost`: `new[i] = log_p[i] - top - log sum over j of kernel[i, j] e^(old[j] - top)`.
fn renew_scaled(new: &mut [f32], log_p: &[f32], old: &[f32], kernel: &[f32]) {
    let top = old.iter().copied().fold(old[0], f32::max);
    let scaled: Vec<f32> = old.iter().map(|old| exp_and_exp_m1(old - top).0).collect();
    for ((new, log_p), kernel) in new.iter_mut().zip(log_p).zip(kernel.chunks_exact(old.len())) {
        *new = log_p - top - lanes::sum_of(kernel, &scaled, |k, s| k * s).ln();
    }
}

/// `new[i] = log_p[i] - log sum over j of e^(old[j] - cost[i, j])`.
fn renew(new: &mut [f32], log_p: &[f32], old: &[f32], cost: &[f32]) {
    for ((new, log_p), cost) in new.iter_mut().zip(log_p).zip(cost.chunks_exact(old.len())) {
        let gain = |j: usize| old[j] - cost[j];
        let top = (1..old.len()).map(gain).fold(gain(0), f32::max);
        let mut sum = Lanes::default();
        (0..old.len()).for_each(|j| sum.add(j, exp_and_exp_m1(gain(j) - top).0));
        *new = log_p - top - sum.total().ln();
    }
}
