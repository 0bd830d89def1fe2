//! `classify`: verdicts on rows, ties and NaNs included, and those that stay.

use smoothenc::method::ops::classify;

use crate::harness::{Case, Input};

/// What a verdict has from the first wrong point on.
pub const WRONG: u32 = 1 << 31;

/// The verdict after one more point.
pub fn judged(before: f64, right: bool) -> f64 {
    match before >= f64::from(WRONG) {
        true => before,
        false => before + if right { 1.0 } else { f64::from(WRONG) },
    }
}

/// The first largest logit, if there is no NaN, against the label.
fn oracle(cols: usize, x: &[Vec<f64>]) -> Vec<f64> {
    let rows = x[0].chunks(cols).zip(&x[1]).zip(&x[2]);
    rows.map(|((logits, &label), &before)| {
        let nan = logits.iter().any(|v| v.is_nan());
        let largest = logits.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
        let first = logits.iter().position(|&v| v == largest);
        judged(before, !nan && first == Some(label as usize))
    })
    .collect()
}

fn case(name: String, [rows, cols]: [usize; 2], logits: Input, labels: Vec<u32>) -> Case {
    let before = (0..rows as u32).map(|r| if r % 5 == 0 { WRONG + r } else { r % 3 }).collect();
    let case = Case::new(
        name,
        |g, x| {
            classify(g, x[0], x[1], x[2])?;
            Ok(vec![x[2]])
        },
        move |x| vec![oracle(cols, x)],
    );
    let case = case.input(logits).input(Input::words([rows], labels)).input(Input::words([rows], before));
    case.tolerance(0.0, 0.0)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [9, 2], [300, 10], [7, 200]] {
        let labels = (0..rows).map(|r| (r % cols.min(3)) as u32).collect();
        cases.push(case(format!("{rows}x{cols}"), [rows, cols], Input::normal([rows, cols]), labels));
    }
    // Few values, so that most rows have ties.
    let few: Vec<f32> = (0..300 * 4).map(|i| ((i * i + i / 7) % 3) as f32 - 1.0).collect();
    let labels: Vec<u32> = (0..300).map(|r| r % 4).collect();
    cases.push(case("ties".to_string(), [300, 4], Input::values([300, 4], few.clone()), labels.clone()));
    let special = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -f32::NAN];
    let mixed = few.iter().enumerate().map(|(i, &v)| if i % 5 == 0 { special[i / 5 % 4] } else { v });
    cases.push(case(
        "nan_and_infinite".to_string(),
        [300, 4],
        Input::values([300, 4], mixed.collect()),
        labels,
    ));
    let none = vec![0, 4, 1, u32::MAX];
    cases.push(case("no_class".to_string(), [4, 4], Input::normal([4, 4]), none));
    cases
}
