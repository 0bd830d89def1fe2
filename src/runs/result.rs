//! `result.json` (docs/interface.md), read as well as written, so that `probe` and `attack` can add to it.
//!
//! Keys this version does not know are kept where they were read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::config::{Arch, AttackConfig, Norm, Objective};
use crate::files::write_whole;
use crate::{Error, Result};

/// Key of a task whose probe saw only a part of the labels.
pub const LABELS_FRACTION: &str = "labels_fraction";

/// Key of a task whose probe saw all classes equally often.
pub const BALANCED_PROBE: &str = "balanced_probe";

/// Key of a run on made pictures.
pub const SYNTHETIC: &str = "synthetic";

/// Key of the number of photographs that were left out.
pub const SKIPPED: &str = "skipped_images";

/// What a run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub dataset: String,
    pub objective: Objective,
    pub arch: Arch,
    pub seed: u64,
    pub iterations: u64,
    /// The device in words.
    pub device: String,
    /// Wall-clock time of training alone, over all its sessions.
    pub train_seconds: f64,
    /// The median, without the first 10 steps.
    pub seconds_per_step: f64,
    /// The mean ELBO of a test example, in nats, constants included.
    pub elbo_test: f64,
    /// One entry for each task probed, by its name.
    pub tasks: BTreeMap<String, TaskResult>,
    /// Keys beyond those of docs/interface.md.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

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
    /// Keys beyond those of docs/interface.md.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An attack's outcome, in percent of the attacked examples (two decimals in the file).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackResult {
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
    /// Keys beyond those of docs/interface.md.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AttackResult {
    /// The accuracy at a radius, where it was attacked with it.
    pub fn accuracy_at(&self, radius: f32) -> Option<f64> {
        at(&self.adversarial_accuracy, radius)
    }

    /// The same in balance; results of early versions have none.
    pub fn balanced_accuracy_at(&self, radius: f32) -> Option<f64> {
        at(&self.adversarial_balanced_accuracy, radius)
    }

    /// The attack in words: its norm, steps and restarts.
    pub fn title(&self) -> String {
        format!("{} attack, PGD of {} steps x {} restarts", self.norm.title(), self.steps, self.restarts)
    }
}

fn at(values: &[(f32, f64)], radius: f32) -> Option<f64> {
    values.iter().find(|(found, _)| *found == radius).map(|&(_, value)| value)
}

impl TaskResult {
    /// Whether its probe is the run's own, on all labels, each once; not one that `probe` has put in its place. Another
    /// order of the batches (`probe --seed`) measures the same.
    pub fn has_own_probe(&self) -> bool {
        [LABELS_FRACTION, BALANCED_PROBE].iter().all(|key| !self.extra.contains_key(*key))
    }

    /// Whether `examples` images were attacked as `wanted` says; not otherwise by a later `attack`.
    pub fn has_attack(&self, wanted: &AttackConfig, examples: usize) -> bool {
        self.attack.as_ref().is_some_and(|done| {
            done.norm == wanted.norm
                && (done.steps, done.restarts) == (wanted.steps, wanted.restarts)
                && done.examples == examples
                && done.adversarial_accuracy.iter().map(|(radius, _)| radius).eq(&wanted.radii)
        })
    }
}

impl RunResult {
    /// What these numbers do not say by themselves, a line each.
    pub fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(skipped) = self.extra.get(SKIPPED) {
            lines.push(format!("{skipped} photographs that cannot be read were left out (--skip-bad)"));
        }
        let with = |key: &'static str| {
            self.tasks.iter().filter_map(move |(name, task)| Some((name.as_str(), task.extra.get(key)?)))
        };
        let few: Vec<_> = with(LABELS_FRACTION).map(|(name, part)| format!("{name} ({part})")).collect();
        if !few.is_empty() {
            lines.push(format!("probes on a part of the labels: {}", few.join(", ")));
        }
        let balanced: Vec<_> = with(BALANCED_PROBE).map(|(name, _)| name).collect();
        if !balanced.is_empty() {
            lines.push(format!("probes that saw every class equally often: {}", balanced.join(", ")));
        }
        // A constant answer has the majority's accuracy and, of k classes, 1/k in balance; a probe that gives up a rare
        // class only has more there.
        let constant = |task: &TaskResult| {
            let classes = (100.0 / task.balanced_accuracy).round();
            (2.0..f64::INFINITY).contains(&classes)
                && (task.balanced_accuracy - 100.0 / classes).abs() <= 0.5
                && task.nominal_accuracy <= task.majority_baseline + 0.5
        };
        let mut own = self.tasks.values().filter(|task| task.has_own_probe()).peekable();
        if own.peek().is_some() && own.all(constant) {
            let mend = match self.objective {
                Objective::Se => {
                    "; a smaller --gamma, or one that rises more slowly (--gamma-warmup), may keep more"
                }
                Objective::Vae | Objective::BetaVae => "",
            };
            let text = "every probe gives one answer, or nearly: the code hardly tells these images apart";
            lines.push(format!("{text}{mend}"));
        }
        lines
    }

    /// The document, as in the file and under `--json`.
    ///
    /// # Errors
    /// [`Error::Run`] naming the key of a number that is not finite, which JSON cannot hold.
    pub fn to_json(&self) -> Result<String> {
        let run = [
            ("train_seconds", self.train_seconds),
            ("seconds_per_step", self.seconds_per_step),
            ("elbo_test", self.elbo_test),
        ];
        let tasks = self.tasks.values().flat_map(|task| {
            let attack = task.attack.iter().flat_map(|attack| {
                let radii =
                    attack.adversarial_accuracy.iter().map(|&(_, value)| ("adversarial_accuracy", value));
                let balanced = attack.adversarial_balanced_accuracy.iter();
                let balanced = balanced.map(|&(_, value)| ("adversarial_balanced_accuracy", value));
                radii.chain(balanced).chain([
                    ("attack.nominal_accuracy", attack.nominal_accuracy),
                    ("attack.majority_baseline", attack.majority_baseline),
                    ("attack.balanced_accuracy", attack.balanced_accuracy),
                ])
            });
            attack.chain([
                ("nominal_accuracy", task.nominal_accuracy),
                ("majority_baseline", task.majority_baseline),
                ("balanced_accuracy", task.balanced_accuracy),
            ])
        });
        if let Some((key, value)) = tasks.chain(run).find(|(_, value)| !value.is_finite()) {
            return Err(Error::run(format!("result.json: {key} came out as {value}")));
        }
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::run(format!("result.json cannot be written: {error}")))?;
        text.push('\n');
        Ok(text)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`RunResult::to_json`].
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, self.to_json()?.as_bytes())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file, where it is missing or does not read as a result.
    pub fn load(path: &Path) -> Result<RunResult> {
        let refuse = |why: String| Error::request(format!("{} {why}", path.display()));
        let text = fs::read(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        serde_json::from_slice(&text).map_err(|error| refuse(format!("does not read as a result: {error}")))
    }
}

/// To the two decimals that files have of a percentage.
pub(super) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn two_decimals<S: Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

/// Accuracies by radius as an object.
mod by_radius {
    use super::*;

    pub fn serialize<S: Serializer>(
        values: &[(f32, f64)],
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|&(radius, value)| (radius.to_string(), round(value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Vec<(f32, f64)>, D::Error> {
        let map = BTreeMap::<String, f64>::deserialize(deserializer)?;
        let mut values = Vec::with_capacity(map.len());
        for (key, value) in map {
            let radius: f32 =
                key.parse().map_err(|_| D::Error::custom(format!("{key:?} is not a radius")))?;
            values.push((radius, value));
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::robustness::percent;

    /// The example of docs/interface.md, key by key, with what was added to the attack.
    const EXAMPLE: &str = r#"{
  "dataset": "mnist",
  "objective": "se",
  "arch": "mlp",
  "seed": 0,
  "iterations": 10000,
  "device": "a CPU",
  "train_seconds": 1.0,
  "seconds_per_step": 0.01,
  "elbo_test": 0.5,
  "tasks": {
    "digit": {
      "nominal_accuracy": 97.1,
      "majority_baseline": 11.4,
      "balanced_accuracy": 97.0,
      "attack": {
        "norm": "linf",
        "steps": 100,
        "restarts": 10,
        "examples": 1000,
        "nominal_accuracy": 97.4,
        "adversarial_accuracy": {
          "0.01": 96.0,
          "0.1": 70.0,
          "2": 20.0,
          "10": 1.0
        },
        "majority_baseline": 12.0,
        "balanced_accuracy": 97.2,
        "adversarial_balanced_accuracy": {
          "0.01": 95.5
        }
      }
    }
  }
}
"#;

    #[test]
    fn the_interface_reads_and_writes_the_same() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("result.json");
        fs::write(&path, EXAMPLE).unwrap();
        let result = RunResult::load(&path).unwrap();
        let attack = result.tasks["digit"].attack.as_ref().unwrap();
        assert_eq!(attack.adversarial_accuracy, [(0.01, 96.0), (0.1, 70.0), (2.0, 20.0), (10.0, 1.0)]);
        result.save(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), EXAMPLE);
    }

    #[test]
    fn an_update_keeps_what_it_does_not_know() {
        let text = EXAMPLE.replace("\"seed\": 0,", "\"seed\": 0, \"later\": [1],");
        let mut result: RunResult = serde_json::from_str(&text).unwrap();
        let digit = result.tasks.get_mut("digit").unwrap();
        digit.nominal_accuracy = percent(2, 3);
        digit.attack = None;
        digit.extra.insert("labels_fraction".into(), 0.1.into());
        let value: Value = serde_json::from_str(&result.to_json().unwrap()).unwrap();
        assert_eq!(value["later"][0], 1);
        let digit = value["tasks"]["digit"].as_object().unwrap();
        assert_eq!(digit["nominal_accuracy"], 66.67);
        assert_eq!(digit.keys().next_back().unwrap(), "labels_fraction");
        assert!(!digit.contains_key("attack"));
    }

    #[test]
    fn what_the_numbers_do_not_say_is_said() {
        let mut result: RunResult = serde_json::from_str(EXAMPLE).unwrap();
        assert!(result.remarks().is_empty());
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (94.9, 95.0, 61.0);
        assert!(result.remarks().is_empty(), "a rare class given up is no collapse");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (100.0, 100.0, 100.0);
        assert!(result.remarks().is_empty(), "nor is a test set of one class");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (45.0, 55.0, 42.0);
        assert!(result.remarks().is_empty(), "nor are answers worse than a constant one");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (0.0, 55.0, 0.0);
        assert!(result.remarks().is_empty(), "nor are answers that are all wrong");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (11.4, 11.35, 10.02);
        let [collapsed] = &result.remarks()[..] else { panic!() };
        assert!(
            collapsed.contains("hardly tells these images apart") && collapsed.contains("--gamma-warmup")
        );
        result.objective = Objective::Vae;
        assert!(!result.remarks()[0].contains("gamma"));
        // With few labels, or rare classes made as frequent as others, it need not be the code.
        let digit = result.tasks.get_mut("digit").unwrap();
        digit.extra.insert(LABELS_FRACTION.into(), 0.01.into());
        assert!(!digit.has_own_probe());
        digit.extra.remove(LABELS_FRACTION);
        digit.extra.insert(BALANCED_PROBE.into(), true.into());
        assert!(!digit.has_own_probe());
        digit.extra.insert(LABELS_FRACTION.into(), 0.01.into());
        result.extra.insert(SKIPPED.into(), 3.into());
        let [skipped, few, balanced] = &result.remarks()[..] else { panic!() };
        assert!(skipped.starts_with("3 photographs"));
        assert!(few.ends_with("part of the labels: digit (0.01)"));
        assert!(balanced.ends_with("equally often: digit"));
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        let sound: RunResult = serde_json::from_str(EXAMPLE).unwrap();
        let result = RunResult { elbo_test: f64::NAN, ..sound.clone() };
        assert!(result.to_json().unwrap_err().to_string().contains("elbo_test"));
        let mut result = sound;
        result.tasks.get_mut("digit").unwrap().balanced_accuracy = f64::INFINITY;
        assert!(result.to_json().unwrap_err().to_string().contains("balanced_accuracy"));
    }

    #[test]
    fn a_file_that_is_no_result_is_named() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("result.json");
        assert!(RunResult::load(&path).unwrap_err().to_string().contains("cannot be read"));
        for text in ["{}", "not json", &EXAMPLE.replace("\"0.1\"", "\"wide\"")] {
            fs::write(&path, text).unwrap();
            let error = RunResult::load(&path).unwrap_err();
            assert!(error.is_request());
            assert!(error.to_string().contains("result.json does not read as a result"));
        }
    }
}
