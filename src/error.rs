//! The one error type of the library.

use std::path::{Path, PathBuf};

/// What can go wrong, split by who can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself was wrong (a flag, a file, a value).
    /// The text names the flag, field or file and says what to do instead.
    #[error("{0}")]
    Request(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Shapes or types that do not fit an op.
    #[error("{op}: {message}")]
    Shape { op: &'static str, message: String },
    /// The device refused or lost something.
    #[error("device: {0}")]
    Device(String),
    /// The work failed while it was running.
    #[error("{0}")]
    Run(String),
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A wrong request: names the flag, field or file, and the fix.
    pub fn request(text: impl Into<String>) -> Self {
        Error::Request(text.into())
    }

    /// A failure of the work itself.
    pub fn run(text: impl Into<String>) -> Self {
        Error::Run(text.into())
    }

    /// Wraps an I/O error with the path it happened at.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// Whether the request was wrong, and not the work.
    pub fn is_request(&self) -> bool {
        matches!(self, Error::Request(_))
    }
}
