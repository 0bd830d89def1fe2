//! `broadcast`: a scalar, a column or a row over a matrix, and a matrix scaled by row.

use smoothenc::engine::ops::broadcast;

use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [7, 200], [200, 7], [3, 785]] {
        let name = |mode: &str| format!("{mode}_{rows}x{cols}");
        let n = rows * cols;
        let scalar = Case::new(
            name("scalar"),
            move |g, x| Ok(vec![broadcast::scalar(g, x[0], [rows, cols].into(), 0.3, 0..rows)?]),
            move |x| vec![vec![f64::from(0.3f32) * x[0][0]; n]],
        );
        cases.push(scalar.input(Input::normal([1])));
        let columns = Case::new(
            name("columns"),
            move |g, x| Ok(vec![broadcast::columns(g, x[0], [rows, cols].into())?]),
            move |x| vec![(0..n).map(|i| x[0][i / cols]).collect()],
        );
        cases.push(columns.input(Input::normal([rows])));
        let by_rows = Case::new(
            name("rows"),
            move |g, x| Ok(vec![broadcast::rows(g, x[0], [rows, cols].into())?]),
            move |x| vec![(0..n).map(|i| x[0][i % cols]).collect()],
        );
        cases.push(by_rows.input(Input::normal([cols])));
        let scale_rows = Case::new(
            name("scale_rows"),
            |g, x| Ok(vec![broadcast::scale_rows(g, x[0], x[1])?]),
            move |x| vec![(0..n).map(|i| x[0][i / cols] * x[1][i]).collect()],
        );
        cases.push(scale_rows.input(Input::normal([rows])).input(Input::normal([rows, cols])));
        // A value of row pairs r, rows + r scales both.
        let scale_pairs = Case::new(
            name("scale_pairs"),
            |g, x| Ok(vec![broadcast::scale_rows(g, x[0], x[1])?]),
            move |x| vec![(0..2 * n).map(|i| x[0][i / cols % rows] * x[1][i]).collect()],
        );
        cases.push(scale_pairs.input(Input::normal([rows])).input(Input::normal([2 * rows, cols])));
        let part = rows / 3..rows.div_ceil(2);
        let (within, part) = (part.clone(), part);
        let some = Case::new(
            name("scalar_in_some_rows"),
            move |g, x| Ok(vec![broadcast::scalar(g, x[0], [rows, cols].into(), 0.3, within.clone())?]),
            move |x| {
                let row = |r| if part.contains(&r) { f64::from(0.3f32) * x[0][0] } else { 0.0 };
                vec![(0..n).map(|i| row(i / cols)).collect()]
            },
        );
        cases.push(some.input(Input::normal([1])));
    }
    cases
}
