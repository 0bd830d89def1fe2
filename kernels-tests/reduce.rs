//! `reduce`: row and column sums.

use smoothenc::engine::ops::reduce::{column_sums, row_sums};

use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [1, 785], [7, 200], [200, 7], [33, 256], [3, 257], [300, 1], [785, 515]] {
        let by_row = Case::new(
            format!("rows_{rows}x{cols}"),
            |g, x| Ok(vec![row_sums(g, x[0])?]),
            move |x| vec![x[0].chunks(cols).map(|row| row.iter().sum()).collect()],
        );
        let by_column = Case::new(
            format!("columns_{rows}x{cols}"),
            |g, x| Ok(vec![column_sums(g, x[0])?]),
            move |x| vec![(0..cols).map(|c| x[0][c..].iter().step_by(cols).sum()).collect()],
        );
        for case in [by_row, by_column] {
            // Sums cancel, so errors are relative to 1 % of the largest.
            let case = case.input(Input::normal([rows, cols])).tolerance(1e-4, 1e-4);
            cases.push(if [rows, cols] == [7, 200] { case.gradient(&[0]) } else { case });
        }
    }
    cases
}
