//! `pgd_mlp`: whole ascents in either norm up every goal, through networks of many shapes.
//!
//! Signs and ReLUs jump, so rounding could change the ascent of an unlucky point. Points are therefore drawn until the
//! float64 ascent keeps a distance from every jump ([`Setting::margin`]). The seed is fixed, since a float32 gradient
//! that nearly cancels is no fault either. Then x' must agree in every pixel.

use smoothenc::engine::graph::Tensor;
use smoothenc::engine::nn::Dense;
use smoothenc::engine::rng::{self, Key};
use smoothenc::method::ops::{Ascent, Classifier, DrawnStart, Goal, Norm, SHARINGS, aim, in_half, pgd_mlp};

use crate::classify::{WRONG, judged};
use crate::half::to_half;
use crate::harness::{Case, Input};
use crate::inputs::Rng;
use crate::margin;
use crate::pgd_step::oracle_row;

/// The seed of the points: any one will do.
const SEED: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Aim {
    W2,
    Entropic,
    CrossEntropy,
    Margin,
}

impl Aim {
    /// Whether it is that of an attack on a probe.
    fn attacks(self) -> bool {
        matches!(self, Aim::CrossEntropy | Aim::Margin)
    }
}

#[derive(Clone)]
struct Setting {
    norm: Norm,
    aim: Aim,
    rows: usize,
    inputs: usize,
    /// Where the layers' weights are; the last one's in the probe's arena for an attack.
    layers: Vec<Dense>,
    eps: f32,
    step: f32,
    fall: f32,
    steps: usize,
    /// The encoder's weights are halves.
    half: bool,
    /// The coupling, for the entropic divergence.
    gamma: f32,
    /// With cooperative matrices: all that the weights are multiplied with are halves too.
    cooperative: bool,
    /// The points to start from are drawn by the kernel.
    start: bool,
}

/// A layer in float64: its inputs, W, b, whether there is a ReLU.
struct Layer {
    inputs: usize,
    weight: Vec<f64>,
    bias: Vec<f64>,
    relu: bool,
}

/// An example's ascent: its last point, the verdict on its iterates, and how close it came to a jump.
struct Climbed {
    x_adv: Vec<f64>,
    verdict: f64,
    margin: f64,
}

impl Setting {
    /// All layers are in one arena, except the probe, which starts its own.
    fn new(norm: Norm, aim: Aim, [rows, inputs]: [usize; 2], widths: &[usize], steps: usize) -> Self {
        let (mut layers, mut at, mut width) = (Vec::new(), 0, inputs);
        for (l, &outputs) in widths.iter().enumerate() {
            let of_probe = aim.attacks() && l + 1 == widths.len();
            at = if of_probe { 0 } else { at };
            let weight = at;
            let bias = at + (width * outputs).next_multiple_of(64);
            at = bias + outputs.next_multiple_of(64);
            // No ReLU after the encoder, which is the last or, below a probe, the last but one.
            let below_probe = aim.attacks() && l + 2 == widths.len();
            layers.push(Dense { outputs, weight, bias, relu: l + 1 < widths.len() && !below_probe });
            width = outputs;
        }
        let (eps, step) = match norm {
            Norm::Linf => (0.1, 0.06),
            Norm::L2 => (0.04 * (inputs as f32).sqrt(), 0.03 * (inputs as f32).sqrt()),
        };
        Setting {
            norm,
            aim,
            rows,
            inputs,
            layers,
            eps,
            step,
            fall: 0.2 * step,
            steps,
            half: false,
            gamma: 0.7,
            cooperative: false,
            start: false,
        }
    }

    /// The encoder's layers, and the probe.
    fn split(&self) -> (&[Dense], Option<Dense>) {
        match self.layers.split_last() {
            Some((probe, encoder)) if self.aim.attacks() => (encoder, Some(*probe)),
            _ => (&self.layers, None),
        }
    }

    /// The least distance of a value from a jump, relative to the largest beside it: as far above float32's rounding as
    /// still accepts most points where there are many values.
    fn margin(&self) -> f64 {
        // Well above the rounding of halves: devices without cooperative matrices round the weights only.
        if self.cooperative {
            return 4e-3;
        }
        0.05 / (self.inputs * self.steps.max(1)) as f64
    }

    fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// He's weights and small biases, in the two arenas.
    fn weights(&self, rng: &mut Rng) -> [Vec<f32>; 2] {
        let words =
            |layers: &[Dense]| layers.last().map_or(64, |last| last.bias + last.outputs.next_multiple_of(64));
        let (encoder, probe) = self.split();
        // Nothing reads the padding but cooperative matrices, which multiply it by zeros.
        let padding = if self.cooperative { 60_000.0 } else { f32::NAN };
        let mut arenas = [vec![padding; words(encoder)], vec![f32::NAN; words(probe.as_slice())]];
        let mut width = self.inputs;
        for (l, layer) in self.layers.iter().enumerate() {
            let arena = &mut arenas[usize::from(l >= encoder.len())];
            let size = (2.0 / width as f64).sqrt();
            let weights = &mut arena[layer.weight..][..width * layer.outputs];
            weights.fill_with(|| (size * rng.normal()) as f32);
            arena[layer.bias..][..layer.outputs].fill_with(|| (0.1 * rng.normal()) as f32);
            width = layer.outputs;
        }
        if self.half {
            arenas[0].iter_mut().for_each(|w| *w = to_half(f64::from(*w)) as f32);
        }
        arenas
    }

    fn network(&self, weights: &[f64], probe: &[f64]) -> Vec<Layer> {
        let encoder = self.split().0.len();
        let mut width = self.inputs;
        let layer = |(l, dense): (usize, &Dense)| {
            let arena = if l < encoder { weights } else { probe };
            let inputs = std::mem::replace(&mut width, dense.outputs);
            let weight = arena[dense.weight..][..inputs * dense.outputs].to_vec();
            let bias = arena[dense.bias..][..dense.outputs].to_vec();
            Layer { inputs, weight, bias, relu: dense.relu }
        };
        self.layers.iter().enumerate().map(layer).collect()
    }

    /// All steps of one example.
    fn climb(&self, network: &[Layer], x: &[f64], start: &[f64], reference: &[f64]) -> Climbed {
        let mut climbed = Climbed { x_adv: start.to_vec(), verdict: 0.0, margin: f64::INFINITY };
        let iterations = self.steps + usize::from(self.aim.attacks());
        // The factors that cooperative matrices multiply.
        let factors = |values: Vec<f64>| match self.cooperative {
            true => values.into_iter().map(to_half).collect(),
            false => values,
        };
        for iteration in 0..iterations {
            let mut h = vec![factors(climbed.x_adv.clone())];
            for layer in network {
                let sums: Vec<f64> = layer.forwards(&h[h.len() - 1]);
                if layer.relu {
                    climbed.keep_clear(&sums);
                }
                let relu = |v: f64| if layer.relu && v < 0.0 { 0.0 } else { v };
                let values = sums.into_iter().map(relu).collect();
                h.push(if h.len() < network.len() { factors(values) } else { values });
            }
            let head = &h[h.len() - 1];
            if self.aim.attacks() {
                climbed.classify(head, reference[0] as usize);
                if self.aim == Aim::Margin {
                    climbed.keep_clear(&leads(head, reference[0] as usize));
                }
                if iteration == self.steps {
                    break;
                }
            }
            let mut gradient = goal_gradient(self.aim, f64::from(self.gamma), reference, head);
            for (l, layer) in network.iter().enumerate().rev() {
                gradient = layer.backwards(&factors(gradient));
                // It passes where the activation below is positive: not where that is a NaN.
                if l > 0 && network[l - 1].relu {
                    gradient.iter_mut().zip(&h[l]).for_each(|(g, h)| *g = if *h > 0.0 { *g } else { 0.0 });
                }
            }
            if self.norm == Norm::Linf {
                climbed.keep_clear(&gradient);
            }
            let first = if self.aim.attacks() { reference[2] } else { f64::from(self.step) };
            let step = first - iteration as f64 * f64::from(self.fall);
            let eps = f64::from(self.eps);
            climbed.x_adv = oracle_row(self.norm, eps, step, &climbed.x_adv, &gradient, x);
        }
        climbed
    }
}

impl Layer {
    fn forwards(&self, h: &[f64]) -> Vec<f64> {
        let rows = self.weight.chunks(self.inputs).zip(&self.bias);
        rows.map(|(row, b)| row.iter().zip(h).map(|(w, h)| w * h).sum::<f64>() + b).collect()
    }

    fn backwards(&self, gradient: &[f64]) -> Vec<f64> {
        let column = |k: usize| self.weight.iter().skip(k).step_by(self.inputs);
        (0..self.inputs).map(|k| column(k).zip(gradient).map(|(w, g)| w * g).sum()).collect()
    }
}

impl Climbed {
    /// Records how near one of `values` comes to 0. One that is 0 is exactly 0.
    fn keep_clear(&mut self, values: &[f64]) {
        let sizes = || values.iter().map(|v| v.abs()).filter(|&v| v > 0.0);
        let largest = sizes().fold(0.0, f64::max);
        self.margin = sizes().fold(self.margin, |margin, v| margin.min(v / largest));
    }

    fn classify(&mut self, logits: &[f64], label: usize) {
        if label >= logits.len() {
            self.verdict = judged(self.verdict, false);
            return;
        }
        // The first largest; a NaN is larger than any number.
        let wins = |c: usize| logits[label] > logits[c] || logits[label] == logits[c] && label <= c;
        self.verdict = judged(self.verdict, (0..logits.len()).all(wins));
        let gaps: Vec<f64> = logits.iter().map(|v| v - logits[label]).chain([logits[label]]).collect();
        self.keep_clear(&gaps);
    }
}

/// The goal's derivative by the network's output, docs/method.md, sections 3, 4 and 5.
fn goal_gradient(aim: Aim, gamma: f64, reference: &[f64], h: &[f64]) -> Vec<f64> {
    let latents = h.len() / 2;
    match aim {
        Aim::Margin => margin::oracle_row(h, reference[0] as usize, reference[1]),
        Aim::CrossEntropy => {
            let label = reference[0] as usize;
            if label >= h.len() {
                return vec![f64::NAN; h.len()];
            }
            let odds: Vec<f64> = h.iter().map(|v| (v - h[label]).exp()).collect();
            let all: f64 = odds.iter().sum();
            let others = all - 1.0;
            let slope = |c: usize| if c == label { -others / all } else { odds[c] / all };
            (0..h.len()).map(slope).collect()
        }
        Aim::W2 | Aim::Entropic => {
            let slope = |i: usize| {
                let apart = h[i] - reference[i];
                if i < latents {
                    return if aim == Aim::W2 { 2.0 * apart } else { gamma * apart };
                }
                let (a, b) = ((reference[i] / 2.0).exp(), (h[i] / 2.0).exp());
                let s = 2.0 * gamma * a * b;
                match aim {
                    Aim::W2 => (b - a) * b,
                    _ => gamma / 2.0 * b * (b - a) - 0.25 / (s + (1.0 + s * s).sqrt()) - 0.25,
                }
            };
            (0..h.len()).map(slope).collect()
        }
    }
}

/// A label or target that is no class; a float holds it.
const NO_CLASS: f32 = 1e6;

/// How far the largest logits but the label's are apart, and their size: which one is the largest must be clear.
fn leads(logits: &[f64], label: usize) -> Vec<f64> {
    let Some(best) = margin::target_of(logits, label, f64::NAN) else { return vec![] };
    let others = (0..logits.len()).filter(|&c| c != label && c != best);
    others.map(|c| logits[best] - logits[c]).chain([logits[best]]).collect()
}

/// The key of drawn starts.
const START_KEY: Key = Key([17, 4]);
const CLOCK: u32 = 1234;

/// The random inputs of a case.
#[derive(Clone)]
struct Drawn {
    arenas: [Vec<f32>; 2],
    x: Vec<f32>,
    x_adv: Vec<f32>,
    references: Vec<f32>,
}

fn floats(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Weights, and points whose ascents keep a distance from jumps.
fn draw(s: &Setting, rng: &mut Rng) -> Drawn {
    let arenas = s.weights(rng);
    let network = s.network(&floats(&arenas[0]), &floats(&arenas[1]));
    let mut drawn = Drawn { arenas, x: Vec::new(), x_adv: Vec::new(), references: Vec::new() };
    for r in 0..s.rows {
        for tries in 0.. {
            assert!(tries < 1000, "every point of row {r} meets a jump");
            // Half the pixels at 0, like MNIST's, and a point in the ball.
            let x: Vec<f32> = (0..s.inputs).map(|_| (2.0 * rng.uniform() - 1.0).max(0.0) as f32).collect();
            let near = |x: &f32| (x + 0.03 * (2.0 * rng.uniform() as f32 - 1.0)).clamp(0.0, 1.0);
            let mut x_adv: Vec<f32> = x.iter().map(near).collect();
            if s.start {
                let draw = |i: usize| rng::uniform(START_KEY, CLOCK, (r * s.inputs + i) as u32);
                let started = |(i, x): (usize, &f32)| (x + s.eps * (2.0 * draw(i) - 1.0)).clamp(0.0, 1.0);
                x_adv = x.iter().enumerate().map(started).collect();
            }
            let reference: Vec<f32> = match s.aim {
                Aim::CrossEntropy | Aim::Margin => {
                    let mut class = || (rng.uniform() * s.classes() as f64) as u32 as f32;
                    // Every third row has no target of its own.
                    let (label, target) = (class(), if r % 3 == 1 { NO_CLASS } else { class() });
                    vec![label, target, s.step * (1.0 + 0.1 * (r % 4) as f32)]
                }
                _ => (0..s.classes()).map(|_| rng.normal() as f32).collect(),
            };
            let climbed = s.climb(&network, &floats(&x), &floats(&x_adv), &floats(&reference));
            if climbed.margin > s.margin() {
                drawn.x.extend(x);
                drawn.x_adv.extend(x_adv);
                drawn.references.extend(reference);
                break;
            }
        }
    }
    drawn
}

fn case(name: String, s: Setting, drawn: Drawn) -> Case {
    let Drawn { arenas: [weights, probe], x, x_adv, references } = drawn;
    let (build, oracle, starts) = (s.clone(), s.clone(), floats(&x_adv));
    // The kernel must not read points that it draws itself.
    let x_adv = if s.start { vec![f32::NAN; x_adv.len()] } else { x_adv };
    let case = Case::new(
        name,
        move |g, t: &[Tensor]| {
            let (encoder, layer) = build.split();
            let goal = match (build.aim, layer) {
                (Aim::W2, _) => Goal::W2 { reference: t[3] },
                (aim, Some(layer)) => {
                    let classifier = Classifier { probe: t[1], layer, aims: t[3], verdicts: t[5] };
                    let margin = aim == Aim::Margin;
                    if margin { Goal::Margin(classifier) } else { Goal::CrossEntropy(classifier) }
                }
                _ => Goal::Entropic { reference: t[3], gamma: build.gamma },
            };
            let Setting { norm, eps, step, fall, steps, .. } = build;
            let start = build.start.then_some(DrawnStart { clock: t[6], key: START_KEY });
            let layers = encoder.to_vec();
            let halves = if build.half { Some(in_half(g, t[0], &layers, t[2])?) } else { None };
            let (weights, points) = halves.map_or((t[0], None), |(weights, points)| (weights, Some(points)));
            let ascent = Ascent { weights, layers, goal, norm, eps, step, fall, steps, start, points };
            pgd_mlp(g, t[4], t[2], ascent)?;
            Ok(vec![t[4], t[5]])
        },
        move |t| {
            let network = oracle.network(&t[0], &t[1]);
            let width = t[3].len() / oracle.rows;
            let (mut points, mut verdicts) = (Vec::new(), t[5].clone());
            for (r, verdict) in verdicts.iter_mut().enumerate() {
                let row = |values: &[f64], width: usize| values[r * width..][..width].to_vec();
                let (x, start) = (row(&t[2], oracle.inputs), row(&starts, oracle.inputs));
                let mut reference = row(&t[3], width);
                if oracle.aim.attacks() {
                    reference[2] = f64::from(f32::from_bits(reference[2] as u32));
                }
                let climbed = oracle.climb(&network, &x, &start, &reference);
                points.extend(climbed.x_adv);
                // One that was wrong before stays.
                if oracle.aim.attacks() && *verdict < f64::from(WRONG) {
                    *verdict += climbed.verdict;
                }
            }
            vec![points, verdicts]
        },
    );
    let (rows, tolerance) = (s.rows, if s.norm == Norm::Linf { 1e-5 } else { 1e-3 });
    let references: Input = match s.aim {
        Aim::CrossEntropy | Aim::Margin => {
            let aims = references.as_chunks().0.iter();
            Input::words([rows, 3], aims.flat_map(|&[l, t, step]| aim(l as u32, t as u32, step)).collect())
        }
        _ => Input::values([rows, s.classes()], references),
    };
    case.input(Input::values([weights.len()], weights))
        .input(Input::values([probe.len()], probe))
        .input(Input::values([rows, s.inputs], x))
        .input(references)
        .input(Input::values([rows, s.inputs], x_adv))
        .input(Input::words(
            [rows],
            (0..rows as u32).map(|r| if r % 5 == 0 { WRONG } else { r % 3 }).collect(),
        ))
        .input(Input::words([1], vec![CLOCK]))
        .nonfinite()
        .tolerance(tolerance, tolerance)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for norm in [Norm::Linf, Norm::L2] {
        for aim in [Aim::W2, Aim::Entropic, Aim::CrossEntropy, Aim::Margin] {
            let mut add = |name: &str, sides: [usize; 2], widths: &[usize], steps, spoil: fn(&mut Drawn)| {
                let mut widths = widths.to_vec();
                // A probe needs an encoder below it; a head has means and log-variances.
                match (aim, &mut widths[..]) {
                    (Aim::CrossEntropy | Aim::Margin, [_]) => widths.push(10),
                    (Aim::CrossEntropy | Aim::Margin, _) => {}
                    (_, [.., last]) => *last = last.next_multiple_of(2),
                    _ => {}
                }
                let s = Setting {
                    half: name.contains("half") || name.contains("cooperative"),
                    cooperative: name.contains("cooperative"),
                    start: name.contains("start"),
                    gamma: if name.contains("strong") { 300.0 } else { 0.7 },
                    ..Setting::new(norm, aim, sides, &widths, steps)
                };
                let shape: Vec<_> = widths.iter().map(usize::to_string).collect();
                let [rows, inputs] = sides;
                let s = Setting { fall: if s.cooperative { 0.0 } else { s.fall }, ..s };
                let name = format!("{norm:?}_{aim:?}_{rows}x{inputs}-{}_{name}{steps}", shape.join("-"));
                let mut drawn = draw(&s, &mut Rng::new(SEED, &name));
                spoil(&mut drawn);
                // The other variants are for the L-infinity norm. Drivers take long to compile each, so those for GPUs
                // are tested with one goal, and with others at the model's size only; with the margin, which shares all
                // but a few lines with the cross-entropy, the first and the last alone.
                if norm == Norm::Linf && !s.cooperative {
                    let every = aim == Aim::W2 || inputs == 784 && aim != Aim::Margin;
                    let others = (1..SHARINGS).filter(|i| every || i + 1 == SHARINGS);
                    cases.extend(others.map(|i| case(name.clone(), s.clone(), drawn.clone()).variant(i)));
                }
                let variants = usize::from(s.cooperative);
                cases.push(case(name, s, drawn).on_cooperative_matrices(variants));
            };
            add("", [1, 7], &[10], 1, |_| ());
            add("", [33, 7], &[1, 10], 3, |_| ());
            add("", [5, 30], &[200, 10, 1], 3, |_| ());
            // Wide panels of the CPU's, full and not.
            add("", [90, 9], &[12, 10], 3, |_| ());
            add("", [250, 9], &[12, 10], 2, |_| ());
            add("", [17, 30], &[10, 12, 7, 10, 13, 10, 9, 6], 3, |_| ());
            add("", [5, 785], &[200, 200, 10], 1, |_| ());
            add("", [6, 784], &[200, 200, 200, 200, 64, 10], 1, |_| ());
            // More than one pass over inputs, units and outputs.
            add("", [2, 1100], &[300, 261, 270], 1, |_| ());
            add("", [5, 7], &[10, 6], 0, |_| ());
            // Rows of whole vectors of four, and not.
            add("half", [17, 32], &[20, 12, 8], 2, |_| ());
            add("half", [5, 30], &[21, 7, 10], 2, |_| ());
            if norm == Norm::Linf && !aim.attacks() {
                // More than a vector of rows, of an odd number of pixels.
                add("start", [21, 35], &[20, 12, 8], 3, |_| ());
                // One tile and more; layers that are multiples of the matrices' side, of half of it, and others.
                add("cooperative", [16, 32], &[32, 16, 8], 2, |_| ());
                add("cooperative", [32, 40], &[24, 18], 2, |_| ());
                add("cooperative", [48, 8], &[56, 24, 8, 16, 24, 6], 3, |_| ());
                add("cooperative", [16, 136], &[200, 256], 1, |_| ());
                add("cooperative_start", [32, 56], &[24, 10], 2, |_| ());
                add("cooperative_strong", [16, 32], &[24, 64], 1, |_| ());
            }
            if aim.attacks() {
                add("no_class", [5, 30], &[20, 6], 2, |d| d.references[3] = NO_CLASS);
            }
            // A NaN pixel makes its example NaN, a NaN weight all examples.
            let pixel = |d: &mut Drawn| (d.x[40], d.x_adv[40]) = (f32::NAN, f32::NAN);
            add("nan_pixel", [5, 30], &[8], 2, pixel);
            add("nan_pixel", [5, 30], &[20, 6], 2, pixel);
            add("nan_weight", [5, 30], &[20, 16, 6], 2, |d| d.arenas[0][77] = f32::NAN);
        }
    }
    cases
}
