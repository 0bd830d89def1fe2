//! `sinkhorn`: against the same iteration in float64, carried until the plan's marginals are right, and against plans
//! that are known without it.

use smoothenc::engine::ops::log_softmax;
use smoothenc::method::ops::sinkhorn;

use crate::harness::{Case, Input};

/// Logarithms of the probabilities of `logits`.
fn log_probabilities(logits: &[f64]) -> Vec<f64> {
    let m = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = logits.iter().map(|a| (a - m).exp()).sum::<f64>().ln();
    logits.iter().map(|a| a - m - total).collect()
}

/// The value and the potentials that belong to it.
fn transport(log_a: &[f64], log_b: &[f64], cost: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let (n, m) = (log_a.len(), log_b.len());
    let (mut f, mut h) = (vec![0.0; n], vec![0.0; m]);
    let log_sum = |terms: Vec<f64>| {
        let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
    };
    for _ in 0..100_000 {
        let before = f.clone();
        f = (0..n).map(|i| log_a[i] - log_sum((0..m).map(|j| h[j] - cost[i * m + j]).collect())).collect();
        h = (0..m).map(|j| log_b[j] - log_sum((0..n).map(|i| f[i] - cost[i * m + j]).collect())).collect();
        if f.iter().zip(&before).all(|(new, old)| (new - old).abs() < 1e-12) {
            break;
        }
    }
    let inner = |log_p: &[f64], potential: &[f64]| -> f64 {
        log_p.iter().zip(potential).map(|(log, value)| log.exp() * value).sum()
    };
    (inner(log_a, &f) + inner(log_b, &h), f, h)
}

/// Costs `2 - 2 cos` of places on a circle, times the coupling; plus 60 for a coupling of 1.5, since the CPU has
/// another path for large costs.
fn chords(n: usize, m: usize, coupling: f64) -> Vec<f32> {
    let angle = |i: usize, n: usize| std::f64::consts::TAU * i as f64 / n as f64;
    let cost = |k: usize| {
        coupling * (2.0 - 2.0 * (angle(k / m, n) - angle(k % m, m)).cos())
            + if coupling == 1.5 { 60.0 } else { 0.0 }
    };
    (0..n * m).map(|k| cost(k) as f32).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for ([rows, n, m], coupling) in [
        ([1, 1, 1], 5.0),
        ([3, 5, 7], 1.0),
        ([4, 40, 40], 5.0),
        ([2, 300, 9], 2.0),
        ([5, 12, 12], 0.0),
        ([2, 6, 6], 1.5),
    ] {
        let case = Case::new(
            format!("{rows}x{n}x{m}_coupling{coupling}"),
            |g, x| {
                let (a, b) = (log_softmax(g, x[0])?, log_softmax(g, x[1])?);
                Ok(vec![sinkhorn(g, a, b, x[2], 90)?])
            },
            move |x| {
                let value = |r: usize| {
                    let a = log_probabilities(&x[0][r * n..][..n]);
                    let b = log_probabilities(&x[1][r * m..][..m]);
                    // Without a cost the plan is the product: minus the two entropies.
                    let known = |p: &[f64]| p.iter().map(|l| l.exp() * l).sum::<f64>();
                    if coupling == 0.0 { known(&a) + known(&b) } else { transport(&a, &b, &x[2]).0 }
                };
                vec![(0..rows).map(value).collect()]
            },
        );
        let case =
            case.input(Input::uniform([rows, n], -2.0, 2.0)).input(Input::uniform([rows, m], -2.0, 2.0));
        let case = case.input(Input::values([n, m], chords(n, m, coupling))).tolerance(1e-4, 1e-4);
        cases.push(if rows == 3 { case.gradient(&[0, 1, 2]) } else { case });
    }
    cases
}
