//! `check`: whether runs are whole.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::Unlock;
use crate::cli::failure::in_flags;
use crate::cli::report::{json_document, write};
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::report::run_page::RunPage;
use crate::runs::check::{self, Finding};
use crate::runs::destination::Destination;
use crate::runs::dir::RunDir;
use crate::runs::list::{self, Filter};
use crate::runs::output;
use crate::runs::pipeline;

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// A run, or a folder with runs, sweeps or figures below it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Make again what is damaged and can be made from what is whole; clear away what was left unfinished
    #[arg(long)]
    pub repair: bool,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub unlock: Unlock,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc check runs/mnist-se-1
  smoothenc check sweeps/grid --repair

Reads every file of each run and holds them against each other: checksums,
settings, the data's fingerprints, the model against the numbers measured with
it; and the files of each sweep and figure against their list, files.json. The
exit code is 1 where something stays wrong. A run whose training has not ended
may be whole; go on with it by train --resume.";

/// What is told of a run, or of a sweep's or a figure's files.
#[derive(Serialize)]
struct Report {
    #[serde(rename = "run")]
    path: PathBuf,
    whole: bool,
    found: Vec<Finding>,
}

/// Checks, and mends where that is asked for.
///
/// # Errors
/// [`Error::Run`] where a run is not whole.
pub fn run(args: &CheckArgs, context: &Context) -> Result<()> {
    let runs: Vec<PathBuf> =
        list::list(&args.folder, &Filter::default())?.into_iter().map(|entry| entry.path).collect();
    let outputs = output::under(&args.folder, list::DEEPEST);
    if runs.is_empty() && outputs.is_empty() {
        return Err(Error::file(&args.folder, "has no run, no sweep and no figure"));
    }
    let mut reports = Vec::new();
    for path in runs {
        args.unlock.apply(&path)?;
        let found = check::check(&path, &RunPage);
        let found = match args.repair && found.iter().any(|finding| finding.mendable) {
            true => repair(&path, found, context)?,
            false => found,
        };
        reports.push(Report { path, whole: found.is_empty(), found });
    }
    for path in outputs {
        let found = output::check(&path);
        reports.push(Report { path, whole: found.is_empty(), found });
    }
    let broken = reports.iter().filter(|report| !report.whole).count();
    match args.json {
        true => write(&json_document(&reports)?)?,
        false => write(&reports.iter().map(text).collect::<String>())?,
    }
    match broken {
        0 => Ok(()),
        n => Err(Error::run(format!("{n} of {} folders are not whole", reports.len()))),
    }
}

/// Mends a run; what is wrong with it still.
fn repair(path: &Path, before: Vec<Finding>, context: &Context) -> Result<Vec<Finding>> {
    check::clean(path, &RunPage)?;
    let run = RunDir::open(path)?;
    if run.result_path().exists() || before.iter().any(|finding| finding.path == run.result_path()) {
        let resumed = Destination::Resume(path.to_path_buf());
        pipeline::complete(&run.config()?, &resumed, context, &RunPage)?.page?;
    }
    Ok(check::check(path, &RunPage))
}

fn text(report: &Report) -> String {
    let folder = report.path.display();
    if report.whole {
        return format!("{folder}: whole\n");
    }
    let line = |finding: &Finding| {
        let name = finding.path.strip_prefix(&report.path).unwrap_or(&finding.path).display();
        let can = if finding.mendable { " (--repair mends it)" } else { "" };
        format!("  {name}: {}{can}\n", in_flags(&finding.what))
    };
    format!("{folder}: not whole\n{}", report.found.iter().map(line).collect::<String>())
}
