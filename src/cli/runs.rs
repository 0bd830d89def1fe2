//! `runs`: the runs under a folder, one line each.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::failure::in_flags;
use crate::cli::report::{aligned, json_document, write};
use crate::error::Result;
use crate::runs::config::{Arch, Norm, Objective};
use crate::runs::list::{Entry, Filter, Summary, list};
use crate::runs::record::AttackResult;
use crate::runs::{short, shown};

/// The arguments of `runs`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunsArgs {
    /// The folder to look in, and up to four folders below it
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
    /// Only runs on this data set
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Only runs with this objective
    #[arg(long, value_name = "NAME", value_enum)]
    pub objective: Option<Objective>,
    /// Only runs with these networks
    #[arg(long, value_name = "NAME", value_enum)]
    pub arch: Option<Arch>,
    /// Only runs that are trained to the end and measured
    #[arg(long)]
    pub finished: bool,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc runs
  smoothenc runs sweeps/grid --objective se --finished
  smoothenc runs --json | jq -r '.[] | select(.finished) | .path'

A run that does not read is listed with the reason, whatever is asked for.";

/// Lists the runs.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) where there is no such folder.
pub fn run(args: &RunsArgs) -> Result<()> {
    let RunsArgs { folder, dataset, objective, arch, finished, json } = args;
    let filter = Filter { dataset: dataset.clone(), objective: *objective, arch: *arch, finished: *finished };
    let found = list(folder, &filter)?;
    if *json {
        return write(&json_document(&found.iter().map(document).collect::<Vec<_>>())?);
    }
    if found.is_empty() {
        let of_these = if filter == Filter::default() { "" } else { " of these" };
        return write(&format!("no runs{of_these} under {}\n", folder.display()));
    }
    write(&table(&found))
}

/// What `--json` has of a run.
#[derive(Serialize)]
struct Document<'a> {
    path: String,
    #[serde(flatten)]
    run: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn document(entry: &Entry) -> Document<'_> {
    let error = entry.run.as_ref().err().map(|error| in_flags(&error.in_full()));
    Document { path: entry.path.display().to_string(), run: entry.run.as_ref().ok(), error }
}

fn table(found: &[Entry]) -> String {
    let read = || found.iter().filter_map(|entry| Some((entry, entry.run.as_ref().ok()?)));
    let heading = ["run", "data set", "arch", "objective", "seed", "steps", "clean", "under attack"];
    let rows = read().map(|(entry, run)| row(entry, run));
    let rows: Vec<_> = std::iter::once(heading.map(String::from).to_vec()).chain(rows).collect();
    let mut lines = aligned(&rows, &[0, 1, 2, 3, 7]).into_iter();
    let mut text = String::new();
    if rows.len() > 1 {
        text += "accuracy in percent, of several tasks their mean; under attack as radius:accuracy\n";
        text += &(lines.next().unwrap_or_default() + "\n");
    }
    for entry in found {
        text += &match &entry.run {
            Ok(_) => lines.next().unwrap_or_default() + "\n",
            // Some errors quote a file over several lines.
            Err(error) => {
                let reason = in_flags(&error.in_full()).split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{}  does not read: {reason}\n", entry.path.display())
            }
        };
    }
    if read().any(|(_, run)| !own_probes(run)) {
        text += "* with probes on a part of the labels, or with every class equally often\n";
    }
    text
}

fn row(entry: &Entry, run: &Summary) -> Vec<String> {
    let star = if own_probes(run) { "" } else { "*" };
    let clean = match run.tasks.len() {
        0 => "-".into(),
        n => format!("{:.2}{star}", run.tasks.values().map(|t| t.nominal_accuracy).sum::<f64>() / n as f64),
    };
    vec![
        entry.path.display().to_string(),
        run.dataset.clone(),
        run.arch.to_string(),
        run.objective.to_string(),
        run.seed.to_string(),
        format!("{}/{}", run.steps_done, run.steps),
        clean,
        under_attack(run),
    ]
}

fn own_probes(run: &Summary) -> bool {
    run.tasks.values().all(|task| task.has_own_probe(run.seed))
}

/// The means over the tasks at each radius; in words where they cannot be averaged.
fn under_attack(run: &Summary) -> String {
    let attacks: Vec<&AttackResult> = run.tasks.values().filter_map(|task| task.attack.as_ref()).collect();
    let Some(first) = attacks.first() else { return "-".into() };
    let radii = |attack: &AttackResult| attack.adversarial_accuracy.iter().map(|r| r.0).collect::<Vec<_>>();
    let kind = |attack: &AttackResult| (attack.title(), radii(attack));
    if attacks.iter().any(|other| kind(other) != kind(first)) {
        return "by task, see the run's page".into();
    }
    let mean = |k: usize| {
        attacks.iter().map(|attack| attack.adversarial_accuracy[k].1).sum::<f64>() / attacks.len() as f64
    };
    let cells = radii(first)
        .into_iter()
        .enumerate()
        .map(|(k, radius)| format!("{}:{:.2}", shown(short(radius)), mean(k)));
    // L-infinity is what nearly all runs are attacked in.
    let norm = (first.norm != Norm::Linf).then(|| format!("{}:", first.norm));
    norm.into_iter().chain(cells).collect::<Vec<_>>().join(" ")
}
