//! `softmax_cross_entropy`: the loss and its derivative, for unsure, sure and wrong classifiers.

use smoothenc::engine::ops::softmax_cross_entropy;

use crate::harness::{Case, Input};

/// The loss and the derivative by the logits, by sums over the others that do not cancel.
fn oracle(cols: usize, x: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let (mut losses, mut derivatives) = (Vec::new(), Vec::new());
    for (logits, &label) in x[0].chunks(cols).zip(&x[1]) {
        let label = label as usize;
        // Odds of every other class against the label.
        let odds = |c: usize| if c == label { 0.0 } else { (logits[c] - logits[label]).exp() };
        let others: f64 = (0..cols).map(odds).sum();
        losses.push(others.ln_1p());
        derivatives.extend((0..cols).map(|c| match c == label {
            true => -others / (1.0 + others),
            false => odds(c) / (1.0 + others),
        }));
    }
    [losses, derivatives]
}

fn labels(rows: usize, cols: usize) -> Vec<u32> {
    (0..rows).map(|r| ((7 * r + 3) % cols) as u32).collect()
}

fn case(name: String, [rows, cols]: [usize; 2], logits: Input) -> Case {
    let case = Case::new(
        name,
        |g, x| {
            let entropy = softmax_cross_entropy(g, x[0], x[1])?;
            Ok(vec![entropy.loss, entropy.d_logits])
        },
        move |x| oracle(cols, x).to_vec(),
    );
    case.input(logits).input(Input::words([rows], labels(rows, cols)))
}

/// Logits that differ from the label's by `gap`.
fn gap(rows: usize, cols: usize, gap: f32) -> Vec<f32> {
    let labels = labels(rows, cols);
    let logit = |i: usize| if labels[i / cols] as usize == i % cols { gap } else { (i % 3) as f32 * 0.1 };
    (0..rows * cols).map(logit).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [1, 2], [7, 10], [257, 2], [33, 40], [3, 1000]] {
        for width in [1.0, 40.0] {
            let logits = Input::uniform([rows, cols], -width, width);
            cases.push(case(format!("{rows}x{cols}_within{width}"), [rows, cols], logits));
        }
        // A sure classifier, right and wrong: losses of e^-20 and of 60.
        for sure in [20.0, -60.0] {
            let logits = Input::values([rows, cols], gap(rows, cols, sure));
            cases.push(case(format!("{rows}x{cols}_gap{sure}"), [rows, cols], logits));
        }
    }
    let loss = Case::new(
        "flow",
        |g, x| Ok(vec![softmax_cross_entropy(g, x[0], x[1])?.loss]),
        |x| vec![oracle(10, x)[0].clone()],
    );
    cases.push(loss.input(Input::normal([7, 10])).input(Input::words([7], labels(7, 10))).gradient(&[0]));
    for at in [0, 3] {
        let mut logits = vec![0.25; 10];
        logits[at] = f32::NAN;
        let nan = Case::new(
            format!("nan_at_{at}"),
            |g, x| {
                let entropy = softmax_cross_entropy(g, x[0], x[1])?;
                Ok(vec![entropy.loss, entropy.d_logits])
            },
            |x| {
                vec![
                    vec![f64::NAN, oracle(5, x)[0][1]],
                    [vec![f64::NAN; 5], oracle(5, x)[1][5..].to_vec()].concat(),
                ]
            },
        );
        cases.push(nan.input(Input::values([2, 5], logits)).input(Input::words([2], vec![1, 2])).nonfinite());
    }
    let no_class = Case::new(
        "no_class",
        |g, x| {
            let entropy = softmax_cross_entropy(g, x[0], x[1])?;
            Ok(vec![entropy.loss, entropy.d_logits])
        },
        |x| {
            let [loss, d] = oracle(5, &[x[0][5..10].to_vec(), vec![2.0]]);
            let none = vec![f64::NAN; 5];
            vec![vec![f64::NAN, loss[0], f64::NAN], [none.clone(), d, none].concat()]
        },
    );
    let labels = Input::words([3], vec![5, 2, u32::MAX]);
    cases.push(no_class.input(Input::normal([3, 5])).input(labels).nonfinite());
    cases
}
