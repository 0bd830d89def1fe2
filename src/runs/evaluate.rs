//! Probes and attacks on a trained encoder, one for each task, in the terms of result.json.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Dataset, Images};
use crate::engine::nn::NamedTensor;
use crate::engine::nn::load_weights;
use crate::engine::rng::{Key, Purpose, Stream};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::robustness::{
    self, Accuracies, Attack, AttackReport, Broken, Outcome, Probe, ProbeSettings, Target, encode_means,
    interval,
};
use crate::method::vae::Vae;
use crate::method::{Trainer, check_elbo};
use crate::progress::Context;
use crate::runs::config::{AttackConfig, AttackMethod, Config};
use crate::runs::outcomes;
use crate::runs::record::{AttackResult, Provenance, RunRecord, TaskResult};
use crate::runs::writing::Writing;
use crate::runs::{model_file, recipe, short, shown};

/// A trained probe of one task.
#[derive(Debug)]
pub struct Probed {
    /// Its weights under the names of model.safetensors.
    pub tensors: Vec<NamedTensor>,
    pub result: TaskResult,
}

/// What came of an attack.
#[derive(Debug)]
pub struct Attacked {
    pub result: AttackResult,
    /// Of each image.
    pub outcomes: Vec<Outcome>,
    /// The radius in which each image is certified; empty without certificates.
    pub certified: Vec<Option<f32>>,
}

impl Attacked {
    /// From the report of an attack on a task, made as `config` says.
    pub(super) fn of(task: &str, config: &AttackConfig, report: AttackReport) -> Self {
        let (nominal, examples) = (report.nominal(), report.outcomes.len());
        let by_radius: Vec<(f32, Accuracies)> =
            config.radii.iter().map(|&radius| (radius, report.adversarial(radius))).collect();
        let told = |(radius, at): &(f32, Accuracies)| format!("{}: {:.2} %", shown(short(*radius)), at.plain);
        let told = by_radius.iter().map(told).collect::<Vec<_>>().join(", ");
        log::info!("attack on {task}, right by radius: 0: {:.2} %, {told}", nominal.plain);
        let broken_by = |radius: f32, attack: &AttackMethod| {
            let by_it = |broken: Broken| broken.radius == radius && broken.method.name() == attack.name();
            report.outcomes.iter().filter(|outcome| outcome.broken.is_some_and(by_it)).count()
        };
        let broken_at = |radius: f32| {
            config.attacks.iter().map(|attack| (attack.to_string(), broken_by(radius, attack))).collect()
        };
        let result = AttackResult {
            attacks: config.attacks.clone(),
            norm: config.norm,
            steps: config.steps,
            restarts: config.restarts,
            examples,
            nominal_accuracy: nominal.plain,
            adversarial_accuracy: by_radius.iter().map(|&(radius, at)| (radius, at.plain)).collect(),
            interval: by_radius
                .iter()
                .map(|&(radius, at)| (radius, interval(at.plain, examples).into()))
                .collect(),
            by: config.radii.iter().map(|&radius| (radius, broken_at(radius))).collect(),
            majority_baseline: nominal.majority,
            balanced_accuracy: nominal.balanced,
            adversarial_balanced_accuracy: by_radius
                .iter()
                .map(|&(radius, at)| (radius, at.balanced))
                .collect(),
            certified_accuracy: vec![],
            median_certified_radius: None,
            code_moves: vec![],
            seed: Some(config.seed),
            transfer_from: None,
            outcomes: None,
        };
        Attacked { result, outcomes: report.outcomes, certified: vec![] }
    }

    /// Adds the attack on `task`, made by `made_by`, to the run's record, and writes both into the run, in one change.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the file.
    pub fn add_to(
        self,
        record: &mut RunRecord,
        run: &Writing,
        task: &str,
        made_by: &Provenance,
    ) -> Result<()> {
        let mut change = run.change()?;
        if let Some(number) = record.add_attack(task, self.result, made_by) {
            let (name, content) = outcomes::file(task, number + 1, &self.outcomes, &self.certified)?;
            record.name_outcomes(number, &name);
            record.put(&mut change, &name, &content)?;
        }
        record.commit(change)
    }
}

/// Which training labels a probe sees, and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labels {
    /// The part of all labels. Each is seen or not by a draw of its own, so a larger part contains a smaller one.
    pub fraction: f32,
    /// Of that draw.
    pub seed: u64,
    /// See every class as often as the most frequent one. A classifier of rare classes otherwise gives them up first,
    /// which accuracy hardly shows and balanced accuracy does.
    pub balanced: bool,
}

impl Labels {
    /// Each once, as in docs/method.md, section 5.
    pub const ALL: Labels = Labels { fraction: 1.0, seed: 0, balanced: false };

    /// The examples to train on, of those with these labels; where balanced, those of the rarer classes in turn until
    /// there are enough.
    pub fn examples(&self, labels: &[u32]) -> Vec<usize> {
        let mut draws = Stream::new(Key::new(self.seed, Purpose::ProbeLabels), 0);
        let seen = (0..labels.len()).filter(|_| self.fraction >= 1.0 || draws.uniform() < self.fraction);
        if !self.balanced {
            return seen.collect();
        }
        let mut classes = BTreeMap::<u32, Vec<usize>>::new();
        seen.for_each(|i| classes.entry(labels[i]).or_default().push(i));
        let most = classes.values().map(Vec::len).max().unwrap_or(0);
        classes.values().flat_map(|class| class.iter().copied().cycle().take(most)).collect()
    }
}

/// Probes and attacks a trained encoder.
#[derive(Debug)]
pub struct Evaluator<'a> {
    /// Holds the weights in its variable `model`.
    pub session: &'a mut Session,
    pub vae: &'a Vae,
    pub data: &'a Dataset,
    pub context: &'a Context,
}

impl Evaluator<'_> {
    /// Trains a linear probe for each of `tasks` (numbers of tasks of the data) on the codes of the training images
    /// with these labels, and tests it on the test split. All share one pass of the encoder over either split.
    pub fn probe(&mut self, tasks: &[usize], labels: Labels, settings: ProbeSettings) -> Result<Vec<Probed>> {
        let Evaluator { session, vae, data, context } = self;
        let means = encode_means(session, vae, &data.train.images)?;
        let test_means = encode_means(session, vae, &data.test.images)?;
        let progress = context.begin("probe", 0, 0);
        let mut probed = Vec::new();
        for &task in tasks {
            let about = &data.tasks[task];
            let probe = Probe::new(vae.latent, about.classes);
            progress.note(&about.name);
            let classes = &data.train.labels[task];
            probe.train(session, &means, classes, &labels.examples(classes), settings, &|done, all| {
                progress.advance(done as u64, all as u64);
            })?;
            let tested = tested(session, &probe, &test_means, data, task)?;
            probed.push(Probed {
                tensors: model_file::probe_tensors(session, &probe, &about.name)?,
                result: TaskResult {
                    labels_fraction: (labels.fraction < 1.0).then(|| short(labels.fraction)),
                    balanced_probe: labels.balanced,
                    probe_seed: Some(settings.seed),
                    ..tested
                },
            });
        }
        Ok(probed)
    }

    /// Tests a classifier that was trained before on the test split: the encoder, and the probe of `task` whose weights
    /// are among `tensors`.
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) where the weights are not there.
    pub fn test(&mut self, task: usize, tensors: &[NamedTensor]) -> Result<TaskResult> {
        let data = self.data;
        let test_means = encode_means(self.session, self.vae, &data.test.images)?;
        self.with_target(task, tensors, &[], |session, target| {
            tested(session, target.probe, &test_means, data, task)
        })
    }

    /// Does something with the probe of `task`, whose weights are among `tensors`, and the test images `x` from
    /// [`attacked_images`].
    pub(super) fn with_target<T>(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        work: impl FnOnce(&mut Session, &Target) -> Result<T>,
    ) -> Result<T> {
        let Evaluator { session, vae, data, .. } = self;
        let about = &data.tasks[task];
        let probe = Probe::new(vae.latent, about.classes);
        session.forget("probe"); // The one before may have had another number of classes.
        let tensors = model_file::of_probe(tensors, &about.name);
        load_weights(session, "probe", &probe.layout, &tensors)?;
        let sample = data.test.images.sample(x.len() / vae.encoder.inputs());
        let labels: Vec<u32> = sample.map(|i| data.test.labels[task][i]).collect();
        work(session, &Target { vae, probe: &probe, x, labels: &labels, shape: data.test.images.shape() })
    }

    /// Adversarial accuracy of the probe of `task`, whose weights are among `tensors`, on the test images `x` from
    /// [`attacked_images`].
    ///
    /// # Errors
    /// [`Error::Request`](crate::Error::Request) where the weights are not there.
    pub fn attack(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        config: &AttackConfig,
    ) -> Result<Attacked> {
        let report = self.attack_report(task, tensors, x, &recipe::attack(config))?;
        let attacked = Attacked::of(&self.data.tasks[task].name, config, report);
        self.with_certificates(task, tensors, x, config, attacked)
    }

    /// The same before it is put into the terms of result.json.
    ///
    /// # Errors
    /// As [`Evaluator::attack`].
    pub(super) fn attack_report(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        attack: &Attack,
    ) -> Result<AttackReport> {
        let progress = self.context.begin("attack", 0, 0);
        progress.note(&self.data.tasks[task].name);
        self.with_target(task, tensors, x, |session, target| {
            robustness::attack(session, target, attack, &|done, all| {
                progress.advance(done as u64, all as u64);
            })
        })
    }
}

/// What the probe in the session makes of the codes of the test images.
fn tested(
    session: &Session,
    probe: &Probe,
    test_means: &[f32],
    data: &Dataset,
    task: usize,
) -> Result<TaskResult> {
    let predicted = probe.predict(session, test_means)?;
    let right = data.test.labels[task].iter().zip(predicted);
    let accuracies = Accuracies::of(right.map(|(&label, answer)| (label, label == answer)));
    log::info!("probe of {}: {:.2} % right", data.tasks[task].name, accuracies.plain);
    Ok(TaskResult {
        nominal_accuracy: accuracies.plain,
        majority_baseline: accuracies.majority,
        balanced_accuracy: accuracies.balanced,
        attack: None,
        labels_fraction: None,
        balanced_probe: false,
        probe_seed: None,
    })
}

/// Refuses a model that the device can train and has no room to evaluate: compiles what comes after the training, one
/// program after the other, and frees it again.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_room(trainer: &mut Trainer, config: &Config, data: &Dataset) -> Result<()> {
    let Trainer { session, vae, .. } = trainer;
    let settings = recipe::probe(config, data.train.count());
    let mut check = || {
        check_elbo(session, vae, &data.test.images)?;
        robustness::check_encoding(session, vae, &data.train.images)?;
        for classes in data.tasks.iter().map(|task| task.classes).collect::<BTreeSet<_>>() {
            let probe = Probe::new(vae.latent, classes);
            probe.check(session, settings, data.train.count())?;
            if config.attack.enabled {
                robustness::check_attack(session, vae, &probe, &recipe::attack(&config.attack))?;
            }
        }
        Ok(())
    };
    check().map_err(|error: Error| match error {
        Error::TooLarge(_) => error.with_hint(
            "the model is measured 512 images at a time: make `hidden`, `latent` \
            or `resize` smaller, or use `device` cpu",
        ),
        other => other,
    })
}

/// The test images that `config` has attacked, in [0, 1].
///
/// # Errors
/// [`crate::Error`] naming the file of images, where it cannot be read.
pub fn attacked_images(test: &Images, config: &AttackConfig) -> Result<Vec<f32>> {
    test.floats_of(test.sample(config.examples.unwrap_or(test.count)))
}

/// Says so where the images that `config` has attacked lack classes that are trained on and tested.
pub fn warn_of_missing_classes(data: &Dataset, config: &AttackConfig) {
    let attacked = config.attacked(data.test.count());
    if !config.enabled || attacked == data.test.count() {
        return;
    }
    let numbers: Vec<usize> = data.test.images.sample(attacked).collect();
    let part = format!("the {attacked} images attacked");
    data.lacks(&part, &numbers).iter().for_each(|remark| log::warn!("{remark}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_labels_show_every_class_equally_often() {
        let labels = [0, 0, 1, 0, 2, 0, 2, 0];
        assert_eq!(Labels::ALL.examples(&labels), [0, 1, 2, 3, 4, 5, 6, 7]);
        let balanced = Labels { balanced: true, ..Labels::ALL };
        assert_eq!(balanced.examples(&labels), [0, 1, 3, 5, 7, 2, 2, 2, 2, 2, 4, 6, 4, 6, 4]);
        assert!(balanced.examples(&[]).is_empty());
    }

    #[test]
    fn a_larger_part_of_the_labels_contains_a_smaller_one() {
        let labels = [0; 1000];
        let part = |fraction, seed| Labels { fraction, seed, balanced: false }.examples(&labels);
        let (small, large) = (part(0.1, 3), part(0.3, 3));
        assert!(small.iter().all(|i| large.contains(i)));
        assert!((70..130).contains(&small.len()) && (250..350).contains(&large.len()));
        assert!(part(0.1, 4) != small);
    }
}
