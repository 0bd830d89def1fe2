//! Where a run is to go, and how it begins there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::dir::unwritable;
use super::replace;
use super::writing::Writing;
use crate::Result;
use crate::files::disk;

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

impl Destination {
    /// Makes (or, to resume, opens) the directory and writes `config.toml`. Call it when all else about the request
    /// has been checked (to resume, the checkpoint too), and before any work: what cannot be written is found here.
    /// `claimed` is what [`Destination::claim`] gave.
    ///
    /// # Errors
    /// [`Error::Request`]: the directory exists, is no run, or cannot be made or written.
    pub fn prepare(&self, config: &Config, claimed: Option<Writing>) -> Result<Writing> {
        let text = config.to_sealed_toml()?;
        match self {
            Destination::Resume(path) => {
                let writing = claimed.map_or_else(|| Writing::open(path), Ok)?;
                // A run that is gone on with as it was keeps its file untouched.
                if !fs::read(writing.config_path()).is_ok_and(|there| there == text.as_bytes()) {
                    writing.set_settings(&text)?;
                }
                Ok(writing)
            }
            Destination::Out { path, overwrite } => replace::prepare(path, *overwrite, &text),
            Destination::Numbered => Writing::begin(&create_numbered(Path::new(RUNS), config)?, &text),
        }
    }

    /// Takes the lock of a run that is there, before anything of it is read to go on with it.
    ///
    /// # Errors
    /// As [`Writing::open`].
    pub fn claim(&self) -> Result<Option<Writing>> {
        match self {
            Destination::Resume(path) => Writing::open(path).map(Some),
            _ => Ok(None),
        }
    }
}

/// Creates the first free `DATASET-OBJECTIVE-N` after the largest there is, so that numbers follow time.
fn create_numbered(runs: &Path, config: &Config) -> Result<PathBuf> {
    disk::create_directories(runs).map_err(|error| unwritable(runs, &error))?;
    let stem = format!("{}-{}-", config.dataset, config.objective);
    let entries = fs::read_dir(runs).map_err(|error| unwritable(runs, &error))?;
    let largest = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix(&stem)?.parse::<u64>().ok())
        .filter(|&number| number < u64::MAX / 2)
        .max();
    let mut number = largest.unwrap_or(0) + 1;
    loop {
        let path = runs.join(format!("{stem}{number}"));
        match disk::create_directory(&path) {
            Ok(()) => return Ok(path),
            // Another run that starts at this moment took it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(unwritable(&path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_whole;
    use crate::runs::dir::RunDir;

    fn out(path: &Path, overwrite: bool) -> Destination {
        Destination::Out { path: path.to_path_buf(), overwrite }
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
        match result {
            Err(error) if error.is_request() => error.in_full(),
            other => panic!("not refused as a request: {other:?}"),
        }
    }

    #[test]
    fn makes_a_run_with_its_parents_and_settings() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b/run");
        let config = Config { seed: 5, ..Config::default() };
        let run = out(&path, false).prepare(&config, None).unwrap().dir().clone();
        assert_eq!(RunDir::open(&path).unwrap(), run);
        assert_eq!(run.config().unwrap(), config);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "only config.toml");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let text = refused(out(&file.join("run"), false).prepare(&Config::default(), None));
        assert!(text.contains("cannot be written"), "{text}");
    }

    #[test]
    fn only_runs_are_resumed() {
        let base = tempfile::tempdir().unwrap();
        let resume = |path: &Path| Destination::Resume(path.into()).prepare(&Config::default(), None);
        assert!(refused(resume(base.path())).contains("is not a run: it has no config.toml"));
        assert!(refused(resume(&base.path().join("none"))).contains("no such directory"));
        let path = base.path().join("run");
        out(&path, false).prepare(&Config::default(), None).unwrap();
        fs::write(path.join("metrics.jsonl"), "kept").unwrap();
        let longer = Config { iterations: 7, ..Config::default() };
        let run = Destination::Resume(path).prepare(&longer, None).unwrap();
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
