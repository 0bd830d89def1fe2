//! Progress on stderr: bars, drawn only where that is a terminal, or with `-v` lines, wherever it goes.

use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::cli::Talk;
use crate::engine::device::Tuning;
use crate::progress::{Context, Observer, Silent, Stop, Task};

/// Draws a bar for each piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Bars;

/// Logs a line where work begins; what came of it is logged by the work.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

/// Work that is told as `talk` says, ends by `stop` and tunes devices so.
pub fn context(stop: Stop, talk: Talk, tuning: Tuning) -> Context {
    let observer: Arc<dyn Observer> = match (talk.quiet, talk.verbose) {
        (true, _) => Arc::new(Silent),
        (false, 0) => Arc::new(Bars),
        // Bars would be torn by the lines.
        (false, _) => Arc::new(Lines),
    };
    Context { observer, stop, tuning }
}

impl Observer for Bars {
    fn begin(&self, title: &'static str, done: u64, total: u64) -> Box<dyn Task> {
        let template = "{prefix:>9} [{bar:30}] {pos}/{len}  {msg}  {rate}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, out: &mut dyn Write| _ = write!(out, "{:.1}/s", state.per_sec());
        let style = style.with_key("rate", rate);
        let bar = ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_position(done);
        bar.set_prefix(title);
        bar.reset_eta();
        Box::new(Bar(bar))
    }

    fn say(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            // Where stderr is closed nobody looks.
            _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

impl Observer for Lines {
    fn begin(&self, title: &'static str, done: u64, total: u64) -> Box<dyn Task> {
        match (done, total) {
            (_, 0) => log::info!("{title} begins"),
            (0, _) => log::info!("{title} begins, {total} to do"),
            _ => log::info!("{title} goes on after {done} of {total}"),
        }
        Box::new(Silent)
    }

    fn say(&self, line: &str) {
        log::info!("{line}");
    }
}

struct Bar(ProgressBar);

impl Task for Bar {
    fn advance(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    fn note(&self, text: &str) {
        self.0.set_message(text.to_string());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
