//! `--out` and `--overwrite`: a new run in a folder that may be there already. Only what a run writes is removed; all
//! else in the folder, and the folder itself, stays.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::change::{self, Change};
use super::dir::{CONFIG, RunDir, unwritable};
use super::writing::Writing;
use super::{outcomes, tensorboard};
use crate::files::{leftover, lock};
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
        change.put(CONFIG, settings.as_bytes())?;
        old.remove_in(&mut change);
        change.commit()
    };
    replace().map_err(|error| writing.unwritable(error))?;
    Ok(writing)
}

/// Whether the folder is empty, or has nothing but what a process leaves that is killed before it has written the
/// settings.
fn is_unbegun(path: &Path) -> std::io::Result<bool> {
    let unfinished = [".config.toml.tmp", lock::NAME, change::FOLDER];
    for entry in fs::read_dir(path)? {
        if !unfinished.iter().any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Only a run is replaced, and only where that was asked for: a slip must not cost anyone a file.
fn check_replaceable(path: &Path, overwrite: bool) -> Result<()> {
    if !overwrite {
        return Err(Error::file(path, "exists")
            .with_hint("give another `out`, `overwrite` to replace it, or `resume` to go on with it"));
    }
    RunDir::open(path).and_then(|run| run.config()).map(|_| ()).map_err(|error| {
        Error::setting("overwrite", "replaces runs only")
            .because(error)
            .with_hint("remove it yourself or give another `out`")
    })
}

/// What there is of a run that is to be replaced.
#[derive(Debug)]
struct Old {
    folder: PathBuf,
    /// Its files. The settings are not among them; they are replaced.
    files: Vec<PathBuf>,
    /// Its folders, removed where they are empty then.
    folders: Vec<PathBuf>,
    /// How many entries are no run's.
    foreign: usize,
}

impl Old {
    /// Looks at the folder and changes nothing.
    ///
    /// # Errors
    /// [`Error::Request`] naming a link, or whatever else is no plain file, that has the name of a run's file.
    fn of(run: &RunDir) -> Result<Old> {
        let files = [
            run.result_path(),
            run.report_path(),
            run.model_path(),
            run.checkpoint_path(),
            run.metrics_path(),
            run.tensorboard_path().join(tensorboard::NAME),
        ];
        let files = files.into_iter().chain(outcomes::files(run));
        let folders = [run.tensorboard_path(), run.path().join(outcomes::FOLDER)];
        let folders: Vec<PathBuf> =
            folders.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()).collect();
        if let Some(path) = folders.iter().find(|path| !is(path, fs::Metadata::is_dir)) {
            return Err(not_ours(path));
        }
        let mut names = Vec::new();
        for file in files {
            let unfinished = leftover(&file)?;
            names.extend([file, unfinished]);
        }
        names.push(leftover(&run.config_path())?);
        let settings = [run.config_path()];
        let there = |path: &&PathBuf| fs::symlink_metadata(path).is_ok();
        if let Some(path) =
            names.iter().chain(&settings).filter(there).find(|p| !is(p, fs::Metadata::is_file))
        {
            return Err(not_ours(path));
        }
        let tools = [lock::NAME, change::FOLDER].map(|name| run.path().join(name));
        let own =
            |path: &PathBuf| [&names[..], &settings, &folders, &tools].iter().any(|of| of.contains(path));
        let mut foreign = 0;
        for folder in std::iter::once(run.path()).chain(folders.iter().map(PathBuf::as_path)) {
            let entries = fs::read_dir(folder).map_err(|error| unwritable(run.path(), &error))?;
            foreign += entries.flatten().filter(|entry| !own(&entry.path())).count();
        }
        let files = names.iter().filter(there).cloned().collect();
        Ok(Old { folder: run.path().to_path_buf(), files, folders, foreign })
    }

    /// Has the change remove the files, and says what stays.
    fn remove_in(&self, change: &mut Change) {
        let name = |path: &Path| path.strip_prefix(&self.folder).unwrap_or(path).to_path_buf();
        self.files.iter().for_each(|path| change.remove(name(path)));
        self.folders.iter().for_each(|path| change.remove_folder(name(path)));
        if self.foreign > 0 {
            let (folder, n) = (self.folder.display(), self.foreign);
            log::warn!("{folder}: kept what no run wrote, {n} {}", if n == 1 { "entry" } else { "entries" });
        }
    }
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
