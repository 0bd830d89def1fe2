//! `gaussian_log_likelihood`: the value and its derivative, with and without the sigmoid.

use std::f64::consts::TAU;

use smoothenc::engine::autodiff;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::fill;
use smoothenc::method::ops::gaussian_log_likelihood;

use crate::harness::{Case, Input};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// docs/method.md, section 2, E1 with its constant.
fn oracle(cols: usize, v: f32, through_sigmoid: bool, x: &[Vec<f64>]) -> Vec<f64> {
    let v = f64::from(v);
    let rows = x[0].chunks(cols).zip(x[1].chunks(cols));
    let squares = |(output, x): (&[f64], &[f64])| -> f64 {
        let xhat = output.iter().map(|&o| if through_sigmoid { sigmoid(o) } else { o });
        xhat.zip(x).map(|(xhat, x)| (x - xhat).powi(2)).sum()
    };
    rows.map(|row| -squares(row) / (2.0 * v) - 0.5 * cols as f64 * (TAU * v).ln()).collect()
}

/// The derivative by the decoder's output, from the definition.
fn derivative(v: f32, through_sigmoid: bool, x: &[Vec<f64>]) -> Vec<f64> {
    let element = |(&output, &x): (&f64, &f64)| match through_sigmoid {
        true => (x - sigmoid(output)) * sigmoid(output) * sigmoid(-output) / f64::from(v),
        false => (x - output) / f64::from(v),
    };
    x[0].iter().zip(&x[1]).map(element).collect()
}

fn case([rows, cols]: [usize; 2], v: f32, through_sigmoid: bool, logits: f64) -> Case {
    let mode = if through_sigmoid { "sigmoid" } else { "plain" };
    let case = Case::new(
        format!("{mode}_{rows}x{cols}_v{v}_within{logits}"),
        move |g, x| Ok(vec![gaussian_log_likelihood(g, x[0], x[1], v, through_sigmoid)?]),
        move |x| vec![oracle(cols, v, through_sigmoid, x)],
    );
    case.input(Input::uniform([rows, cols], -logits, logits))
        .input(Input::uniform([rows, cols], 0.0, 1.0))
        .tolerance(1e-6, 1e-5)
}

/// The value and, by autodiff, its derivative.
fn with_derivative([rows, cols]: [usize; 2], v: f32, through_sigmoid: bool, logits: f64) -> Case {
    let mode = if through_sigmoid { "sigmoid" } else { "plain" };
    let build = move |g: &mut Graph, x: &[Tensor]| {
        let ll = gaussian_log_likelihood(g, x[0], x[1], v, through_sigmoid)?;
        let one = fill(g, [rows], 1.0)?;
        Ok(vec![ll, autodiff::gradients_from(g, &[(ll, one)], &x[..1])?[0]])
    };
    let oracle =
        move |x: &[Vec<f64>]| vec![oracle(cols, v, through_sigmoid, x), derivative(v, through_sigmoid, x)];
    Case::new(format!("derivative_{mode}_{rows}x{cols}_within{logits}"), build, oracle)
        .input(Input::uniform([rows, cols], -logits, logits))
        .input(Input::uniform([rows, cols], 0.0, 1.0))
        // x - xhat may cancel.
        .tolerance(1e-4, 1e-3)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for sides in [[1, 1], [3, 7], [5, 200], [2, 784], [37, 785]] {
        for (v, logits) in [(0.25, 3.0), (0.005, 1.5), (2.0, 12.0)] {
            // A small v makes the constant positive, which cancels in a few columns.
            if v < 0.1 && sides[1] < 200 {
                continue;
            }
            cases.push(case(sides, v, false, logits));
            cases.push(case(sides, v, true, logits));
        }
        if sides != [1, 1] {
            cases.push(with_derivative(sides, 0.5, false, 2.0));
            cases.push(with_derivative(sides, 0.5, true, 5.0));
        }
    }
    // Beyond where e^x overflows in float32.
    cases.push(with_derivative([3, 200], 0.5, true, 200.0));
    cases.push(case([3, 7], 0.3, false, 2.0).gradient(&[0, 1]));
    cases.push(case([2, 300], 0.7, true, 4.0).gradient(&[0]));
    let mut values = vec![0.5; 12];
    values[5] = f32::NAN;
    let nan = Case::new(
        "nan_stays",
        |g, x| Ok(vec![gaussian_log_likelihood(g, x[0], x[1], 0.5, true)?]),
        |x| vec![oracle(4, 0.5, true, x)],
    );
    cases.push(nan.input(Input::values([3, 4], values)).input(Input::uniform([3, 4], 0.0, 1.0)).nonfinite());
    cases
}
