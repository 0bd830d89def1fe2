//! What the commands print of a run's result.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::cli::failure::in_flags;
use crate::error::{Error, Result};
use crate::method::robustness::interval;
use crate::runs::config::Config;
use crate::runs::dir::RunDir;
use crate::runs::record::{RunRecord, TaskResult};
use crate::runs::{short, shown};

/// The result as one JSON document.
pub fn json(result: &RunRecord) -> Result<()> {
    write(&result.to_json()?)
}

/// The result as a table, radius against accuracy, and where the run lies.
pub fn print(config: &Config, run: &RunDir, result: &RunRecord) -> Result<()> {
    let tested = tested(config);
    let mut lines = vec![
        format!(
            "{}: {} steps in {:.0} s ({:.1} ms a step) on {}",
            config.title(),
            result.iterations,
            result.train_seconds,
            1e3 * result.seconds_per_step,
            result.device
        ),
        result.summary(config, &tested),
    ];
    if result.synthetic {
        lines.push(
            "the images are SYNTHETIC faces drawn by `smoothenc data make`, not photographs".to_string(),
        );
    }
    lines.extend(result.remarks().iter().map(|remark| in_flags(remark)));
    lines.extend(task_lines(&result.tasks, "linear probe", &tested));
    lines.push(String::new());
    lines.push(format!("run: {}", run.path().display()));
    if run.report_path().exists() {
        lines.push(format!("page: {}", run.report_path().display()));
    }
    write(&(lines.join("\n") + "\n"))
}

/// What is tested on, in words.
pub(super) fn tested(config: &Config) -> String {
    match config.holdout {
        0 => "test images".to_string(),
        n => format!("{n} training images held out"),
    }
}

/// The accuracies of tasks, after a blank line: of classifiers that are each a `kind`, on the images `tested`.
pub(super) fn task_lines(tasks: &BTreeMap<String, TaskResult>, kind: &str, tested: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if tasks.len() > 1 {
        lines.push(String::new());
        lines.extend(table(tasks, kind, tested));
    }
    for (name, task) in tasks.iter().filter(|_| tasks.len() == 1) {
        lines.push(String::new());
        lines.push(format!(
            "{kind}, task {name}: accuracy {:.2} % on the {tested} (always the most frequent class: {:.2} %)",
            task.nominal_accuracy, task.majority_baseline
        ));
        let Some(attack) = &task.attack else { continue };
        lines.push(format!("under {}, first {} of them:", attack.title(), attack.examples));
        // Columns of known widths: shorter as formats than as rows for a table.
        let is_certified = !attack.certified_accuracy.is_empty();
        let heading = format!("  {:>8}  {:>10}   95 % interval", "radius", "accuracy");
        lines.push(if is_certified { format!("{heading}   certified") } else { heading });
        for (radius, accuracy) in [(0.0, attack.nominal_accuracy)].iter().chain(&attack.adversarial_accuracy)
        {
            let (low, high) = interval(*accuracy, attack.examples);
            let (certified, radius) = (attack.certified_at(*radius), shown(short(*radius)));
            let certified = certified.map_or(String::new(), |c| format!("{c:>9.2} %"));
            let interval = format!("{low:>4.1} to {high:.1}");
            let line = format!("  {radius:>8}  {accuracy:>8.2} %   {interval:<13}{certified}");
            lines.push(line.trim_end().to_string());
        }
        if let Some(radius) = attack.median_certified_radius {
            lines.push(format!("median certified radius: {}", shown(short(radius as f32))));
        }
        let moves = |(radius, [least, most]): &(f32, [f64; 2])| {
            format!("{}: {least:.1} to {most:.1} %", shown(short(*radius)))
        };
        if !attack.code_moves.is_empty() {
            let moves: Vec<String> = attack.code_moves.iter().map(moves).collect();
            lines.push(
                "how far a code moves, at least and at most, of the way to another's (medians):".into(),
            );
            lines.push(format!("  {}", moves.join("   ")));
        }
    }
    lines
}

/// Several tasks, two lines each: a classifier that always gives the same answer is right as often as the most
/// frequent class is and never fooled, so the second line has the mean of the classes' accuracies, which it leaves at
/// 100 over their number.
fn table(tasks: &BTreeMap<String, TaskResult>, kind: &str, tested: &str) -> Vec<String> {
    let mut lines = vec![
        format!("{kind}s, accuracy in percent on the {tested}; below it, balanced: the mean of the"),
        "classes' accuracies. majority: always the most frequent class".to_string(),
    ];
    let attacks = || tasks.values().filter_map(|task| task.attack.as_ref());
    if let Some(attack) = attacks().next() {
        let examples = attack.examples;
        lines.push(format!("then under {}, {examples} of them,", attack.title()));
        lines.push("at radius 0 (no attack) and the radii above the columns".to_string());
    }
    let cell = |value: &f64| format!("{value:.2}");
    let row = |name: &str, cells: Vec<String>| [vec![name.to_string()], cells].concat();
    let mut rows = Vec::new();
    // Attacks of different radii cannot share columns: a new heading where they change.
    let mut heading = None;
    for (name, task) in tasks {
        let radii: Vec<f32> = task.attack.iter().flat_map(|a| &a.adversarial_accuracy).map(|r| r.0).collect();
        let radii = task.attack.is_some().then_some(radii);
        if heading.as_ref() != Some(&radii) {
            let zero = radii.iter().map(|_| "0".to_string());
            let numbers = radii.iter().flatten().map(|radius| shown(short(*radius)));
            let fixed = ["majority", "accuracy"].map(String::from);
            rows.push(row("task", fixed.into_iter().chain(zero).chain(numbers).collect()));
            heading = Some(radii);
        }
        let TaskResult { majority_baseline, nominal_accuracy, balanced_accuracy, attack, .. } = task;
        let mut plain = vec![cell(majority_baseline), cell(nominal_accuracy)];
        let mut balanced = vec![String::new(), cell(balanced_accuracy)];
        if let Some(attack) = attack {
            let at = |radii: &[(f32, f64)]| radii.iter().map(|r| cell(&r.1)).collect::<Vec<_>>();
            plain.push(cell(&attack.nominal_accuracy));
            plain.extend(at(&attack.adversarial_accuracy));
            balanced.push(cell(&attack.balanced_accuracy));
            balanced.extend(at(&attack.adversarial_balanced_accuracy));
        }
        rows.extend([row(name, plain), row("  balanced", balanced)]);
    }
    lines.extend(aligned(&rows, &[0]).into_iter().map(|line| format!("  {line}")));
    lines
}

/// Rows of cells as lines, each column as wide as its widest cell, two blanks between them; the columns `left` start at
/// their left end, the others, which are numbers, stop at their right.
pub(super) fn aligned(rows: &[Vec<String>], left: &[usize]) -> Vec<String> {
    let mut table = Table::new();
    table.add_rows(rows).load_style(NOTHING);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if left.contains(&i) { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_string()).collect()
}

/// A value as the one document that `--json` prints.
pub(super) fn json_document(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::run(format!("the JSON document cannot be made: {error}")))?;
    Ok(text + "\n")
}

/// Text for stdout.
pub(super) fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // A reader such as `head` that has seen enough is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("stdout")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [vec!["task", "0", ""], vec!["  μ", "", "note"], vec!["", "12.50"], vec![]];
        let rows = rows.map(|row| row.into_iter().map(String::from).collect());
        assert_eq!(aligned(&rows, &[0, 2]), ["task      0", "  μ          note", "      12.50", ""]);
        assert!(aligned(&[], &[]).is_empty());
    }
}
