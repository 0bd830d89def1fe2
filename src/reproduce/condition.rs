//! What a claim asks of measured numbers, and whether it holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, rounded};

/// What came of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    #[serde(rename = "holds")]
    Holds,
    /// Its two sides differ by less than [`ERRORS`] standard errors, so there is no saying.
    #[serde(rename = "within the error")]
    WithinError,
    #[serde(rename = "fails")]
    Fails,
}

/// A difference counts from so many standard errors on.
const ERRORS: f64 = 2.0;

/// Percentages of fewer images say too little to judge by.
const LEAST_IMAGES: usize = 100;

/// What figures measured, by `SYSTEM.QUANTITY`, and the runs of each system.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    numbers: BTreeMap<String, Estimate>,
    runs: BTreeMap<String, BTreeSet<String>>,
}

impl Measured {
    /// Adds a number. One that is not finite was not measured.
    pub fn put(&mut self, system: &str, quantity: &str, value: Estimate) {
        if value.mean.is_finite() {
            self.numbers.insert(format!("{system}.{quantity}"), value);
        }
    }

    /// Says which run a system's numbers come from.
    pub fn made_from(&mut self, system: &str, run: String) {
        self.runs.entry(system.to_string()).or_default().insert(run);
    }

    /// The runs of a system.
    pub fn runs_of(&self, system: &str) -> impl Iterator<Item = &String> {
        self.runs.get(system).into_iter().flatten()
    }

    pub fn get(&self, name: &str) -> Option<&Estimate> {
        self.numbers.get(name)
    }
}

/// `[c] A [- [c] B] <= N` or `>=`: what has to hold of measured numbers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    text: String,
    /// Factors and names.
    terms: Vec<(f64, String)>,
    /// Whether the size of the left side counts, whatever its sign.
    absolute: bool,
    at_least: bool,
    bound: f64,
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is no condition: write `[abs] [factor] NAME [- [factor] NAME] <= NUMBER`, or >="
            )
        };
        let all: Vec<&str> = text.split_whitespace().collect();
        let absolute = all.first() == Some(&"abs");
        let words = &all[usize::from(absolute)..];
        let [names @ .., sense, bound] = words else { return Err(bad()) };
        let at_least = match *sense {
            ">=" => true,
            "<=" => false,
            _ => return Err(bad()),
        };
        let bound = bound.parse().map_err(|_| bad())?;
        let term = |(place, words): (usize, &[&str])| {
            let sign = if place == 0 { 1.0 } else { -1.0 };
            let (factor, name) = match words {
                [name] => (1.0, name),
                [factor, name] => (factor.parse().ok()?, name),
                _ => return None,
            };
            name.contains('.').then(|| (sign * factor, name.to_string()))
        };
        let terms: Option<Vec<_>> = names.split(|word| *word == "-").enumerate().map(term).collect();
        let terms = terms.filter(|terms| terms.len() <= 2).ok_or_else(bad)?;
        Ok(Condition { terms, absolute, at_least, bound, text })
    }
}

/// A condition with the difference of its two sides, in the sense that it asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    pub condition: String,
    /// How far the left side lies beyond the bound; below 0 it lies on the wrong side.
    #[serde(serialize_with = "rounded")]
    beyond: f64,
    /// Its standard error.
    #[serde(serialize_with = "rounded")]
    error: f64,
    pub outcome: Outcome,
}

impl Condition {
    /// The numbers that it is about.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.terms.iter().map(|(_, name)| name)
    }

    /// What came of it.
    ///
    /// # Errors
    /// What was not measured, or not well enough, in words.
    pub fn judge(&self, measured: &Measured) -> std::result::Result<Judged, Vec<String>> {
        let (mut side, mut variance, mut missing) = (0.0, 0.0, Vec::new());
        for (factor, name) in &self.terms {
            let found = measured.get(name);
            match found.map(|value| (value, value.error())) {
                None => missing.push(name.clone()),
                Some((_, None)) => {
                    missing.push(format!("the error of {name}, which takes more than one seed"))
                }
                Some((value, Some(_))) if value.over.is_some_and(|over| over.images < LEAST_IMAGES) => {
                    missing.push(format!("{name} on at least {LEAST_IMAGES} images"));
                }
                Some((value, Some(error))) => {
                    side += factor * value.mean;
                    variance += (factor * error).powi(2);
                }
            }
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let side = if self.absolute { side.abs() } else { side };
        let beyond = if self.at_least { side - self.bound } else { self.bound - side };
        let error = variance.sqrt();
        let outcome = match beyond {
            _ if beyond >= ERRORS * error => Outcome::Holds,
            _ if beyond <= -ERRORS * error => Outcome::Fails,
            _ => Outcome::WithinError,
        };
        Ok(Judged { condition: self.text.clone(), beyond, error, outcome })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn condition(text: &str) -> Condition {
        Condition::try_from(text.to_string()).unwrap()
    }

    /// Accuracies in percent of 500 images, one for each seed.
    pub fn measured(numbers: &[(&str, &[f64])]) -> Measured {
        let mut measured = Measured::default();
        for (name, values) in numbers {
            let (system, quantity) = name.split_once('.').unwrap();
            measured.put(system, quantity, Estimate::percentage(values, 500));
            measured.made_from(system, format!("runs/{system}"));
        }
        measured
    }

    #[test]
    fn conditions_are_read_and_others_refused() {
        let found = condition("a.x@0.1 - 0.5 b-c.y <= -3");
        assert_eq!(found.terms, [(1.0, "a.x@0.1".to_string()), (-0.5, "b-c.y".to_string())]);
        assert_eq!((found.at_least, found.bound), (false, -3.0));
        let bad = ["", "a.x", "a.x <= y", "a.x < 3", "x <= 3", "a.x b.y <= 3", "- a.x <= 3", "a.x - <= 3"];
        for text in bad.into_iter().chain(["a.x - b.x - c.x <= 3", "q a.x <= 3"]) {
            assert!(Condition::try_from(text.to_string()).unwrap_err().contains("no condition"), "{text}");
        }
    }

    #[test]
    fn a_difference_counts_from_two_standard_errors_on() {
        // Of 500 images half: an error of 2.2 each, 3.2 of the difference, so 6.3 decide.
        for (smooth, outcome) in [
            (57.0, Outcome::Holds),
            (56.0, Outcome::WithinError),
            (44.0, Outcome::WithinError),
            (43.0, Outcome::Fails),
        ] {
            let numbers = measured(&[("vae.x", &[50.0]), ("se.x", &[smooth])]);
            let judged = condition("se.x - vae.x >= 0").judge(&numbers).unwrap();
            assert_eq!((judged.outcome, judged.beyond), (outcome, smooth - 50.0));
            let other = condition("vae.x - se.x <= 0").judge(&numbers).unwrap();
            assert_eq!(other.outcome, outcome);
        }
        // A size has both signs.
        for smooth in [10.0, 90.0] {
            let numbers = measured(&[("vae.x", &[50.0]), ("se.x", &[smooth])]);
            assert_eq!(condition("abs se.x - vae.x <= 3").judge(&numbers).unwrap().outcome, Outcome::Fails);
        }
        // The seeds' spread is part of the error.
        let numbers = measured(&[("vae.x", &[50.0; 3]), ("se.x", &[40.0, 60.0, 80.0])]);
        assert_eq!(condition("se.x - vae.x >= 0").judge(&numbers).unwrap().outcome, Outcome::WithinError);
        // A factor scales its error.
        let judged =
            condition("se.x - 0.5 vae.x >= 0").judge(&measured(&[("vae.x", &[50.0]), ("se.x", &[50.0])]));
        assert!((judged.unwrap().error - 2.232 * 1.25_f64.sqrt()).abs() < 0.01);
    }
}
