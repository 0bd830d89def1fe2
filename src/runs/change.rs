//! A change of a run that happens whole or not at all: files that are replaced, and files that go.
//!
//! The new files are written into the folder `.change` of the run, each to the disk. Then the list of what is to
//! happen, with their checksums, is written there, in one step: from now on the change is decided. Only then do the
//! files take their places. Whoever opens the run to write it first calls [`settle`], which finishes a change that was
//! decided and drops one that was not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{self, disk};
use crate::runs::mark::FileMark;

/// The folder of a change that is under way.
pub const FOLDER: &str = ".change";

/// The list in it. With this file the change is decided.
const LIST: &str = "list.json";

/// What is to happen.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    /// Names of files, and their new ones. They make way before others take their places.
    #[serde(default)]
    moves: Vec<(PathBuf, PathBuf)>,
    /// Names relative to the run; the new content of the i-th lies in the folder under the number i.
    put: Vec<PathBuf>,
    /// By which it is known again, in the same order. Lists of early versions have none.
    #[serde(default)]
    marks: Vec<FileMark>,
    /// Names of files that go, in this order.
    remove: Vec<PathBuf>,
    /// Names of folders that go where they are empty then.
    remove_folders: Vec<PathBuf>,
}

/// A change being prepared. Dropped without [`Change::commit`] it never happened.
#[derive(Debug)]
pub struct Change {
    run: PathBuf,
    list: List,
    decided: bool,
}

impl Change {
    /// Begins a change of the run in this folder, which this process alone writes.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub fn begin(run: &Path) -> Result<Change> {
        let change = Change { run: run.to_path_buf(), list: List::default(), decided: false };
        let folder = run.join(FOLDER);
        disk::create_directory(&folder)
            .and_then(|()| disk::sync_directory(run))
            .map_err(Error::io(&folder))?;
        Ok(change)
    }

    /// The file `name`, relative to the run, gets this content.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file as it is called in the run.
    pub fn put(&mut self, name: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let number = self.list.put.len();
        let path = self.run.join(FOLDER).join(number.to_string());
        let write = || -> io::Result<()> {
            let file = disk::create(&path)?;
            disk::write(&file, content)?;
            disk::sync(&file)
        };
        write().map_err(Error::io(self.run.join(&name)))?;
        self.list.put.push(name.as_ref().to_path_buf());
        self.list.marks.push(FileMark::of(content));
        Ok(())
    }

    /// The file `from` gets the name `to`, which nothing has. Another may take its place in the same change.
    pub fn rename(&mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) {
        self.list.moves.push((from.into(), to.into()));
    }

    /// The file `name` goes. A folder of that name is no file of a run's, and stays.
    pub fn remove(&mut self, name: impl AsRef<Path>) {
        let found = fs::symlink_metadata(self.run.join(&name));
        if !found.is_ok_and(|found| found.is_dir()) {
            self.list.remove.push(name.as_ref().to_path_buf());
        }
    }

    /// The folder `name` goes where it is empty then.
    pub fn remove_folder(&mut self, name: impl AsRef<Path>) {
        self.list.remove_folders.push(name.as_ref().to_path_buf());
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// [`Error::Io`]. Where the change was decided already it happens when the run is opened next.
    pub fn commit(mut self) -> Result<()> {
        let folder = self.run.join(FOLDER);
        let text = serde_json::to_vec(&self.list)
            .map_err(|error| Error::run("the list of a change cannot be written").because(error))?;
        let list = folder.join(LIST);
        // A failure after the exchange leaves the list in place: the change counts as decided from here on.
        let staged = files::Staged::new(&list, &text)?;
        self.decided = true;
        staged.commit().and_then(|()| finish(&self.run, &self.list))
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.decided {
            _ = drop_all(&self.run.join(FOLDER));
        }
    }
}

/// Finishes the change of a run that was decided when its process ended, or drops what was not decided. The caller
/// holds the run's lock.
///
/// # Errors
/// [`Error::Io`]; [`Error::Request`] for a list that does not read.
pub fn settle(run: &Path) -> Result<()> {
    let folder = run.join(FOLDER);
    if fs::symlink_metadata(&folder).is_err() {
        return Ok(());
    }
    if !is_one(&folder) {
        return Err(Error::file(folder, "is no change of this program").with_hint("move it away"));
    }
    let path = folder.join(LIST);
    match fs::read(&path) {
        Ok(text) => {
            let list = List::parse(&path, &text)?;
            list.check_content(run)?;
            log::info!("{}: finishing a change that was interrupted", run.display());
            finish(run, &list)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            drop_all(&folder).map_err(Error::io(&folder))
        }
        Err(error) => Err(Error::io(&path)(error)),
    }
}

/// Whether a change of the run was decided and is not done.
pub fn is_decided(run: &Path) -> bool {
    let folder = run.join(FOLDER);
    is_one(&folder) && folder.join(LIST).is_file()
}

/// Whether the entry of a change's name is one: a folder, and no link to one, with nothing but what a change has.
pub fn is_one(folder: &Path) -> bool {
    let own = |name: std::ffi::OsString| {
        let name = name.to_string_lossy();
        name == LIST || name == format!(".{LIST}.tmp") || name.parse::<usize>().is_ok()
    };
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    is_folder && entries.into_iter().all(|entry| own(entry.file_name()))
}

/// Puts a change that cannot be finished out of the way: what it had ready stays for whoever looks for it.
///
/// # Errors
/// [`Error::Io`].
pub fn set_aside(run: &Path) -> Result<PathBuf> {
    let free = (1..).map(|n| run.join(format!("change.damaged-{n}"))).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| run.join("change.damaged"));
    disk::rename(&run.join(FOLDER), &aside).map_err(Error::io(&aside))?;
    Ok(aside)
}

/// What the list in these bytes would have, the names in it.
///
/// # Errors
/// As [`settle`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn names(path: &Path, text: &[u8]) -> Result<Vec<PathBuf>> {
    let list = List::parse(path, text)?;
    Ok(list.names().cloned().collect())
}

impl List {
    fn parse(path: &Path, text: &[u8]) -> Result<List> {
        let list: List = serde_json::from_slice(text)
            .map_err(|error| Error::file(path, "does not read as the list of a change").because(error))?;
        list.check(path)?;
        Ok(list)
    }

    /// Refuses content that is not what the list was made for. What has taken its place already is as good.
    fn check_content(&self, run: &Path) -> Result<()> {
        let folder = run.join(FOLDER);
        for (number, (name, mark)) in self.put.iter().zip(&self.marks).enumerate() {
            let ready = folder.join(number.to_string());
            let path = if ready.exists() { &ready } else { &run.join(name) };
            if !path.exists() || FileMark::of_file(path)? != *mark {
                let what = format!("is damaged: {} is not what the change was to write", name.display());
                return Err(Error::file(&folder, what)
                    .with_hint("`smoothenc check --repair` sets it aside; look at the run then"));
            }
        }
        Ok(())
    }

    /// Refuses names that lead out of the run, or are the run itself: the list may be anyone's.
    fn check(&self, path: &Path) -> Result<()> {
        let inside = |name: &PathBuf| {
            let mut parts = name.components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        match self.names().find(|name| !inside(name)) {
            Some(name) => Err(Error::file(path, format!("names {name:?}, which is not in the run"))),
            None => Ok(()),
        }
    }

    fn names(&self) -> impl Iterator<Item = &PathBuf> {
        let moved = self.moves.iter().flat_map(|(from, to)| [from, to]);
        moved.chain(&self.put).chain(&self.remove).chain(&self.remove_folders)
    }
}

/// Does what the list says; what was done before an interruption is not done again.
fn finish(run: &Path, list: &List) -> Result<()> {
    let folder = run.join(FOLDER);
    for (from, to) in list.moves.iter().map(|(from, to)| (run.join(from), run.join(to))) {
        // Once it is there, another may have taken its old name.
        if !to.try_exists().map_err(Error::io(&to))? {
            place(run, &from, &to)?;
        }
    }
    for (number, name) in list.put.iter().enumerate() {
        place(run, &folder.join(number.to_string()), &run.join(name))?;
    }
    for name in &list.remove {
        let path = run.join(name);
        disk::remove_file(&path).map_err(Error::io(&path))?;
    }
    for name in &list.remove_folders {
        match disk::remove_directory(&run.join(name)) {
            // What no run wrote lies there.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            other => other.map_err(Error::io(run.join(name)))?,
        }
    }
    let end = || -> io::Result<()> {
        disk::sync_directory(run)?;
        disk::remove_file(&folder.join(LIST))?;
        drop_all(&folder)
    };
    end().map_err(Error::io(&folder))
}

/// Puts a file into its place in the run; one that is not there any more is in its place already.
fn place(run: &Path, from: &Path, to: &Path) -> Result<()> {
    if !from.try_exists().map_err(Error::io(from))? {
        return Ok(());
    }
    let parent = files::directory(to);
    if parent != run && fs::symlink_metadata(parent).is_ok_and(|found| found.is_symlink()) {
        return Err(Error::file(parent, "is a symbolic link, through which no run is written")
            .with_hint("move it away"));
    }
    disk::create_directories(parent)
        .and_then(|()| disk::rename(from, to))
        .and_then(|()| disk::sync_directory(parent))
        .map_err(Error::io(to))
}

/// Removes the folder of a change that was not decided, or is done.
fn drop_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        disk::remove_file(&entry?.path())?;
    }
    disk::remove_directory(folder)?;
    disk::sync_directory(files::directory(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk::faults::{self, Fault};

    /// A run with three files, of which the change replaces one, makes one in a new folder and removes one.
    fn old(base: &Path) {
        for (name, text) in [("a", "old"), ("b", "goes"), ("c", "stays")] {
            fs::write(base.join(name), text).unwrap();
        }
    }

    fn change(base: &Path) -> Result<()> {
        let mut change = Change::begin(base)?;
        change.put("a", b"new")?;
        change.put("deep/d", b"new")?;
        change.remove("b");
        change.commit()
    }

    fn content(base: &Path) -> Vec<Option<String>> {
        ["a", "b", "c", "deep/d"].map(|name| fs::read_to_string(base.join(name)).ok()).to_vec()
    }

    fn texts(of: [Option<&str>; 4]) -> Vec<Option<String>> {
        of.map(|text| text.map(String::from)).to_vec()
    }

    /// Whatever fails, and wherever the process ends: after the next opening the run is as before or as after.
    #[test]
    fn a_change_happens_whole_or_not_at_all() {
        let before = texts([Some("old"), Some("goes"), Some("stays"), None]);
        let after = texts([Some("new"), None, Some("stays"), Some("new")]);
        let base = tempfile::tempdir().unwrap();
        old(base.path());
        let (made, calls) = faults::count(|| change(base.path()));
        made.unwrap();
        assert_eq!(content(base.path()), after);
        assert!(!base.path().join(FOLDER).exists() && calls > 15, "{calls}");
        let mut seen = [false; 2];
        for fault in [Fault::Kill, Fault::Error(28), Fault::Error(5)] {
            for at in 0..calls {
                let base = tempfile::tempdir().unwrap();
                old(base.path());
                let (made, _) = faults::with(at, fault, || change(base.path()));
                settle(base.path()).unwrap();
                let found = content(base.path());
                assert!(found == before || found == after, "{fault:?} at {at}: {found:?}");
                // What ends well has happened; what fails may have been decided.
                assert!(made.is_err() || found == after, "{fault:?} at {at}");
                seen[usize::from(found == after)] = true;
                assert!(!base.path().join(FOLDER).exists(), "{fault:?} at {at}");
            }
        }
        assert_eq!(seen, [true; 2]);
    }

    /// The process may end again while it mends what was left.
    #[test]
    fn settling_can_be_interrupted_too() {
        let after = texts([Some("new"), None, Some("stays"), Some("new")]);
        let decided = || {
            let base = tempfile::tempdir().unwrap();
            old(base.path());
            // The first call that leaves the change decided and not done.
            let at = (0..).find(|&at| {
                _ = fs::remove_dir_all(base.path().join(FOLDER));
                old(base.path());
                _ = faults::with(at, Fault::Kill, || change(base.path()));
                is_decided(base.path())
            });
            assert!(at.is_some());
            base
        };
        let calls = faults::count(|| settle(decided().path()).unwrap()).1;
        for at in 0..calls {
            let base = decided();
            _ = faults::with(at, Fault::Kill, || settle(base.path()));
            settle(base.path()).unwrap();
            assert_eq!(content(base.path()), after, "{at}");
        }
    }

    #[test]
    fn a_list_names_files_of_the_run_only() {
        let base = tempfile::tempdir().unwrap();
        let run = base.path().join("run");
        fs::create_dir_all(run.join(FOLDER)).unwrap();
        fs::write(base.path().join("mine"), "").unwrap();
        // An empty name is the run itself.
        for text in [
            r#"{"put":[],"remove":["../mine"],"remove_folders":[]}"#,
            r#"{"put":[""],"remove":[],"remove_folders":[]}"#,
            r#"{"put":[],"remove":[],"remove_folders":[""]}"#,
            "{",
            "{}",
        ] {
            fs::write(run.join(FOLDER).join(LIST), text).unwrap();
            let error = settle(&run).unwrap_err();
            assert!(error.is_request() && error.to_string().contains(LIST), "{error}");
        }
        assert!(base.path().join("mine").exists());
    }
}
