//! Several runs compared: their table, `report.html` and `results.csv`.

use std::path::Path;

use serde_json::Value;

use crate::error::Result;
use crate::files::lock::Lock;
use crate::report::html::{Block, Page, Section};
use crate::report::run_page::{SIZE, radius_axis};
use crate::report::{Chart, Drawing, SYNTHETIC_FACES, Series, csv_file};
use crate::runs::compare::{Attacked, Compared, Comparison, Measured, Point};
use crate::runs::output::{self, Files};
use crate::runs::paired::Paired;
use crate::runs::record::in_words;
use crate::runs::shown;

/// The page's file.
pub const PAGE: &str = "report.html";
/// The file of all accuracies, one a line.
pub const RESULTS: &str = "results.csv";

/// What a table of accuracies says above it, in lines.
pub const ABOUT: [&str; 2] = [
    "Accuracy in percent: on all test images; then on the images attacked, without an attack",
    "(radius 0) and at the radii that all attacked runs share, with 95 % intervals (Wilson).",
];

/// What stands above the paired tests.
pub const PAIRED: &str = "Images that only one of two runs has right, with the probability of so uneven a split by \
                          chance (McNemar, exact):";

/// A heading and rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub heading: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Writes the page and the results into a folder, whatever is there.
///
/// # Errors
/// [`Error::Io`] naming the file; [`Error::Locked`] where another process writes the folder.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<()> {
    let _lock = Lock::take(folder)?;
    let page = page(comparison).html().into_bytes();
    output::replace(folder, &Files::from([(RESULTS.into(), csv(comparison)?), (PAGE.into(), page)]))
}

/// A line for each run, of several tasks one for each of them.
pub fn table(comparison: &Comparison) -> Table {
    let several = comparison.tasks().count() > 1;
    let radii = all_radii(comparison);
    let task = several.then(|| "task".to_string());
    let heading = ["run".to_string()].into_iter().chain(comparison.differing.iter().cloned()).chain(task);
    let heading =
        heading.chain(["accuracy".to_string()]).chain(radii.iter().map(|&radius| shown(radius))).collect();
    let rows = comparison.runs.iter().flat_map(|run| {
        comparison.tasks().filter_map(|task| Some((run, task, run.tasks.get(task)?))).collect::<Vec<_>>()
    });
    let rows =
        rows.map(|(run, task, measured)| {
            let mut row = vec![run.run.clone()];
            row.extend(run.settings.values().map(plain));
            row.extend(several.then(|| task.clone()));
            row.push(format!("{:.2}", measured.accuracy));
            let common = &comparison.common_radii[task];
            row.extend(radii.iter().map(|radius| {
                measured.at(*radius).filter(|_| common.contains(radius)).map_or("-".into(), cell)
            }));
            row
        });
    Table { rows: rows.collect(), heading }
}

/// The common radii of all tasks, ascending.
fn all_radii(comparison: &Comparison) -> Vec<f64> {
    let mut radii: Vec<f64> = comparison.common_radii.values().flatten().copied().collect();
    radii.sort_by(f64::total_cmp);
    radii.dedup();
    radii
}

fn cell(point: &Point) -> String {
    format!("{:.2} [{:.1}, {:.1}]", point.accuracy, point.low, point.high)
}

/// A setting's value in a table.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        // 100 and not 100.0, as flags are given.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    }
}

fn page(comparison: &Comparison) -> Page {
    let charts = comparison.tasks().filter_map(|task| chart(comparison, task)).collect::<Vec<_>>();
    let security = Section::new("security", "Accuracy under attack");
    let security = match charts.is_empty() {
        true => security.text("None of the runs was attacked; smoothenc attack RUN does it."),
        false => security
            .text("On the images attacked, with 95 % intervals; radius 0 is without an attack.")
            .with(Block::Charts(charts)),
    };
    let Table { heading, rows } = table(comparison);
    let accuracy =
        Section::new("accuracy", "Accuracy").text(ABOUT.join(" ")).with(Block::Table { heading, rows });
    Page {
        title: format!("{} runs on {} compared", comparison.runs.len(), comparison.dataset),
        about: comparison.remarks.clone(),
        warning: if comparison.synthetic { SYNTHETIC_FACES.into() } else { String::new() },
        sections: [Some(security), Some(accuracy), paired(comparison), Some(settings(comparison))]
            .into_iter()
            .flatten()
            .collect(),
        of: String::new(),
    }
}

/// The security curves of a task, a line for each run. Where attacks differ, a run's is in its name.
fn chart(comparison: &Comparison, task: &str) -> Option<Drawing> {
    let attacked = |run: &'_ Compared| -> Option<_> { run.tasks.get(task)?.attack.clone() };
    let curves: Vec<_> =
        comparison.runs.iter().filter_map(|run| Some((run.name.clone(), attacked(run)?))).collect();
    let (_, first) = curves.first()?;
    let kind = |attack: &Attacked| (attack.norm, in_words(&attack.attacks, attack.steps, attack.restarts));
    let alike = curves.iter().all(|(_, attack)| kind(attack) == kind(first));
    let one_norm = curves.iter().all(|(_, attack)| attack.norm == first.norm);
    let axis = if one_norm { radius_axis(first.norm) } else { "radius (pixels in [0, 1])".into() };
    let title = if comparison.tasks().count() > 1 { task } else { "" };
    let mut chart = Chart::new(title, axis, "accuracy (%)").y_range(0.0, 100.0).size(SIZE.0, SIZE.1);
    for (name, attack) in &curves {
        let (norm, tried) = kind(attack);
        let name = if alike { name.clone() } else { format!("{name} ({}, {tried})", norm.title()) };
        let points = attack.curve.iter().map(|point| (point.radius, point.accuracy));
        let ends = attack.curve.iter().map(|point| (point.low, point.high));
        chart = chart.with(Series::marked(name, points).whiskers(ends));
    }
    Some(chart.drawing())
}

/// The paired tests, where there are some.
fn paired(comparison: &Comparison) -> Option<Section> {
    let heading = ["task", "radius", "run", "only it", "against", "only that", "p"].map(String::from);
    let row = |test: &Paired| {
        let Paired { task, radius, runs: [first, second], only, p } = test;
        let [of_first, of_second] = only.map(|count| count.to_string());
        let (first, second) = (first.clone(), second.clone());
        vec![task.clone(), shown(*radius), second, of_second, first, of_first, format!("{p:.2e}")]
    };
    let rows: Vec<_> = comparison.paired.iter().map(row).collect();
    let section = Section::new("paired", "On the same images").text(PAIRED);
    (!rows.is_empty()).then(|| section.with(Block::Words { heading: heading.to_vec(), rows }))
}

fn settings(comparison: &Comparison) -> Section {
    let section = Section::new("settings", "Settings that differ");
    if comparison.differing.is_empty() {
        return section.text("None that a number depends on.");
    }
    let heading = ["run".to_string()].into_iter().chain(comparison.differing.iter().cloned()).collect();
    let row = |run: &Compared| {
        [run.run.clone()].into_iter().chain(run.settings.values().map(plain)).collect::<Vec<_>>()
    };
    section.with(Block::Table { heading, rows: comparison.runs.iter().map(row).collect() })
}

/// Every accuracy, one a line: also at radii that not all runs share.
fn csv(comparison: &Comparison) -> Result<Vec<u8>> {
    let differing = comparison.differing.iter().map(String::as_str);
    let fixed = ["task", "norm", "attack", "examples", "radius", "accuracy", "low", "high"];
    let heading: Vec<&str> = ["run"].into_iter().chain(differing).chain(fixed).collect();
    let mut rows = Vec::new();
    for run in &comparison.runs {
        for (task, measured) in &run.tasks {
            for rest in lines(measured) {
                let settings = run.settings.values().map(plain);
                let line = [run.run.clone()].into_iter().chain(settings).chain([task.clone()]).chain(rest);
                rows.push(line.collect());
            }
        }
    }
    csv_file(RESULTS, &heading, &rows)
}

/// The last cells of a task's lines: first the accuracy on all test images, whose number a run does not keep, then
/// those on the images attacked.
fn lines(measured: &Measured) -> Vec<[String; 7]> {
    let blank = String::new;
    let all = [blank(), blank(), blank(), blank(), format!("{:.2}", measured.accuracy), blank(), blank()];
    let attacked = measured.attack.iter().flat_map(|attack| {
        let percent = |value: f64| format!("{value:.2}");
        attack.curve.iter().map(move |&Point { radius, accuracy, low, high }| {
            let [accuracy, low, high] = [accuracy, low, high].map(percent);
            let Attacked { attacks, norm, steps, restarts, examples, .. } = attack;
            let tried = in_words(attacks, *steps, *restarts);
            [norm.to_string(), tried, examples.to_string(), radius.to_string(), accuracy, low, high]
        })
    });
    std::iter::once(all).chain(attacked).collect()
}
