//! `verify`: whether saved adversarial examples hold.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::report::{json_document, write};
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::examples::{Examples, Fault};
use crate::runs::{LoadedRun, Location};

/// The arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The folder that `attack --save-examples` wrote
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The run that was attacked [default: the path that it was attacked under]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Where the run's data set lies now, if it has moved
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc attack runs/mnist-se-1 --save-examples broken
  smoothenc verify broken
  smoothenc verify broken --run moved/mnist-se-1 --json

Each example is replayed on the CPU: the image and its label must be those of
the data, the perturbed image must lie in [0, 1] and within the radius, and the
classifier must answer as recorded, which is wrong. Model and data must be those
that were attacked. Where an example does not hold, it is named, and the exit
code is 1. A file that was changed since it was written is refused with 2.";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Verdict {
    passed: bool,
    examples: usize,
    failed: Vec<Fault>,
}

/// Replays the examples in a folder.
pub fn run(args: &VerifyArgs, context: &Context) -> Result<()> {
    let examples = Examples::open(&args.dir)?;
    let run = args.run.as_deref().unwrap_or(&examples.about.run);
    let place = Location { device: "cpu", data_dir: args.data_dir.as_deref() };
    let loaded = open(run, place, args, context)?;
    let failed = loaded.replay(&args.dir, &examples)?;
    let all = examples.examples.len();
    if args.json {
        let passed = failed.is_empty();
        write(&json_document(&Verdict { passed, examples: all, failed: failed.clone() })?)?;
    } else {
        print(&examples, &failed)?;
    }
    match failed.len() {
        0 => Ok(()),
        many => Err(Error::run(format!("{many} of {all} examples in {} do not hold", args.dir.display()))),
    }
}

fn open(run: &Path, place: Location, args: &VerifyArgs, context: &Context) -> Result<LoadedRun> {
    if args.run.is_none() && !run.is_dir() {
        return Err(Error::file(run, "is not there, where the run was attacked")
            .with_hint("give the run as --run, from where it lies now"));
    }
    LoadedRun::open(run, place, context)
}

fn print(examples: &Examples, failed: &[Fault]) -> Result<()> {
    let title = |fault: &Fault| examples.title(&examples.examples[fault.example]);
    let mut lines: Vec<String> =
        failed.iter().map(|fault| format!("{}: {}", title(fault), fault.why.join("; "))).collect();
    if failed.is_empty() {
        lines.push(format!("all {} examples hold", examples.examples.len()));
    }
    write(&(lines.join("\n") + "\n"))
}
