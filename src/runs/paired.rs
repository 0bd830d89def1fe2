//! Two runs on the same images: whether one is right where the other is not more often than by chance (McNemar, 1947).

use std::path::PathBuf;

use serde::Serialize;

use super::config::Config;
use super::dir::RunDir;
use super::outcomes;
use super::record::{AttackResult, RunRecord};
use super::{short, shown};
use crate::error::Result;

/// A test of two runs at a radius.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    pub task: String,
    pub radius: f64,
    /// The runs' folders.
    pub runs: [String; 2],
    /// The images that the first alone has right, and the second alone.
    pub only: [usize; 2],
    /// The probability of so uneven a split, or a more uneven one, where none of the two is better.
    pub p: f64,
}

impl Paired {
    /// A line about it.
    pub fn text(&self) -> String {
        let Paired { task, radius, runs: [first, second], only: [of_first, of_second], p } = self;
        let radius = shown(*radius);
        format!("{task} at {radius}: {of_first} only {first}, {of_second} only {second}, p = {p:.2e}")
    }
}

/// A run as it is compared.
#[derive(Debug, Clone, Copy)]
pub struct Tested<'a> {
    pub folder: &'a PathBuf,
    pub config: &'a Config,
    pub record: &'a RunRecord,
}

/// Tests each of `others` against `first`, for every task at 0 and at the radii that both were attacked at. Only runs
/// that were attacked on the same images in one norm, and whose outcomes are there, are tested.
///
/// # Errors
/// [`crate::Error`] naming a file of outcomes that cannot be read.
pub fn paired(first: &Tested, others: &[Tested]) -> Result<Vec<Paired>> {
    let mut tests = Vec::new();
    for other in others {
        let same_data = first.record.data.is_some() && first.record.data == other.record.data;
        if !same_data || first.config.holdout != other.config.holdout {
            continue;
        }
        for (task, result) in &first.record.tasks {
            let of_other = other.record.tasks.get(task).and_then(|result| result.attack.as_ref());
            let (Some(a), Some(b)) = (&result.attack, of_other) else { continue };
            if (a.norm, a.examples) != (b.norm, b.examples) {
                continue;
            }
            let (Some(of_a), Some(of_b)) = (broken(first, a)?, broken(other, b)?) else { continue };
            let common = a.adversarial_accuracy.iter().map(|r| r.0).filter(|r| b.accuracy_at(*r).is_some());
            for radius in [0.0].into_iter().chain(common) {
                let right = |broken: &[f32]| broken.iter().map(|at| *at > radius).collect::<Vec<_>>();
                let only = discordant(&right(&of_a), &right(&of_b));
                tests.push(Paired {
                    task: task.clone(),
                    radius: short(radius),
                    runs: [first, other].map(|run| run.folder.display().to_string()),
                    only,
                    p: mcnemar(only),
                });
            }
        }
    }
    Ok(tests)
}

/// For each image the radius from which on it is wrong: 0 without an attack, infinity where it stands.
fn broken(run: &Tested, attack: &AttackResult) -> Result<Option<Vec<f32>>> {
    let Some(name) = &attack.outcomes else { return Ok(None) };
    outcomes::broken_from(&RunDir::open(run.folder)?.path().join(name)).map(Some)
}

fn discordant(first: &[bool], second: &[bool]) -> [usize; 2] {
    let count = |of: fn(bool, bool) -> bool| first.iter().zip(second).filter(|(a, b)| of(**a, **b)).count();
    [count(|a, b| a && !b), count(|a, b| !a && b)]
}

/// The exact two-sided test: how likely a fair coin splits the images so unevenly.
fn mcnemar([first, second]: [usize; 2]) -> f64 {
    let n = first + second;
    // log of n choose k, over 2^n, from one k to the next.
    let mut log = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=first.min(second) {
        tail += log.exp();
        log += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scipy.stats.binomtest(first, first + second).
    #[test]
    fn a_split_has_its_probability() {
        for (split, p) in [
            ([0, 0], 1.0),
            ([5, 5], 1.0),
            ([0, 5], 0.0625),
            ([12, 35], 0.0010885),
            ([35, 12], 0.0010885),
            ([300, 700], 1.7666e-37),
        ] {
            let ratio = mcnemar(split) / p;
            assert!((0.99..1.01).contains(&ratio), "{split:?}: {}", mcnemar(split));
        }
    }

    #[test]
    fn images_that_both_have_right_do_not_count() {
        assert_eq!(discordant(&[true, true, false, false], &[true, false, true, false]), [1, 1]);
        assert_eq!(discordant(&[true, true, false], &[false, false, false]), [2, 0]);
    }
}
