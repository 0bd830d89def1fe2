//! `check`: whether runs are whole, and caches of scaled photographs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::Unlock;
use crate::cli::failure::in_flags;
use crate::cli::report::{json_document, write};
use crate::data::celeba;
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
    /// A run, or a folder with runs, sweeps or figures below it; or CelebA's folder, or a cache of it
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
  smoothenc check photos

Reads every file of each run and holds them against each other: checksums,
settings, the data's fingerprints, the model against the numbers measured with
it; and the files of each sweep and figure against their list, files.json. The
exit code is 1 where something stays wrong. A run whose training has not ended
may be whole; go on with it by train --resume. Of CelebA the cache of scaled
photographs is checked; --repair removes one that is damaged or out of date, and
the next command that needs it makes it again.";

/// What is told of a run, of a sweep's or a figure's files, or of a cache.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    of: Checked,
    whole: bool,
    found: Vec<Finding>,
    /// Whether it was removed for what was found.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

impl Report {
    fn new(of: Checked, found: Vec<Finding>) -> Report {
        Report { of, whole: found.is_empty(), found, removed: false }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Checked {
    Run(PathBuf),
    Cache(PathBuf),
}

impl Checked {
    fn path(&self) -> &Path {
        let (Checked::Run(path) | Checked::Cache(path)) = self;
        path
    }
}

/// Checks, and mends where that is asked for.
///
/// # Errors
/// [`Error::Run`] where something is not whole.
pub fn run(args: &CheckArgs, context: &Context) -> Result<()> {
    let mut reports = caches(args)?;
    let (runs, outputs) = match args.folder.is_file() {
        true => (Vec::new(), Vec::new()),
        false => (list::list(&args.folder, &Filter::default())?, output::under(&args.folder, list::DEEPEST)),
    };
    if runs.is_empty() && outputs.is_empty() && reports.is_empty() {
        let what = "has no run, no sweep, no figure, and no cache of scaled photographs";
        return Err(Error::file(&args.folder, what));
    }
    for path in runs.into_iter().map(|entry| entry.path) {
        args.unlock.apply(&path)?;
        let found = check::check(&path, &RunPage);
        let mend = found.iter().any(|finding| finding.mendable)
            || check::lacks_page(&path)
            || check::has_dead_lock(&path);
        let found = match args.repair && mend {
            true => repair(&path, context),
            false => found,
        };
        reports.push(Report::new(Checked::Run(path), found));
    }
    for path in outputs {
        let found = output::check(&path);
        reports.push(Report::new(Checked::Run(path), found));
    }
    let broken = reports.iter().filter(|report| !report.whole && !report.removed).count();
    match args.json {
        true => write(&json_document(&reports)?)?,
        false => write(&reports.iter().map(text).collect::<String>())?,
    }
    match broken {
        0 => Ok(()),
        n => {
            let folders = reports.iter().all(|report| matches!(report.of, Checked::Run(_)));
            let what = if folders { "folders" } else { "things checked" };
            Err(Error::run(format!("{n} of {} {what} are not whole", reports.len())))
        }
    }
}

/// Caches, and what was left of making some; with `repair` those that are not whole are removed, where they are of this
/// program.
fn caches(args: &CheckArgs) -> Result<Vec<Report>> {
    let report = |celeba::Kept { path, wrong, ours }| {
        let removed = args.repair && ours && wrong.is_some();
        if removed {
            celeba::remove(&path)?;
        }
        let finding = |what| Finding { path: path.clone(), what, mendable: ours };
        let found = wrong.into_iter().map(finding).collect();
        Ok(Report { removed, ..Report::new(Checked::Cache(path), found) })
    };
    celeba::check(&args.folder)?.into_iter().map(report).collect()
}

/// Mends a run; what is wrong with it still, and why it could not be mended. It never trains.
fn repair(path: &Path, context: &Context) -> Vec<Finding> {
    let mend = || -> Result<()> {
        check::clean(path, &RunPage)?;
        let run = RunDir::open(path)?;
        if check::is_trained(path) {
            let resumed = Destination::Resume(path.to_path_buf());
            pipeline::complete(&run.config()?, &resumed, context, &RunPage)?.page?;
        }
        Ok(())
    };
    let failed = mend().err();
    let mut found = check::check(path, &RunPage);
    if let Some(error) = failed {
        let what = format!("could not be mended: {}", error.in_full());
        found.push(Finding { path: path.to_path_buf(), what, mendable: false });
    }
    found
}

fn text(report: &Report) -> String {
    let folder = report.of.path().display();
    if report.whole {
        let lacks = matches!(report.of, Checked::Run(_)) && check::lacks_page(report.of.path());
        let page = if lacks { ", but for its page, which --repair writes" } else { "" };
        return format!("{folder}: whole{page}\n");
    }
    if report.removed {
        let found: Vec<&str> = report.found.iter().map(|finding| &*finding.what).collect();
        return format!("{folder} {}: it is removed\n", found.join(", "));
    }
    let line = |finding: &Finding| {
        let name = finding.path.strip_prefix(report.of.path()).unwrap_or(&finding.path);
        let name = if name.as_os_str().is_empty() { folder.to_string() } else { name.display().to_string() };
        let can = if finding.mendable { " (--repair mends it)" } else { "" };
        format!("  {name}: {}{can}\n", in_flags(&finding.what))
    };
    format!("{folder}: not whole\n{}", report.found.iter().map(line).collect::<String>())
}
