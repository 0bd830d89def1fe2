//! `transport_plan`: weighted sums of plans.

use smoothenc::method::ops::transport_plan;

use crate::harness::{Case, Input};

fn oracle(n: usize, m: usize, x: &[Vec<f64>]) -> Vec<f64> {
    let plan = |k: usize| {
        let (i, j) = (k / m, k % m);
        let term = |(r, d): (usize, &f64)| d * (x[1][r * n + i] + x[2][r * m + j] - x[3][k]).exp();
        x[0].iter().enumerate().map(term).sum()
    };
    (0..n * m).map(plan).collect()
}

pub fn cases() -> Vec<Case> {
    let case = |[rows, n, m]: [usize; 3]| {
        Case::new(
            format!("{rows}x{n}x{m}"),
            |g, x| Ok(vec![transport_plan(g, x[0], x[1], x[2], x[3])?]),
            move |x| vec![oracle(n, m, x)],
        )
        .input(Input::uniform([rows], -2.0, 2.0))
        .input(Input::uniform([rows, n], -3.0, 0.0))
        .input(Input::uniform([rows, m], -3.0, 0.0))
        .input(Input::uniform([n, m], -1.0, 60.0))
    };
    [[1, 1, 1], [1, 128, 128], [3, 5, 7], [20, 300, 2], [2, 1, 257]].map(case).into()
}
