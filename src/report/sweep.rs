//! A sweep's files: its runs, their table and the plot of nominal against adversarial accuracy.

use std::path::Path;
use std::sync::Arc;

use super::run_page::RunPage;
use super::{Chart, Series, csv_file};
use crate::error::{Error, Result};
use crate::files::disk;
use crate::files::lock::Lock;
use crate::progress::Context;
use crate::runs::output::{self, Files};
use crate::runs::short;
use crate::runs::store::Runs;
use crate::runs::sweep::{Grid, Row};

/// The table's file.
pub const RESULTS: &str = "results.csv";

/// Makes what is missing of a grid's runs in `folder`, then its table and plot.
///
/// # Errors
/// As [`Grid::run`]; [`Error::Request`] for a folder that is a run, has the data, or has files of others where these
/// are to be; [`Error::Locked`] where another process makes the sweep.
pub fn make(grid: &Grid, folder: &Path, context: &Context) -> Result<Vec<Row>> {
    output::check_place(folder, &grid.data_folders())?;
    disk::create_directories(folder).map_err(|error| Error::file(folder, "cannot be made").because(error))?;
    let _lock = Lock::take(folder)?;
    output::prepare(folder, &[RESULTS, "pareto.svg", "pareto.png"])?;
    let rows = grid.run(&Runs::new(folder.join("runs"), context.clone(), Arc::new(RunPage)))?;
    let mut files = Files::from(pareto(grid, &rows).drawing().files("pareto")?);
    files.insert(RESULTS.into(), csv(grid, &rows)?);
    output::write(folder, &files)?;
    Ok(rows)
}

fn csv(grid: &Grid, rows: &[Row]) -> Result<Vec<u8>> {
    let radii: Vec<String> =
        grid.radii.iter().map(|radius| format!("adversarial_{}", short(*radius))).collect();
    let mut head = grid.settings();
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
    csv_file(RESULTS, &head, &rows.iter().map(line).collect::<Vec<_>>())
}

/// Nominal against adversarial accuracy, the settings that no other beats in both joined by a line.
fn pareto(grid: &Grid, rows: &[Row]) -> Chart {
    let point = |row: &&Row| (row.nominal, row.at_radius);
    let (mut front, rest): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.efficient);
    front.sort_by(|a, b| a.nominal.total_cmp(&b.nominal));
    let under = format!("Accuracy under attack, radius {} (%)", short(grid.radius));
    let title = format!("Sweep of {}", grid.settings().join(", "));
    Chart::new(title, "Accuracy without an attack (%)", under)
        .with(Series::marked("no other is better in both", front.iter().map(point)))
        .with(Series::points("beaten in both", rest.iter().map(point)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::files::disk::faults::{self, Fault};
    use crate::runs::check::check;
    use crate::runs::{list, made_up};

    /// The text of every file under `folder` that is the same each time, and the names of the others.
    fn content(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(content(&path));
            } else {
                let name = path.file_name().unwrap().to_string_lossy();
                let same = ["results.csv", "pareto.svg", "pareto.png", "config.toml"].contains(&&*name);
                // The name of a tensorboard file has the time.
                let path = if name.starts_with("events") { path.with_file_name("events") } else { path };
                found.insert(path.clone(), same.then(|| fs::read(&path).unwrap()));
            }
        }
        found
    }

    /// Strikes every `stride`-th call by each fault; the same command again then ends as one that nothing struck.
    fn strike(stride: usize) {
        let base = tempfile::tempdir().unwrap();
        let settings = made_up::quick_settings(base.path());
        let (top, attack) = settings.split_once("[attack]").unwrap();
        let (top, probe) = top.split_once("[probe]").unwrap();
        let text = format!("[base]\n{top}[base.probe]{probe}[base.attack]{attack}[grid]\ngamma = [1, 2]\n");
        let path = base.path().join("grid.toml");
        fs::write(&path, text).unwrap();
        let grid = Grid::read(&path, "cpu").unwrap();
        let folder = base.path().join("sweep");
        let sweep = || make(&grid, &folder, &Context::silent());
        let (made, calls) = faults::count(sweep);
        made.unwrap();
        let whole = content(&folder);
        for (fault, at) in faults::strikes("sweep", stride, calls) {
            fs::remove_dir_all(&folder).unwrap();
            let (struck, _) = faults::with(at, fault, sweep);
            assert!(struck.is_err() || fault != Fault::Kill, "{fault:?} at {at}: nobody noticed");
            sweep().unwrap_or_else(|error| panic!("{fault:?} at {at}: {}", error.in_full()));
            let found = content(&folder);
            let differ = |path: &&PathBuf| found.get(*path) != whole.get(*path);
            let other: Vec<_> = found.keys().chain(whole.keys()).filter(differ).collect();
            assert!(other.is_empty(), "{fault:?} at {at} of {calls}: {other:?}");
            assert_eq!(output::check(&folder), []);
            for entry in list::list(&folder, &list::Filter::default()).unwrap() {
                assert_eq!(check(&entry.path, &RunPage), [], "{fault:?} at {at} of {calls}");
            }
        }
    }

    #[test]
    fn whatever_fails_the_same_command_goes_on() {
        strike(61);
    }

    #[test]
    #[ignore = "long: every call by every fault"]
    fn whatever_fails_at_every_call_the_same_command_goes_on() {
        strike(1);
    }
}
