//! `reproduce`: the paper's figures and tables.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Unlock;
use crate::cli::report::write;
use crate::error::Result;
use crate::progress::Context;
use crate::reproduce::{self, Outcome, Request, What};
use crate::runs::config::Preset;

/// The arguments of `reproduce`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReproduceArgs {
    /// The figure or table
    #[arg(value_name = "WHAT", value_enum)]
    pub what: What,
    /// Settings to start from
    #[arg(long, value_name = "NAME", value_enum, default_value = "quick")]
    pub preset: Preset,
    /// Where data, pictures, settings.toml, claims.json and report.html go [default: reproductions/WHAT]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Folder of CelebA in its official layout [default: synthetic faces, drawn on first use]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Lay the settings of a file over those of every run, such as a shorter training to try it out
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub unlock: Unlock,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc reproduce fig5
  smoothenc reproduce all
  smoothenc reproduce table1 --preset paper --device gpu --data-dir celeba

Trains what a figure needs and is not there, and writes its data (CSV), its
picture (SVG and PNG), every setting (settings.toml), each claim of the paper
beside what was measured (claims.json), and one page with all of it
(report.html). Stopped, the same command goes on. A claim that does not
reproduce is a result, and the exit code still 0.";

/// Reproduces, and prints each claim as soon as it is judged.
///
/// # Errors
/// As [`reproduce::run`].
pub fn run(args: &ReproduceArgs, context: &Context) -> Result<()> {
    let ReproduceArgs { what, preset, .. } = *args;
    args.unlock.apply(reproduce::root(args.out.as_deref()))?;
    let request = Request {
        what,
        preset,
        out: args.out.as_deref(),
        device: &args.device,
        data_dir: args.data_dir.as_deref(),
        config: args.config.as_deref(),
    };
    let outcomes = reproduce::run(&request, context, &mut |outcome| write(&text(outcome)))?;
    let all = || outcomes.iter().flat_map(|outcome| &outcome.claims);
    match all().next() {
        Some(_) => write(&format!("\n{}\n", reproduce::tally(all()))),
        None => Ok(()),
    }
}

fn text(outcome: &Outcome) -> String {
    let claims: String = outcome.claims.iter().map(|claim| claim.text()).collect();
    let none = match outcome.claims.is_empty() {
        true => format!("  {} makes no claim\n", outcome.what.name()),
        false => String::new(),
    };
    format!("{} -> {}\n{claims}{none}", outcome.what.name(), outcome.folder.display())
}
