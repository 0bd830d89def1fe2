//! `--out` of the commands that write one file.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};

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
        let refuse = |why: &str| Err(Error::request(format!("--out {}: {why}", self.out.display())));
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return refuse("there is no such folder; make it, or give another file");
        }
        if self.out.is_dir() {
            return refuse("that is a folder; give a file");
        }
        if self.out.exists() && !self.overwrite {
            return refuse("the file exists; give another, or --overwrite to replace it");
        }
        Ok(())
    }
}
