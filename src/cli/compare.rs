//! `compare`: several runs side by side.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::in_flags;
use crate::cli::report::{aligned, json_document, write};
use crate::error::{Error, Result};
use crate::report::compare_page::{self, ABOUT, PAGE, RESULTS, Table};
use crate::runs::compare::{Comparison, compare};
use crate::runs::output::LIST;
use crate::runs::paired::Paired;

/// The arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// The runs' directories, two or more, on one data set
    #[arg(value_name = "RUN", num_args = 2.., required = true)]
    pub runs: Vec<PathBuf>,
    /// The folder for a page, report.html, and a table, results.csv
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace these two files if they exist
    #[arg(long, requires = "out")]
    pub overwrite: bool,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc compare runs/mnist-se-1 runs/mnist-vae-1
  smoothenc compare runs/mnist-* --out comparison

The table has the settings that differ and the accuracies: on all test images,
and on those attacked with 95 % intervals, at the radii that all runs share.
results.csv has them at every radius.";

/// Compares the runs, writes what is to be written and prints the table.
///
/// # Errors
/// [`Error::Request`] for runs that cannot be compared, and for files that exist.
pub fn run(args: &CompareArgs) -> Result<()> {
    let comparison = compare(&args.runs)?;
    if let Some(out) = &args.out {
        prepare(out, args.overwrite)?;
        compare_page::write(&comparison, out)?;
    }
    match args.json {
        true => write(&json_document(&comparison)?),
        false => write(&text(&comparison, args.out.as_deref())),
    }
}

/// Makes the folder, where that costs nobody a file.
fn prepare(out: &Path, overwrite: bool) -> Result<()> {
    let refuse = |why: String| Err(Error::request(format!("--out {}: {why}", out.display())));
    if out.join("config.toml").exists() {
        return refuse("that is a run, whose own report.html would be lost; give another folder".into());
    }
    if let Some(there) =
        [PAGE, RESULTS, LIST].iter().find(|name| out.join(name).exists()).filter(|_| !overwrite)
    {
        return refuse(format!("it has a {there}; give another folder, or --overwrite to replace it"));
    }
    fs::create_dir_all(out).or_else(|error| refuse(format!("the folder cannot be made: {error}")))
}

fn text(comparison: &Comparison, out: Option<&Path>) -> String {
    let Table { heading, rows } = compare_page::table(comparison);
    let lines = aligned(&[vec![heading], rows].concat(), &[0]);
    let mut text = format!("{}\n\n{}\n", ABOUT.join("\n"), lines.join("\n"));
    if !comparison.paired.is_empty() {
        let tests: Vec<String> = comparison.paired.iter().map(Paired::text).collect();
        text += &format!("\n{}\n{}\n", compare_page::PAIRED, tests.join("\n"));
    }
    if !comparison.remarks.is_empty() {
        text += &format!("\n{}\n", in_flags(&comparison.remarks.join("\n")));
    }
    if let Some(out) = out {
        text += &format!("\n{}\n", out.join(PAGE).display());
    }
    text
}
