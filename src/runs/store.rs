//! A folder of training runs that are found by their settings, so that a figure, or a sweep, that needs a run takes the
//! one that is there, goes on with one that was stopped, and trains only what is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use toml::Table;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::config::{Config, Role, declared};
use crate::runs::destination::Destination;
use crate::runs::dir::RunDir;
use crate::runs::identity::{check_record, check_run};
use crate::runs::pipeline::{self, PageWriter};
use crate::runs::record::{AttackResult, RunRecord};
use crate::runs::{loaded, model_file};

/// The folder.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
    context: Context,
    pages: Arc<dyn PageWriter>,
    /// Fingerprints of the data that were read for a name, by where they come from.
    fingerprints: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A run with nothing left to do.
#[derive(Debug, Clone)]
pub struct Finished {
    pub path: PathBuf,
    pub result: RunRecord,
}

/// Every setting that a number of a run's result depends on, as text.
///
/// # Errors
/// [`Error::Request`] for settings that no file can hold.
pub fn identity(config: &Config) -> Result<String> {
    let mut settings: Table = toml::from_str(&config.to_toml()?)
        .map_err(|error| Error::run("the settings do not read back").because(error))?;
    for setting in declared() {
        if setting.role == Role::Output || setting.is_neutral_in(&settings) {
            setting.remove(&mut settings);
        }
    }
    Ok(settings.to_string())
}

impl Finished {
    /// The attack on a task's probe, where there is one.
    pub fn attack(&self, task: &str) -> Option<&AttackResult> {
        self.result.tasks.get(task)?.attack.as_ref()
    }
}

impl Runs {
    /// Runs made in it tell `context` how they go on, and get a page from `pages`.
    pub fn new(folder: impl Into<PathBuf>, context: Context, pages: Arc<dyn PageWriter>) -> Self {
        Runs { folder: folder.into(), context, pages, fingerprints: Arc::default() }
    }

    /// Where the run of these settings is, or would be: its name has what is trained, the seed, and a hash of every
    /// setting that a number of its result depends on. In place of where data of one's own lie it has what they are.
    ///
    /// # Errors
    /// [`Error::Request`] for settings that no file can hold, and for data that do not read.
    pub fn path(&self, config: &Config) -> Result<PathBuf> {
        let nowhere = Config { data_dir: None, ..config.clone() };
        let identity = identity(&nowhere)? + &self.fingerprint(config)?;
        let digest = Sha256::digest(identity);
        let hash: String = digest[..5].iter().map(|byte| format!("{byte:02x}")).collect();
        let Config { dataset, objective, arch, seed, .. } = config;
        Ok(self.folder.join(format!("{dataset}-{arch}-{objective}-seed{seed}-{hash}")))
    }

    /// Of data of one's own; empty for those that come with the program.
    fn fingerprint(&self, config: &Config) -> Result<String> {
        if config.data_dir.is_none() {
            return Ok(String::new());
        }
        let source = loaded::source(config, &self.context);
        let key = format!("{:?}", (source.name, source.directory, source.resize, &source.photos));
        let mut known = self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let found = Dataset::load(&source)?.short_fingerprint();
        known.insert(key, found.clone());
        Ok(found)
    }

    /// The run of these settings where it is done, probes and attacks included, as its result alone can tell. That is
    /// not so where a test set has fewer images than are to be attacked, or all are.
    ///
    /// # Errors
    /// [`Error::Request`] for a result that does not read.
    pub fn find(&self, config: &Config) -> Result<Option<Finished>> {
        let path = self.path(config)?;
        let Ok(run) = RunDir::open(&path) else { return Ok(None) };
        // The name alone proves nothing: another command may have written the folder, or somebody moved it.
        check_run(&run, config)?;
        if !run.result_path().is_file() {
            return Ok(None);
        }
        let record = RunRecord::load(&run.result_path())?;
        let data = self.fingerprint(config)?;
        check_record(&record, &run, config, Some(data.as_str()).filter(|data| !data.is_empty()))?;
        if !model_file::damaged(&run, &record).is_empty() {
            return Ok(None);
        }
        // How many images "all" are, the data tell: what completes the run looks.
        let known = config.attack.examples.is_some() || !config.attack.enabled;
        // One that the user has trained for longer, or whose probe another has replaced, is completed anew.
        let same = record.iterations == config.iterations && record.has_own_probes();
        let own = record.as_configured(&config.attack, config.attack.examples).filter(|_| known && same);
        Ok(own.map(|result| Finished { path, result }))
    }

    /// The run of these settings, trained, probed, attacked and with its page, now where that is not done. What its
    /// numbers do not say is logged.
    ///
    /// # Errors
    /// As [`pipeline::complete`]; [`Error::Run`] that tells how to go on where the user stopped it.
    pub fn get(&self, config: &Config) -> Result<Finished> {
        let run = match self.find(config)? {
            // A process may have died between the result and its page.
            Some(done) if self.pages.is_fresh(&RunDir::open(&done.path)?) => done,
            _ => self.make(config)?,
        };
        for remark in run.result.remarks() {
            log::warn!("{}: {remark}", run.path.display());
        }
        Ok(run)
    }

    fn make(&self, config: &Config) -> Result<Finished> {
        let path = self.path(config)?;
        let destination = match path.join("config.toml").is_file() {
            true => Destination::Resume(path.clone()),
            // Also where a process died before the settings were written.
            false => Destination::Out { path: path.clone(), overwrite: false },
        };
        let completed = pipeline::complete(config, &destination, &self.context, self.pages.as_ref());
        let completed = completed.map_err(|error| match self.context.stop.requested() {
            true => Error::run("stopped").with_hint("the same command goes on from here"),
            false => error,
        })?;
        completed.page?;
        Ok(Finished { path, result: completed.result })
    }

    /// Whom its work tells how it goes on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoPages;

    impl PageWriter for NoPages {
        fn is_fresh(&self, _run: &RunDir) -> bool {
            true
        }

        fn write(&self, _run: &mut crate::runs::LoadedRun) -> Result<()> {
            Ok(())
        }
    }

    /// A folder of runs made before settings were declared in one table is still found.
    #[test]
    fn runs_keep_their_names() {
        let settings = "iterations = 1\nhidden = [4]\nlatent = 2\nbatch = 8\nholdout = 59000\ngamma = 1\n\
                        [probe]\nepochs = 1\nleast-steps = 1\n[attack]\nsteps = 1\nrestarts = 1\nexamples = 10\n";
        let config = Config::from_toml(settings, "here", &Config::before()).unwrap();
        let runs = Runs::new("runs", Context::silent(), Arc::new(NoPages));
        let path = |config: &Config| runs.path(config).unwrap().display().to_string();
        assert_eq!(path(&config), "runs/mnist-mlp-se-seed0-81f0f45735");
        let elsewhere = Config { device: "cpu".into(), log_every: 7, checked: true, ..config.clone() };
        assert_eq!(path(&elsewhere), path(&config));
        let rising = Config { gamma_warmup: 5, ..config.clone() };
        assert_ne!(path(&rising), path(&config));
    }
}
