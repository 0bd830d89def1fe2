//! Progress bars on a terminal, and the wish to stop.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

static QUIET: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
static HEEDED: AtomicBool = AtomicBool::new(false);

/// Asks whatever runs to stop at its next step; for a signal handler. Returns whether that will
/// happen: false where nothing running looks at the wish, or where it was asked before.
pub fn request_stop() -> bool {
    !STOP.swap(true, Ordering::SeqCst) && HEEDED.load(Ordering::SeqCst)
}

/// True once [`request_stop`] was called.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// While it lives, what runs looks at [`stop_requested`] at every step.
#[derive(Debug)]
pub struct Heeding(());

impl Heeding {
    pub fn start() -> Self {
        HEEDED.store(true, Ordering::SeqCst);
        Heeding(())
    }
}

impl Drop for Heeding {
    fn drop(&mut self) {
        HEEDED.store(false, Ordering::SeqCst);
    }
}

/// Draws no bars from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::SeqCst);
}

/// Whether progress is to be shown: stderr is a terminal, and nobody asked for quiet.
pub fn shown() -> bool {
    !QUIET.load(Ordering::SeqCst) && std::io::stderr().is_terminal()
}

/// A bar on stderr, drawn only where progress is [`shown`].
pub fn bar(title: &'static str, length: u64) -> ProgressBar {
    if !shown() {
        return ProgressBar::hidden();
    }
    let template = "{prefix:>9} [{bar:30}] {pos}/{len}  {msg}  {rate}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn Write| _ = write!(out, "{:.1}/s", state.per_sec());
    let style = style.with_key("rate", rate);
    let bar = ProgressBar::new(length).with_style(style.progress_chars("=> "));
    bar.set_prefix(title);
    bar
}

/// What is being done, on stderr, drawn only where progress is [`shown`].
pub fn spinner(title: &'static str) -> ProgressBar {
    if !shown() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix:>9} {spinner} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.set_prefix(title);
    bar
}
