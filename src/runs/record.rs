//! The record of a run, `result.json` (docs/interface.md): what it is, how it was trained, and every evaluation of it.

mod evaluation;
mod remarks;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::config::{Arch, AttackConfig, Config, Objective};
use super::dir::RESULT;
use crate::data;
use crate::files::write_whole;
use crate::{Error, Result};

pub(super) use evaluation::round;
pub use evaluation::{AttackResult, Evaluation, Provenance, TaskResult};

/// The version of the file's form. 1 had no evaluations and no version.
const FORMAT: u32 = 2;

/// What a run is and what it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    #[serde(default = "first_format")]
    pub format: u32,
    pub dataset: String,
    pub objective: Objective,
    pub arch: Arch,
    pub seed: u64,
    pub iterations: u64,
    /// The device of the training in words.
    pub device: String,
    /// Wall-clock time of training alone, over all its sessions.
    pub train_seconds: f64,
    /// The median, without the first 10 steps.
    pub seconds_per_step: f64,
    /// The mean ELBO of a test example, in nats, constants included.
    pub elbo_test: f64,
    /// The last evaluation of each task, by its name.
    pub tasks: BTreeMap<String, TaskResult>,
    /// Training images that were kept out and tested on; not written where 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub holdout: usize,
    /// Whether the images are drawn and no photographs; not written where not.
    #[serde(default, skip_serializing_if = "is_not")]
    pub synthetic: bool,
    /// Photographs that were left out; not written where 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_images: usize,
    /// What the classes are called, where they have names; not written where they are numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Images that were tested on; 0, and not written, in records of earlier versions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub test_images: usize,
    /// [`Config::hash`](super::config::Config::hash) of the settings that fix the training's numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// The first digits of [`Dataset::fingerprint`](crate::data::Dataset) of what it was trained and
    /// tested on; records of early versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What belongs to these numbers: the model and the outcomes, by their names in the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileMark>,
    /// Every evaluation, the oldest first. One is replaced only by the same made again by the same program and device.
    #[serde(default)]
    pub evaluations: Vec<Evaluation>,
}

/// By what a file is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    pub bytes: u64,
    pub sha256: String,
}

impl FileMark {
    /// Of a file with this content.
    pub fn of(content: &[u8]) -> FileMark {
        FileMark { bytes: content.len() as u64, sha256: data::hex_sha256(content) }
    }

    /// Of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of_file(path: &Path) -> Result<FileMark> {
        Ok(FileMark::of(&fs::read(path).map_err(Error::io(path))?))
    }
}

/// The version alone.
#[derive(Deserialize)]
struct Format {
    #[serde(default = "first_format")]
    format: u32,
}

fn first_format() -> u32 {
    1
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_not(what: &bool) -> bool {
    !what
}

impl RunRecord {
    /// The record of a run that was just trained and has not been evaluated.
    ///
    /// # Errors
    /// As [`Config::hash`].
    pub fn new(config: &Config, device: String) -> Result<RunRecord> {
        Ok(RunRecord {
            format: FORMAT,
            dataset: config.dataset.clone(),
            objective: config.objective,
            arch: config.arch,
            seed: config.seed,
            iterations: config.iterations,
            device,
            train_seconds: 0.0,
            seconds_per_step: 0.0,
            elbo_test: 0.0,
            tasks: BTreeMap::new(),
            holdout: config.holdout,
            synthetic: false,
            skipped_images: 0,
            test_images: 0,
            class_names: Vec::new(),
            settings: Some(config.hash()?),
            data: None,
            files: BTreeMap::new(),
            evaluations: Vec::new(),
        })
    }

    /// Adds a probe of a task. The same one trained again is nothing new: its first evaluation is shown again.
    pub fn add_probe(&mut self, task: &str, result: TaskResult, made_by: &Provenance) {
        let known = self.evaluations.iter().find(|e| {
            e.task == task
                && e.iterations == self.iterations
                && e.made_by == *made_by
                && e.result.is_probe(&result)
        });
        if let Some(known) = known {
            self.tasks.insert(task.into(), known.result.clone());
            return;
        }
        self.tasks.insert(task.into(), result.clone());
        let (task, iterations, made_by) = (task.to_string(), self.iterations, made_by.clone());
        self.evaluations.push(Evaluation { task, iterations, result, made_by, attacked_by: None });
    }

    /// Adds an attack on the last probe of a task, which must be there; the number of its evaluation. It joins an
    /// evaluation of that probe without an attack, or with the same one made by the same.
    pub fn add_attack(&mut self, task: &str, attack: AttackResult, by: &Provenance) -> Option<usize> {
        let entry = self.tasks.get_mut(task)?;
        entry.attack = Some(attack.clone());
        let (probe, iterations) = (entry.clone(), self.iterations);
        let joins =
            |e: &Evaluation| e.task == task && e.iterations == iterations && e.takes(&probe, &attack, by);
        if let Some(number) = self.evaluations.iter().position(joins) {
            self.evaluations[number].result.attack = Some(attack);
            self.evaluations[number].attacked_by = Some(by.clone());
            return Some(number);
        }
        let probed = |e: &&Evaluation| e.task == task && e.result.has_probe_of(&probe);
        let made_by = self.evaluations.iter().rfind(probed).map(|e| e.made_by.clone());
        let made_by = made_by.unwrap_or_else(Provenance::unknown);
        let attacked_by = Some(by.clone());
        self.evaluations.push(Evaluation {
            task: task.into(),
            iterations,
            result: probe,
            made_by,
            attacked_by,
        });
        Some(self.evaluations.len() - 1)
    }

    /// Names the file of outcomes of an evaluation's attack, which is the last of its task.
    pub(super) fn name_outcomes(&mut self, number: usize, file: &str) {
        let Some(evaluation) = self.evaluations.get_mut(number) else { return };
        let shown = self.tasks.get_mut(&evaluation.task);
        let attacks = [Some(&mut evaluation.result), shown].into_iter().flatten();
        attacks.filter_map(|result| result.attack.as_mut()).for_each(|a| a.outcomes = Some(file.into()));
    }

    /// The same record with each task's evaluation as the settings ask for it, whatever was probed and attacked
    /// since: the run's own probe, and the attack where one is wanted, on `examples` images where that many are
    /// known. None where one is missing.
    pub fn as_configured(&self, attack: &AttackConfig, examples: Option<usize>) -> Option<RunRecord> {
        if self.tasks.is_empty() {
            return None;
        }
        let suits = |result: &&TaskResult| {
            let attacked = |done: &AttackResult| done.is(attack, examples.unwrap_or(done.examples));
            result.has_own_probe(self.seed)
                && (!attack.enabled || result.attack.as_ref().is_some_and(attacked))
        };
        let own = |task: &String| {
            let made = self.evaluations.iter().filter(|e| e.task == *task && e.iterations == self.iterations);
            let result = made.map(|e| &e.result).find(suits)?;
            let attack = result.attack.clone().filter(|_| attack.enabled);
            Some((task.clone(), TaskResult { attack, ..result.clone() }))
        };
        let tasks = self.tasks.keys().map(own).collect::<Option<_>>()?;
        Some(RunRecord { tasks, ..self.clone() })
    }

    /// Whether each task's last probe, whose weights the model has, is the run's own.
    pub fn has_own_probes(&self) -> bool {
        self.tasks.values().all(|task| task.has_own_probe(self.seed))
    }

    /// What is shown of the run: its own evaluations; where its settings ask for no attack, or these were never made,
    /// the last ones.
    pub fn shown(&self, config: &Config) -> RunRecord {
        // Of a small set all images are attacked, also where more are asked for.
        let all = if self.test_images == 0 { usize::MAX } else { self.test_images };
        let examples = config.attack.examples.map(|examples| examples.min(all));
        let own = self.as_configured(&config.attack, examples);
        own.filter(|_| config.attack.enabled).unwrap_or_else(|| self.clone())
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
            .map_err(|error| Error::run("result.json cannot be made").because(error))?;
        text.push('\n');
        Ok(text)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`RunRecord::to_json`].
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, self.to_json()?.as_bytes())
    }

    /// Puts a file into a change of the run, and its mark into the record.
    ///
    /// # Errors
    /// As [`Change::put`].
    pub fn put(&mut self, change: &mut Change, name: &str, content: &[u8]) -> Result<()> {
        change.put(name, content)?;
        self.files.insert(name.into(), FileMark::of(content));
        Ok(())
    }

    /// Lets a change of the run happen, with this record in it.
    ///
    /// # Errors
    /// As [`Change::commit`], and [`RunRecord::to_json`].
    pub fn commit(&self, mut change: Change) -> Result<()> {
        change.put(RESULT, self.to_json()?.as_bytes())?;
        change.commit()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file, where it is missing, does not read as a result, or is of a later version.
    pub fn load(path: &Path) -> Result<RunRecord> {
        let text = fs::read(path).map_err(|error| Error::file(path, "cannot be read").because(error))?;
        RunRecord::parse(path, &text)
    }

    /// The same of the content of the file at `path`.
    ///
    /// # Errors
    /// As [`RunRecord::load`].
    pub fn parse(path: &Path, text: &[u8]) -> Result<RunRecord> {
        let no_result =
            |error: serde_json::Error| Error::file(path, "does not read as a result").because(error);
        // Before all else: a later form may differ in anything.
        let Format { format } = serde_json::from_slice(text).map_err(no_result)?;
        if format > FORMAT {
            let what = format!("is of format {format}, and this version reads up to {FORMAT}");
            return Err(Error::file(path, what).with_hint("use a later version"));
        }
        let mut record: RunRecord = serde_json::from_slice(text).map_err(no_result)?;
        if record.format < FORMAT {
            record.format = FORMAT;
            let made_by = Provenance { device: record.device.clone(), ..Provenance::unknown() };
            let old = |(task, result): (&String, &TaskResult)| {
                let (task, result, made_by) = (task.clone(), result.clone(), made_by.clone());
                let attacked_by = result.attack.is_some().then(|| made_by.clone());
                Evaluation { task, iterations: record.iterations, result, made_by, attacked_by }
            };
            record.evaluations = record.tasks.iter().map(old).collect();
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/interface.md, key by key, with what was added to the attack.
    pub(super) const EXAMPLE: &str = r#"{
  "format": 2,
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
  },
  "evaluations": []
}
"#;

    #[test]
    fn the_interface_reads_and_writes_the_same() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("result.json");
        fs::write(&path, EXAMPLE).unwrap();
        let result = RunRecord::load(&path).unwrap();
        let attack = result.tasks["digit"].attack.as_ref().unwrap();
        assert_eq!(attack.adversarial_accuracy, [(0.01, 96.0), (0.1, 70.0), (2.0, 20.0), (10.0, 1.0)]);
        result.save(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), EXAMPLE);
    }

    /// A record of the first version reads, and one of a later version is refused.
    #[test]
    fn versions_are_told_apart() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("result.json");
        let old = EXAMPLE.replace("  \"format\": 2,\n", "").replace(",\n  \"evaluations\": []", "");
        fs::write(&path, old.replace("\"seed\": 0,", "\"seed\": 0, \"later\": [1],")).unwrap();
        let record = RunRecord::load(&path).unwrap();
        assert_eq!((record.format, record.evaluations.len()), (2, 1), "its evaluation is among the others");
        let mut wanted = Config::default().attack;
        wanted.radii = vec![0.01, 0.1, 2.0, 10.0];
        assert!(record.as_configured(&wanted, Some(1000)).is_some(), "the only evaluation it has is its own");
        fs::write(&path, EXAMPLE.replace("\"format\": 2", "\"format\": 3")).unwrap();
        assert!(RunRecord::load(&path).unwrap_err().to_string().contains("format 3"));
    }

    /// Whatever is probed and attacked later, the run's own evaluation stays and is found.
    #[test]
    fn evaluations_add_up() {
        let mut record: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
        let wanted = AttackConfig {
            radii: vec![0.1],
            steps: 3,
            restarts: 1,
            examples: Some(5),
            ..Config::default().attack
        };
        let made_by = Provenance::of("a CPU".into(), "");
        let attack = |radius: f32, accuracy| {
            let mut attack = record.tasks["digit"].attack.clone().unwrap();
            (attack.steps, attack.restarts, attack.examples) = (3, 1, 5);
            attack.adversarial_accuracy = vec![(radius, accuracy)];
            attack
        };
        let (own, other) = (attack(0.1, 50.0), attack(0.2, 20.0));
        let probe = TaskResult { attack: None, probe_seed: Some(0), ..record.tasks["digit"].clone() };
        record.add_probe("digit", probe.clone(), &made_by);
        assert_eq!(record.add_attack("digit", own.clone(), &made_by), Some(0));
        assert_eq!(record.evaluations.len(), 1, "the attack joins the probe it was made on");
        record.add_attack("digit", own.clone(), &made_by);
        assert_eq!(record.evaluations.len(), 1, "the same again is nothing new");
        assert_eq!(record.add_attack("digit", other.clone(), &made_by), Some(1));
        let elsewhere = Provenance::of("a GPU".into(), "");
        assert_eq!(
            record.add_attack("digit", own.clone(), &elsewhere),
            Some(2),
            "another device is another evaluation"
        );
        assert_eq!(record.add_attack("digit", other, &made_by), Some(1), "the same again is nothing new");
        let few = TaskResult { labels_fraction: Some(0.1), nominal_accuracy: 40.0, ..probe.clone() };
        record.add_probe("digit", few, &made_by);
        record.add_probe("digit", TaskResult { probe_seed: Some(5), ..probe }, &made_by);
        assert_eq!(record.evaluations.len(), 5);
        assert!(!record.has_own_probes());
        assert_eq!(record.tasks["digit"].probe_seed, Some(5), "the last one is shown");
        let found = record.as_configured(&wanted, Some(5)).unwrap();
        assert_eq!(found.tasks["digit"].attack.as_ref(), Some(&own));
        assert!(record.as_configured(&AttackConfig { steps: 4, ..wanted.clone() }, Some(5)).is_none());
        assert!(record.as_configured(&wanted, Some(6)).is_none());
        let without =
            record.as_configured(&AttackConfig { enabled: false, ..wanted.clone() }, Some(5)).unwrap();
        assert!(without.tasks["digit"].attack.is_none());
        // Of an encoder that was trained for longer nothing is known yet.
        record.iterations += 1;
        record.tasks.get_mut("digit").unwrap().probe_seed = Some(5);
        assert!(record.as_configured(&wanted, Some(5)).is_none());
        let text = record.to_json().unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), record);
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        let sound: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
        let result = RunRecord { elbo_test: f64::NAN, ..sound.clone() };
        assert!(result.to_json().unwrap_err().to_string().contains("elbo_test"));
        let mut result = sound;
        result.tasks.get_mut("digit").unwrap().balanced_accuracy = f64::INFINITY;
        assert!(result.to_json().unwrap_err().to_string().contains("balanced_accuracy"));
    }

    #[test]
    fn a_file_that_is_no_result_is_named() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("result.json");
        assert!(RunRecord::load(&path).unwrap_err().to_string().contains("cannot be read"));
        for text in ["{}", "not json", &EXAMPLE.replace("\"0.1\"", "\"wide\"")] {
            fs::write(&path, text).unwrap();
            let error = RunRecord::load(&path).unwrap_err();
            assert!(error.is_request());
            assert!(error.to_string().contains("result.json does not read as a result"));
        }
    }
}
