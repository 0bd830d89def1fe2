//! `cosine_logits`: peaks at and between columns, several revolutions away, narrow and wide.

use std::f64::consts::TAU;

use smoothenc::method::ops::cosine_logits;

use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [1, 7], [50, 40], [7, 257]] {
        let case = Case::new(
            format!("{rows}x{cols}"),
            move |g, x| Ok(vec![cosine_logits(g, x[0], x[1], cols)?]),
            move |x| {
                let at = |i: usize| {
                    let (r, place) = (i / cols, (i % cols + 1) as f64 / cols as f64);
                    (TAU * (x[0][r] - place)).cos() / x[1][r].exp()
                };
                vec![(0..rows * cols).map(at).collect()]
            },
        );
        // Some revolutions lose digits of the angle: at 3 revolutions floats are 2^-22 apart.
        let case = case.input(Input::uniform([rows], -3.0, 3.0)).input(Input::uniform([rows], -3.0, 1.0));
        let case = case.tolerance(1e-4, 1e-4);
        cases.push(if rows == 50 { case.gradient(&[0, 1]) } else { case });
    }
    cases
}
