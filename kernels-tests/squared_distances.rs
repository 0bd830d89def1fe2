//! `squared_distances`: between clouds of points, near and far.

use smoothenc::engine::ops::squared_distances;

use crate::harness::{Case, Input};

fn oracle(dims: usize, x: &[f64], y: &[f64]) -> Vec<f64> {
    let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
    x.chunks(dims).flat_map(|x| y.chunks(dims).map(move |y| distance(x, y))).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [n, m, dims] in [[1, 1, 1], [7, 5, 3], [33, 70, 2], [9, 4, 785]] {
        let case = Case::new(
            format!("{n}x{m}x{dims}"),
            |g, x| Ok(vec![squared_distances(g, x[0], x[1])?]),
            move |x| vec![oracle(dims, &x[0], &x[1])],
        );
        let case = case.input(Input::normal([n, dims])).input(Input::normal([m, dims]));
        cases.push(if [n, m, dims] == [7, 5, 3] { case.gradient(&[0, 1]) } else { case });
    }
    let itself = Case::new(
        "to_itself",
        |g, x| Ok(vec![squared_distances(g, x[0], x[0])?]),
        |x| vec![oracle(3, &x[0], &x[0])],
    );
    cases.push(itself.input(Input::normal([6, 3])).gradient(&[0]));
    let far = Case::new(
        "near_points_far_out",
        |g, x| Ok(vec![squared_distances(g, x[0], x[1])?]),
        |x| vec![oracle(2, &x[0], &x[1])],
    );
    let [x, y] = [vec![1000.0, 1000.0], vec![1000.5, 999.0]];
    cases.push(far.input(Input::values([1, 2], x)).input(Input::values([1, 2], y)));
    cases
}
