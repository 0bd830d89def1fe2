//! `log_softmax`: even and sure rows, one column, more columns than a workgroup has invocations.

use smoothenc::engine::ops::log_softmax;

use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [1, 7], [50, 40], [7, 257], [3, 1000]] {
        for width in [1.0, 100.0] {
            let case = Case::new(
                format!("{rows}x{cols}_within{width}"),
                |g, x| Ok(vec![log_softmax(g, x[0])?]),
                move |x| {
                    let row = |a: &[f64]| {
                        let m = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        let total = a.iter().map(|a| (a - m).exp()).sum::<f64>().ln();
                        a.iter().map(|a| a - m - total).collect::<Vec<_>>()
                    };
                    vec![x[0].chunks(cols).flat_map(row).collect()]
                },
            );
            let case = case.input(Input::uniform([rows, cols], -width, width));
            cases.push(if rows == 50 { case.gradient(&[0]) } else { case });
        }
    }
    cases
}
