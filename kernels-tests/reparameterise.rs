//! `reparameterise`: the sample and its closed-form terms, with and without fictive points.

use std::f64::consts::TAU;

use smoothenc::method::ops::{Sample, reparameterise};

use crate::harness::{Case, Input};

/// z, prior, entropy by docs/method.md, section 2.
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
    let entropy = |h: &[f64]| h[latents..].iter().sum::<f64>() / 2.0 + half * (TAU.ln() + 1.0);
    [z, heads.clone().map(prior).collect(), heads.map(entropy).collect()]
}

/// The case of the outputs that `keep` names, so that the others have no gradient.
fn case(name: &str, [rows, batch, latents]: [usize; 3], keep: &'static [usize]) -> Case {
    let case = Case::new(
        format!("{name}_{rows}of{batch}x{latents}"),
        move |g, x| {
            let Sample { z, prior, entropy } = reparameterise(g, x[0], x[1])?;
            Ok(keep.iter().map(|&k| [z, prior, entropy][k]).collect())
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
        |g, x| reparameterise(g, x[0], x[1]).map(|Sample { z, prior, entropy }| vec![z, prior, entropy]),
        |x| oracle(1, x).to_vec(),
    );
    cases.push(one.input(Input::values([1, 2], vec![0.7, -1.3])).input(Input::values([1, 1], vec![1.9])));
    for sizes in [[3, 3, 7], [6, 3, 7]] {
        cases.push(case("flow_all", sizes, &[0, 1, 2]).gradient(&[0]));
        cases.push(case("flow_z", sizes, &[0]).gradient(&[0]));
        cases.push(case("flow_prior", sizes, &[1]).gradient(&[0]));
        cases.push(case("flow_entropy", sizes, &[2]).gradient(&[0]));
    }
    cases
}
