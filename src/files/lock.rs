//! One writer a folder: a lock that says who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The name of the lock's file in the folder.
pub const NAME: &str = ".lock";

/// Before a lock counts as held.
const TRIES: u32 = 5;

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    pub process: u32,
    /// In seconds since 1970.
    pub since: u64,
}

impl Holder {
    fn this_process() -> Holder {
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        Holder { host, process: std::process::id(), since: now() }
    }

    /// In words, to follow "is being written by".
    pub fn words(&self) -> String {
        let age = Duration::from_secs(now().saturating_sub(self.since));
        let age = match age.as_secs() {
            s @ 0..120 => format!("{s} s"),
            s @ 120..7200 => format!("{} min", s / 60),
            s => format!("{} h", s / 3600),
        };
        format!("process {} on {} for {age}", self.process, self.host)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A folder that this process alone writes, until this is dropped.
///
/// The system gives the lock back when the process ends, however it ends, so a dead holder's is simply taken.
#[derive(Debug)]
pub struct Lock {
    file: Option<File>,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of a folder, which must be there.
    ///
    /// # Errors
    /// [`Error::Locked`] where another holds it; [`Error::Io`] for a folder that cannot be written.
    pub fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join(NAME);
        let mut tries = 0;
        loop {
            tries += 1;
            if !may_be_a_lock(&path) {
                return Err(Error::file(path, "is no lock of this program").with_hint("move it away"));
            }
            let failed = Error::io(&path);
            let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
            let mut file = options.open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                // Somebody may only be looking whether it is held.
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(locked(folder, holder_in(&mut file))),
                // A file system without locks: whoever stands in the file holds it.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                    if let Some(holder) = holder_in(&mut file) {
                        return Err(locked(folder, Some(holder)));
                    }
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
            }
            // Whoever held it may have removed the file between the opening and the locking.
            if is_at(&file, &path) {
                let mut lock = Lock { file: Some(file), path };
                lock.sign()?;
                return Ok(lock);
            }
        }
    }

    /// Whether a process holds the lock of this folder.
    pub fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join(NAME)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Whether the folder's lock is still this one: somebody may have forced it away.
    pub fn is_mine(&self) -> bool {
        self.file.as_ref().is_some_and(|file| is_at(file, &self.path))
    }

    /// Removes the lock of a folder, whoever holds it: for a holder that hangs, or one of a file system without locks
    /// that is gone.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be removed.
    pub fn force(folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&path)(error)),
            _ => Ok(()),
        }
    }

    fn sign(&mut self) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_vec(&Holder::this_process())
            .map_err(|error| Error::run("the lock's holder cannot be written").because(error))?;
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&text)
        };
        write(file).map_err(Error::io(&self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that nobody else's file goes.
        if let Some(file) = self.file.take()
            && is_at(&file, &self.path)
        {
            _ = fs::remove_file(&self.path);
        }
    }
}

fn locked(folder: &Path, holder: Option<Holder>) -> Error {
    Error::Locked { folder: folder.to_path_buf(), holder: holder.map(|holder| holder.words()) }
}

/// Whether the entry of a lock's name, if there is one, can be a lock: a plain file, empty or with a holder. A process
/// that ended while it signed has left the beginning.
pub fn may_be_a_lock(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return true };
    if !found.is_file() {
        return false;
    }
    // One that cannot be read fails to open, with the reason.
    let text = fs::read(path).unwrap_or_default();
    let begun = br#"{"host":"#;
    text.iter().filter(|byte| !byte.is_ascii_whitespace()).zip(begun).all(|(byte, begun)| byte == begun)
}

/// Who stands in the lock's file; a holder that is writing itself in at this moment has no name yet.
fn holder_in(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(10_000).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether the open file is the one that the path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Elsewhere an open file cannot be replaced under its name.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_is_named_to_the_others() {
        let base = tempfile::tempdir().unwrap();
        let lock = Lock::take(base.path()).unwrap();
        assert!(Lock::is_held(base.path()));
        let Err(Error::Locked { holder: Some(holder), .. }) = Lock::take(base.path()) else { panic!() };
        assert!(holder.starts_with(&format!("process {} on ", std::process::id())), "{holder}");
        drop(lock);
        assert!(!Lock::is_held(base.path()));
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "a lock leaves nothing");
    }

    #[test]
    fn what_a_dead_holder_left_is_taken_over() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join(NAME), r#"{"host": "gone", "process": 1, "since": 0}"#).unwrap();
        let lock = Lock::take(base.path()).unwrap();
        let text = fs::read_to_string(base.path().join(NAME)).unwrap();
        let holder: Holder = serde_json::from_str(&text).unwrap();
        assert_eq!(holder.process, std::process::id());
        // One that is forced away removes nothing of the next.
        Lock::force(base.path()).unwrap();
        let second = Lock::take(base.path()).unwrap();
        drop(lock);
        assert!(base.path().join(NAME).exists());
        drop(second);
    }

    /// What somebody else put there under the lock's name is neither followed nor written.
    #[test]
    fn what_is_no_lock_is_left_alone() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join(NAME), "mine").unwrap();
        let error = Lock::take(base.path()).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("no lock"), "{error}");
        assert_eq!(fs::read_to_string(base.path().join(NAME)).unwrap(), "mine");
        #[cfg(unix)]
        {
            let folder = base.path().join("linked");
            fs::create_dir(&folder).unwrap();
            std::os::unix::fs::symlink("../target", folder.join(NAME)).unwrap();
            assert!(Lock::take(&folder).unwrap_err().is_request());
            assert!(!base.path().join("target").exists());
        }
    }

    #[test]
    fn many_threads_hold_it_in_turn() {
        let base = tempfile::tempdir().unwrap();
        let counter = base.path().join("counter");
        fs::write(&counter, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let take = || loop {
                            match Lock::take(base.path()) {
                                Err(Error::Locked { .. }) => std::thread::yield_now(),
                                other => return other.unwrap(),
                            }
                        };
                        let _lock = take();
                        let count: u32 = fs::read_to_string(&counter).unwrap().parse().unwrap();
                        fs::write(&counter, (count + 1).to_string()).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&counter).unwrap(), "100");
    }
}
