//! The one error type of the library: what went wrong, where, why, and what mends it.
//!
//! In texts a setting stands in backticks under its name in a settings file (`` `attack.radii` ``), and so does another
//! argument of the call (`` `overwrite` ``). The command line shows the flag in its place.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// What can go wrong, split by who can mend it. [`Error::hint`] says how, [`StdError::source`] what lay behind it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself was wrong: a setting, a file, a value.
    #[error(transparent)]
    Request(Fault),
    /// More memory was asked for than there is, or than the device has in one piece.
    #[error(transparent)]
    TooLarge(Fault),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Shapes or types that do not fit an op.
    #[error("{op}: {message}")]
    Shape { op: &'static str, message: String },
    /// The device refused or lost something.
    #[error("device: {0}")]
    Device(Fault),
    /// The work failed while it was running.
    #[error(transparent)]
    Run(Fault),
    /// Training ended early as it was asked to. The run's checkpoint holds this step.
    #[error("stopped at step {step}")]
    Stopped { run: PathBuf, step: u64 },
    /// Training ended early at an error. The run's last checkpoint stays.
    #[error("training ended early")]
    Interrupted { run: PathBuf, source: Box<Error> },
    /// A run has not got the file that training writes at its end.
    #[error("{} is missing: the run is not finished", run.join(file).display())]
    Unfinished { run: PathBuf, file: String },
    /// Another process writes the folder.
    #[error("{} is being written by {}", folder.display(), holder.as_deref().unwrap_or("another process"))]
    Locked { folder: PathBuf, holder: Option<String> },
    /// A run has no classifier of this task.
    #[error("{} has no probe of the task {task}", run.display())]
    NoProbe { run: PathBuf, task: String },
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// One thing that went wrong.
#[derive(Debug)]
pub struct Fault {
    place: Option<Place>,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Where something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A setting, by its name in a settings file with the table before it, or another argument.
    Setting(String),
    /// A file or a folder.
    File(PathBuf),
}

impl Error {
    /// A wrong request.
    pub fn request(what: impl Into<String>) -> Self {
        Error::Request(Fault::new(None, what.into()))
    }

    /// A wrong request: the setting or argument `name` is at fault. `what` goes on from the name: "must be positive".
    pub fn setting(name: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Request(Fault::new(Some(Place::Setting(name.into())), what.into()))
    }

    /// A wrong request: a file or folder is not what it should be. `what` goes on from the path: "is truncated".
    pub fn file(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Error::Request(Fault::new(Some(Place::File(path.as_ref().to_path_buf())), what.into()))
    }

    /// More memory was asked for than a device has in one piece.
    pub fn too_large(what: impl Into<String>) -> Self {
        Error::TooLarge(Fault::new(None, what.into()))
    }

    /// This machine has not `bytes` of memory free for `what`.
    pub fn no_memory(what: impl Display, bytes: usize) -> Self {
        let mib = bytes.div_ceil(1 << 20);
        Error::too_large(format!("{what} of {mib} MiB: this machine has not so much memory free"))
    }

    /// A failure of the work itself.
    pub fn run(what: impl Into<String>) -> Self {
        Error::Run(Fault::new(None, what.into()))
    }

    /// The device refused or lost something.
    pub fn device(what: impl Into<String>) -> Self {
        Error::Device(Fault::new(None, what.into()))
    }

    /// Wraps an I/O error with the path it happened at.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// With what mends it, in one clause: "give another folder".
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(fault) = self.fault_mut() {
            fault.hint = Some(hint.into());
        }
        self
    }

    /// With what lay behind it.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        if let Some(fault) = self.fault_mut() {
            fault.source = Some(source.into());
        }
        self
    }

    /// What mends it, if that is known: its own, or that of what lay behind it.
    pub fn hint(&self) -> Option<&str> {
        let own = self.fault().and_then(|fault| fault.hint.as_deref());
        let behind = || self.source()?.downcast_ref::<Error>()?.hint();
        own.or_else(behind)
    }

    /// All of it in one line: what went wrong, what lay behind it, and what mends it.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(why) = cause {
            let words = why.to_string();
            if !text.ends_with(&words) {
                text = format!("{text}: {words}");
            }
            cause = why.source();
        }
        match self.hint() {
            Some(hint) => format!("{text}; {hint}"),
            None => text,
        }
    }

    /// Where it happened, if at one place.
    pub fn place(&self) -> Option<Place> {
        match self {
            Error::Io { path, .. } => Some(Place::File(path.clone())),
            Error::Stopped { run, .. } | Error::Interrupted { run, .. } => Some(Place::File(run.clone())),
            Error::Unfinished { run, file } => Some(Place::File(run.join(file))),
            Error::NoProbe { run, .. } | Error::Locked { folder: run, .. } => Some(Place::File(run.clone())),
            other => other.fault()?.place.clone(),
        }
    }

    /// Whether the request was wrong, and not the work.
    pub fn is_request(&self) -> bool {
        use Error::{NoProbe, Request, TooLarge, Unfinished};
        matches!(self, Request(_) | TooLarge(_) | Unfinished { .. } | NoProbe { .. })
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Error::Request(fault) | Error::TooLarge(fault) | Error::Device(fault) | Error::Run(fault) => {
                Some(fault)
            }
            _ => None,
        }
    }

    fn fault_mut(&mut self) -> Option<&mut Fault> {
        match self {
            Error::Request(fault) | Error::TooLarge(fault) | Error::Device(fault) | Error::Run(fault) => {
                Some(fault)
            }
            _ => None,
        }
    }
}

impl Fault {
    fn new(place: Option<Place>, what: String) -> Self {
        Fault { place, what, hint: None, source: None }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.place {
            Some(Place::Setting(name)) => write!(f, "`{name}` {}", self.what),
            Some(Place::File(path)) => write!(f, "{} {}", path.display(), self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_why_and_how_to_mend() {
        let disk = std::io::Error::other("the disk is gone");
        let inner = Error::file("a/model", "cannot be read").because(disk).with_hint("mount it");
        assert_eq!(inner.to_string(), "a/model cannot be read");
        assert_eq!(inner.source().unwrap().to_string(), "the disk is gone");
        assert_eq!(inner.place(), Some(Place::File("a/model".into())));
        let outer = Error::run("nothing was trained").because(inner);
        assert_eq!(outer.hint(), Some("mount it"), "the nearest hint holds");
        assert_eq!(
            outer.in_full(),
            "nothing was trained: a/model cannot be read: the disk is gone; mount it"
        );
        assert_eq!(Error::setting("attack.radii", "must ascend").to_string(), "`attack.radii` must ascend");
        assert!(Error::setting("eps", "must be positive").is_request() && !outer.is_request());
    }
}
