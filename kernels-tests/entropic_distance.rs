//! `entropic_distance`: the divergence of two heads, and its gradients.

use smoothenc::method::ops::entropic_distance;

use crate::entropic_wasserstein::{PAIRS, divergence, golden};
use crate::harness::{Case, Input};

/// The value and the saved derivative by the second head.
fn case(name: String, gamma: f32, latents: usize, [a, b]: [Vec<f32>; 2]) -> Case {
    let shape = [a.len() / (2 * latents), 2 * latents];
    let case = Case::new(
        name,
        move |g, x| {
            let distance = entropic_distance(g, x[0], x[1], gamma)?;
            Ok(vec![distance.value, distance.d_b])
        },
        move |x| {
            let (values, _, d_b) = divergence(gamma, latents, &x[0], &x[1]);
            vec![values, d_b]
        },
    );
    case.input(Input::values(shape, a)).input(Input::values(shape, b))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for golden in golden() {
        cases.push(case(golden.name, golden.gamma, golden.latents, golden.heads));
    }
    for [batch, latents] in [[1, 1], [3, 7], [37, 32], [2, 300]] {
        for pairs in PAIRS {
            let name = format!("{}_{batch}x{latents}", pairs.kind);
            let heads = pairs.draw(&name, [batch, latents], 5.0);
            cases.push(case(name, 5.0, latents, heads));
        }
    }
    let [a, b] = PAIRS[0].draw("flow", [3, 7], 2.0);
    let value = Case::new(
        "flow",
        |g, x| Ok(vec![entropic_distance(g, x[0], x[1], 2.0)?.value]),
        |x| vec![divergence(2.0, 7, &x[0], &x[1]).0],
    );
    cases.push(value.input(Input::values([3, 14], a)).input(Input::values([3, 14], b)).gradient(&[0, 1]));
    cases
}
