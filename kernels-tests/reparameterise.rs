//! `reparameterise`: the sample and its closed-form terms, with and without fictive points.

use std::f64::consts::TAU;

use smoothenc::method::ops::{Sample, reparameterise};

use crate::harness::{Case, Input};

/// z, prior, minus_kl by docs/method.md, section 2.
fn oracle(latents: usize, x: &[Vec<f64>]) -> [Vec<f64>; 3] {
    let (heads, u) = (x[0].chunks(2 * latents), x[1].chunks(latents));
    let sample = |(h, u): (&[f64], &[f64])| -> Vec<f64> {
        (0..latents).map(|j| h[j] + (h[latents + j] / 2.0).exp() * u[j]).collect()
    };
    let z = heads.clone().zip(u).flat_map(sample).collect();
    let half = 0.5 * latents as f64;
    let prior = |h: &[f64]| -> f64 {
        let squares: f64 = (0..latents).map(|j| h[j].powi(2) + h[latents + j].exp()).sum();
        -squares / 2.0 - half * TAU.ln()
    };
    let minus_kl = |h: &[f64]| -> f64 {
        let terms = (0..latents).map(|j| h[j].powi(2) + (h[latents + j].exp_m1() - h[latents + j]));
        -terms.sum::<f64>() / 2.0
    };
    [z, heads.clone().map(prior).collect(), heads.map(minus_kl).collect()]
}

/// The case of the outputs that `keep` names, so that the others have no gradient.
fn case(name: &str, [rows, batch, latents]: [usize; 3], keep: &'static [usize]) -> Case {
    let case = Case::new(
        format!("{name}_{rows}of{batch}x{latents}"),
        move |g, x| {
            let Sample { z, prior, minus_kl } = reparameterise(g, x[0], x[1])?;
            Ok(keep.iter().map(|&k| [z, prior, minus_kl][k]).collect())
        },
        move |x| keep.iter().map(|&k| oracle(latents, x)[k].clone()).collect(),
    );
    case.input(Input::normal([rows, 2 * latents])).input(Input::normal([batch, latents]))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for sizes in [[3, 3, 7], [6, 3, 7], [10, 5, 64], [70, 35, 32], [2, 1, 785]] {
        // The sample is a sum that may cancel.
        cases.push(case("all", sizes, &[0, 1, 2]).tolerance(1e-4, 3e-4));
    }
    let one = Case::new(
        "all_1of1x1",
        |g, x| reparameterise(g, x[0], x[1]).map(|Sample { z, prior, minus_kl }| vec![z, prior, minus_kl]),
        |x| oracle(1, x).to_vec(),
    );
    cases.push(one.input(Input::values([1, 2], vec![0.7, -1.3])).input(Input::values([1, 1], vec![1.9])));
    // Codes almost at the prior: a KL of many digits from heads of 1e-4, and none but 0 from 0.
    for scale in [1e-4, 1e-2, 0.0] {
        let head: Vec<f32> = (0..14).map(|i| (scale * f64::from(i - 6)) as f32).collect();
        let near = Case::new(
            format!("near_the_prior_{scale}"),
            |g, x| Ok(vec![reparameterise(g, x[0], x[1])?.minus_kl]),
            |x| vec![oracle(7, x)[2].clone()],
        );
        cases.push(near.input(Input::values([1, 14], head)).input(Input::normal([1, 7])));
    }
    for sizes in [[3, 3, 7], [6, 3, 7]] {
        cases.push(case("flow_all", sizes, &[0, 1, 2]).gradient(&[0]));
        cases.push(case("flow_z", sizes, &[0]).gradient(&[0]));
        cases.push(case("flow_prior", sizes, &[1]).gradient(&[0]));
        cases.push(case("flow_minus_kl", sizes, &[2]).gradient(&[0]));
    }
    cases
}
