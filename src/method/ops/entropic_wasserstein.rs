//! The entropy-regularised Wasserstein divergence of the encoder at a point and its fictive point, with its gradient;
//! `shaders/entropic_wasserstein.wgsl`. The formula for one latent dimension, which other ops share, is here and in
//! `shaders/common/entropic.wgsl`.

use std::f32::consts::LN_2;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::ops::broadcast;
use crate::engine::ops::lanes;
use crate::engine::recording::{Call, row_grid};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static ENTROPIC_WASSERSTEIN: "entropic_wasserstein" {
        shaders: [
            "common/flat.wgsl",
            "common/reduce.wgsl",
            "common/precise.wgsl",
            "common/entropic.wgsl",
            "entropic_wasserstein.wgsl",
        ],
        params: { batch: u32, latents: u32, gamma: f32, rise: u32 },
        constants: {},
        bindings: { h: read_pair f32, clock: read u32, wd: write f32, dh: write_pair f32 },
        cpu: entropic_wasserstein_cpu,
    }
}

/// Inputs: the head, and the clock of a rise. Outputs: the divergences and their gradients.
#[derive(Debug, Clone, Copy)]
struct EntropicWasserstein {
    gamma: f32,
    rise: u32,
}

/// The rise of a coupling at the start of training. With a strong coupling from the first step on the encoder collapses
/// and does not recover.
#[derive(Debug, Clone, Copy)]
pub struct Rise {
    /// `[2]` (u32): the steps done.
    pub clock: Tensor,
    /// The steps over which the coupling rises, in [`STAIRS`] equal stairs; with 0 it does not.
    pub steps: u32,
}

/// Stairs of a rising coupling.
pub const STAIRS: u32 = 10;

/// `WD_gamma` `[batch]` between rows `r` and `batch + r` of the head `h` `[2 batch, 2 latents]`, means and
/// log-variances side by side; all constants included, `gamma >= 0`, which rises to its value where `rise` is given.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::method::ops::entropic_wasserstein;
///
/// // A point and its fictive point, of one latent, with deviations 1; without a coupling: minus both entropies.
/// let head = floats([2, 2], &[0.0, 0.0, 3.0, 0.0]);
/// let wd: Vec<f32> = evaluate([head], |g, [h]| entropic_wasserstein(g, h, 0.0, None))?;
/// assert!((wd[0] + (std::f32::consts::TAU.ln() + 1.0)).abs() < 1e-6);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for another shape.
pub fn entropic_wasserstein(g: &mut Graph, h: Tensor, gamma: f32, rise: Option<Rise>) -> Result<Tensor> {
    match rise {
        Some(Rise { clock, steps }) => g.apply_one(EntropicWasserstein { gamma, rise: steps }, &[h, clock]),
        None => g.apply_one(EntropicWasserstein { gamma, rise: 0 }, &[h]),
    }
}

impl Op for EntropicWasserstein {
    fn name(&self) -> &'static str {
        ENTROPIC_WASSERSTEIN.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(h, DType::F32)] | [(h, DType::F32), (_, DType::U32)]
                if h.rows().is_multiple_of(2) && h.cols().is_multiple_of(2) =>
            {
                Ok(vec![([h.rows() / 2].into(), DType::F32), ((*h).clone(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float h [2 batch, 2 latents], and a u32 clock for a rise")),
        }
    }

    fn gradient(&self, g: &mut Graph, node: &Node, upstream: &[Option<Tensor>], _: &[bool]) -> Gradients {
        let mut gradients = vec![None; node.inputs.len()];
        gradients[0] = broadcast::through_saved(g, self.name(), upstream, node.outputs[1])?;
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let h = &io.inputs[0].0;
        let (batch, latents) = (h.rows() / 2, h.cols() / 2);
        let Self { gamma, rise } = *self;
        Args {
            h: io.input(0).by_pair(),
            clock: if rise > 0 { io.input(1).whole() } else { UNUSED },
            wd: io.output(0).by_row(),
            dh: io.output(1).by_pair(),
        }
        .call(Params { batch: batch as u32, latents: latents as u32, gamma, rise }, Constants {})
        .grid(batch, CPU_TILE, row_grid(batch))
        .flops(batch * latents * ENTROPIC_FLOPS)
    }
}

/// Rows that one thread computes at a time.
pub(crate) const CPU_TILE: usize = 32;

/// Operations of one latent dimension; an elementary function counts as one.
pub(crate) const ENTROPIC_FLOPS: usize = 45;

fn entropic_wasserstein_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, h, clock, wd, dh, .. } = self;
        let gamma = match clock {
            [step, ..] if *step < p.rise => share(*step, p.rise) * p.gamma,
            _ => p.gamma,
        };
        let (latents, width) = (p.latents as usize, 2 * p.latents as usize);
        let ([a, b], [d_a, d_b]) = (h, dh);
        let heads = a.chunks_exact(width).zip(b.chunks_exact(width));
        let derivatives = d_a.chunks_exact_mut(width).zip(d_b.chunks_exact_mut(width));
        for ((wd, (a, b)), (d_a, d_b)) in wd.iter_mut().zip(heads).zip(derivatives) {
            let ((mu_a, l_a), (mu_b, l_b)) = (a.split_at(latents), b.split_at(latents));
            let ((d_mu_a, d_l_a), (d_mu_b, d_l_b)) = (d_a.split_at_mut(latents), d_b.split_at_mut(latents));
            let outputs = [d_mu_a, d_l_a, d_mu_b, d_l_b];
            [*wd] = lanes::map([mu_a, l_a, mu_b, l_b], outputs, |[mu_a, l_a, mu_b, l_b]| {
                let e = entropic(gamma, mu_a, l_a, mu_b, l_b);
                ([e.d_mu_a, e.d_l_a, e.d_mu_b, e.d_l_b], [e.value])
            });
        }
    }
}

/// The share of the coupling at a step of a rise: that of the stair, counted from 1.
fn share(step: u32, rise: u32) -> f32 {
    let stairs = u64::from(STAIRS);
    let stair = 1 + u64::from(step) * stairs / u64::from(rise);
    stair as f32 / STAIRS as f32
}

/// The deviations `sa` and `sb` of two log-variances, and `sa - sb`.
pub(crate) struct Deviations {
    pub b: f32,
    pub difference: f32,
    a: f32,
}

/// The difference is computed as a multiple of the larger deviation, so that it neither cancels nor overflows.
#[inline(always)]
pub(crate) fn deviations(l_a: f32, l_b: f32) -> Deviations {
    let (a, b) = (simd::exp(0.5 * l_a), simd::exp(0.5 * l_b));
    let ratio = 0.5 * (l_a - l_b);
    let (_, part) = simd::exp_and_exp_m1(-ratio.abs());
    let difference = if ratio > 0.0 { -a * part } else { b * part };
    Deviations { b, difference, a }
}

/// One latent dimension's part of `W2^2`, and its derivatives.
pub(crate) struct W2 {
    pub value: f32,
    pub d_mu_b: f32,
    pub d_l_b: f32,
}

/// docs/method.md, section 3, given the deviations of the two log-variances.
#[inline(always)]
pub(crate) fn w2_squared(mu_a: f32, mu_b: f32, s: Deviations) -> W2 {
    let apart = mu_b - mu_a;
    W2 { value: apart * apart + s.difference * s.difference, d_mu_b: 2.0 * apart, d_l_b: -s.difference * s.b }
}

/// One latent dimension's part of `WD_gamma`, and its derivatives.
pub(crate) struct Entropic {
    pub value: f32,
    pub d_mu_a: f32,
    pub d_l_a: f32,
    pub d_mu_b: f32,
    pub d_l_b: f32,
}

/// The form of docs/method.md, section 3, that is accurate in float32.
#[inline(always)]
pub(crate) fn entropic(gamma: f32, mu_a: f32, l_a: f32, mu_b: f32, l_b: f32) -> Entropic {
    const LN_2_PI: f32 = 1.837_877_1;
    const CONSTANT: f32 = 0.5 * LN_2 + LN_2_PI + 1.0 - 0.5;
    let s = deviations(l_a, l_b);
    let apart = mu_a - mu_b;
    let coupled = 2.0 * gamma * s.a * s.b;
    let root = hypotenuse(coupled);
    let rest = 1.0 / (coupled + root);
    let cost = 0.5 * gamma * (apart * apart + s.difference * s.difference);
    let value = cost + 0.5 * (simd::ln(1.0 + root) - rest - (l_a + l_b)) - CONSTANT;
    let common = -0.25 - 0.25 * rest;
    let pull = 0.5 * gamma * s.difference;
    Entropic {
        value,
        d_mu_a: gamma * apart,
        d_l_a: common + s.a * pull,
        d_mu_b: -gamma * apart,
        d_l_b: common - s.b * pull,
    }
}

/// `sqrt(1 + s^2)` for `s >= 0`, which does not overflow before `s` does.
#[inline(always)]
fn hypotenuse(s: f32) -> f32 {
    // With r = min(s, 1 / s): r^2 does not overflow.
    let r = if s > 1.0 { 1.0 / s } else { s };
    let root = (1.0 + r * r).sqrt();
    if s > 1.0 { s * root } else { root }
}
