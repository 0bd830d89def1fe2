//! A folder of training runs that are found by their settings, so that a figure, or a sweep, that needs a run takes the
//! one that is there, goes on with one that was stopped, and trains only what is missing.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::Table;

use crate::engine::device;
use crate::error::{Error, Result};
use crate::progress;
use crate::report::run_page;
use crate::runs::config::Config;
use crate::runs::dir::{Destination, RunDir};
use crate::runs::result::{AttackResult, RunResult, TaskResult};
use crate::runs::{LoadedRun, check_resumable, load_data, train};

/// The folder.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
}

/// A run with nothing left to do.
#[derive(Debug, Clone)]
pub struct Finished {
    pub path: PathBuf,
    pub result: RunResult,
}

/// Every setting that a number of a run's result depends on, as text.
///
/// # Errors
/// [`Error::Request`] for settings that no file can hold.
pub fn identity(config: &Config) -> Result<String> {
    const OTHERS: [&str; 5] = ["device", "checked", "log-every", "checkpoint-every", "tensorboard"];
    let mut settings: Table = toml::from_str(&config.to_toml()?)
        .map_err(|error| Error::run(format!("the settings do not read back: {error}")))?;
    settings.retain(|key, _| !OTHERS.contains(&key));
    Ok(settings.to_string())
}

impl Finished {
    /// The attack on a task's probe, where there is one.
    pub fn attack(&self, task: &str) -> Option<&AttackResult> {
        self.result.tasks.get(task)?.attack.as_ref()
    }
}

impl Runs {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Runs { folder: folder.into() }
    }

    /// Where the run of these settings is, or would be: its name has what is trained, the seed, and a hash of every
    /// setting that a number of its result depends on.
    ///
    /// # Errors
    /// [`Error::Request`] for settings that no file can hold.
    pub fn path(&self, config: &Config) -> Result<PathBuf> {
        let digest = Sha256::digest(identity(config)?);
        let hash: String = digest[..5].iter().map(|byte| format!("{byte:02x}")).collect();
        let Config { dataset, objective, arch, seed, .. } = config;
        Ok(self.folder.join(format!("{dataset}-{arch}-{objective}-seed{seed}-{hash}")))
    }

    /// The run of these settings where it is done, probes and attacks included, as its result alone can tell. That is not
    /// so where a test set has fewer images than are to be attacked, or all are.
    ///
    /// # Errors
    /// [`Error::Request`] for a result that does not read.
    pub fn find(&self, config: &Config) -> Result<Option<Finished>> {
        let path = self.path(config)?;
        let file = match RunDir::open(&path) {
            Ok(run) if run.result_path().is_file() => run.result_path(),
            _ => return Ok(None),
        };
        let result = RunResult::load(&file)?;
        // A probe or an attack that the user has put in the place of the run's own measures something else.
        let attacked = |task: &TaskResult| {
            config.attack.examples.is_some_and(|examples| task.has_attack(&config.attack, examples))
        };
        let done = |task: &TaskResult| task.has_own_probe() && (!config.attack.enabled || attacked(task));
        let done = result.tasks.values().all(done);
        Ok(done.then_some(Finished { path, result }))
    }

    /// The run of these settings, trained, probed, attacked and with its page, now where that is not done. What its
    /// numbers do not say is logged.
    ///
    /// # Errors
    /// As [`train`]; [`Error::Run`] that tells how to go on where the user stopped it.
    pub fn get(&self, config: &Config) -> Result<Finished> {
        let mut run = match self.find(config)? {
            Some(done) => done,
            None => self.make(config)?,
        };
        if !config.attack.enabled {
            // One that the user has added measures what these settings do not ask for.
            run.result.tasks.values_mut().for_each(|task| task.attack = None);
        }
        for remark in run.result.remarks() {
            log::warn!("{}: {remark}", run.path.display());
        }
        Ok(run)
    }

    fn make(&self, config: &Config) -> Result<Finished> {
        let path = self.path(config)?;
        config.validate()?;
        let data = load_data(config)?;
        let destination = match path.join("config.toml").is_file() {
            true => Destination::Resume(path.clone()),
            // Also where a process died before the settings were written.
            false => Destination::Out { path: path.clone(), overwrite: false },
        };
        if let Destination::Resume(path) = &destination {
            check_resumable(config, &RunDir::open(path)?)?;
        }
        let device = device::open(&config.device, config.checked)?;
        let run = RunDir::prepare(&destination, config)?;
        train(config, &run, &data, device.clone()).map_err(|error| match progress::stop_requested() {
            true => Error::run("stopped; the same command goes on from here"),
            false => error,
        })?;
        if !run_page::is_fresh(&run) {
            run_page::write(&mut LoadedRun::with(run.clone(), config.clone(), data, device)?)?;
        }
        // As the file has it, rounded, so that the first time gives the same as every other.
        let result = RunResult::load(&run.result_path())?;
        Ok(Finished { path, result })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
