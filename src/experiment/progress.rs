//! Progress bars on a terminal, and the wish to stop.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

static STOP: AtomicBool = AtomicBool::new(false);

/// Asks whatever runs to stop at its next step; for a signal handler. Returns whether it had
/// been asked before.
pub fn request_stop() -> bool {
    STOP.swap(true, Ordering::Relaxed)
}

/// True once [`request_stop`] was called.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// A bar on stderr, drawn only where that is a terminal.
pub fn bar(title: &'static str, length: u64) -> ProgressBar {
    let template = "{prefix:>9} [{bar:30}] {pos}/{len}  {msg}  {rate}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn Write| _ = write!(out, "{:.1}/s", state.per_sec());
    let style = style.with_key("rate", rate);
    let bar = ProgressBar::new(length).with_style(style.progress_chars("=> "));
    bar.set_prefix(title);
    bar
}
