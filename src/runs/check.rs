//! Whether a run is whole: every file reads, and all of them belong together.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files::{self, disk, lock};
use crate::runs::checkpoint::{self, DATA};
use crate::runs::config::Config;
use crate::runs::dir::{CHANGED, CONFIG, METRICS, RESULT, RunDir};
use crate::runs::pipeline::PageWriter;
use crate::runs::record::{FileMark, RunRecord};
use crate::runs::writing::Writing;
use crate::runs::{change, identity, metrics, model_file};

/// Something that is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, or the run's folder.
    pub path: PathBuf,
    /// What is wrong with it, and why.
    pub what: String,
    /// Whether it can be made again, or cleared away, from what is whole.
    pub mendable: bool,
}

/// What is wrong with the run in `path`; nothing where it is whole. A run whose training has not ended may be whole.
/// Its data are not read.
pub fn check(path: &Path, pages: &dyn PageWriter) -> Vec<Finding> {
    let mut check = Check { run: RunDir { path: path.to_path_buf() }, found: Vec::new() };
    check.leftovers();
    if !change::is_decided(path) {
        check.files(pages);
    }
    check.found
}

struct Check {
    run: RunDir,
    found: Vec<Finding>,
}

impl Check {
    fn add(&mut self, path: impl Into<PathBuf>, what: impl Into<String>, mendable: bool) {
        self.found.push(Finding { path: path.into(), what: what.into(), mendable });
    }

    /// What `result` could not do is wrong with the file.
    fn sound<T>(&mut self, path: &Path, mendable: bool, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(path, error.in_full(), mendable)).ok()
    }

    /// What processes left that ended early.
    fn leftovers(&mut self) {
        let folder = self.run.path.clone();
        if !lock::Lock::is_held(&folder) {
            let change = folder.join(change::FOLDER);
            if std::fs::symlink_metadata(&change).is_ok() {
                match change::is_one(&change) {
                    true => self.add(change, "is a change that was interrupted", true),
                    false => self.add(change, "is no change of this program, and has its name", false),
                }
            }
            for path in unfinished(&self.run) {
                self.add(path, "is left of a write that was interrupted", true);
            }
        }
    }

    fn files(&mut self, pages: &dyn PageWriter) {
        let run = self.run.clone();
        let opened = RunDir::open(run.path()).and_then(|run| run.config());
        let Some(config) = self.sound(&run.config_path(), false, opened) else { return };
        if !run.has_own_settings() {
            self.add(run.config_path(), CHANGED, false);
        }
        let (steps, made_from) = self.checkpoint(&config);
        let lines = metrics::read(&run.metrics_path());
        if let Some(lines) = self.sound(&run.metrics_path(), false, lines) {
            let numbers: Vec<u64> = lines.iter().filter_map(|line| line.get("step")?.as_u64()).collect();
            if !numbers.is_sorted_by(|a, b| a < b) {
                self.add(run.metrics_path(), "has steps twice, or out of order", false);
            }
        }
        if !run.result_path().exists() {
            if run.model_path().exists() {
                self.add(run.model_path(), format!("stands there without a {RESULT}"), steps.is_some());
            }
            return;
        }
        let whole = steps == Some(config.iterations);
        let record = RunRecord::load(&run.result_path());
        let Some(record) = self.sound(&run.result_path(), whole, record) else { return };
        if record.settings.is_some() && record.settings != config.hash().ok() {
            self.add(
                run.result_path(),
                format!("was measured under other settings than {CONFIG} has"),
                false,
            );
        }
        if let (Some(measured), Some(trained)) = (&record.data, made_from)
            && *measured != trained
        {
            let what =
                format!("was measured on data of fingerprint {measured}, the checkpoint made from {trained}");
            self.add(run.result_path(), what, false);
        }
        let trained =
            record.iterations == config.iterations && steps.is_none_or(|steps| steps == config.iterations);
        self.marked(&record, whole, trained);
        let model = checkpoint::load(&run.model_path());
        if let Some((tensors, metadata)) = self.sound(&run.model_path(), whole, model) {
            let fits = model_file::check(&run.model_path(), &tensors, &metadata, &config);
            self.sound(&run.model_path(), whole, fits);
            let settings = identity::check_settings(&metadata, &run.model_path(), &config);
            self.sound(&run.model_path(), false, settings);
        }
        // A finished run is whole without a checkpoint, so one that is damaged can make way.
        let at = self.run.checkpoint_path();
        let alone = self.found.iter().all(|finding| finding.path == at);
        if record.iterations == config.iterations && alone && checkpoint::load_sealed(&at).is_err() {
            self.found.iter_mut().for_each(|finding| finding.mendable = true);
        }
        // Where there is none its command has ended early, and any other that completes the run writes it.
        if run.report_path().exists() && !pages.is_fresh(&run) {
            self.add(run.report_path(), format!("is not whole, or not of this {RESULT}"), true);
        }
    }

    /// The steps that the checkpoint has, and the fingerprint of its data.
    fn checkpoint(&mut self, config: &Config) -> (Option<u64>, Option<String>) {
        let path = self.run.checkpoint_path();
        if !path.exists() {
            return (None, None);
        }
        let Some((_, metadata)) = self.sound(&path, false, checkpoint::load_sealed(&path)) else {
            return (None, None);
        };
        self.sound(&path, false, identity::check_settings(&metadata, &path, config));
        let steps = metadata.get("step").and_then(|step| step.parse().ok());
        if steps.is_none_or(|steps| steps > config.iterations) {
            self.add(&path, format!("is of more steps than the {} of {CONFIG}", config.iterations), false);
        }
        (steps, metadata.get(DATA).cloned())
    }

    /// The files that the record lists. What is logged of a training that goes on (it has not `trained`) is not yet
    /// what the record lists.
    fn marked(&mut self, record: &RunRecord, whole: bool, trained: bool) {
        for (name, mark) in record.files.iter().filter(|(name, _)| trained || *name != METRICS) {
            let path = self.run.path.join(name);
            let mendable = whole && name != METRICS;
            match FileMark::of_file(&path) {
                Ok(found) if found == *mark => {}
                Ok(found) => {
                    let what = format!(
                        "has {} bytes, not the {} that {RESULT} lists, or others",
                        found.bytes, mark.bytes
                    );
                    self.add(path, what, mendable);
                }
                Err(error) => self.add(path, error.in_full(), mendable),
            }
        }
    }
}

/// Files under the temporary names of [`files::write_whole`].
fn unfinished(run: &RunDir) -> Vec<PathBuf> {
    let names = [
        run.config_path(),
        run.metrics_path(),
        run.checkpoint_path(),
        run.model_path(),
        run.result_path(),
        run.report_path(),
    ];
    names.iter().filter_map(|path| files::leftover(path).ok()).filter(|path| path.exists()).collect()
}

/// Whether going on with the run in `path` makes again what is damaged or missing, and trains nothing: its training has
/// ended.
pub fn is_trained(path: &Path) -> bool {
    let run = RunDir { path: path.to_path_buf() };
    let step = match run.checkpoint_path().exists() {
        true => checkpoint::peek(&run.checkpoint_path()).ok().and_then(|data| data.get("step")?.parse().ok()),
        false => RunRecord::load(&run.result_path()).ok().map(|record| record.iterations),
    };
    step.is_some() && step == run.config().ok().map(|config| config.iterations)
}

/// Whether a process that ended has left its lock there, which harms nobody.
pub fn has_dead_lock(path: &Path) -> bool {
    path.join(lock::NAME).exists() && !lock::Lock::is_held(path)
}

/// Whether a run that is whole lacks its page.
pub fn lacks_page(path: &Path) -> bool {
    let run = RunDir { path: path.to_path_buf() };
    run.result_path().exists() && !run.report_path().exists()
}

/// Removes what processes left in the run in `path` that ended early, and finishes what they had decided. What is to be
/// made again makes way where it does not read: going on with the run makes it.
///
/// # Errors
/// [`Error::Locked`] where another process writes the run; [`Error::Io`].
pub fn clean(path: &Path, pages: &dyn PageWriter) -> Result<()> {
    let writing = match Writing::of_folder(path) {
        // Nobody writes the run, and what was decided cannot be done.
        Err(error) if error.is_request() && change::is_decided(path) => {
            let aside = change::set_aside(path)?;
            log::warn!("{} is set aside: {}", aside.display(), error.in_full());
            Writing::of_folder(path)?
        }
        other => other?,
    };
    for path in unfinished(&writing) {
        disk::remove_file(&path).map_err(Error::io(&path))?;
    }
    for finding in check(path, pages).into_iter().filter(|finding| finding.mendable) {
        let path = &finding.path;
        if *path == writing.result_path() {
            // It may have what cannot be measured again.
            let aside = path.with_extension("json.damaged");
            disk::rename(path, &aside).map_err(Error::io(path))?;
        } else if *path == writing.checkpoint_path() {
            let aside = path.with_extension("safetensors.damaged");
            disk::rename(path, &aside).map_err(Error::io(path))?;
        } else if *path == writing.report_path() {
            disk::remove_file(path).map_err(Error::io(path))?;
        }
    }
    Ok(())
}
