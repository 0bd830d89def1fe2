//! A finished run, opened again to be probed or attacked.

use std::path::Path;

use crate::data::{Dataset, Source, celeba};
use crate::engine::device::Device;
use crate::engine::nn::NamedTensor;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::lipschitz;
use crate::method::ops::Norm;
use crate::method::robustness::encode_means;
use crate::method::selection::{Metric, Selection};
use crate::method::vae::Vae;
use crate::runs::checkpoint::{self};
use crate::runs::config::{AttackConfig, Config};
use crate::runs::dir::RunDir;
use crate::runs::evaluate::{self, Labels};
use crate::runs::result::{BALANCED_PROBE, LABELS_FRACTION, RunResult, TaskResult};
use crate::runs::short;
use crate::runs::{model_file, recipe};

use crate::engine::nn::load_weights;

/// A run's model on a device, its data beside it.
#[derive(Debug)]
pub struct LoadedRun {
    pub config: Config,
    pub data: Dataset,
    pub result: RunResult,
    pub(super) run: RunDir,
    pub(super) vae: Vae,
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) session: Session,
}

impl LoadedRun {
    /// Opens the run in `path`, with its data set.
    ///
    /// # Errors
    /// [`Error::Request`] where it is no run, or one whose training has not ended.
    pub fn open(path: &Path, device: impl FnOnce(&Config) -> Result<Device>) -> Result<Self> {
        let run = RunDir::open(path)?;
        let config = run.config()?;
        for file in [run.model_path(), run.result_path()] {
            if !file.exists() {
                let (file, path) = (file.display(), path.display());
                let text =
                    format!("{file} is missing: finish the run with `smoothenc train --resume {path}`");
                return Err(Error::request(text));
            }
        }
        let data = load_data(&config)?;
        let device = device(&config)?;
        LoadedRun::with(run, config, data, device)
    }

    /// The same with what is there already: a finished run with its settings and its data set.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file that does not read or fit.
    pub fn with(run: RunDir, config: Config, data: Dataset, device: Device) -> Result<Self> {
        let (tensors, _) = checkpoint::load(&run.model_path())?;
        let result = RunResult::load(&run.result_path())?;
        let vae = recipe::model(&config, data.train.images.shape())?;
        let mut session = Session::new(device);
        let refuse = |e: Error| Error::request(format!("{}: {e}", run.model_path().display()));
        load_weights(&mut session, "model", &vae.layout, &tensors).map_err(refuse)?;
        Ok(LoadedRun { config, data, result, run, vae, tensors, session })
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
        let all = 0..self.data.tasks.len();
        let Some(name) = task else { return Ok(all.collect()) };
        let found: Vec<_> = all.filter(|&i| self.data.tasks[i].name == name).collect();
        if found.is_empty() {
            let known: Vec<_> = self.data.tasks.iter().map(|task| task.name.as_str()).collect();
            let (data, known) = (&self.data.name, known.join(", "));
            return Err(Error::request(format!("--task {name}: {data} has {known} only")));
        }
        Ok(found)
    }

    /// The representation of the test images: the means of their codes, `[count, latent]`.
    pub fn test_means(&mut self) -> Result<Vec<f32>> {
        encode_means(&mut self.session, &self.vae, &self.data.test.images)
    }

    /// Trains new probes of `tasks` on these labels, and puts them in the run's files in place of the ones before.
    /// What attacks on those measured goes with them.
    pub fn probe(&mut self, tasks: &[usize], labels: Labels) -> Result<()> {
        let probed =
            evaluate::probe_tasks(&mut self.session, &self.vae, &self.config, &self.data, tasks, labels)?;
        for (&task, mut probed) in tasks.iter().zip(probed) {
            let name = &self.data.tasks[task].name;
            let prefix = model_file::probe_prefix(name);
            self.tensors.retain(|t| !t.name.starts_with(&prefix));
            self.tensors.extend(probed.tensors);
            if labels.fraction < 1.0 {
                probed.result.extra.insert(LABELS_FRACTION.into(), short(labels.fraction).into());
            }
            if labels.balanced {
                probed.result.extra.insert(BALANCED_PROBE.into(), true.into());
            }
            self.result.tasks.insert(name.clone(), probed.result);
        }
        let probes: Vec<_> = self.tensors.iter().filter(|t| t.name.starts_with("probe.")).cloned().collect();
        let images = &self.data.train.images;
        model_file::save(&self.run.model_path(), &self.session, &self.vae, &self.config, images, &probes)?;
        self.result.save(&self.run.result_path())
    }

    /// The local Lipschitz ratio around the first `count` test images, in the L-infinity ball of radius `eps`, see
    /// [`lipschitz::farthest`].
    pub fn lipschitz(&mut self, count: usize, eps: f32, steps: usize) -> Result<Vec<f64>> {
        let first = AttackConfig { examples: Some(count), ..self.config.attack.clone() };
        let x = evaluate::attacked_images(&self.data.test.images, &first);
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
        let (session, vae, data) = (&mut self.session, &self.vae, &self.data);
        let x = evaluate::attacked_images(&data.test.images, attack);
        let probed = evaluate::probe_tasks(session, vae, &self.config, data, tasks, labels)?;
        let attacked = probed.into_iter().zip(tasks).map(|(probed, &task)| {
            let outcome = evaluate::attack_task(session, vae, data, task, &probed.tensors, &x, attack)?;
            Ok(TaskResult { attack: Some(outcome), ..probed.result })
        });
        attacked.collect()
    }

    /// Attacks the run's probes of `tasks` and puts the outcomes in its result.json, each as soon as it is there.
    ///
    /// # Errors
    /// [`Error::Request`] for a task without a probe, before any is attacked.
    pub fn attack(&mut self, tasks: &[usize], config: &AttackConfig) -> Result<()> {
        for &task in tasks {
            let name = &self.data.tasks[task].name;
            let probed = !model_file::of_probe(&self.tensors, name).is_empty();
            if !probed || !self.result.tasks.contains_key(name) {
                let path = self.run.path().display();
                let text = format!("{path} has no probe of the task {name}: run `smoothenc probe {path}`");
                return Err(Error::request(text));
            }
        }
        let x = evaluate::attacked_images(&self.data.test.images, config);
        for &task in tasks {
            let (session, data) = (&mut self.session, &self.data);
            let attack = evaluate::attack_task(session, &self.vae, data, task, &self.tensors, &x, config)?;
            if let Some(entry) = self.result.tasks.get_mut(&data.tasks[task].name) {
                entry.attack = Some(attack);
            }
            self.result.save(&self.run.result_path())?;
        }
        Ok(())
    }
}

/// The data of a run: loaded, checked against its settings, and part held out where these say so.
pub fn load_data(config: &Config) -> Result<Dataset> {
    let source = Source {
        name: &config.dataset,
        directory: config.data_dir.as_deref(),
        resize: None,
        photos: celeba::Options { crop: config.crop, skip_bad: config.skip_bad, cache: None },
    };
    let data = Dataset::load(&source)?.hold_out(config.holdout)?;
    config.validate_for(&data)?;
    data.remarks().iter().for_each(|remark| log::warn!("{remark}"));
    Ok(data)
}
