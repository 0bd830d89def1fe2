//! `matmul`: the three layouts with and without the bias and the ReLU, over ragged sides.

use smoothenc::engine::autodiff;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::{COOPERATIVE_TILINGS, TILINGS, half_linear, linear, matmul};

use crate::half::to_half;
use crate::harness::{Case, Input};

/// op(A) op(B) by the definition.
pub fn product([m, n, k]: [usize; 3], a: &[f64], ta: bool, b: &[f64], tb: bool) -> Vec<f64> {
    let a_at = |i: usize, l: usize| if ta { a[l * m + i] } else { a[i * k + l] };
    let b_at = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * n + j] };
    let cell = |i: usize, j: usize| (0..k).map(|l| a_at(i, l) * b_at(l, j)).sum();
    (0..m * n).map(|at| cell(at / n, at % n)).collect()
}

fn sides([m, n, k]: [usize; 3], ta: bool, tb: bool) -> [Input; 2] {
    let a = if ta { [k, m] } else { [m, k] };
    let b = if tb { [n, k] } else { [k, n] };
    [Input::normal(a), Input::normal(b)]
}

fn size([m, n, k]: [usize; 3]) -> String {
    format!("{m}x{n}x{k}")
}

/// The product without bias or ReLU.
pub fn plain(sizes: [usize; 3], ta: bool, tb: bool) -> Case {
    let letter = |t| if t { 't' } else { 'n' };
    let [a, b] = sides(sizes, ta, tb);
    Case::new(
        format!("{}{}_{}", letter(ta), letter(tb), size(sizes)),
        move |g, x| Ok(vec![matmul(g, x[0], ta, x[1], tb)?]),
        move |x| vec![product(sizes, &x[0], ta, &x[1], tb)],
    )
    .input(a)
    .input(b)
    // The rounding of up to 785 terms, which may cancel, added in float32.
    .tolerance(1e-4, 1e-4)
}

/// A layer: x Wᵀ + b, and the ReLU.
fn layer(sizes: [usize; 3], relu: bool) -> Case {
    let [a, b] = sides(sizes, false, true);
    let oracle = move |x: &[Vec<f64>]| {
        let mut c = product(sizes, &x[0], false, &x[1], true);
        for (i, value) in c.iter_mut().enumerate() {
            *value += x[2][i % sizes[1]];
            *value = if relu { value.max(0.0) } else { *value };
        }
        vec![c]
    };
    let name = format!("nt_{}_{}", if relu { "relu" } else { "bias" }, size(sizes));
    Case::new(name, move |g, x| Ok(vec![linear(g, x[0], x[1], x[2], relu)?]), oracle)
        .input(a)
        .input(b)
        .input(Input::normal([sizes[1]]))
        .tolerance(1e-4, 1e-4)
}

/// A layer in which a NaN, an example's last input, makes that example NaN and no other.
fn relu_keeps_nan() -> Case {
    let [m, n, k] = [5, 9, 20];
    let mut spoilt: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
    spoilt[3 * k - 1] = f32::NAN;
    let oracle = move |x: &[Vec<f64>]| {
        let c = product([m, n, k], &x[0], false, &x[1], true);
        let sums = c.iter().zip(x[2].iter().cycle()).map(|(c, bias)| c + bias);
        vec![sums.map(|sum| if sum < 0.0 { 0.0 } else { sum }).collect()]
    };
    Case::new("relu_keeps_nan", |g, x| Ok(vec![linear(g, x[0], x[1], x[2], true)?]), oracle)
        .input(Input::values([m, k], spoilt))
        .input(Input::normal([n, k]))
        .input(Input::normal([n]))
        .nonfinite()
        .tolerance(1e-4, 1e-4)
}

/// A layer with factors in half precision, which rounds the inputs.
fn half_layer([m, n, k]: [usize; 3], relu: bool) -> Case {
    let oracle = move |x: &[Vec<f64>]| {
        let [a, b] = [0, 1].map(|i| x[i].iter().map(|v| to_half(*v)).collect::<Vec<_>>());
        let mut c = product([m, n, k], &a, false, &b, true);
        for (i, value) in c.iter_mut().enumerate() {
            *value += x[2][i % n];
            *value = if relu { value.max(0.0) } else { *value };
        }
        vec![c]
    };
    let build = move |g: &mut Graph, x: &[Tensor]| Ok(vec![half_linear(g, x[0], x[1], x[2], relu)?]);
    let name = format!("half_{}_{}", if relu { "relu" } else { "bias" }, size([m, n, k]));
    Case::new(name, build, oracle)
        .input(Input::normal([m, k]))
        .input(Input::normal([n, k]))
        .input(Input::normal([n]))
        .tolerance(1e-4, 1e-4)
        .on_cooperative_matrices(COOPERATIVE_TILINGS)
}

/// Its gradients, those of `sum of weights * layer`, which are products of halves too.
fn half_gradients([m, n, k]: [usize; 3]) -> Case {
    let build = move |g: &mut Graph, x: &[Tensor]| {
        let c = half_linear(g, x[0], x[1], x[2], false)?;
        autodiff::gradients_from(g, &[(c, x[3])], &[x[0], x[1]])
    };
    let oracle = move |x: &[Vec<f64>]| {
        let halves = |i: usize| x[i].iter().map(|v| to_half(*v)).collect::<Vec<_>>();
        let (a, b, dc) = (halves(0), halves(1), halves(3));
        vec![product([m, k, n], &dc, false, &b, false), product([n, k, m], &dc, true, &a, false)]
    };
    Case::new(format!("half_gradients_{}", size([m, n, k])), build, oracle)
        .input(Input::normal([m, k]))
        .input(Input::normal([n, k]))
        .input(Input::normal([n]))
        .input(Input::normal([m, n]))
        .tolerance(1e-4, 1e-4)
        .on_cooperative_matrices(COOPERATIVE_TILINGS)
}

/// Factors that are no halves: too small, between two halves, too large; and a NaN. Each has its own row.
fn half_edges() -> Case {
    const K: usize = 20;
    let edges = [1e-9, 3e-8, 1e-6, 6e-5, 6.1e-5, 1.0 + 2.0f32.powi(-11), 65_519.0, 65_520.0, 1e9, f32::NAN];
    // One edge a row, among halves.
    let value = |row: usize, k: usize| if k == row % K { edges[row] } else { (k as f32 - 9.0) / 8.0 };
    let a: Vec<f32> = (0..edges.len() * K).map(|i| value(i / K, i % K)).collect();
    let oracle = move |x: &[Vec<f64>]| {
        let [a, b] = [0, 1].map(|i| x[i].iter().map(|v| to_half(*v)).collect::<Vec<_>>());
        let c = product([edges.len(), 9, K], &a, false, &b, true);
        vec![c.iter().zip(x[2].iter().cycle()).map(|(c, bias)| c + bias).collect()]
    };
    let build = |g: &mut Graph, x: &[Tensor]| Ok(vec![half_linear(g, x[0], x[1], x[2], false)?]);
    Case::new("half_edges", build, oracle)
        .input(Input::values([edges.len(), K], a))
        .input(Input::uniform([9, K], 0.5, 2.0))
        .input(Input::normal([9]))
        .nonfinite()
        .tolerance(1e-4, 1e-4)
        .on_cooperative_matrices(COOPERATIVE_TILINGS)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // m, n, k around the tile sides 16, 32 and 64, and the sizes of the models.
    let ragged =
        [[1, 1, 1], [1, 7, 200], [7, 200, 1], [33, 31, 17], [64, 65, 16], [31, 129, 785], [128, 64, 200]];
    for sizes in ragged {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let case = plain(sizes, ta, tb);
            cases.push(if sizes == [33, 31, 17] { case.gradient(&[0, 1]) } else { case });
        }
        for relu in [false, true] {
            let case = layer(sizes, relu);
            cases.push(if sizes == [33, 31, 17] { case.gradient(&[0, 1, 2]) } else { case });
        }
    }
    for sizes in [[1, 7, 200], [33, 31, 17], [64, 65, 16], [31, 129, 785], [128, 64, 200], [135, 132, 36]] {
        cases.extend([half_layer(sizes, false), half_layer(sizes, true), half_gradients(sizes)]);
    }
    cases.extend([half_edges(), relu_keeps_nan()]);
    cases.extend([layer([5, 784, 200], true), layer([5, 200, 784], true)]);
    cases.extend((0..TILINGS).flat_map(|tiling| tiled().into_iter().map(move |case| case.variant(tiling))));
    cases
}

/// For each tiling: products within a tile and across several in each direction, with rows of whole vectors in both
/// factors, in one, and in none.
fn tiled() -> Vec<Case> {
    vec![
        plain([1, 7, 200], false, false),
        plain([33, 31, 17], true, true),
        plain([132, 135, 20], false, false),
        plain([135, 132, 20], true, false),
        plain([132, 68, 36], true, true),
        plain([7, 1, 785], false, true),
        layer([7, 200, 784], true),
        layer([200, 7, 785], false),
        plain([785, 9, 33], true, false),
    ]
}
