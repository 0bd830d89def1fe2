//! The calls to the system by which files are written. All pass here, so that tests can have any of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

#[cfg(test)]
pub mod faults;

/// Where tests let a call fail.
#[cfg(not(test))]
mod faults {
    #[inline]
    pub fn call() -> std::io::Result<()> {
        Ok(())
    }
}

/// A new file, or an old one emptied.
pub fn create(path: &Path) -> io::Result<File> {
    faults::call()?;
    File::create(path)
}

/// A file that must not be there, to be written and read.
pub fn create_new(path: &Path) -> io::Result<File> {
    faults::call()?;
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// A file to be written at its end, made if it is not there.
pub fn append(path: &Path) -> io::Result<File> {
    faults::call()?;
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes all of `bytes`.
pub fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    if let Err(error) = faults::call() {
        // A write that fails may have got halfway.
        _ = file.write_all(&bytes[..bytes.len() / 2]);
        return Err(error);
    }
    file.write_all(bytes)
}

/// Makes what was written to a file durable.
pub fn sync(file: &File) -> io::Result<()> {
    faults::call()?;
    file.sync_all()
}

/// Puts a file in the place of another, in one step.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    faults::call()?;
    fs::rename(from, to)
}

/// Removes a file; none there is as good.
pub fn remove_file(path: &Path) -> io::Result<()> {
    faults::call()?;
    absent_is_fine(fs::remove_file(path))
}

/// Removes an empty folder; none there is as good.
pub fn remove_directory(path: &Path) -> io::Result<()> {
    faults::call()?;
    absent_is_fine(fs::remove_dir(path))
}

/// Removes a file, or a folder with all that is in it, never through a link; none there is as good.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) => absent_is_fine(Err(error)),
        Ok(found) if found.is_dir() => {
            for entry in fs::read_dir(path)? {
                remove_tree(&entry?.path())?;
            }
            remove_directory(path)
        }
        Ok(_) => remove_file(path),
    }
}

/// Makes a folder, which must not be there.
pub fn create_directory(path: &Path) -> io::Result<()> {
    faults::call()?;
    fs::create_dir(path)
}

/// Makes what was made, renamed or removed in a folder durable. Elsewhere than on Unix a folder cannot be opened for
/// this, and need not be.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    faults::call()?;
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Makes a folder with all its parents, each durable in the one above it.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = super::directory(path);
    create_directories(parent)?;
    match create_directory(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
