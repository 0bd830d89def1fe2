//! The CPU twin of `shaders/pgd_mlp.wgsl`: a panel of 16 examples goes through all steps at once.

use std::cell::RefCell;

use super::{Constants, MAX_LAYERS, Params, Tile};
use crate::engine::ops::half::floats_of;
use crate::engine::rng::{self, Key};
use crate::engine::simd::{
    self, Active, Column, LANES, Matrix, Work, exp_and_exp_m1, masked_product, sparse_product, transpose,
    transpose_back,
};
use crate::method::ops::entropic_wasserstein::{deviations_by, entropic, w2_squared};
use crate::method::ops::pgd_start::start_linf;
use crate::method::ops::pgd_step::{Norm, clip, step_linf};

pub(super) fn pgd_mlp_cpu(tile: Tile) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static PANEL: RefCell<Panel> = RefCell::default();
    }
    let Tile { p, constants, rows, weights, probe, x, reference, x_adv, mut wrong, clock, .. } = tile;
    let (inputs, outputs) = (p.inputs as usize, reference.len() / rows.len());
    PANEL.with_borrow_mut(|panel| {
        let examples = x.chunks(LANES * inputs).zip(reference.chunks(LANES * outputs));
        for ((first, (x, reference)), x_adv) in
            rows.step_by(LANES).zip(examples).zip(x_adv.chunks_mut(LANES * inputs))
        {
            let wrong = wrong.split_off_mut(..LANES.min(wrong.len())).unwrap_or_default();
            simd::run(Climb {
                p,
                constants,
                first,
                weights,
                probe,
                x,
                reference,
                x_adv,
                wrong,
                clock,
                panel,
            });
        }
    });
}

/// The memory of 16 examples: one column a feature.
#[derive(Debug, Default)]
struct Panel {
    x: Vec<Column>,
    x_adv: Vec<Column>,
    /// The activations of each layer; in the backward pass their gradients.
    activations: Vec<Vec<Column>>,
    /// The input's gradient, for the L2 norm.
    gradient: Vec<Column>,
    /// Reference heads.
    reference: Vec<Column>,
    /// The columns of the image, and then of each layer's activations, that are not all zero. Gradients are zero where
    /// a ReLU's output is, so their columns are among these.
    active: [Active; MAX_LAYERS + 1],
    /// The arena of weights as floats, where it holds halves.
    weights: Vec<f32>,
}

/// The goals, numbered as in the shader.
const W2: u32 = 0;
const ENTROPIC: u32 = 1;
const CROSS_ENTROPY: u32 = 2;

/// One panel's ascent.
struct Climb<'a> {
    p: Params,
    constants: Constants,
    /// The index of the panel's first row, which is even.
    first: usize,
    weights: &'a [u32],
    probe: &'a [f32],
    // The panel's rows:
    x: &'a [f32],
    reference: &'a [u32],
    x_adv: &'a mut [f32],
    wrong: &'a mut [u32],
    clock: &'a [u32],
    panel: &'a mut Panel,
}

impl Work for Climb<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const COLUMNS: usize>(self) {
        let Climb { p, constants, panel, .. } = self;
        let (inputs, layers) = (p.inputs as usize, p.layers as usize);
        let (norm, goal) = (constants.NORM, constants.GOAL);
        let outputs: [usize; MAX_LAYERS] = std::array::from_fn(|l| p.layer[l][0] as usize);
        let Panel { x, x_adv, activations, gradient, reference, active, weights } = panel;
        let weights: &[f32] = match constants.HALF {
            0 => bytemuck::cast_slice(self.weights),
            _ => {
                weights.clear();
                weights.extend(self.weights.iter().flat_map(|&word| floats_of(word)));
                weights
            }
        };
        let network: [Layer; MAX_LAYERS] = std::array::from_fn(|l| layer([weights, self.probe], &p, goal, l));
        let network = &network[..layers];

        transpose(self.x, inputs, x);
        if constants.START == 1 {
            start(&p, self.clock[0], self.first, self.x, self.x_adv);
        }
        transpose(self.x_adv, inputs, x_adv);
        activations.resize(MAX_LAYERS, Vec::new());
        for (h, outputs) in activations.iter_mut().zip(outputs) {
            h.resize(outputs, Column::ZERO);
        }
        let head = outputs[layers - 1];
        if goal == CROSS_ENTROPY {
            reference.clear();
        } else {
            transpose(bytemuck::cast_slice(self.reference), head, reference);
        }

        let iterations = p.steps + u32::from(goal == CROSS_ENTROPY);
        for iteration in 0..iterations {
            forwards::<FMA, COLUMNS>(network, x_adv, activations, active);
            // The goal's gradient replaces the output.
            let h = &mut activations[layers - 1];
            match goal {
                W2 => w2_gradient(reference, h),
                ENTROPIC => entropic_gradient(p.gamma, reference, h),
                _ => {
                    let labels = self.reference;
                    mark_wrong(h, labels, self.wrong);
                    if iteration == p.steps {
                        break;
                    }
                    cross_entropy_gradient(h, labels);
                }
            }
            backwards::<FMA, COLUMNS>(network, activations, active);
            // The gradient by the image, and the step.
            let product = (network[0].weight.transposed(), &active[1], activations[0].as_slice());
            match norm == Norm::Linf as u32 {
                true => ascend_linf::<FMA, COLUMNS>(&p, product, x, x_adv),
                false => ascend_l2::<FMA, COLUMNS>(&p, product, gradient, x, x_adv),
            }
        }
        transpose_back(x_adv, inputs, self.x_adv);
    }
}

/// `h_l = act(W_l h_(l-1) + b_l)`, from the points on. `active` lists the inputs of each layer that are not 0.
#[inline(always)]
fn forwards<const FMA: bool, const COLUMNS: usize>(
    network: &[Layer],
    x_adv: &[Column],
    activations: &mut [Vec<Column>],
    active: &mut [Active],
) {
    active[0].find(x_adv);
    for (l, layer) in network.iter().enumerate() {
        let (before, after) = activations.split_at_mut(l);
        let below = before.last().map_or(x_adv, Vec::as_slice);
        let h = &mut after[0];
        sparse_product::<FMA, COLUMNS>(layer.weight, &active[l], below, |n, sum| {
            let with_bias = sum.map(|sum| sum + layer.bias[n]);
            // Not `max`, which makes a NaN 0.
            let relu = with_bias.map(|value| if value < 0.0 { 0.0 } else { value });
            h[n] = Column(if layer.relu { relu } else { with_bias });
        });
        // Without a ReLU, a zero may have a gradient.
        match layer.relu && l + 1 < network.len() {
            true => active[l + 1].find(h),
            false => active[l + 1].all(h.len()),
        }
    }
}

/// `dh_(l-1) = W_l^T dh_l` where the ReLU was positive; it replaces `h_(l-1)`, down to the first layer's output.
#[inline(always)]
fn backwards<const FMA: bool, const COLUMNS: usize>(
    network: &[Layer],
    activations: &mut [Vec<Column>],
    active: &[Active],
) {
    for (l, layer) in network.iter().enumerate().skip(1).rev() {
        let (before, after) = activations.split_at_mut(l);
        let below = &mut before[l - 1];
        let relu = network[l - 1].relu;
        let (weight, above) = (layer.weight.transposed(), &after[0]);
        masked_product::<FMA, COLUMNS>(weight, &active[l], &active[l + 1], above, |k, sum| {
            let h = &mut below[k];
            let masked = std::array::from_fn(|e| if h[e] > 0.0 { sum[e] } else { 0.0 });
            *h = if relu { Column(masked) } else { sum };
        });
    }
}

/// The gradient by the image: the first layer's transposed weights, the active units, and the gradients of these.
type ByImage<'a> = (Matrix<'a>, &'a Active, &'a [Column]);

#[inline(always)]
fn ascend_linf<const FMA: bool, const COLUMNS: usize>(
    p: &Params,
    (weight, active, above): ByImage,
    x: &[Column],
    x_adv: &mut [Column],
) {
    sparse_product::<FMA, COLUMNS>(weight, active, above, |i, sum| {
        let (x, x_adv) = (&x[i], &mut x_adv[i]);
        for e in 0..LANES {
            x_adv[e] = step_linf(x_adv[e], x[e], sum[e], p.eps, p.step);
        }
    });
}

#[inline(always)]
fn ascend_l2<const FMA: bool, const COLUMNS: usize>(
    p: &Params,
    (weight, active, above): ByImage,
    gradient: &mut Vec<Column>,
    x: &[Column],
    x_adv: &mut [Column],
) {
    gradient.resize(x.len(), Column::ZERO);
    sparse_product::<FMA, COLUMNS>(weight, active, above, |i, sum| gradient[i] = sum);
    step_l2(p, gradient, x, x_adv);
}

/// As `pgd_start`, for the rows of a panel; the index of the first is even, so that no block of two draws is split.
#[inline(always)]
fn start(p: &Params, clock: u32, first: usize, x: &[f32], x_adv: &mut [f32]) {
    let block = (first * p.inputs as usize / 2) as u32;
    rng::fill(Key([p.key[0], p.key[1]]), clock, block, false, x_adv);
    for (point, x) in x_adv.iter_mut().zip(x) {
        *point = start_linf(*x, *point, p.eps);
    }
}

/// A layer with its weights.
struct Layer<'a> {
    weight: Matrix<'a>,
    bias: &'a [f32],
    relu: bool,
}

/// Layer `l` of the call; without outputs where there is none. The last one is the probe's where the goal has one.
#[inline(always)]
fn layer<'a>([weights, probe]: [&'a [f32]; 2], p: &Params, goal: u32, l: usize) -> Layer<'a> {
    let [outputs, weight, bias, relu] = p.layer[l].map(|word| word as usize);
    let inputs = if l == 0 { p.inputs as usize } else { p.layer[l - 1][0] as usize };
    let of_probe = goal == CROSS_ENTROPY && l + 1 == p.layers as usize;
    let arena = if of_probe { probe } else { weights };
    Layer {
        weight: Matrix::new(&arena[weight..][..outputs * inputs], outputs, inputs),
        bias: &arena[bias..][..outputs],
        relu: relu == 1,
    }
}

/// `[2 (mu_b - mu_a) | (sb - sa) sb]`, the difference as in `deviations`.
#[inline(always)]
fn w2_gradient(reference: &[Column], h: &mut [Column]) {
    let latents = h.len() / 2;
    let ((mu_a, l_a), (mu_b, l_b)) = (reference.split_at(latents), h.split_at_mut(latents));
    for j in 0..latents {
        for e in 0..LANES {
            let exp = |x| exp_and_exp_m1(x).0;
            let exp_m1 = |x| exp_and_exp_m1(x).1;
            let s = deviations_by(l_a[j][e], l_b[j][e], exp, exp_m1);
            let d = w2_squared(mu_a[j][e], mu_b[j][e], s);
            (mu_b[j][e], l_b[j][e]) = (d.d_mu_b, d.d_l_b);
        }
    }
}

#[inline(always)]
fn entropic_gradient(gamma: f32, reference: &[Column], h: &mut [Column]) {
    let latents = h.len() / 2;
    let ((mu_a, l_a), (mu_b, l_b)) = (reference.split_at(latents), h.split_at_mut(latents));
    for j in 0..latents {
        for e in 0..LANES {
            let d = entropic(gamma, mu_a[j][e], l_a[j][e], mu_b[j][e], l_b[j][e]);
            (mu_b[j][e], l_b[j][e]) = (d.d_mu_b, d.d_l_b);
        }
    }
}

/// As `classify`: wrong where the first largest logit is not the label's, or one is a NaN.
#[inline(always)]
fn mark_wrong(logits: &[Column], labels: &[u32], wrong: &mut [u32]) {
    for ((e, label), wrong) in labels.iter().enumerate().zip(wrong) {
        let label = *label as usize;
        let Some(own) = logits.get(label).map(|column| column[e]) else {
            *wrong = 1;
            continue;
        };
        let right = |(c, column): (usize, &Column)| {
            // A NaN fails both comparisons.
            if c < label { column[e] < own } else { column[e] <= own }
        };
        if !logits.iter().enumerate().all(right) {
            *wrong = 1;
        }
    }
}

/// `softmax(logits) - (1 where c is the label)`, in the steps of `softmax_cross_entropy`.
#[inline(always)]
fn cross_entropy_gradient(h: &mut [Column], labels: &[u32]) {
    // A NaN never compares larger, but it makes `rest` NaN; as the first logit it stays the maximum.
    let (mut top, mut m) = ([0; LANES], h[0]);
    for (c, logits) in h.iter().enumerate() {
        for e in 0..LANES {
            if logits[e] > m[e] {
                (top[e], m[e]) = (c, logits[e]);
            }
        }
    }
    let mut rest = Column::ZERO;
    for (c, logits) in h.iter_mut().enumerate() {
        for e in 0..LANES {
            let (exp, _) = exp_and_exp_m1(logits[e] - m[e]);
            let is_top = c == top[e];
            logits[e] = if is_top { 1.0 } else { exp };
            rest[e] += if is_top { 0.0 } else { exp };
        }
    }
    for (e, label) in labels.iter().enumerate() {
        let label = *label as usize;
        if label >= h.len() {
            h.iter_mut().for_each(|column| column[e] = f32::NAN);
            continue;
        }
        // Minus the sum of the others, which does not cancel where the label's probability is near 1.
        let others = if label == top[e] { rest[e] } else { 1.0 + rest[e] - h[label][e] };
        h[label][e] = -others;
    }
    for column in h {
        for e in 0..LANES {
            column[e] /= 1.0 + rest[e];
        }
    }
}

/// As `pgd_step`: x' + step grad / |grad|, scaled onto the ball and clipped to the box.
#[inline(always)]
fn step_l2(p: &Params, grad: &[Column], x: &[Column], x_adv: &mut [Column]) {
    // A power of two scales the gradient so that its squares neither over- nor underflow.
    let size = sums(grad.iter().map(|g| Column(g.map(f32::abs))));
    let scale = size.map(|size| {
        let up = if size < 1e-10 { 2.0f32.powi(80) } else { 1.0 };
        if size > 1e15 { 2.0f32.powi(-80) } else { up }
    });
    let squares = |a: &Column, b: &Column| Column(std::array::from_fn(|e| a[e] * b[e]));
    let scaled = |g: &Column| Column(std::array::from_fn(|e| scale[e] * g[e]));
    let norm = sums(grad.iter().map(|g| squares(&scaled(g), &scaled(g)))).map(f32::sqrt);
    let factor = norm.map(|norm| if norm == 0.0 { 0.0 } else { p.step / norm });
    for (x_adv, g) in x_adv.iter_mut().zip(grad) {
        for e in 0..LANES {
            x_adv[e] += factor[e] * (scale[e] * g[e]);
        }
    }
    let away = |(a, x): (&Column, &Column)| Column(std::array::from_fn(|e| a[e] - x[e]));
    let apart = x_adv.iter().zip(x).map(away);
    let distance = sums(apart.map(|d| squares(&d, &d))).map(f32::sqrt);
    for (x_adv, x) in x_adv.iter_mut().zip(x) {
        for e in 0..LANES {
            let moved = match distance[e] > p.eps {
                true => x[e] + p.eps / distance[e] * (x_adv[e] - x[e]),
                false => x_adv[e],
            };
            x_adv[e] = clip(moved, 0.0, 1.0);
        }
    }
}

/// Each example's sum, in blocks of 32 features so that rounding stays small.
#[inline(always)]
fn sums(columns: impl Iterator<Item = Column>) -> [f32; LANES] {
    let (mut total, mut block) = ([0.0; LANES], [0.0; LANES]);
    for (i, column) in columns.enumerate() {
        for e in 0..LANES {
            block[e] += column[e];
        }
        if i % 32 == 31 {
            for e in 0..LANES {
                total[e] += std::mem::take(&mut block[e]);
            }
        }
    }
    std::array::from_fn(|e| total[e] + block[e])
}
