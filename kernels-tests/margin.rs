//! `margin`: the slope towards a target of one's own, and towards the largest other logit.

use smoothenc::method::ops::{ANY, margin};

use crate::harness::{Case, Input};
use crate::inputs::{Rng, seed};

/// The class of the target, or none where there is no other class.
pub fn target_of(logits: &[f64], label: usize, wanted: f64) -> Option<usize> {
    let own = (0..logits.len()).find(|&c| c as f64 == wanted && c != label);
    let others = (0..logits.len()).filter(|&c| c != label);
    own.or_else(|| others.reduce(|best, c| if logits[c] > logits[best] { c } else { best }))
}

/// docs/method.md, section 5, one row.
pub fn oracle_row(logits: &[f64], label: usize, wanted: f64) -> Vec<f64> {
    if label >= logits.len() {
        return vec![f64::NAN; logits.len()];
    }
    let target = target_of(logits, label, wanted);
    let raised = |c: usize| if Some(c) == target { 1.0 } else { 0.0 };
    (0..logits.len()).map(|c| if c == label { -1.0 } else { raised(c) }).collect()
}

fn case(name: String, cols: usize, logits: Vec<f32>, labels: Vec<u32>, targets: Vec<u32>) -> Case {
    let rows = labels.len();
    let case = Case::new(
        name,
        |g, x| Ok(vec![margin(g, x[0], x[1], x[2])?]),
        move |x| {
            let rows = x[0].chunks(cols).zip(&x[1]).zip(&x[2]);
            vec![rows.flat_map(|((row, label), wanted)| oracle_row(row, *label as usize, *wanted)).collect()]
        },
    );
    case.input(Input::values([rows, cols], logits))
        .input(Input::words([rows], labels))
        .input(Input::words([rows], targets))
        .nonfinite()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, cols] in [[1, 1], [5, 2], [37, 10], [257, 3], [3, 1000]] {
        let name = format!("{rows}x{cols}");
        let mut rng = Rng::new(seed(), &name);
        // Few values, so that many are as large as each other.
        let logits: Vec<f32> = (0..rows * cols).map(|_| (4.0 * rng.uniform()).floor() as f32).collect();
        let labels: Vec<u32> = (0..rows).map(|_| (cols as f64 * rng.uniform()) as u32).collect();
        // Its own, none, one that is no class, and the label.
        let target = |r: usize| [(r % cols) as u32, ANY, cols as u32, labels[r]][r % 4];
        let targets = (0..rows).map(target).collect();
        cases.push(case(name, cols, logits, labels, targets));
    }
    let nan = |at: usize| (0..10).map(|c| if c == at { f32::NAN } else { (c * 7 % 5) as f32 }).collect();
    for (at, label) in [(0, 3), (0, 0), (1, 0), (5, 2), (5, 5)] {
        cases.push(case(format!("nan_at_{at}_label_{label}"), 10, nan(at), vec![label], vec![ANY]));
    }
    let no_class = vec![1.0, 2.0, 3.0, 4.0];
    cases.push(case("no_class".into(), 2, no_class, vec![2, u32::MAX], vec![0, ANY]));
    cases
}
