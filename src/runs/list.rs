//! The runs under a folder, and in short what each is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::runs::config::{Arch, Config, Objective};
use crate::runs::dir::RunDir;
use crate::runs::record::{RunRecord, TaskResult};
use crate::runs::{checkpoint, identity};

/// Runs are looked for so many folders below the one given.
pub const DEEPEST: usize = 4;

/// A run, or what looks like one and does not read.
#[derive(Debug)]
pub struct Entry {
    pub path: PathBuf,
    pub run: Result<Summary>,
}

/// A run in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub dataset: String,
    pub arch: Arch,
    pub objective: Objective,
    pub seed: u64,
    /// Steps trained, and how many there are to be.
    pub steps_done: u64,
    pub steps: u64,
    /// Trained to the end, and measured.
    pub finished: bool,
    /// As in result.json; empty before there is one.
    pub tasks: BTreeMap<String, TaskResult>,
}

/// Which runs are of interest; the default is all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub dataset: Option<String>,
    pub objective: Option<Objective>,
    pub arch: Option<Arch>,
    pub finished: bool,
}

impl Filter {
    /// Whether it lets a run through. What does not read always passes, so that it is not overlooked.
    fn passes(&self, entry: &Entry) -> bool {
        let Ok(run) = &entry.run else { return true };
        self.dataset.as_ref().is_none_or(|dataset| *dataset == run.dataset)
            && self.objective.is_none_or(|objective| objective == run.objective)
            && self.arch.is_none_or(|arch| arch == run.arch)
            && (run.finished || !self.finished)
    }
}

/// The runs in `folder`, itself included, and at most four folders below, sorted by path.
///
/// # Errors
/// [`Error::Request`] where there is no such folder.
pub fn list(folder: &Path, filter: &Filter) -> Result<Vec<Entry>> {
    if !folder.is_dir() {
        return Err(Error::request(format!("there is no folder {}", folder.display()))
            .with_hint("name one that has runs, or make a run with `smoothenc train mnist`"));
    }
    let mut found = Vec::new();
    collect(folder, DEEPEST, &mut found);
    found.retain(|entry| filter.passes(entry));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(folder: &Path, deeper: usize, found: &mut Vec<Entry>) {
    if folder.join("config.toml").is_file() {
        found.push(Entry { path: folder.to_path_buf(), run: Summary::read(folder) });
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            found.push(Entry { path: folder.to_path_buf(), run: Err(Error::io(folder)(error)) });
            return;
        }
    };
    // Links are left alone, so that no run is found twice and no circle is entered.
    let folders = entries.filter_map(|entry| entry.ok().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())));
    if deeper > 0 {
        folders.for_each(|entry| collect(&entry.path(), deeper - 1, found));
    }
}

impl Summary {
    /// Reads what there is of the run in `path`.
    ///
    /// # Errors
    /// [`Error::Request`] for a file of it that does not read.
    pub fn read(path: &Path) -> Result<Summary> {
        let run = RunDir::open(path)?;
        let config = run.config()?;
        run.warn_of_changed_settings();
        let result = match run.result_path().exists() {
            true => {
                let record = RunRecord::load(&run.result_path())?;
                identity::check_record(&record, &run, &config, None)?;
                Some(record.shown(&config))
            }
            false => None,
        };
        let measured = result.as_ref().map_or(0, |result| result.iterations);
        let steps_done = match run.checkpoint_path().exists() {
            true => steps_of_checkpoint(&run.checkpoint_path())?,
            false => measured,
        };
        let Config { dataset, arch, objective, seed, iterations: steps, .. } = config;
        let finished = result.is_some() && steps_done == steps && measured == steps;
        let tasks = result.map(|result| result.tasks).unwrap_or_default();
        Ok(Summary { dataset, arch, objective, seed, steps_done, steps, finished, tasks })
    }
}

fn steps_of_checkpoint(path: &Path) -> Result<u64> {
    let metadata = checkpoint::peek(path)?;
    metadata
        .get("step")
        .and_then(|step| step.parse().ok())
        .ok_or_else(|| Error::file(path, "does not say how many steps it is of: it is damaged"))
}
