//! `--out` of the commands that write one file.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};
use crate::files::directory;
use crate::runs::dir;

/// The file to write; a command says in `--out`'s help of what kind.
#[derive(Debug, Args)]
pub struct OutFile {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub overwrite: bool,
}

impl OutFile {
    /// Checks, before any work, that the file can be written and costs nobody another one.
    ///
    /// # Errors
    /// [`Error::Request`] naming `--out`.
    pub fn check(&self) -> Result<()> {
        check("--out", &self.out, self.overwrite)
    }
}

/// The same for the file `path` of the flag `flag`.
///
/// # Errors
/// [`Error::Request`] naming the flag.
pub fn check(flag: &str, path: &Path, overwrite: bool) -> Result<()> {
    let refuse = |why: &str| Err(Error::request(format!("{flag} {}: {why}", path.display())));
    if !directory(path).is_dir() {
        return refuse("there is no such folder; make it, or give another file");
    }
    if path.is_dir() {
        return refuse("that is a folder; give a file");
    }
    if dir::is_own_file(path) {
        return refuse("that is a run's own file; give another");
    }
    if path.exists() && !overwrite {
        return refuse("the file exists; give another, or --overwrite to replace it");
    }
    Ok(())
}
