//! `--out` and `--overwrite`: a new run in a folder that may be there already. Only what a run writes is removed; all
//! else in the folder, and the folder itself, stays.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::dir::{RunDir, unwritable};
use super::{outcomes, tensorboard};
use crate::files::{leftover, sync_directory};
use crate::{Error, Result};

/// Begins a run in the folder `path`, made now or, with `overwrite`, a run that it replaces.
///
/// The old run goes file by file, its settings last and in one step, so that whatever happens in between, a run is
/// there that can be gone on with or replaced.
///
/// # Errors
/// [`Error::Request`] where there is something else, something that must not be removed, or nothing can be written; the
/// folder is then as it was.
pub fn prepare(path: &Path, overwrite: bool, settings: &str) -> Result<RunDir> {
    // A slash at the end would look through a link.
    let path: PathBuf = path.components().collect();
    let found = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return RunDir::create(&path, settings),
        Err(error) => return Err(unwritable(&path, &error)),
        Ok(found) => found,
    };
    if found.is_symlink() {
        return Err(Error::file(path, "is a symbolic link, through which no run is made")
            .with_hint("give the folder that it points to"));
    }
    // What a process leaves that is killed before it has written the settings.
    let unbegun = found.is_dir() && is_unbegun(&path).map_err(|error| unwritable(&path, &error))?;
    if !unbegun {
        check_replaceable(&path, overwrite)?;
    }
    let run = RunDir { path };
    let old = Old::of(&run)?;
    // Before anything is removed: whether the folder can be written.
    let staged = run.stage(settings)?;
    old.remove().map_err(|error| run.unwritable(error))?;
    staged.commit().map_err(|error| run.unwritable(error))?;
    Ok(run)
}

/// Whether the folder is empty, or has nothing but settings that were not finished.
fn is_unbegun(path: &Path) -> std::io::Result<bool> {
    let unfinished = |entry: &fs::DirEntry| entry.file_name() == ".config.toml.tmp";
    for entry in fs::read_dir(path)? {
        if !unfinished(&entry?) {
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
    /// Its files in the order in which they go: without a result a run is one to go on with, and without a checkpoint
    /// one to begin. The settings are not among them; they are replaced.
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
        let settings = [leftover(&run.config_path())?, run.config_path()];
        let there = |path: &&PathBuf| fs::symlink_metadata(path).is_ok();
        if let Some(path) =
            names.iter().chain(&settings).filter(there).find(|p| !is(p, fs::Metadata::is_file))
        {
            return Err(not_ours(path));
        }
        let own = |path: &PathBuf| names.contains(path) || settings.contains(path) || folders.contains(path);
        let mut foreign = 0;
        for folder in std::iter::once(run.path()).chain(folders.iter().map(PathBuf::as_path)) {
            let entries = fs::read_dir(folder).map_err(|error| unwritable(run.path(), &error))?;
            foreign += entries.flatten().filter(|entry| !own(&entry.path())).count();
        }
        let files = names.iter().filter(there).cloned().collect();
        Ok(Old { folder: run.path().to_path_buf(), files, folders, foreign })
    }

    /// Removes the files, and says what stays.
    fn remove(&self) -> Result<()> {
        for path in &self.files {
            fs::remove_file(path).map_err(Error::io(path))?;
        }
        for folder in &self.folders {
            // Only if empty.
            _ = fs::remove_dir(folder);
        }
        if self.foreign > 0 {
            let (folder, n) = (self.folder.display(), self.foreign);
            log::warn!("{folder}: kept what no run wrote, {n} {}", if n == 1 { "entry" } else { "entries" });
        }
        sync_directory(&self.folder).map_err(Error::io(&self.folder))
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
