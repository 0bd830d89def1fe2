//! The CPU twin of `shaders/pgd_mlp.wgsl`: the examples of a panel go through all steps at once.

use std::cell::RefCell;
use std::ops::Range;

use super::{MAX_LAYERS, Params, Tile};
use crate::engine::ops::half::floats_of;
use crate::engine::rng::{self, Key};
use crate::engine::simd::{
    self, Active, Column, Matrix, Panels, Vector, Work, columns, exp_and_exp_m1, first, for_panels, product,
    transpose, transpose_back, words,
};
use crate::method::ops::classify::verdict;
use crate::method::ops::entropic_wasserstein::{deviations, entropic, w2_squared};
use crate::method::ops::margin;
use crate::method::ops::pgd_start::start_linf;
use crate::method::ops::pgd_step::{Norm, clip, step_linf};

pub(super) fn pgd_mlp_cpu(tile: Tile) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static MEMORY: RefCell<Memory> = RefCell::default();
    }
    MEMORY.with_borrow_mut(|memory| simd::run(Climb { tile, memory }));
}

/// The memory of a panel: one column a feature.
#[derive(Debug, Default)]
struct Memory {
    x: Vec<Column>,
    x_adv: Vec<Column>,
    /// The activations of each layer; in the backward pass their gradients.
    activations: [Vec<Column>; MAX_LAYERS],
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
// And 3, the margin.

/// The ascent of a tile's rows.
struct Climb<'a> {
    tile: Tile<'a>,
    memory: &'a mut Memory,
}

impl Work for Climb<'_> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        if self.tile.constants.HALF == 1 {
            let weights = &mut self.memory.weights;
            weights.clear();
            weights.extend(self.tile.weights.iter().flat_map(|&word| floats_of(word)));
        }
        for_panels::<V>(0..self.tile.rows.len(), &mut self);
    }
}

impl Panels for Climb<'_> {
    #[inline(always)]
    fn panel_of<V: Vector, const N: usize>(&mut self, rows: Range<usize>) -> Range<usize> {
        let Tile { p, constants, probe, clock, .. } = self.tile;
        let (inputs, layers) = (p.inputs as usize, p.layers as usize);
        let (norm, goal) = (constants.NORM, constants.GOAL);
        let outputs: [usize; MAX_LAYERS] = std::array::from_fn(|l| p.layer[l][0] as usize);
        let Memory { x, x_adv, activations, gradient, reference, active, weights } = &mut *self.memory;
        let weights: &[f32] = match constants.HALF {
            0 => bytemuck::cast_slice(self.tile.weights),
            _ => weights,
        };
        let network: [Layer; MAX_LAYERS] = std::array::from_fn(|l| layer([weights, probe], &p, goal, l));
        let network = &network[..layers];

        // The panel's part of each argument.
        let (rows, rest) = first(rows, N);
        let width = self.tile.reference.len() / self.tile.rows.len();
        let images = rows.start * inputs..rows.end * inputs;
        let its_reference = &self.tile.reference[rows.start * width..rows.end * width];
        let its_x = &self.tile.x[images.clone()];
        let points = &mut self.tile.x_adv[images];
        let verdicts = self.tile.verdicts.get_mut(rows.clone()).unwrap_or_default();

        let x = transpose::<N>(its_x, inputs, x);
        if constants.START == 1 {
            start(&p, clock[0], self.tile.rows.start + rows.start, its_x, points);
        }
        let x_adv = transpose::<N>(points, inputs, x_adv);
        let mut outputs = outputs.into_iter();
        let mut activations = activations.each_mut().map(|h| columns::<N>(h, outputs.next().unwrap_or(0)));
        let activations = &mut activations[..layers];
        let attacked = goal >= CROSS_ENTROPY;
        let (aims, reference): (&[[u32; 3]], &[Column<N>]) = match attacked {
            true => (its_reference.as_chunks().0, &[]),
            false => (&[], transpose::<N>(bytemuck::cast_slice(its_reference), width, reference)),
        };
        let mut first_length = [p.step; N];
        first_length.iter_mut().zip(aims).for_each(|(length, [_, _, bits])| *length = f32::from_bits(*bits));
        let gradient = columns::<N>(gradient, if norm == Norm::Linf as u32 { 0 } else { inputs });

        let iterations = p.steps + u32::from(attacked);
        for iteration in 0..iterations {
            forwards::<V, N>(network, x_adv, activations, active);
            // The goal's gradient replaces the output.
            let h = &mut *activations[layers - 1];
            match goal {
                W2 => w2_gradient(reference, h),
                ENTROPIC => entropic_gradient(p.gamma, reference, h),
                _ => {
                    classify(h, aims, verdicts);
                    if iteration == p.steps {
                        break;
                    }
                    match goal {
                        CROSS_ENTROPY => cross_entropy_gradient(h, aims),
                        _ => margin_gradient(h, aims),
                    }
                }
            }
            backwards::<V, N>(network, activations, active);
            // The gradient by the image, and the step.
            let length = first_length.map(|first| first - iteration as f32 * p.fall);
            let product = (network[0].weight.transposed(), &active[1], &*activations[0]);
            match norm == Norm::Linf as u32 {
                true => ascend_linf::<V, N>(p.eps, &length, product, x, x_adv),
                false => ascend_l2::<V, N>(p.eps, &length, product, gradient, x, x_adv),
            }
        }
        transpose_back(x_adv, points);
        rest
    }
}

/// `h_l = act(W_l h_(l-1) + b_l)`, from the points on. `active` lists the inputs of each layer that are not 0.
#[inline(always)]
fn forwards<V: Vector, const N: usize>(
    network: &[Layer],
    x_adv: &[Column<N>],
    activations: &mut [&mut [Column<N>]],
    active: &mut [Active],
) {
    active[0].find(x_adv);
    for (l, layer) in network.iter().enumerate() {
        let (before, after) = activations.split_at_mut(l);
        let below = before.last().map_or(x_adv, |h| h);
        let h = &mut *after[0];
        product::<V, N>(layer.weight, None, &active[l], (words(below), N), |n, sum| {
            let (h, bias) = (&mut h[n], layer.bias[n]);
            for e in 0..N {
                let value = sum[e] + bias;
                // Not `max`, which makes a NaN 0.
                h[e] = if layer.relu && value < 0.0 { 0.0 } else { value };
            }
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
fn backwards<V: Vector, const N: usize>(
    network: &[Layer],
    activations: &mut [&mut [Column<N>]],
    active: &[Active],
) {
    for (l, layer) in network.iter().enumerate().skip(1).rev() {
        let (before, after) = activations.split_at_mut(l);
        let below = &mut *before[l - 1];
        let relu = network[l - 1].relu;
        let (weight, above) = (layer.weight.transposed(), &*after[0]);
        product::<V, N>(weight, Some(&active[l]), &active[l + 1], (words(above), N), |k, sum| {
            let h = &mut below[k];
            for e in 0..N {
                h[e] = if !relu || h[e] > 0.0 { sum[e] } else { 0.0 };
            }
        });
    }
}

/// The gradient by the image: the first layer's transposed weights, the active units, and the gradients of these.
type ByImage<'a, const N: usize> = (Matrix<'a>, &'a Active, &'a [Column<N>]);

#[inline(always)]
fn ascend_linf<V: Vector, const N: usize>(
    eps: f32,
    length: &[f32; N],
    (weight, active, above): ByImage<N>,
    x: &[Column<N>],
    x_adv: &mut [Column<N>],
) {
    product::<V, N>(weight, None, active, (words(above), N), |i, sum| {
        let (x, x_adv) = (&x[i], &mut x_adv[i]);
        for e in 0..N {
            x_adv[e] = step_linf(x_adv[e], x[e], sum[e], eps, length[e]);
        }
    });
}

#[inline(always)]
fn ascend_l2<V: Vector, const N: usize>(
    eps: f32,
    length: &[f32; N],
    (weight, active, above): ByImage<N>,
    gradient: &mut [Column<N>],
    x: &[Column<N>],
    x_adv: &mut [Column<N>],
) {
    product::<V, N>(weight, None, active, (words(above), N), |i, sum| gradient[i] = *sum);
    step_l2(eps, length, gradient, x, x_adv);
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
    let of_probe = goal >= CROSS_ENTROPY && l + 1 == p.layers as usize;
    let arena = if of_probe { probe } else { weights };
    Layer {
        weight: Matrix::new(&arena[weight..][..outputs * inputs], outputs, inputs),
        bias: &arena[bias..][..outputs],
        relu: relu == 1,
    }
}

/// `[2 (mu_b - mu_a) | (sb - sa) sb]`, the difference as in `deviations`.
#[inline(always)]
fn w2_gradient<const N: usize>(reference: &[Column<N>], h: &mut [Column<N>]) {
    let latents = h.len() / 2;
    let ((mu_a, l_a), (mu_b, l_b)) = (reference.split_at(latents), h.split_at_mut(latents));
    for j in 0..latents {
        for e in 0..N {
            let d = w2_squared(mu_a[j][e], mu_b[j][e], deviations(l_a[j][e], l_b[j][e]));
            (mu_b[j][e], l_b[j][e]) = (d.d_mu_b, d.d_l_b);
        }
    }
}

#[inline(always)]
fn entropic_gradient<const N: usize>(gamma: f32, reference: &[Column<N>], h: &mut [Column<N>]) {
    let latents = h.len() / 2;
    let ((mu_a, l_a), (mu_b, l_b)) = (reference.split_at(latents), h.split_at_mut(latents));
    for j in 0..latents {
        for e in 0..N {
            let d = entropic(gamma, mu_a[j][e], l_a[j][e], mu_b[j][e], l_b[j][e]);
            (mu_b[j][e], l_b[j][e]) = (d.d_mu_b, d.d_l_b);
        }
    }
}

/// As `classify`: right where the first largest logit is the label's, and none is a NaN.
#[inline(always)]
fn classify<const N: usize>(logits: &[Column<N>], aims: &[[u32; 3]], verdicts: &mut [u32]) {
    for ((e, [label, ..]), so_far) in aims.iter().enumerate().zip(verdicts) {
        let label = *label as usize;
        let right = logits.get(label).is_some_and(|own| {
            // A NaN fails both comparisons.
            let below = |(c, other): (usize, &Column<N>)| {
                if c < label { other[e] < own[e] } else { other[e] <= own[e] }
            };
            logits.iter().enumerate().all(below)
        });
        *so_far = verdict(*so_far, right);
    }
}

/// `softmax(logits) - (1 where c is the label)`, in the steps of `softmax_cross_entropy`.
#[inline(always)]
fn cross_entropy_gradient<const N: usize>(h: &mut [Column<N>], aims: &[[u32; 3]]) {
    // A NaN never compares larger, but it makes `rest` NaN; as the first logit it stays the maximum.
    let (mut top, mut m) = ([0; N], h[0]);
    for (c, logits) in h.iter().enumerate() {
        for e in 0..N {
            if logits[e] > m[e] {
                (top[e], m[e]) = (c, logits[e]);
            }
        }
    }
    let mut rest = Column::<N>::ZERO;
    for (c, logits) in h.iter_mut().enumerate() {
        for e in 0..N {
            let (exp, _) = exp_and_exp_m1(logits[e] - m[e]);
            let is_top = c == top[e];
            logits[e] = if is_top { 1.0 } else { exp };
            rest[e] += if is_top { 0.0 } else { exp };
        }
    }
    for (e, [label, ..]) in aims.iter().enumerate() {
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
        for e in 0..N {
            column[e] /= 1.0 + rest[e];
        }
    }
}

/// `(1 where c is the target) - (1 where c is the label)`, as `margin` does.
#[inline(always)]
fn margin_gradient<const N: usize>(h: &mut [Column<N>], aims: &[[u32; 3]]) {
    for (e, [label, target, _]) in aims.iter().enumerate() {
        let (label, target) = (*label as usize, margin::target(h.len(), *label, *target, |c| h[c][e]));
        for (c, logits) in h.iter_mut().enumerate() {
            logits[e] = margin::slope(c, label, target);
        }
        if label >= h.len() {
            h.iter_mut().for_each(|column| column[e] = f32::NAN);
        }
    }
}

/// As `pgd_step`: x' + length grad / |grad|, scaled onto the ball and clipped to the box.
#[inline(always)]
fn step_l2<const N: usize>(
    eps: f32,
    length: &[f32; N],
    grad: &[Column<N>],
    x: &[Column<N>],
    x_adv: &mut [Column<N>],
) {
    // A power of two scales the gradient so that its squares neither over- nor underflow.
    let size = sums::<N>(x.len(), |i, e| grad[i][e].abs());
    let scale = size.map(|size| {
        let up = if size < 1e-10 { 2.0f32.powi(80) } else { 1.0 };
        if size > 1e15 { 2.0f32.powi(-80) } else { up }
    });
    let norm = sums::<N>(x.len(), |i, e| (scale[e] * grad[i][e]).powi(2)).map(f32::sqrt);
    let factor: [f32; N] = std::array::from_fn(|e| if norm[e] == 0.0 { 0.0 } else { length[e] / norm[e] });
    for (x_adv, g) in x_adv.iter_mut().zip(grad) {
        for e in 0..N {
            x_adv[e] += factor[e] * (scale[e] * g[e]);
        }
    }
    let distance = sums::<N>(x.len(), |i, e| (x_adv[i][e] - x[i][e]).powi(2)).map(f32::sqrt);
    for (x_adv, x) in x_adv.iter_mut().zip(x) {
        for e in 0..N {
            let moved = match distance[e] > eps {
                true => x[e] + eps / distance[e] * (x_adv[e] - x[e]),
                false => x_adv[e],
            };
            x_adv[e] = clip(moved, 0.0, 1.0);
        }
    }
}

/// Each example's sum of `term(feature, example)`, in blocks of 32 features so that rounding stays small.
#[inline(always)]
fn sums<const N: usize>(features: usize, term: impl Fn(usize, usize) -> f32) -> [f32; N] {
    let (mut total, mut block) = ([0.0; N], [0.0; N]);
    for i in 0..features {
        block.iter_mut().enumerate().for_each(|(e, sum)| *sum += term(i, e));
        if i % 32 == 31 {
            for e in 0..N {
                total[e] += std::mem::take(&mut block[e]);
            }
        }
    }
    for e in 0..N {
        total[e] += block[e];
    }
    total
}
