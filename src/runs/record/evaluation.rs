//! One evaluation of a run, as it stands in its record.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::runs::config::{AttackConfig, AttackMethod, Norm};

/// A linear probe's accuracies, in percent (two decimals in the file).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    #[serde(serialize_with = "two_decimals")]
    pub nominal_accuracy: f64,
    /// What always answering the test set's most frequent class would give.
    #[serde(serialize_with = "two_decimals")]
    pub majority_baseline: f64,
    /// The mean of the classes' accuracies.
    #[serde(serialize_with = "two_decimals")]
    pub balanced_accuracy: f64,
    /// None under `--no-attack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<AttackResult>,
    /// The part of the labels that the probe saw; not written where all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_fraction: Option<f64>,
    /// Whether the probe saw every class equally often; not written where not.
    #[serde(default, skip_serializing_if = "super::is_not")]
    pub balanced_probe: bool,
    /// The seed of the probe's labels and of the order of its batches; records of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_seed: Option<u64>,
}

/// An attack's outcome, in percent of the attacked examples (two decimals in the file).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackResult {
    /// What was tried, in this order; not written where it is pgd alone.
    #[serde(default = "pgd_alone", skip_serializing_if = "is_pgd_alone")]
    pub attacks: Vec<AttackMethod>,
    pub norm: Norm,
    pub steps: usize,
    pub restarts: usize,
    /// The first so many of the test set.
    pub examples: usize,
    /// Over the attacked examples.
    #[serde(serialize_with = "two_decimals")]
    pub nominal_accuracy: f64,
    /// Radius and accuracy, ascending by radius; in the file an object whose keys are the radii as short decimals.
    #[serde(with = "by_radius")]
    pub adversarial_accuracy: Vec<(f32, f64)>,
    /// The 95 % interval of each of these, low and high; records of early versions have none.
    #[serde(default, with = "by_radius", skip_serializing_if = "Vec::is_empty")]
    pub interval: Vec<(f32, [f64; 2])>,
    /// For each radius the examples that each attack was the first to break, not counted at a smaller radius; records
    /// of early versions have none.
    #[serde(default, with = "by_radius", skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<(f32, BTreeMap<String, usize>)>,
    /// Over the attacked examples, as the next two: what always answering their most frequent class would give. A
    /// classifier that does so is never fooled where it is right, so accuracy under attack means little below this.
    #[serde(default, serialize_with = "two_decimals")]
    pub majority_baseline: f64,
    /// The mean of the classes' accuracies, without an attack ...
    #[serde(default, serialize_with = "two_decimals")]
    pub balanced_accuracy: f64,
    /// ... and under it: 100 over the number of classes for an answer that is always the same.
    #[serde(default, with = "by_radius")]
    pub adversarial_balanced_accuracy: Vec<(f32, f64)>,
    /// For each radius the accuracy that no perturbation at all can undercut; empty without certificates.
    #[serde(default, with = "by_radius", skip_serializing_if = "Vec::is_empty")]
    pub certified_accuracy: Vec<(f32, f64)>,
    /// The median over the attacked examples of the radius in which each is certified to stay right, 0 for those that
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_certified_radius: Option<f64>,
    /// For each radius how far the codes move, at least and at most: medians over the attacked examples, in percent of
    /// the median distance between the codes of two of them. Radii with a finite bound; empty without certificates.
    #[serde(default, with = "by_radius", skip_serializing_if = "Vec::is_empty")]
    pub code_moves: Vec<(f32, [f64; 2])>,
    /// The seed of the random starts; records of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The run whose classifiers' examples `transfer` tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_from: Option<TransferSource>,
    /// The file with one row an example, relative to the run (`label`, `clean`, `broken_at`, `attack`, `restart`,
    /// `iteration`, `certified`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<String>,
}

/// The run that the points of the attack `transfer` come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferSource {
    /// Its folder, as it was given.
    pub run: String,
    /// The SHA-256 of its `model.safetensors`.
    pub model: String,
}

impl AttackResult {
    /// The accuracy at a radius, where it was attacked with it.
    pub fn accuracy_at(&self, radius: f32) -> Option<f64> {
        at(&self.adversarial_accuracy, radius)
    }

    /// The certified accuracy at a radius, where there is one.
    pub fn certified_at(&self, radius: f32) -> Option<f64> {
        at(&self.certified_accuracy, radius)
    }

    /// The accuracy in balance; results of early versions have none.
    pub fn balanced_accuracy_at(&self, radius: f32) -> Option<f64> {
        at(&self.adversarial_balanced_accuracy, radius)
    }

    /// The attack in words: its norm, and what was tried.
    pub fn title(&self) -> String {
        let tried = in_words(&self.attacks, self.steps, self.restarts);
        let from = self.transfer_from.as_ref().map_or(String::new(), |from| format!(" from {}", from.run));
        format!("{} attack, {tried}{from}", self.norm.title())
    }
}

fn at(values: &[(f32, f64)], radius: f32) -> Option<f64> {
    values.iter().find(|(found, _)| *found == radius).map(|&(_, value)| value)
}

impl AttackResult {
    /// Whether `examples` images were attacked, and certified, as `wanted` says.
    pub fn is(&self, wanted: &AttackConfig, examples: usize) -> bool {
        (&self.attacks, self.norm) == (&wanted.attacks, wanted.norm)
            && (self.steps, self.restarts) == (wanted.steps, wanted.restarts)
            && self.seed.is_none_or(|seed| seed == wanted.seed)
            && self.examples == examples
            && (self.is_certified() || !wanted.certify)
            && self.adversarial_accuracy.iter().map(|(radius, _)| radius).eq(&wanted.radii)
    }

    /// Whether `other` was made the same way.
    fn is_like(&self, other: &AttackResult) -> bool {
        let radii =
            |attack: &AttackResult| attack.adversarial_accuracy.iter().map(|r| r.0).collect::<Vec<_>>();
        let settings =
            |a: &AttackResult| (a.attacks.clone(), a.norm, a.steps, a.restarts, a.seed, a.examples);
        settings(self) == settings(other)
            && self.transfer_model() == other.transfer_model()
            && radii(self) == radii(other)
            && self.is_certified() == other.is_certified()
    }

    fn transfer_model(&self) -> Option<&str> {
        self.transfer_from.as_ref().map(|from| from.model.as_str())
    }

    fn is_certified(&self) -> bool {
        !self.certified_accuracy.is_empty()
    }
}

impl TaskResult {
    /// Whether its probe is the run's own: on all labels, each once, and of the run's seed.
    pub fn has_own_probe(&self, seed: u64) -> bool {
        self.labels_fraction.is_none()
            && !self.balanced_probe
            && self.probe_seed.is_none_or(|probe| probe == seed)
    }

    /// Whether its probe was trained as that of `other`, with the same outcome.
    pub(super) fn is_probe(&self, other: &TaskResult) -> bool {
        let numbers = |task: &TaskResult| {
            [task.nominal_accuracy, task.majority_baseline, task.balanced_accuracy].map(round)
        };
        self.has_probe_of(other) && numbers(self) == numbers(other)
    }

    /// Whether its probe was trained as that of `other`.
    pub(super) fn has_probe_of(&self, other: &TaskResult) -> bool {
        (self.labels_fraction, self.balanced_probe, self.probe_seed)
            == (other.labels_fraction, other.balanced_probe, other.probe_seed)
    }
}

/// What made numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Of this program.
    pub version: String,
    /// The commit it was built from, where the build was told (`SMOOTHENC_COMMIT`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The device in words; the CPU's names its instruction set.
    pub device: String,
    /// The first digits of [`Dataset::fingerprint`](crate::data::Dataset) of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Provenance {
    /// What made a record of format 1.
    pub fn unknown() -> Self {
        Provenance { version: "unknown".into(), commit: None, device: "unknown".into(), data: None }
    }

    /// This program on that device, with data of that fingerprint.
    pub fn of(device: String, data: &str) -> Self {
        let commit = option_env!("SMOOTHENC_COMMIT").map(String::from);
        Provenance { version: env!("CARGO_PKG_VERSION").into(), commit, device, data: Some(data.into()) }
    }
}

/// A probe of a task, and what came of an attack on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub task: String,
    /// How long the encoder was trained.
    pub iterations: u64,
    #[serde(flatten)]
    pub result: TaskResult,
    /// What trained the probe.
    pub made_by: Provenance,
    /// What attacked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacked_by: Option<Provenance>,
}

impl Evaluation {
    /// Whether an attack on the probe of `probe` belongs here: this is of that probe, and has no attack yet or the
    /// same one by the same.
    pub(super) fn takes(&self, probe: &TaskResult, attack: &AttackResult, by: &Provenance) -> bool {
        let there = self.result.attack.as_ref();
        let free = there.is_none_or(|there| there.is_like(attack) && self.attacked_by.as_ref() == Some(by));
        free && self.result.has_probe_of(probe)
    }
}

/// To the two decimals that files have of a percentage.
pub(in crate::runs) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn two_decimals<S: Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

/// Attacks in words.
pub fn in_words(attacks: &[AttackMethod], steps: usize, restarts: usize) -> String {
    attacks.iter().map(|attack| attack.title(steps, restarts)).collect::<Vec<_>>().join(", then ")
}

fn pgd_alone() -> Vec<AttackMethod> {
    vec![AttackMethod::Pgd]
}

fn is_pgd_alone(attacks: &Vec<AttackMethod>) -> bool {
    *attacks == pgd_alone()
}

/// A value as it stands in a file.
trait Rounded {
    fn rounded(&self) -> Self;
}

impl Rounded for f64 {
    fn rounded(&self) -> Self {
        round(*self)
    }
}

impl Rounded for [f64; 2] {
    fn rounded(&self) -> Self {
        self.map(round)
    }
}

impl Rounded for BTreeMap<String, usize> {
    fn rounded(&self) -> Self {
        self.clone()
    }
}

/// Values by radius as an object.
mod by_radius {
    use super::*;

    pub fn serialize<T: Rounded + Serialize, S: Serializer>(
        values: &[(f32, T)],
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(radius, value)| (radius.to_string(), value.rounded())))
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Vec<(f32, T)>, D::Error> {
        let map = BTreeMap::<String, T>::deserialize(deserializer)?;
        let mut values = Vec::with_capacity(map.len());
        for (key, value) in map {
            // Words like NaN are floats too.
            let radius: Option<f32> = key.parse().ok().filter(|radius: &f32| radius.is_finite());
            let radius = radius.ok_or_else(|| D::Error::custom(format!("{key:?} is not a radius")))?;
            values.push((radius, value));
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(twice) = values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(D::Error::custom(format!("the radius {} is there twice", twice[0].0)));
        }
        Ok(values)
    }
}
