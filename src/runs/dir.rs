//! A run's directory (docs/interface.md): made before any work, and every file in it written whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::replace;
use crate::files::Staged;
use crate::{Error, Result};

/// Where numbered runs go, under the current directory.
const RUNS: &str = "runs";

/// Which directory a training run is to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `runs/DATASET-OBJECTIVE-N`, the next free `N`.
    Numbered,
    /// The directory of `--out`, which must not exist, or be empty, unless `overwrite`.
    Out { path: PathBuf, overwrite: bool },
    /// The run of `--resume`.
    Resume(PathBuf),
}

/// A directory that holds a run, which is to say a `config.toml` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    pub(super) path: PathBuf,
}

impl RunDir {
    /// Makes (or, to resume, opens) the directory and writes `config.toml`. Call it when all else about the request has
    /// been checked (to resume, the checkpoint too), and before any work: what cannot be written is found here.
    ///
    /// # Errors
    /// [`Error::Request`]: the directory exists, is no run, or cannot be made or written.
    pub fn prepare(destination: &Destination, config: &Config) -> Result<RunDir> {
        let text = config.to_toml()?;
        match destination {
            Destination::Resume(path) => {
                let run = RunDir::open(path)?;
                // A run that is gone on with as it was keeps its file untouched.
                if !fs::read(run.config_path()).is_ok_and(|there| there == text.as_bytes()) {
                    run.stage(&text)?.commit().map_err(|error| run.unwritable(error))?;
                }
                Ok(run)
            }
            Destination::Out { path, overwrite } => replace::prepare(path, *overwrite, &text),
            Destination::Numbered => RunDir { path: create_numbered(Path::new(RUNS), config)? }.begin(&text),
        }
    }

    /// Creates the directory with the parents that are missing, and begins a run there.
    pub(super) fn create(path: &Path, settings: &str) -> Result<RunDir> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| unwritable(path, &error))?;
        }
        fs::create_dir(path).map_err(|error| unwritable(path, &error))?;
        RunDir { path: path.to_path_buf() }.begin(settings)
    }

    /// Writes the settings into a directory that was just made; where that fails, the directory goes.
    fn begin(self, settings: &str) -> Result<RunDir> {
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
        let none = |why: &str| Error::request(format!("{} is not a run: {why}", path.display()));
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
            return Err(Error::request(format!(
                "{} is not a run: its config.toml has no setting `{key}`",
                self.path.display()
            )));
        }
        Ok(config)
    }

    /// Refuses a run without these of its files, which it has once it is finished.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first that is missing.
    pub fn require(&self, files: &[PathBuf]) -> Result<()> {
        let Some(missing) = files.iter().find(|file| !file.exists()) else { return Ok(()) };
        let (file, path) = (missing.display(), self.path.display());
        let text = format!("{file} is missing: finish the run with `smoothenc train --resume {path}`");
        Err(Error::request(text))
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

/// Creates the first free `DATASET-OBJECTIVE-N` after the largest there is, so that numbers follow time.
fn create_numbered(runs: &Path, config: &Config) -> Result<PathBuf> {
    fs::create_dir_all(runs).map_err(|error| unwritable(runs, &error))?;
    let stem = format!("{}-{}-", config.dataset, config.objective);
    let entries = fs::read_dir(runs).map_err(|error| unwritable(runs, &error))?;
    let largest = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix(&stem)?.parse::<u64>().ok())
        .filter(|&number| number < u64::MAX / 2)
        .max();
    let mut number = largest.unwrap_or(0) + 1;
    loop {
        let path = runs.join(format!("{stem}{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            // Another run that starts at this moment took it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(unwritable(&path, &error)),
        }
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::request(format!(
        "the run directory {} cannot be written: {error}; give a writable one with --out",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_whole;

    fn out(path: &Path, overwrite: bool) -> Destination {
        Destination::Out { path: path.to_path_buf(), overwrite }
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
        match result {
            Err(Error::Request(text)) => text,
            other => panic!("not refused as a request: {other:?}"),
        }
    }

    #[test]
    fn makes_a_run_with_its_parents_and_settings() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b/run");
        let config = Config { seed: 5, ..Config::default() };
        let run = RunDir::prepare(&out(&path, false), &config).unwrap();
        assert_eq!(RunDir::open(&path).unwrap(), run);
        assert_eq!(run.config().unwrap(), config);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "only config.toml");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let text = refused(RunDir::prepare(&out(&file.join("run"), false), &Config::default()));
        assert!(text.contains("cannot be written"), "{text}");
    }

    #[test]
    fn only_runs_are_resumed() {
        let base = tempfile::tempdir().unwrap();
        let resume = |path: &Path| RunDir::prepare(&Destination::Resume(path.into()), &Config::default());
        assert!(refused(resume(base.path())).contains("is not a run: it has no config.toml"));
        assert!(refused(resume(&base.path().join("none"))).contains("no such directory"));
        let path = base.path().join("run");
        RunDir::prepare(&out(&path, false), &Config::default()).unwrap();
        fs::write(path.join("metrics.jsonl"), "kept").unwrap();
        let longer = Config { iterations: 7, ..Config::default() };
        let run = RunDir::prepare(&Destination::Resume(path), &longer).unwrap();
        assert_eq!(run.config().unwrap().iterations, 7);
        assert!(run.metrics_path().exists());
    }

    #[test]
    fn numbers_follow_the_largest() {
        let base = tempfile::tempdir().unwrap();
        let config = Config::default();
        let next = || create_numbered(base.path(), &config).unwrap();
        assert_eq!(next(), base.path().join("mnist-se-1"));
        fs::create_dir(base.path().join("mnist-se-7")).unwrap();
        fs::create_dir(base.path().join("mnist-se-x")).unwrap();
        fs::create_dir(base.path().join("mnist-vae-9")).unwrap();
        assert_eq!(next(), base.path().join("mnist-se-8"));
        assert_eq!(next(), base.path().join("mnist-se-9"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("x.json");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        // A target that cannot be replaced: the error names it and the temporary is gone.
        let directory = base.path().join("taken");
        fs::create_dir(&directory).unwrap();
        let error = write_whole(&directory, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"));
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2);
    }
}
