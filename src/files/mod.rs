//! Files written whole or not at all.

pub mod disk;
#[cfg(feature = "cli")]
pub mod lock;
pub mod parts;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file whole or not at all: under a temporary name in the same directory, to the disk, then renamed.
/// A crash leaves the old file or the new one. The temporary name is always the same, so none pile up; the file
/// has one writer.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_through(path, "tmp", bytes)
}

/// The same where other processes may write the file at the same time: the last one's stays, whole.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn write_whole_among_others(path: &Path, bytes: &[u8]) -> Result<()> {
    write_through(path, &format!("{}.tmp", std::process::id()), bytes)
}

fn write_through(path: &Path, ending: &str, bytes: &[u8]) -> Result<()> {
    Staged::write(&temporary(path, ending)?, path, bytes)?.commit()
}

/// Where [`write_whole`] puts a file's new content first; a process that died may have left it.
///
/// # Errors
/// [`Error::Run`] for a path without a name.
pub fn leftover(path: &Path) -> Result<PathBuf> {
    temporary(path, "tmp")
}

fn temporary(path: &Path, ending: &str) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::file(path, "names no file"))?;
    Ok(path.with_file_name(format!(".{}.{ending}", name.to_string_lossy())))
}

/// The new content of a file, under its temporary name. Without [`Staged::commit`] it goes again, and the file stays
/// what it was.
#[derive(Debug)]
pub struct Staged {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl Staged {
    /// Prepares what [`write_whole`] would write, up to the disk.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn new(path: &Path, bytes: &[u8]) -> Result<Staged> {
        Staged::write(&leftover(path)?, path, bytes)
    }

    /// Begins with nothing. What is written into [`Staged::file`] has to be synced.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn begin(path: &Path) -> Result<Staged> {
        Staged::at(&leftover(path)?, path)
    }

    fn at(temporary: &Path, path: &Path) -> Result<Staged> {
        let file = disk::create(temporary).map_err(Error::io(path))?;
        Ok(Staged { file, temporary: temporary.to_path_buf(), path: path.to_path_buf(), committed: false })
    }

    fn write(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<Staged> {
        let staged = Staged::at(temporary, path)?;
        disk::write(&staged.file, bytes).and_then(|()| disk::sync(&staged.file)).map_err(Error::io(path))?;
        Ok(staged)
    }

    /// The file under its temporary name.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it in the file's place.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn commit(mut self) -> Result<()> {
        disk::rename(&self.temporary, &self.path).map_err(Error::io(&self.path))?;
        self.committed = true;
        disk::sync_directory(directory(&self.path)).map_err(Error::io(&self.path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit the name may be another's.
        if !self.committed {
            _ = disk::remove_file(&self.temporary);
        }
    }
}

/// The folder of a file.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The program's folder among the user's caches: what can be made again.
pub fn user_caches() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", "Library/Caches", ".cache")
}

/// The program's folder among the user's data.
pub fn user_data() -> Option<PathBuf> {
    user_folder("XDG_DATA_HOME", "Library/Application Support", ".local/share")
}

/// By the XDG variable, else where the system has it; none for a user without a home.
fn user_folder(xdg: &str, mac: &str, other: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = |folder: &str| variable("HOME").map(|home| home.join(folder));
    let folder = variable(xdg).filter(|path| path.is_absolute()).or_else(|| {
        if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            home(mac)
        } else {
            home(other)
        }
    });
    folder.map(|folder| folder.join("smoothenc"))
}
