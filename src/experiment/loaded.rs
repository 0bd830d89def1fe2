//! A finished run, opened again to be probed or attacked.

use std::path::Path;

use crate::backend::Device;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::experiment::{evaluate, model_file, settings};
use crate::robustness::{Probe, encode_means};
use crate::run::checkpoint::{self, NamedTensor};
use crate::run::config::{AttackConfig, Config};
use crate::run::dir::RunDir;
use crate::run::result::{LABELS_FRACTION, RunResult};
use crate::run::short;
use crate::session::Session;
use crate::vae::Vae;

use super::trainer::load_weights;

/// A run's model on a device, its data beside it.
#[derive(Debug)]
pub struct LoadedRun {
    pub config: Config,
    pub data: Dataset,
    pub result: RunResult,
    run: RunDir,
    vae: Vae,
    tensors: Vec<NamedTensor>,
    session: Session,
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
        let (tensors, _) = checkpoint::load(&run.model_path())?;
        let result = RunResult::load(&run.result_path())?;
        let data = load_data(&config)?;
        let vae = settings::model(&config, data.train.images.image_len());
        let mut session = Session::new(device(&config)?);
        let refuse = |e: Error| Error::request(format!("{}: {e}", run.model_path().display()));
        load_weights(&mut session, "model", &vae.layout, &tensors).map_err(refuse)?;
        evaluate::upload(&mut session, &data.train.images, &data.test.images)?;
        Ok(LoadedRun { config, data, result, run, vae, tensors, session })
    }

    /// The task asked for, or the only one there is.
    ///
    /// # Errors
    /// [`Error::Request`] for a task that the data set has not got.
    pub fn check_task(&self, task: Option<&str>) -> Result<()> {
        match task {
            Some(name) if name != self.data.task => {
                let (data, known) = (&self.data.name, &self.data.task);
                Err(Error::request(format!("--task {name}: {data} has the task {known} only")))
            }
            _ => Ok(()),
        }
    }

    /// The representation of the test images: the means of their codes, `[count, latent]`.
    pub fn test_means(&mut self) -> Result<Vec<f32>> {
        encode_means(&mut self.session, &self.vae, "test.images", self.data.test.count())
    }

    /// Trains a new probe on the labels that `seen` shows it, `fraction` of them, and puts it in the
    /// run's files in place of the one before. What an attack on that one measured goes with it.
    pub fn probe(&mut self, seen: &dyn Fn(usize) -> bool, fraction: f32) -> Result<()> {
        let (probe, mut task) =
            evaluate::probe_task(&mut self.session, &self.vae, &self.config, &self.data, seen)?;
        let tensors = model_file::probe_tensors(&self.session, &probe, &self.data.task)?;
        let images = &self.data.train.images;
        model_file::save(&self.run.model_path(), &self.session, &self.vae, &self.config, images, &tensors)?;
        if fraction < 1.0 {
            task.extra.insert(LABELS_FRACTION.into(), short(fraction).into());
        }
        self.result.tasks.insert(self.data.task.clone(), task);
        self.result.save(&self.run.result_path())
    }

    /// Attacks the run's probe and puts the outcome in its result.json.
    pub fn attack(&mut self, config: &AttackConfig) -> Result<()> {
        let task = self.data.task.clone();
        let probe = Probe::new(self.vae.latent, self.data.classes);
        let prefix = format!("probe.{task}.");
        let renamed = self.tensors.iter().filter_map(|t| {
            let part = t.name.strip_prefix(&prefix)?;
            Some(NamedTensor { name: format!("probe.0.{part}"), ..t.clone() })
        });
        let renamed: Vec<_> = renamed.collect();
        let missing = |_| {
            let path = self.run.path().display();
            Error::request(format!("{path} has no probe of the task {task}: run `smoothenc probe {path}`"))
        };
        load_weights(&mut self.session, "probe", &probe.layout, &renamed).map_err(missing)?;
        let Some(result) = self.result.tasks.get_mut(&task) else {
            let path = self.run.result_path();
            return Err(Error::request(format!(
                "{} has no task {task}: run `smoothenc probe`",
                path.display()
            )));
        };
        let attack = evaluate::attack_task(&mut self.session, &self.vae, &probe, &self.data.test, config)?;
        result.attack = Some(attack);
        self.result.save(&self.run.result_path())
    }
}

/// The data of a run: loaded, checked against its settings, and part held out where these say so.
pub fn load_data(config: &Config) -> Result<Dataset> {
    let data = Dataset::load(&config.dataset, config.data_dir.as_deref())?.hold_out(config.holdout)?;
    config.validate_for(&data)?;
    Ok(data)
}
