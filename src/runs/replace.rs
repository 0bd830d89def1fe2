//! `--out` and `--overwrite`: a new run in a folder that may be there already. Only what a run writes makes way; all
//! else in the folder, and the folder itself, stays. A finished run that is replaced is kept in `.replaced` until the
//! new one has its result.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::change::{self, Change};
use super::dir::{CONFIG, RunDir, is_run, unwritable};
use super::writing::Writing;
use super::{outcomes, tensorboard};
use crate::files::{leftover, lock};
use crate::runs::record::RunRecord;
use crate::{Error, Result};

/// Begins a run in the folder `path`, made now or, with `overwrite`, a run that it replaces.
///
/// It is one change: whatever happens, the folder has the old run or the new one.
///
/// # Errors
/// [`Error::Request`] where there is something else, something that must not be removed, or nothing can be written; the
/// folder is then as it was.
pub fn prepare(path: &Path, overwrite: bool, settings: &str) -> Result<Writing> {
    // A slash at the end would look through a link.
    let path: PathBuf = path.components().collect();
    let found = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Writing::create(&path, settings),
        Err(error) => return Err(unwritable(&path, &error)),
        Ok(found) => found,
    };
    if found.is_symlink() {
        return Err(Error::file(path, "is a symbolic link, through which no run is made")
            .with_hint("give the folder that it points to"));
    }
    let check = || match found.is_dir() && is_unbegun(&path).map_err(|error| unwritable(&path, &error))? {
        true => Ok(()),
        false => check_replaceable(&path, overwrite),
    };
    // Before the lock is written into what may be anyone's folder, and again once no other process can change it.
    check()?;
    let writing = Writing::of_folder(&path)?;
    check()?;
    let old = Old::of(&writing)?;
    let replace = || -> Result<()> {
        let mut change = writing.change()?;
        old.make_way(&mut change)?;
        change.put(CONFIG, settings.as_bytes())?;
        change.commit()
    };
    replace().map_err(|error| writing.unwritable(error))?;
    Ok(writing)
}

/// Whether the folder is empty, or has nothing but what a process leaves that is killed before it has written the
/// settings.
fn is_unbegun(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let ours = match entry.file_name().to_str() {
            Some(lock::NAME) => lock::may_be_a_lock(&entry.path()),
            Some(change::FOLDER) => change::is_one(&entry.path()),
            Some(".config.toml.tmp") => true,
            _ => false,
        };
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Only a run is replaced, and only where that was asked for: a slip must not cost anyone a file.
fn check_replaceable(path: &Path, overwrite: bool) -> Result<()> {
    if !overwrite {
        let hint = match is_run(path) {
            true => "give another `out`, `overwrite` to replace it, or `resume` to go on with it",
            false => "give another `out`",
        };
        return Err(Error::file(path, "exists").with_hint(hint));
    }
    RunDir::open(path).and_then(|run| run.config()).map(|_| ()).map_err(|error| {
        Error::setting("overwrite", "replaces runs only")
            .because(error)
            .with_hint("remove it yourself or give another `out`")
    })
}

/// Where a finished run is kept while the one that replaces it has no result.
pub const KEPT: &str = ".replaced";

/// What there is of a run that is to be replaced.
#[derive(Debug)]
struct Old {
    folder: PathBuf,
    /// Its files, the settings among them.
    files: Vec<PathBuf>,
    /// What writes that were interrupted have left.
    unfinished: Vec<PathBuf>,
    /// Its folders, removed where they are empty then.
    folders: Vec<PathBuf>,
    /// Whether it is to be kept: it has a result, and none is kept yet.
    keep: bool,
    /// How many entries are no run's.
    foreign: usize,
}

impl Old {
    /// Looks at the folder and changes nothing.
    ///
    /// # Errors
    /// [`Error::Request`] naming a link, or whatever else is no plain file, that has the name of a run's file.
    fn of(run: &RunDir) -> Result<Old> {
        let files = files_of(run);
        let folders = [run.tensorboard_path(), run.path().join(outcomes::FOLDER)];
        let folders: Vec<PathBuf> = folders.into_iter().filter(|path| exists(path)).collect();
        let kept = run.path().join(KEPT);
        let real = folders.iter().chain([&kept]).filter(|path| exists(path));
        if let Some(path) = real.into_iter().find(|path| !is(path, fs::Metadata::is_dir)) {
            return Err(not_ours(path));
        }
        if exists(&kept) && !RunDir::open(&kept).is_ok_and(|run| run.result_path().is_file()) {
            return Err(not_ours(&kept));
        }
        let unfinished = files.iter().map(|file| leftover(file)).collect::<Result<Vec<_>>>()?;
        let all = || files.iter().chain(&unfinished).filter(|path| exists(path));
        if let Some(path) = all().find(|path| !is(path, fs::Metadata::is_file)) {
            return Err(not_ours(path));
        }
        let tools = [lock::NAME, change::FOLDER, KEPT].map(|name| run.path().join(name));
        let own =
            |path: &PathBuf| [&files[..], &unfinished, &folders, &tools].iter().any(|of| of.contains(path));
        let mut foreign = 0;
        for folder in std::iter::once(run.path()).chain(folders.iter().map(PathBuf::as_path)) {
            let entries = fs::read_dir(folder).map_err(|error| unwritable(run.path(), &error))?;
            foreign += entries.flatten().filter(|entry| !own(&entry.path())).count();
        }
        let there = |paths: &[PathBuf]| paths.iter().filter(|path| exists(path)).cloned().collect();
        Ok(Old {
            folder: run.path().to_path_buf(),
            files: there(&files),
            unfinished: there(&unfinished),
            keep: run.result_path().exists() && !exists(&kept),
            folders,
            foreign,
        })
    }

    /// Has the change move or remove the files, and says what stays. The folder is never without settings, by which
    /// anyone knows it for a run.
    fn make_way(&self, change: &mut Change) -> Result<()> {
        let name = |path: &Path| path.strip_prefix(&self.folder).unwrap_or(path).to_path_buf();
        for path in &self.files {
            match (self.keep, name(path)) {
                (true, file) if file == Path::new(CONFIG) => {
                    let settings = fs::read(path).map_err(Error::io(path))?;
                    change.put(Path::new(KEPT).join(file), &settings)?;
                }
                (true, file) => change.rename(&file, Path::new(KEPT).join(&file)),
                (false, file) if file == Path::new(CONFIG) => {}
                (false, file) => change.remove(file),
            }
        }
        self.unfinished.iter().for_each(|path| change.remove(name(path)));
        self.folders.iter().for_each(|path| change.remove_folder(name(path)));
        if self.foreign > 0 {
            let (folder, n) = (self.folder.display(), self.foreign);
            log::warn!("{folder}: kept what no run wrote, {n} {}", if n == 1 { "entry" } else { "entries" });
        }
        Ok(())
    }
}

/// The files that a run may have, the settings first; of outcomes those that its record lists.
fn files_of(run: &RunDir) -> Vec<PathBuf> {
    let record = RunRecord::load(&run.result_path()).ok();
    let listed = record.into_iter().flat_map(|record| record.files.into_keys());
    let mut files = vec![
        run.config_path(),
        run.result_path(),
        run.report_path(),
        run.model_path(),
        run.checkpoint_path(),
        run.metrics_path(),
        run.tensorboard_path().join(tensorboard::NAME),
    ];
    let outcomes = listed.filter(|name| outcomes::is_name(name)).map(|name| run.path().join(name));
    files.extend(outcomes);
    files
}

/// Has a change of the run remove the run that it replaces, where one is kept.
pub fn forget(run: &RunDir, change: &mut Change) {
    let kept = RunDir { path: run.path().join(KEPT) };
    for file in files_of(&kept).iter().filter(|path| exists(path)) {
        change.remove(file.strip_prefix(run.path()).unwrap_or(file));
    }
    for folder in [kept.tensorboard_path(), kept.path.join(outcomes::FOLDER), kept.path.clone()] {
        change.remove_folder(folder.strip_prefix(run.path()).unwrap_or(&folder));
    }
}

/// Puts the run that was replaced back, where one is kept and the new one has nothing to go on with. Whether it did.
///
/// # Errors
/// As [`Change::commit`].
pub fn restore(writing: &Writing) -> Result<bool> {
    let kept = RunDir { path: writing.path().join(KEPT) };
    let begun = writing.checkpoint_path().exists() || writing.result_path().exists();
    if begun || !is(&kept.path, fs::Metadata::is_dir) {
        return Ok(false);
    }
    let relative = |path: &Path| path.strip_prefix(writing.path()).unwrap_or(path).to_path_buf();
    // First the new run's files go, then the old ones move: a change that is finished twice must not remove these.
    let mut change = writing.change()?;
    for path in files_of(writing).iter().filter(|path| exists(path) && **path != writing.config_path()) {
        change.remove(relative(path));
    }
    change.commit()?;
    let mut change = writing.change()?;
    for path in files_of(&kept).iter().filter(|path| exists(path) && **path != kept.config_path()) {
        change.rename(relative(path), path.strip_prefix(&kept.path).unwrap_or(path));
    }
    let settings = fs::read(kept.config_path()).map_err(Error::io(kept.config_path()))?;
    change.put(CONFIG, &settings)?;
    change.remove(relative(&kept.config_path()));
    for folder in [kept.tensorboard_path(), kept.path.join(outcomes::FOLDER), kept.path.clone()] {
        change.remove_folder(relative(&folder));
    }
    change.commit().map(|()| true)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether the entry itself, and not what a link points to, is such a thing.
fn is(path: &Path, what: fn(&fs::Metadata) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| what(&found))
}

fn not_ours(path: &Path) -> Error {
    let what = if is(path, fs::Metadata::is_symlink) { "a symbolic link" } else { "of another kind" };
    Error::file(path, format!("has the name of what a run writes, but is {what}"))
        .with_hint("move it away or give another `out`")
}

#[cfg(test)]
mod tests;
