//! A finished run, opened again to be probed or attacked.

use std::path::Path;

use crate::data::{Dataset, Source, celeba};
use crate::engine::device::Device;
use crate::engine::nn::NamedTensor;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::lipschitz;
use crate::method::ops::Norm;
use crate::method::robustness::{self, Attack, ProbeSettings, encode_means};
use crate::method::selection::{Metric, Selection};
use crate::method::vae::Vae;
use crate::progress::Context;
use crate::runs::audit::Audit;
use crate::runs::config::{AttackConfig, Config};
use crate::runs::dir::{MODEL, RunDir};
use crate::runs::evaluate::{self, Attacked, Evaluator, Labels};
use crate::runs::examples::{Examples, Fault, Replay};
use crate::runs::model_file::{self, About};
use crate::runs::record::{FileMark, Provenance, RunRecord, TaskResult, TransferSource};
use crate::runs::writing::{Access, Writing};
use crate::runs::{identity, recipe};

use crate::engine::nn::load_weights;

/// A run's model on a device, its data beside it.
#[derive(Debug)]
pub struct LoadedRun {
    pub config: Config,
    pub data: Dataset,
    pub result: RunRecord,
    /// The first digits of the data's fingerprint.
    fingerprint: String,
    run: Access,
    pub(super) vae: Vae,
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) session: Session,
    context: Context,
    /// Another run: of the attack `transfer`.
    other: Option<(TransferSource, Box<LoadedRun>)>,
}

/// Where a run is opened. The name of a device stands for that device, and the data where the run's settings have them.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    /// `auto`, `cpu`, `gpu` or `gpu:N`.
    pub device: &'a str,
    /// Where the run's data lie now, if they have moved.
    pub data_dir: Option<&'a Path>,
}

impl<'a> From<&'a str> for Location<'a> {
    fn from(device: &'a str) -> Self {
        Location { device, data_dir: None }
    }
}

impl LoadedRun {
    /// Opens the run in `path` to read it, with its data set.
    ///
    /// # Errors
    /// [`Error::Request`] where it is no run, one whose training has not ended, or where its data are not there or
    /// others.
    pub fn open<'a>(path: &Path, place: impl Into<Location<'a>>, context: &Context) -> Result<Self> {
        LoadedRun::of(Access::Read(RunDir::open(path)?), place, context)
    }

    /// The same for a run that is opened already, to be read or written.
    ///
    /// # Errors
    /// As [`LoadedRun::open`].
    pub fn of<'a>(run: Access, place: impl Into<Location<'a>>, context: &Context) -> Result<Self> {
        let Location { device, data_dir } = place.into();
        let mut config = run.config()?;
        if let Some(moved) = data_dir {
            config.data_dir = Some(moved.to_path_buf());
        }
        run.require(&[run.model_path(), run.result_path()])?;
        run.warn_of_changed_settings();
        let data = load_data(&config, context)?;
        let device = context.open(device, config.checked)?;
        LoadedRun::with(run, config, data, device, context.clone())
    }

    /// The same with what is there already: a finished run with its settings and its data set.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file that does not read or fit.
    pub fn with(
        run: Access,
        config: Config,
        data: Dataset,
        device: Device,
        context: Context,
    ) -> Result<Self> {
        let fingerprint = data.short_fingerprint();
        let (result, tensors) = identity::load_model(&run, &config, &fingerprint)?;
        result.warn_of_curve(&run);
        let vae = recipe::model(&config, data.train.images.shape())?;
        let mut session = Session::new(device);
        let refuse = |error: Error| {
            Error::file(run.model_path(), "does not fit the model of this run's settings").because(error)
        };
        load_weights(&mut session, "model", &vae.layout, &tensors).map_err(refuse)?;
        let other = None;
        Ok(LoadedRun { config, data, result, fingerprint, run, vae, tensors, session, context, other })
    }

    /// Takes the examples of the attack `transfer` from the run in `path`: what fools its classifiers is tried on this
    /// run's.
    ///
    /// # Errors
    /// [`Error::Request`] where it is no finished run, or one that is tested on other images.
    pub fn transfer_from<'a>(&mut self, path: &Path, place: impl Into<Location<'a>>) -> Result<()> {
        let other = LoadedRun::open(path, place, &self.context)?;
        let tested = |run: &LoadedRun| (run.data.fingerprint.clone(), run.config.holdout);
        if tested(&other) != tested(self) {
            let (other, own) = (path.display(), self.run.path().display());
            let what = format!("{other}: is tested on other images than {own}");
            let hint = "give a run of the same data set, with the same `holdout`";
            return Err(Error::setting("from", what).with_hint(hint));
        }
        let model = FileMark::of_file(&other.run.model_path())?.sha256;
        let from = TransferSource { run: path.display().to_string(), model };
        self.other = Some((from, Box::new(other)));
        Ok(())
    }

    /// For each radius the points of the attacked images `x` that the other run's probe of a task is led to by PGD;
    /// empty without another run.
    fn transferred(&mut self, task: usize, x: &[f32], config: &AttackConfig) -> Result<Vec<Vec<f32>>> {
        let Some((_, other)) = &mut self.other else { return Ok(vec![]) };
        let LoadedRun { session, vae, data, context, tensors, .. } = &mut **other;
        let mut evaluator = Evaluator { session, vae, data, context };
        let attack = recipe::attack(config);
        evaluator.with_target(task, tensors, x, |session, target| {
            let points = |&radius: &f32| robustness::perturbed(session, target, &attack, radius);
            attack.radii.iter().map(points).collect()
        })
    }

    /// Its directory.
    pub fn dir(&self) -> &RunDir {
        &self.run
    }

    /// The number of the task asked for, or of every task.
    ///
    /// # Errors
    /// [`Error::Request`] for a task that the data set has not got.
    pub fn tasks(&self, task: Option<&str>) -> Result<Vec<usize>> {
        tasks_of(&self.data, task)
    }

    /// The number of the task asked for, or of the only one.
    ///
    /// # Errors
    /// [`Error::Request`] for a task that the data set has not got, or where it has several and none is named.
    pub fn one_task(&self, task: Option<&str>) -> Result<usize> {
        one_task_of(&self.data, task)
    }

    /// The representation of the test images: the means of their codes, `[count, latent]`.
    pub fn test_means(&mut self) -> Result<Vec<f32>> {
        encode_means(&mut self.session, &self.vae, &self.data.test.images)
    }

    fn provenance(&self) -> Provenance {
        Provenance::of(self.session.device().description(), &self.fingerprint)
    }

    pub(super) fn evaluator(&mut self) -> Evaluator<'_> {
        let LoadedRun { session, vae, data, context, .. } = self;
        Evaluator { session, vae, data, context }
    }

    /// Trains new probes of `tasks` on these labels, their batches in the order of `seed`. The run's model gets their
    /// weights in place of the ones before; its record gets another evaluation.
    pub fn probe(&mut self, tasks: &[usize], labels: Labels, seed: u64) -> Result<()> {
        let settings = ProbeSettings { seed, ..recipe::probe(&self.config, self.data.train.count()) };
        let probed = self.evaluator().probe(tasks, labels, settings)?;
        let made_by = self.provenance();
        for (&task, probed) in tasks.iter().zip(probed) {
            let name = &self.data.tasks[task].name;
            let prefix = model_file::probe_prefix(name);
            self.tensors.retain(|t| !t.name.starts_with(&prefix));
            self.tensors.extend(probed.tensors);
            self.result.add_probe(name, probed.result, &made_by);
        }
        let probes: Vec<_> = self.tensors.iter().filter(|t| t.name.starts_with("probe.")).cloned().collect();
        let LoadedRun { vae, config, data, fingerprint, .. } = &*self;
        let about = About { vae, config, image_shape: data.train.images.shape(), data: fingerprint };
        let model = model_file::encode(&self.session, about, &probes)?;
        let mut change = writing(&self.run)?.change()?;
        self.result.put(&mut change, MODEL, &model)?;
        self.result.commit(change)
    }

    /// The local Lipschitz ratio around the first `count` test images, in the L-infinity ball of radius `eps`, see
    /// [`lipschitz::farthest`].
    pub fn lipschitz(&mut self, count: usize, eps: f32, steps: usize) -> Result<Vec<f64>> {
        let first = AttackConfig { examples: Some(count), ..self.config.attack.clone() };
        let x = evaluate::attacked_images(&self.data.test.images, &first)?;
        let selection = Selection {
            norm: Norm::Linf,
            eps,
            steps,
            step_size: 2.5 * eps / steps as f32,
            metric: Metric::W2,
            ..recipe::training(&self.config)?.selection
        };
        let found = lipschitz::farthest(&mut self.session, &self.vae, &selection, &x, self.config.seed)?;
        Ok(found.ratios)
    }

    /// New probes of `tasks` on these labels, attacked as `attack` says. The run stays as it is.
    pub fn try_probe(
        &mut self,
        tasks: &[usize],
        labels: Labels,
        attack: &AttackConfig,
    ) -> Result<Vec<TaskResult>> {
        let x = evaluate::attacked_images(&self.data.test.images, attack)?;
        let settings = recipe::probe(&self.config, self.data.train.count());
        let mut evaluator = self.evaluator();
        let probed = evaluator.probe(tasks, labels, settings)?;
        let attacked = probed.into_iter().zip(tasks).map(|(probed, &task)| {
            let outcome = evaluator.attack(task, &probed.tensors, &x, attack)?;
            Ok(TaskResult { attack: Some(outcome.result), ..probed.result })
        });
        attacked.collect()
    }

    pub(super) fn require_probes(&self, tasks: &[usize]) -> Result<()> {
        if let Some((_, other)) = &self.other {
            other.require_probes(tasks)?;
        }
        for &task in tasks {
            let name = &self.data.tasks[task].name;
            let probed = !model_file::of_probe(&self.tensors, name).is_empty();
            if !probed || !self.result.tasks.contains_key(name) {
                let run = self.run.path().to_path_buf();
                return Err(Error::NoProbe { run, task: name.clone() });
            }
        }
        Ok(())
    }

    /// Checks the attack of `config` on the run's probes of `tasks`. The run stays as it is.
    ///
    /// # Errors
    /// As [`LoadedRun::attack`].
    pub fn audit(&mut self, tasks: &[usize], config: &AttackConfig) -> Result<Audit> {
        self.require_probes(tasks)?;
        let x = evaluate::attacked_images(&self.data.test.images, config)?;
        let mut audit = Audit::default();
        for &task in tasks {
            let transferred = self.transferred(task, &x, config)?;
            let LoadedRun { session, vae, data, context, tensors, .. } = &mut *self;
            let evaluator = &mut Evaluator { session, vae, data, context };
            audit.add(evaluator.audit(task, tensors, &x, config, transferred)?);
        }
        Ok(audit)
    }

    /// Attacks the run's probes of `tasks` and adds the outcomes to its record, each as soon as it is there.
    ///
    /// # Errors
    /// [`Error::Request`] for certificates of a run in half precision, and for a task without a probe, before any is
    /// attacked.
    pub fn attack(&mut self, tasks: &[usize], config: &AttackConfig) -> Result<()> {
        self.attack_and_keep(tasks, config, None)
    }

    /// The same, with an example of each image that was broken. One that does not hold on the CPU is left out, and its
    /// image does not count as broken. `path` is the run's folder as it was given.
    ///
    /// # Errors
    /// As [`LoadedRun::attack`].
    pub fn attack_with_examples(
        &mut self,
        tasks: &[usize],
        config: &AttackConfig,
        path: &Path,
    ) -> Result<Examples> {
        let model = FileMark::of_file(&self.run.model_path())?.sha256;
        let mut examples = Examples::none(path, model, &self.data, config, self.provenance());
        examples.about.transfer_from = self.other.as_ref().map(|(from, _)| from.clone());
        self.attack_and_keep(tasks, config, Some(&mut examples))?;
        Ok(examples)
    }

    fn attack_and_keep(
        &mut self,
        tasks: &[usize],
        config: &AttackConfig,
        mut kept: Option<&mut Examples>,
    ) -> Result<()> {
        self.config.validate_attack(config)?;
        self.require_probes(tasks)?;
        evaluate::warn_of_missing_classes(&self.data, config);
        let x = evaluate::attacked_images(&self.data.test.images, config)?;
        let made_by = self.provenance();
        let mut attack = Attack { keep_points: kept.is_some(), ..recipe::attack(config) };
        for &task in tasks {
            attack.transferred = self.transferred(task, &x, config)?;
            let LoadedRun { session, vae, data, context, tensors, other, .. } = &mut *self;
            let mut report =
                Evaluator { session, vae, data, context }.attack_report(task, tensors, &x, &attack)?;
            if let Some(kept) = &mut kept {
                Replay::new(vae, tensors, data, context)?.keep(kept, task, &mut report, &x)?;
            }
            let mut attacked = Attacked::of(&data.tasks[task].name, config, report);
            attacked.result.transfer_from = other.as_ref().map(|(from, _)| from.clone());
            let mut evaluator = Evaluator { session, vae, data, context };
            let attacked = evaluator.with_certificates(task, tensors, &x, config, attacked)?;
            let name = &self.data.tasks[task].name;
            attacked.add_to(&mut self.result, writing(&self.run)?, name, &made_by)?;
        }
        Ok(())
    }

    /// Replays examples, read from `folder`, on the CPU: those that do not hold.
    ///
    /// # Errors
    /// [`Error::Request`] where they are of another model or other data than the run's.
    pub fn replay(&self, folder: &Path, examples: &Examples) -> Result<Vec<Fault>> {
        let about = &examples.about;
        let refuse = |what: &str, there: &str, here: &str, hint: &str| {
            let run = self.run.path().display();
            let what = format!("has examples of another {what} than {run}: {there}, not {here}");
            Err(Error::file(folder, what).with_hint(hint))
        };
        let model = FileMark::of_file(&self.run.model_path())?.sha256;
        if about.model != model {
            return refuse("model", &about.model, &model, "give the run that was attacked as `run`");
        }
        if about.data != self.data.fingerprint {
            let hint = "give the folder of the data that were attacked as `data-dir`";
            return refuse("data set", &about.data, &self.data.fingerprint, hint);
        }
        if examples.shape != self.data.test.images.shape() {
            return Err(Error::file(folder, "has examples of another size than the images of the data"));
        }
        let LoadedRun { vae, tensors, data, context, .. } = self;
        Replay::new(vae, tensors, data, context)?.faults(examples)
    }
}

pub(super) fn tasks_of(data: &Dataset, task: Option<&str>) -> Result<Vec<usize>> {
    let all = 0..data.tasks.len();
    let Some(name) = task else { return Ok(all.collect()) };
    let found: Vec<_> = all.filter(|&i| data.tasks[i].name == name).collect();
    match found.is_empty() {
        true => Err(Error::setting("task", format!("{name}: {} has {} only", data.name, task_names(data)))),
        false => Ok(found),
    }
}

pub(super) fn one_task_of(data: &Dataset, task: Option<&str>) -> Result<usize> {
    match tasks_of(data, task)?[..] {
        [task] => Ok(task),
        _ => {
            let what = format!("is missing: {} has {}", data.name, task_names(data));
            Err(Error::setting("task", what).with_hint("name one of them"))
        }
    }
}

fn task_names(data: &Dataset) -> String {
    data.tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn writing(run: &Access) -> Result<&Writing> {
    match run {
        Access::Write(writing) => Ok(writing),
        Access::Read(run) => Err(Error::run(format!("{} is open to be read only", run.path().display()))),
    }
}

/// Where the data of a run come from.
pub(super) fn source<'a>(config: &'a Config, context: &'a Context) -> Source<'a> {
    Source {
        name: &config.dataset,
        directory: config.data_dir.as_deref(),
        resize: config.resize,
        photos: celeba::Options { crop: config.crop, skip_bad: config.skip_bad, cache: None },
        observer: Some(&*context.observer),
    }
}

/// The data of a run: loaded, checked against its settings, and part held out where these say so.
pub fn load_data(config: &Config, context: &Context) -> Result<Dataset> {
    let data = Dataset::load(&source(config, context))?.hold_out(config.holdout)?;
    config.validate_for(&data)?;
    let ([channels, height, width], [train, test]) =
        (data.train.images.shape(), [&data.train, &data.test].map(|split| split.count()));
    log::info!(
        "read {}: {train} training and {test} test images of {channels} x {height} x {width}",
        data.name
    );
    let held_out: Vec<usize> = (0..config.holdout).collect();
    let lacks = match held_out.is_empty() {
        true => Vec::new(),
        false => data.lacks(&format!("the {} images held out", config.holdout), &held_out),
    };
    data.remarks().iter().chain(&lacks).for_each(|remark| log::warn!("{remark}"));
    Ok(data)
}
