//! `fill`: a new constant tensor, and a variable overwritten.

use smoothenc::engine::ops::{fill, fill_to};

use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [1, 7, 200, 785, 4097] {
        let want = move |_: &[Vec<f64>]| vec![vec![f64::from(-2.6f32); n]];
        cases.push(
            Case::new(format!("new_{n}"), move |g, _| Ok(vec![fill(g, [n], -2.6)?]), want)
                .tolerance(0.0, 0.0),
        );
        let overwrite = Case::new(
            format!("variable_{n}"),
            |g, x| {
                fill_to(g, x[0], -2.6)?;
                Ok(vec![x[0]])
            },
            want,
        );
        cases.push(overwrite.input(Input::normal([n])).tolerance(0.0, 0.0));
    }
    cases
}
