//! `entropic_wasserstein`: value and gradient over random heads, extremes, near-equal ones, and the
//! cases of `golden/golden.json`. Its oracle serves the selection metrics too.

use smoothenc::engine::autodiff;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::fill;
use smoothenc::method::ops::{Rise, entropic_wasserstein};

use crate::harness::{Case, Input};
use crate::inputs::{Rng, seed};

/// One latent dimension, docs/method.md, section 3: the value, and its derivatives by mu_a, l_a, mu_b, l_b.
fn dimension(g: f64, [mu_a, l_a, mu_b, l_b]: [f64; 4]) -> (f64, [f64; 4]) {
    let (sa, sb) = ((l_a / 2.0).exp(), (l_b / 2.0).exp());
    // In float64 the plain difference would cancel, which the test is about.
    let difference = sb * ((l_a - l_b) / 2.0).exp_m1();
    let s = 2.0 * g * sa * sb;
    let root = 1f64.hypot(s);
    let rest = 1.0 / (s + root);
    let cost = g / 2.0 * ((mu_a - mu_b).powi(2) + difference.powi(2));
    let value = cost + 0.5 - rest / 2.0 + root.ln_1p() / 2.0
        - (2f64.ln() + l_a + l_b) / 2.0
        - std::f64::consts::TAU.ln()
        - 1.0;
    let by_log = |s: f64, difference: f64| g / 2.0 * s * difference - rest / 4.0 - 0.25;
    let by_mean = g * (mu_a - mu_b);
    (value, [by_mean, by_log(sa, difference), -by_mean, by_log(sb, -difference)])
}

/// The divergence of each row and its derivatives by rows of the two heads.
pub fn divergence(gamma: f32, latents: usize, a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut values = vec![0.0; a.len() / (2 * latents)];
    let (mut d_a, mut d_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    for i in 0..a.len() / 2 {
        let mean = 2 * latents * (i / latents) + i % latents;
        let log = mean + latents;
        let (value, d) = dimension(f64::from(gamma), [a[mean], a[log], b[mean], b[log]]);
        values[i / latents] += value;
        [d_a[mean], d_a[log], d_b[mean], d_b[log]] = d;
    }
    (values, d_a, d_b)
}

/// How pairs of heads are drawn.
#[derive(Clone, Copy)]
pub struct Pairs {
    pub kind: &'static str,
    /// Bounds of the log-variances; the means are normal.
    logs: [f64; 2],
    /// The second head is this many times as far from the first as another draw would be.
    near: f64,
}

/// Every kind of pair that the divergence and the metrics are tested on.
pub const PAIRS: [Pairs; 3] = [
    Pairs { kind: "typical", logs: [-2.0, 1.0], near: 1.0 },
    Pairs { kind: "extreme", logs: [-20.0, 10.0], near: 1.0 },
    Pairs { kind: "near", logs: [-20.0, 10.0], near: 1e-4 },
];

impl Pairs {
    /// Two heads of `rows` rows. Pairs of rows whose divergence is far below its terms, so that
    /// float32 cannot hold it to the tolerance, are drawn again.
    pub fn draw(self, name: &str, [rows, latents]: [usize; 2], gamma: f32) -> [Vec<f32>; 2] {
        let mut rng = Rng::new(seed(), name);
        let (mut heads, mut done) = ([Vec::new(), Vec::new()], 0);
        while done < rows {
            let mut one = |i: usize| match i < latents {
                true => rng.normal(),
                false => self.logs[0] + (self.logs[1] - self.logs[0]) * rng.uniform(),
            };
            let round = |v: f64| f64::from(v as f32);
            let a: Vec<f64> = (0..2 * latents).map(|i| round(one(i))).collect();
            let b: Vec<f64> = (0..2 * latents).map(|i| round(a[i] + self.near * (one(i) - a[i]))).collect();
            let terms: f64 = (0..latents)
                .map(|j| dimension(f64::from(gamma), [a[j], a[latents + j], b[j], b[latents + j]]).0)
                .zip(latents..)
                .map(|(value, l)| value.abs() + (a[l] + b[l]).abs() / 2.0)
                .sum();
            if divergence(gamma, latents, &a, &b).0[0].abs() > 0.05 * terms {
                heads.iter_mut().zip([a, b]).for_each(|(h, row)| h.extend(row.iter().map(|v| *v as f32)));
                done += 1;
            }
        }
        heads
    }
}

/// A pair of heads of `golden/golden.json` in float32, and its values in float64.
pub struct Golden {
    pub name: String,
    pub gamma: f32,
    pub latents: usize,
    /// Rows mean | log-variance of a and b.
    pub heads: [Vec<f32>; 2],
}

/// The golden file's diagonal cases. The oracle above must agree with the file's own values, which
/// have 60 digits, at the file's inputs.
pub fn golden() -> Vec<Golden> {
    let text = include_str!("../golden/golden.json");
    let file: serde_json::Value = serde_json::from_str(text).expect("golden.json is JSON");
    let numbers = |v: &serde_json::Value| -> Vec<f64> {
        v.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    let mut cases = Vec::new();
    for (i, case) in file["diag"].as_array().into_iter().flatten().enumerate() {
        let head =
            |which: &str| [numbers(&case[format!("mu_{which}")]), numbers(&case[format!("logvar_{which}")])];
        let (a, b) = (head("a").concat(), head("b").concat());
        let latents = a.len() / 2;
        let gamma = case["gamma"].as_f64().unwrap_or(f64::NAN);
        let sum: f64 =
            (0..latents).map(|j| dimension(gamma, [a[j], a[latents + j], b[j], b[latents + j]]).0).sum();
        let want = case["out"]["wd"].as_f64().unwrap_or(f64::NAN);
        assert!(
            (sum - want).abs() <= 1e-12 * want.abs(),
            "golden case {i}: the oracle gives {sum}, not {want}"
        );
        for j in 0..latents {
            let (_, d) = dimension(gamma, [a[j], a[latents + j], b[j], b[latents + j]]);
            for (d, name) in d.iter().zip(["d_mu_a", "d_logvar_a", "d_mu_b", "d_logvar_b"]) {
                let want = numbers(&case["out"]["wd_grad"][name])[j];
                assert!(
                    (d - want).abs() <= 1e-11 * want.abs().max(1.0),
                    "golden case {i}, {name}: {d}, not {want}"
                );
            }
        }
        let round = |h: Vec<f64>| h.into_iter().map(|v| v as f32).collect();
        let heads = [round(a), round(b)];
        cases.push(Golden { name: format!("golden{i}"), gamma: gamma as f32, latents, heads });
    }
    assert!(cases.len() >= 20, "golden.json has {} diagonal cases", cases.len());
    cases
}

/// The value and, by autodiff, its derivative by the head.
fn case(name: String, gamma: f32, latents: usize, head: Vec<f32>) -> Case {
    let batch = head.len() / (4 * latents);
    let build = move |g: &mut Graph, x: &[Tensor]| {
        let wd = entropic_wasserstein(g, x[0], gamma, None)?;
        let one = fill(g, [batch], 1.0)?;
        Ok(vec![wd, autodiff::gradients_from(g, &[(wd, one)], x)?[0]])
    };
    let oracle = move |x: &[Vec<f64>]| {
        let (a, b) = x[0].split_at(x[0].len() / 2);
        let (values, d_a, d_b) = divergence(gamma, latents, a, b);
        vec![values, [d_a, d_b].concat()]
    };
    Case::new(name, build, oracle).input(Input::values([2 * batch, 2 * latents], head))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for golden in golden() {
        cases.push(case(golden.name, golden.gamma, golden.latents, golden.heads.concat()));
    }
    for [batch, latents] in [[1, 1], [3, 7], [5, 64], [37, 32], [2, 300]] {
        for gamma in [0.0, 0.01, 1.0, 50.0] {
            for pairs in PAIRS {
                let name = format!("{}_{batch}x{latents}_gamma{gamma}", pairs.kind);
                let heads = pairs.draw(&name, [batch, latents], gamma);
                cases.push(case(name, gamma, latents, heads.concat()));
            }
        }
    }
    // The first and last steps of the first, a middle and the last stair, and after them; stairs of uneven lengths. A
    // rise of as many steps as there may be.
    const MOST: u32 = u32::MAX;
    let short = [0, 2, 3, 12, 13, 14, 22, 23, 24, 25, 900].map(|step| (25, step));
    let long = [0, MOST / 10, MOST / 10 + 1, 4_000_000_000, MOST].map(|step| (MOST, step));
    for (steps, step) in short.into_iter().chain(long) {
        let stair = (1 + u64::from(step) * 10 / u64::from(steps)).min(10);
        let name = format!("rising_step{step}_of{steps}");
        let heads = PAIRS[0].draw(&name, [3, 7], 2.0).concat();
        let rising = Case::new(
            name,
            move |g, x| Ok(vec![entropic_wasserstein(g, x[0], 2.0, Some(Rise { clock: x[1], steps }))?]),
            move |x| vec![divergence(2.0 * stair as f32 / 10.0, 7, &x[0][..42], &x[0][42..]).0],
        );
        let rising = rising.input(Input::values([6, 14], heads)).input(Input::words([2], vec![step, 0]));
        cases.push(if step == 13 { rising.gradient(&[0]) } else { rising });
    }
    for gamma in [0.0, 2.0] {
        let name = format!("flow_gamma{gamma}");
        let heads = PAIRS[0].draw(&name, [3, 7], gamma).concat();
        let value = Case::new(
            name,
            move |g, x| Ok(vec![entropic_wasserstein(g, x[0], gamma, None)?]),
            move |x| vec![divergence(gamma, 7, &x[0][..42], &x[0][42..]).0],
        );
        cases.push(value.input(Input::values([6, 14], heads)).gradient(&[0]));
    }
    cases
}
