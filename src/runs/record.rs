//! The record of a run, `result.json` (docs/interface.md): what it is, how it was trained, and every evaluation of it.

mod evaluation;
mod remarks;
mod seal;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::config::{Arch, AttackConfig, Config, Objective};
use super::dir::{METRICS, PAGE, RESULT, RunDir};
use crate::files::write_whole;
use crate::method::robustness::CodeUse;
use crate::{Error, Result};

pub use super::mark::FileMark;
pub(super) use evaluation::round;
pub use evaluation::{AttackResult, Evaluation, Provenance, TaskResult, TransferSource, in_words};

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
    /// How much the codes of the test images tell these apart; records of earlier versions have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeUse>,
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
            code: None,
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

    /// The files that belong to these numbers and are not as the record lists them.
    pub(super) fn damaged_files(&self, run: &RunDir) -> Vec<String> {
        let differs = |name: &str, mark: &FileMark| {
            FileMark::of_file(&run.path().join(name)).ok().as_ref() != Some(mark)
        };
        // The learning curve cannot be made again, and no number rests on it.
        let files = self.files.iter().filter(|(name, mark)| *name != METRICS && differs(name, mark));
        files.map(|(name, _)| name.clone()).collect()
    }

    /// Warns where the learning curve is not what was written: its page shows what is left. Of a training that has gone
    /// on since it is longer.
    pub(super) fn warn_of_curve(&self, run: &RunDir) {
        let Some(mark) = self.files.get(METRICS) else { return };
        let path = run.metrics_path();
        let found = FileMark::of_file(&path).ok();
        if found.as_ref() != Some(mark) && found.is_none_or(|found| found.bytes <= mark.bytes) {
            log::warn!("{}: is not as {RESULT} lists it; the page shows what is left", path.display());
        }
    }

    /// Takes out what is missing or damaged: outcomes and, so that it is made again, the attack `wanted` that they are
    /// of. Of another attack the numbers stay.
    pub(super) fn forget_damaged(&mut self, run: &RunDir, wanted: &AttackConfig) {
        for name in self.damaged_files(run) {
            for evaluation in &mut self.evaluations {
                let attack = evaluation.result.attack.as_mut();
                let Some(attack) = attack.filter(|a| a.outcomes.as_ref() == Some(&name)) else { continue };
                attack.outcomes = None;
                if wanted.enabled && attack.is(wanted, attack.examples) {
                    evaluation.result.attack = None;
                    evaluation.attacked_by = None;
                }
            }
            self.files.remove(&name);
        }
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

    /// The ELBO and the use of the code in words; `tested` says of what images.
    pub fn summary(&self, config: &Config, tested: &str) -> String {
        let elbo = format!("ELBO {:.2} nats, mean over the {tested}", self.elbo_test);
        let used =
            self.code.map(|code| format!("; {} of {} latents in use", code.latents_in_use, config.latent));
        elbo + &used.unwrap_or_default()
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
            ("code.kl", self.code.map_or(0.0, |code| code.kl)),
            ("code.spread", self.code.map_or(0.0, |code| code.spread)),
            ("code.information", self.code.map_or(0.0, |code| code.information)),
        ];
        let tasks = self.tasks.values().flat_map(|task| {
            let attack = task.attack.iter().flat_map(|attack| {
                let radii =
                    attack.adversarial_accuracy.iter().map(|&(_, value)| ("adversarial_accuracy", value));
                let balanced = attack.adversarial_balanced_accuracy.iter();
                let balanced = balanced.map(|&(_, value)| ("adversarial_balanced_accuracy", value));
                let certified = attack.certified_accuracy.iter();
                let certified = certified.map(|&(_, value)| ("certified_accuracy", value));
                radii.chain(balanced).chain(certified).chain([
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
        let mut text =
            seal::sealed(self).map_err(|error| Error::run("result.json cannot be made").because(error))?;
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

    /// Lets a change of the run happen, with this record in it. The page of the record before goes: it would show other
    /// numbers.
    ///
    /// # Errors
    /// As [`Change::commit`], and [`RunRecord::to_json`].
    pub fn commit(&self, mut change: Change) -> Result<()> {
        change.put(RESULT, self.to_json()?.as_bytes())?;
        change.remove(PAGE);
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
        let no_result = |error: serde_json::Error| {
            let hint =
                "`check` with `repair` keeps it beside and makes it again, or remove it and resume the run";
            Error::file(path, "does not read as a result").because(error).with_hint(hint)
        };
        // Before all else: a later form may differ in anything.
        let Format { format } = serde_json::from_slice(text).map_err(no_result)?;
        if format > FORMAT {
            let what = format!("is of format {format}, and this version reads up to {FORMAT}");
            return Err(Error::file(path, what).with_hint("use a later version"));
        }
        let mut record: RunRecord = serde_json::from_slice(text).map_err(no_result)?;
        if !seal::holds(text).map_err(no_result)? {
            let what = "was changed since it was written: its checksum is another";
            return Err(Error::file(path, what)
                .with_hint("go back to a copy; where the change is meant, take out its `sha256`"));
        }
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
mod tests;
