//! A run's directory (docs/interface.md): made before any work, and every file in it written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{Config, seal_holds};
use super::{change, outcomes};
use crate::files::directory;
use crate::files::lock::{self, Lock};
use crate::{Error, Result};

/// The names of what a change of a run replaces together.
pub const CONFIG: &str = "config.toml";
pub const MODEL: &str = "model.safetensors";
pub const RESULT: &str = "result.json";
pub const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const TENSORBOARD: &str = "tensorboard";
/// The name of what shows it.
pub const PAGE: &str = "report.html";

/// What is wrong with settings that are not as a run wrote them.
pub(super) const CHANGED: &str =
    "was changed since it was written; where that is meant, remove its first line";

/// A directory that holds a run, which is to say a `config.toml` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    pub(super) path: PathBuf,
}

impl RunDir {
    /// The error of a write, as one of this directory.
    pub(super) fn unwritable(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. } => unwritable(&self.path, &source),
            other => other,
        }
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// [`Error::Request`] where `path` is no directory with the `config.toml` of a run.
    pub fn open(path: &Path) -> Result<RunDir> {
        let run = RunDir { path: path.to_path_buf() };
        let none = |why: &str| Error::file(path, format!("is not a run: {why}"));
        if !path.exists() {
            return Err(none("there is no such directory"));
        }
        if !path.is_dir() {
            return Err(none("it is not a directory"));
        }
        run.settle()?;
        if !run.config_path().is_file() {
            return Err(none("it has no config.toml"));
        }
        Ok(run)
    }

    /// Where a change was decided and is not done, sees it done: readers meet the run as before or as after.
    fn settle(&self) -> Result<()> {
        for _ in 0..100 {
            if !change::is_decided(&self.path) {
                return Ok(());
            }
            match Lock::take(&self.path) {
                Ok(_lock) => return change::settle(&self.path),
                // Whoever writes the run is at it.
                Err(Error::Locked { .. }) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => {
                    return Err(Error::file(&self.path, "has a change that was interrupted")
                        .because(error)
                        .with_hint("make the folder writable and open the run once more"));
                }
            }
        }
        Ok(())
    }

    /// The settings the run was made with.
    ///
    /// # Errors
    /// [`Error::Request`] where `config.toml` does not read as settings, or is not one that a run wrote.
    pub fn config(&self) -> Result<Config> {
        let path = self.config_path();
        let config = Config::from_file(&path, &Config::before())?;
        // A run writes every setting; a file of another program that happens to parse does not have them.
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let table: toml::Table = toml::from_str(&text).unwrap_or_default();
        if let Some(key) = ["dataset", "objective", "seed"].iter().find(|key| !table.contains_key(**key)) {
            let what = format!("is not a run: its config.toml has no setting {key}");
            return Err(Error::file(&self.path, what));
        }
        Ok(config)
    }

    /// Whether `config.toml` is as the run wrote it, or has no checksum.
    pub(super) fn has_own_settings(&self) -> bool {
        fs::read_to_string(self.config_path()).is_ok_and(|text| seal_holds(&text))
    }

    /// Warns where `config.toml` is not as the run wrote it; for whoever is about to use the run.
    pub(super) fn warn_of_changed_settings(&self) {
        if !self.has_own_settings() {
            log::warn!("{} {CHANGED}", self.config_path().display());
        }
    }

    /// Refuses a run without these of its files, which it has once it is finished.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first that is missing.
    pub fn require(&self, files: &[PathBuf]) -> Result<()> {
        let Some(missing) = files.iter().find(|file| !file.exists()) else { return Ok(()) };
        let file = missing.strip_prefix(&self.path).unwrap_or(missing).display().to_string();
        Err(Error::Unfinished { run: self.path.clone(), file })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    pub fn model_path(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    pub fn checkpoint_path(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    pub fn result_path(&self) -> PathBuf {
        self.path.join(RESULT)
    }

    /// The folder of TensorBoard's events.
    pub fn tensorboard_path(&self) -> PathBuf {
        self.path.join(TENSORBOARD)
    }

    pub fn report_path(&self) -> PathBuf {
        self.path.join(PAGE)
    }
}

/// Whether `folder` is a run: settings beside something that was made with them.
pub fn is_run(folder: &Path) -> bool {
    let run = RunDir { path: folder.to_path_buf() };
    let made = [run.model_path(), run.result_path(), run.checkpoint_path()];
    run.config_path().is_file() && (made.iter().any(|path| path.is_file()) || run.config().is_ok())
}

/// Whether `path` is a file that a run writes, in a folder that is one.
pub fn is_own_file(path: &Path) -> bool {
    // As it is, whatever link or `.` leads there.
    let folder = &directory(path).canonicalize().unwrap_or_else(|_| directory(path).to_path_buf());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match [CONFIG, MODEL, RESULT, METRICS, PAGE, CHECKPOINT, lock::NAME].contains(&name) {
        true => is_run(folder),
        // In one of its folders.
        false => {
            [outcomes::FOLDER, TENSORBOARD].iter().any(|own| folder.ends_with(own))
                && is_run(directory(folder))
        }
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::request(format!("the run directory {} cannot be written: {error}", path.display()))
        .with_hint("make it writable, or give a new run another as `out`")
}
