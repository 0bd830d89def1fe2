//! The right to write a run, which one process has at a time.

use std::ops::Deref;
use std::path::Path;

use super::change::{self, Change};
use super::dir::{RunDir, unwritable};
use crate::files::lock::Lock;
use crate::files::{self, disk};
use crate::{Error, Result};

/// A run that this process alone writes, whole: a change that another process left half done was finished or undone.
#[derive(Debug)]
pub struct Writing {
    run: RunDir,
    lock: Lock,
}

impl Writing {
    /// Takes the lock of the run in `path`.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it; [`Error::Request`]
    /// where there is no run, or it cannot be written.
    pub fn open(path: &Path) -> Result<Writing> {
        let writing = Writing::of_folder(path)?;
        RunDir::open(path)?;
        Ok(writing)
    }

    /// The same for a folder in which a run may be about to begin.
    pub(super) fn of_folder(path: &Path) -> Result<Writing> {
        if !path.is_dir() {
            // Says which it is: not there, or no directory.
            RunDir::open(path)?;
        }
        let run = RunDir { path: path.to_path_buf() };
        let lock = Lock::take(path).map_err(|error| run.unwritable(error))?;
        change::settle(path).map_err(|error| run.unwritable(error))?;
        Ok(Writing { run, lock })
    }

    /// Makes the folder with the parents that are missing, and begins a run there.
    pub(super) fn create(path: &Path, settings: &str) -> Result<Writing> {
        disk::create_directories(files::directory(path))
            .and_then(|()| disk::create_directory(path))
            .and_then(|()| disk::sync_directory(files::directory(path)))
            .map_err(|error| unwritable(path, &error))?;
        Writing::begin(path, settings)
    }

    /// Begins a run in a folder that was just made; where that fails, the folder goes.
    pub(super) fn begin(path: &Path, settings: &str) -> Result<Writing> {
        let begun = Writing::of_folder(path).and_then(|writing| {
            writing.set_settings(settings)?;
            Ok(writing)
        });
        begun.inspect_err(|_| {
            // Only if empty: what another wrote there meanwhile stays.
            _ = disk::remove_directory(path);
        })
    }

    /// Writes `config.toml`.
    pub(super) fn set_settings(&self, settings: &str) -> Result<()> {
        let written = files::write_whole(&self.config_path(), settings.as_bytes());
        written.map_err(|error| self.unwritable(error))
    }

    /// Begins a change of the run.
    ///
    /// # Errors
    /// [`Error::Io`] where the run cannot be written; as [`Writing::check`].
    pub fn change(&self) -> Result<Change> {
        self.check()?;
        Change::begin(self.run.path())
    }

    /// Checks that nobody took the run away meanwhile.
    ///
    /// # Errors
    /// [`Error::Run`] where another process forced the lock away.
    pub fn check(&self) -> Result<()> {
        // Where the folder is gone, the writing itself says so.
        match self.lock.is_mine() || !self.run.path().is_dir() {
            true => Ok(()),
            false => Err(Error::run(format!(
                "another process took {} over (`force-unlock`): nothing more is written",
                self.run.path().display()
            ))),
        }
    }

    /// The run as anyone may read it.
    pub fn dir(&self) -> &RunDir {
        &self.run
    }
}

impl Deref for Writing {
    type Target = RunDir;

    fn deref(&self) -> &RunDir {
        &self.run
    }
}

/// How a run is opened.
#[derive(Debug)]
pub enum Access {
    Read(RunDir),
    Write(Writing),
}

impl Deref for Access {
    type Target = RunDir;

    fn deref(&self) -> &RunDir {
        match self {
            Access::Read(run) => run,
            Access::Write(writing) => writing,
        }
    }
}
