//! `wasserstein2`: the squared distance of two heads, and its gradients.

use smoothenc::method::ops::wasserstein2;

use crate::entropic_wasserstein::{PAIRS, golden};
use crate::harness::{Case, Input};

/// Eq 12 for factorised Gaussians, and its derivative by the second head.
fn oracle(latents: usize, x: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let (a, b) = (&x[0], &x[1]);
    let (mut values, mut d) = (vec![0.0; a.len() / (2 * latents)], vec![0.0; b.len()]);
    for i in 0..a.len() / 2 {
        let mean = 2 * latents * (i / latents) + i % latents;
        let log = mean + latents;
        let sb = (b[log] / 2.0).exp();
        let difference = sb * ((a[log] - b[log]) / 2.0).exp_m1();
        values[i / latents] += (a[mean] - b[mean]).powi(2) + difference.powi(2);
        d[mean] = 2.0 * (b[mean] - a[mean]);
        d[log] = -difference * sb;
    }
    [values, d]
}

fn case(name: String, latents: usize, [a, b]: [Vec<f32>; 2]) -> Case {
    let shape = [a.len() / (2 * latents), 2 * latents];
    let case = Case::new(
        name,
        move |g, x| {
            let distance = wasserstein2(g, x[0], x[1])?;
            Ok(vec![distance.value, distance.d_b])
        },
        move |x| oracle(latents, x).to_vec(),
    );
    case.input(Input::values(shape, a)).input(Input::values(shape, b))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for golden in golden() {
        cases.push(case(golden.name, golden.latents, golden.heads));
    }
    for [batch, latents] in [[1, 1], [3, 7], [37, 32], [2, 300]] {
        for pairs in PAIRS {
            let name = format!("{}_{batch}x{latents}", pairs.kind);
            let heads = pairs.draw(&name, [batch, latents], 5.0);
            cases.push(case(name, latents, heads));
        }
    }
    let value = Case::new(
        "flow",
        |g, x| Ok(vec![wasserstein2(g, x[0], x[1])?.value]),
        |x| vec![oracle(7, x)[0].clone()],
    );
    cases.push(value.input(Input::normal([3, 14])).input(Input::normal([3, 14])).gradient(&[0, 1]));
    cases
}
