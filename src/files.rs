//! Files written whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

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
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Error::run(format!("{} names no file", path.display())))?;
    let temporary = directory.join(format!(".{}.{ending}", name.to_string_lossy()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory(directory)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Io { path: path.to_path_buf(), source }
    })
}

/// Makes a rename durable. Elsewhere than on Unix a directory cannot be opened for this, and need not be.
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
