//! A run's directory (docs/interface.md): made before any work, and every file in it written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::config::Config;
use crate::files::Staged;
use crate::{Error, Result};

/// A directory that holds a run, which is to say a `config.toml` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    pub(super) path: PathBuf,
}

impl RunDir {
    /// Creates the directory with the parents that are missing, and begins a run there.
    pub(super) fn create(path: &Path, settings: &str) -> Result<RunDir> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| unwritable(path, &error))?;
        }
        fs::create_dir(path).map_err(|error| unwritable(path, &error))?;
        RunDir { path: path.to_path_buf() }.begin(settings)
    }

    /// Writes the settings into a directory that was just made; where that fails, the directory goes.
    pub(super) fn begin(self, settings: &str) -> Result<RunDir> {
        let written = self.stage(settings).and_then(|staged| staged.commit());
        written.map_err(|error| {
            // Only if empty: what another wrote there meanwhile stays.
            let _ = fs::remove_dir(&self.path);
            self.unwritable(error)
        })?;
        Ok(self)
    }

    /// Puts `config.toml` beside its place, so that what cannot be written is known before anything is changed.
    pub(super) fn stage(&self, settings: &str) -> Result<Staged> {
        Staged::new(&self.config_path(), settings.as_bytes()).map_err(|error| self.unwritable(error))
    }

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
        if !run.config_path().is_file() {
            return Err(none("it has no config.toml"));
        }
        Ok(run)
    }

    /// The settings the run was made with.
    ///
    /// # Errors
    /// [`Error::Request`] where `config.toml` does not read as settings, or is not one that a run wrote.
    pub fn config(&self) -> Result<Config> {
        let path = self.config_path();
        let config = Config::from_file(&path, &Config::default())?;
        // A run writes every setting; a file of another program that happens to parse does not have them.
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let table: toml::Table = toml::from_str(&text).unwrap_or_default();
        if let Some(key) = ["dataset", "objective", "seed"].iter().find(|key| !table.contains_key(**key)) {
            let what = format!("is not a run: its config.toml has no setting {key}");
            return Err(Error::file(&self.path, what));
        }
        Ok(config)
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
        self.path.join("config.toml")
    }

    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    pub fn checkpoint_path(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    pub fn result_path(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// The folder of TensorBoard's events.
    pub fn tensorboard_path(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::request(format!("the run directory {} cannot be written: {error}", path.display()))
        .with_hint("give a writable one as `out`")
}
