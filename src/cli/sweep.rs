//! `sweep`: a grid of settings, compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::cli::Unlock;
use crate::cli::report::{aligned, write};
use crate::error::{Error, Result};
use crate::files::disk;
use crate::files::lock::Lock;
use crate::progress::Context;
use crate::report::run_page::RunPage;
use crate::report::{self, Chart, Series};
use crate::runs::short;
use crate::runs::store::Runs;
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
/// As [`Grid::read`] and [`Grid::run`].
pub fn run(args: &SweepArgs, context: &Context) -> Result<()> {
    args.device.parse::<crate::engine::device::gpu::adapter::Choice>()?;
    let grid = Grid::read(&args.grid, &args.device)?;
    let stem = args.grid.file_stem().map(Path::new).unwrap_or(Path::new("grid"));
    let out = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(stem));
    args.unlock.apply(&out)?;
    disk::create_directories(&out).map_err(|error| Error::file(&out, "cannot be made").because(error))?;
    let _lock = Lock::take(&out)?;
    let rows = grid.run(&Runs::new(out.join("runs"), context.clone(), Arc::new(RunPage)))?;
    write_csv(&out.join("results.csv"), &grid, &rows)?;
    pareto(&grid, &rows).drawing().save(&out, "pareto")?;
    write(&table(&grid, &rows, &out))
}

/// The settings that vary, but the seed.
fn settings(grid: &Grid) -> Vec<&str> {
    grid.axes.iter().map(String::as_str).filter(|axis| *axis != "seed").collect()
}

fn write_csv(path: &Path, grid: &Grid, rows: &[Row]) -> Result<()> {
    let radii: Vec<String> =
        grid.radii.iter().map(|radius| format!("adversarial_{}", short(*radius))).collect();
    let mut head = settings(grid);
    head.extend(["seeds", "nominal"]);
    head.extend(radii.iter().map(String::as_str));
    head.extend(["pareto", "runs"]);
    let line = |row: &Row| {
        let mut cells = row.values.clone();
        cells.extend([row.seeds.to_string(), format!("{:.2}", row.nominal)]);
        cells.extend(row.adversarial.iter().map(|(_, accuracy)| format!("{accuracy:.2}")));
        cells.extend([u8::from(row.efficient).to_string(), row.runs.join(" ")]);
        cells
    };
    report::write_csv(path, &head, &rows.iter().map(line).collect::<Vec<_>>())
}

/// Nominal against adversarial accuracy, the settings that no other beats in both joined by a line.
fn pareto(grid: &Grid, rows: &[Row]) -> Chart {
    let point = |row: &&Row| (row.nominal, row.at_radius);
    let (mut front, rest): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.efficient);
    front.sort_by(|a, b| a.nominal.total_cmp(&b.nominal));
    let under = format!("Accuracy under attack, radius {} (%)", short(grid.radius));
    let title = format!("Sweep of {}", settings(grid).join(", "));
    Chart::new(title, "Accuracy without an attack (%)", under)
        .with(Series::marked("no other is better in both", front.iter().map(point)))
        .with(Series::points("beaten in both", rest.iter().map(point)))
}

/// Best under attack first; a star where no other setting is better in one accuracy and as good in the other.
fn table(grid: &Grid, rows: &[Row], out: &Path) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| b.at_radius.total_cmp(&a.at_radius));
    let mut head: Vec<String> = settings(grid).iter().map(|axis| axis.to_string()).collect();
    head.push("nominal".into());
    head.extend(grid.radii.iter().map(|radius| short(*radius).to_string()));
    let cells = rows.iter().map(|row| {
        let numbers = std::iter::once(row.nominal).chain(row.adversarial.iter().map(|a| a.1));
        row.values.iter().cloned().chain(numbers.map(|x| format!("{x:.2}"))).collect::<Vec<_>>()
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
    text + &format!("\n{}\n", out.join("results.csv").display())
}
