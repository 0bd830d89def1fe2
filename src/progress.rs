//! How work tells how far it has come, and how it is asked to stop. The library draws nothing and installs no
//! handler: whoever starts the work passes a [`Context`].

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;
use crate::engine::device::{self, Device, Tuning};

/// Told of work as it goes on.
pub trait Observer: Debug + Send + Sync {
    /// Work named `title` begins, `done` of `total` units done already; a `total` of 0 is not known yet.
    fn begin(&self, title: &'static str, done: u64, total: u64) -> Box<dyn Task>;

    /// One line for people: what comes next.
    fn say(&self, line: &str);
}

/// One piece of work under way. It ends when it is dropped.
pub trait Task: Send + Sync {
    /// So many units of so many are done.
    fn advance(&self, done: u64, total: u64);

    /// What is being done just now.
    fn note(&self, text: &str);
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _title: &'static str, _done: u64, _total: u64) -> Box<dyn Task> {
        Box::new(Silent)
    }

    fn say(&self, _line: &str) {}
}

impl Task for Silent {
    fn advance(&self, _done: u64, _total: u64) {}

    fn note(&self, _text: &str) {}
}

/// A wish to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requested: AtomicBool,
    watchers: AtomicUsize,
    run: Mutex<Option<PathBuf>>,
}

/// While it lives, some work looks at the wish at every step.
#[derive(Debug)]
pub struct Watching(Stop);

impl Stop {
    /// Asks whatever runs to stop at its next step; for a signal handler. Returns whether that will happen: false where
    /// nothing that runs looks at the wish, or where it was asked before.
    pub fn request(&self) -> bool {
        !self.0.requested.swap(true, Ordering::SeqCst) && self.0.watchers.load(Ordering::SeqCst) > 0
    }

    /// True once [`request`](Self::request) was called.
    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Names the run that is being made, for whoever tells how to go on with it.
    pub fn works_on(&self, run: &Path) {
        *self.0.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.to_path_buf());
    }

    /// The run that was named last.
    pub fn run(&self) -> Option<PathBuf> {
        self.0.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Declares that the caller looks at the wish until the result is dropped.
    pub fn watch(&self) -> Watching {
        self.0.watchers.fetch_add(1, Ordering::SeqCst);
        Watching(self.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What work is passed: whom to tell, whether to stop, how to open devices.
#[derive(Debug, Clone)]
pub struct Context {
    pub observer: Arc<dyn Observer>,
    pub stop: Stop,
    pub tuning: Tuning,
}

impl Context {
    /// Tells nobody, is never stopped and tunes no device.
    pub fn silent() -> Self {
        Context { observer: Arc::new(Silent), stop: Stop::default(), tuning: Tuning::Off }
    }

    /// Opens a device.
    ///
    /// # Errors
    /// As [`device::open`].
    pub fn open(&self, choice: &str, checked: bool) -> Result<Device> {
        device::open_tuned(choice, checked, &self.tuning)
    }

    /// See [`Observer::begin`].
    pub fn begin(&self, title: &'static str, done: u64, total: u64) -> Box<dyn Task> {
        self.observer.begin(title, done, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_heeded_once_and_only_while_something_watches() {
        let stop = Stop::default();
        assert!(!stop.request(), "nothing watches");
        let stop = Stop::default();
        let watching = stop.watch();
        assert!(!stop.requested());
        assert!(stop.clone().request() && stop.requested());
        assert!(!stop.request(), "asked before");
        drop(watching);
        let left = Stop::default();
        drop(left.watch());
        assert!(!left.request(), "nothing watches any more");
    }
}
