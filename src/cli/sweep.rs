//! `sweep`: a grid of settings, compared.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Unlock;
use crate::cli::report::{aligned, write};
use crate::error::Result;
use crate::progress::Context;
use crate::report::sweep::{self, RESULTS};
use crate::runs::short;
use crate::runs::sweep::{Grid, Row};

/// The arguments of `sweep`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SweepArgs {
    /// The grid: a list of values for each setting that varies
    #[arg(value_name = "GRID.toml")]
    pub grid: PathBuf,
    /// Where runs, table and plot go; what is there is gone on with [default: sweeps/GRID]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    #[command(flatten)]
    pub unlock: Unlock,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc sweep grid.toml

where grid.toml may be

  radius = 0.1                # the attack's, at which settings are compared
  [base]                      # settings as in a run's config.toml
  dataset = \"mnist\"
  iterations = 4000
  holdout = 5000              # compare on training images kept out
  [grid]                      # every combination is a run
  gamma = [10, 50, 100]
  eps = [0.1, 0.2]
  seed = [0, 1]               # averaged over

Writes results.csv and pareto.svg, pareto.png: nominal against adversarial
accuracy. Stopped, the same command goes on.";

/// Runs the grid and prints its table.
///
/// # Errors
/// As [`Grid::read`] and [`sweep::make`].
pub fn run(args: &SweepArgs, context: &Context) -> Result<()> {
    args.device.parse::<crate::engine::device::gpu::adapter::Choice>()?;
    let grid = Grid::read(&args.grid, &args.device)?;
    let stem = args.grid.file_stem().map(Path::new).unwrap_or(Path::new("grid"));
    let out = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(stem));
    args.unlock.apply(&out)?;
    let rows = sweep::make(&grid, &out, context)?;
    write(&table(&grid, &rows, &out))
}

/// Best under attack first; a star where no other setting is better in one accuracy and as good in the other.
fn table(grid: &Grid, rows: &[Row], out: &Path) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| b.at_radius.total_cmp(&a.at_radius));
    let mut head: Vec<String> = grid.settings().iter().map(|axis| axis.to_string()).collect();
    head.push("nominal".into());
    head.extend(grid.radii.iter().map(|radius| short(*radius).to_string()));
    let cells = rows.iter().map(|row| {
        let numbers = std::iter::once(row.nominal).chain(row.adversarial.iter().map(|a| a.1));
        let value = |value: &String| if value.is_empty() { "-".into() } else { value.clone() };
        row.values.iter().map(value).chain(numbers.map(|x| format!("{x:.2}"))).collect::<Vec<_>>()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let mut text = format!(
        "accuracy in percent on {}, without an attack and at its radii; * no other is better in both (at {})\n",
        if grid.on_test_images() { "test images" } else { "training images held out" },
        short(grid.radius)
    );
    for (i, line) in aligned(&lines, &[]).into_iter().enumerate() {
        let star = i > 0 && rows[i - 1].efficient;
        text += &format!("{} {line}\n", if star { "*" } else { " " });
    }
    text + &format!("\n{}\n", out.join(RESULTS).display())
}
