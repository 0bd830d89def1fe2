//! `reparameterise_grad`: the head's gradient from what flows into the sample and the terms.

use smoothenc::method::ops::reparameterise_grad;

use crate::harness::{Case, Input};

/// h, u, dz, dprior, dminus_kl to dh, by the chain rule.
fn oracle(latents: usize, x: &[Vec<f64>]) -> Vec<f64> {
    let [h, u, dz, dprior, dminus_kl] = x else { unreachable!("five inputs") };
    let mut dh = vec![0.0; h.len()];
    for i in 0..h.len() / 2 {
        let (r, j) = (i / latents, i % latents);
        let (mean, log) = (2 * r * latents + j, (2 * r + 1) * latents + j);
        let variance = h[log].exp();
        // The fictive points' rows, beyond the draws, are not sampled.
        let (u, dz) = (u.get(i).unwrap_or(&0.0), dz.get(i).unwrap_or(&0.0));
        dh[mean] = dz - (dprior[r] + dminus_kl[r]) * h[mean];
        let terms = -dprior[r] * variance + dminus_kl[r] * (1.0 - variance);
        dh[log] = (dz * u * variance.sqrt() + terms) / 2.0;
    }
    dh
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, batch, latents] in [[3, 3, 7], [6, 3, 7], [10, 5, 64], [70, 35, 32], [2, 1, 785]] {
        let case = Case::new(
            format!("{rows}of{batch}x{latents}"),
            |g, x| Ok(vec![reparameterise_grad(g, x[0], x[1], [x[2], x[3], x[4]])?]),
            move |x| vec![oracle(latents, x)],
        );
        cases.push(
            case.input(Input::normal([rows, 2 * latents]))
                .input(Input::normal([batch, latents]))
                .input(Input::normal([batch, latents]))
                .input(Input::normal([rows]))
                .input(Input::normal([rows]))
                // Sums of two and three terms, which may cancel.
                .tolerance(1e-4, 3e-4),
        );
    }
    cases
}
