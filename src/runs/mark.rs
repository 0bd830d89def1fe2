//! By what a file is known again.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data;
use crate::{Error, Result};

/// By what a file is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    pub bytes: u64,
    pub sha256: String,
}

impl FileMark {
    /// Of a file with this content.
    pub fn of(content: &[u8]) -> FileMark {
        FileMark { bytes: content.len() as u64, sha256: data::hex_sha256(content) }
    }

    /// Of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of_file(path: &Path) -> Result<FileMark> {
        Ok(FileMark::of(&fs::read(path).map_err(Error::io(path))?))
    }
}
