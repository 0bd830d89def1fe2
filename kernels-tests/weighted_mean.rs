//! `weighted_mean`: one to four terms, over parts of vectors and twice over one vector.

use std::ops::Range;

use smoothenc::engine::ops::{TERMS, Term, weighted_mean};

use crate::harness::{Case, Input};

/// Which vector, which of its rows, and the weight.
type Part = (usize, Range<usize>, f32);

fn oracle(parts: &[Part], batch: usize, x: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let mut means = vec![0.0; TERMS];
    for (mean, (vector, rows, _)) in means.iter_mut().zip(parts) {
        *mean = rows.clone().map(|r| x[*vector][r]).sum::<f64>() / batch as f64;
    }
    let total = means.iter().zip(parts).map(|(mean, (.., weight))| f64::from(*weight) * mean).sum();
    [vec![total], means]
}

/// `keep` of the total and the means, of vectors of these lengths.
fn case(name: &str, lengths: &[usize], parts: Vec<Part>, batch: usize, keep: usize) -> Case {
    let inner = parts.clone();
    let case = Case::new(
        format!("{name}_batch{batch}"),
        move |g, x| {
            let term = |(vector, rows, weight): &Part| Term {
                values: x[*vector],
                rows: rows.clone(),
                weight: *weight,
            };
            let terms: Vec<_> = inner.iter().map(term).collect();
            let (total, means) = weighted_mean(g, &terms, batch)?;
            Ok([total, means][..keep].to_vec())
        },
        move |x| oracle(&parts, batch, x)[..keep].to_vec(),
    );
    // Of one sign, since a mean may cancel.
    lengths.iter().fold(case, |case, &n| case.input(Input::uniform([n], 0.5, 2.0)))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for batch in [1, 7, 128, 300, 1025] {
        let (a, b) = (0..batch, batch..2 * batch);
        let smooth = vec![(0, a.clone(), -1.0), (1, a.clone(), -0.5), (1, b, -2.0), (2, a.clone(), 1.25)];
        let lengths = [batch, 2 * batch, batch];
        cases.push(case("smooth", &lengths, smooth.clone(), batch, 2));
        cases.push(case("one_term", &[batch], vec![(0, a.clone(), 1.0)], batch, 2));
        cases.push(case("two_terms", &[batch; 2], vec![(1, a.clone(), 2.0), (0, a, 0.25)], batch, 2));
        if batch == 7 {
            cases.push(case("gradient_smooth", &lengths, smooth, batch, 1).gradient(&[0, 1, 2]));
        }
    }
    // Ranges of one vector that overlap, touch nothing, and end before it does.
    let overlapping = vec![(0, 0..9, 1.5), (0, 4..12, -0.75), (0, 5..5, 100.0), (0, 0..20, 0.125)];
    cases.push(case("overlapping", &[23], overlapping.clone(), 11, 2));
    cases.push(case("gradient_overlapping", &[23], overlapping, 11, 1).gradient(&[0]));
    let nan = Case::new(
        "nan_is_kept",
        |g, x| {
            let terms = [Term { values: x[0], rows: 0..2, weight: 0.0 }];
            Ok(vec![weighted_mean(g, &terms, 2)?.0])
        },
        |_| vec![vec![f64::NAN]],
    );
    cases.push(nan.input(Input::values([2], vec![1.0, f32::NAN])).nonfinite());
    cases
}
