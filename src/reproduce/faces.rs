//! Table 1 and figure 8: CelebA's tasks, or those of synthetic faces.

use crate::data::celeba::TASKS;
use crate::error::{Error, Result};
use crate::runs::config::AttackConfig;
use crate::runs::evaluate::Labels;
use crate::runs::record::AttackResult;
use crate::runs::short;

use super::condition::Measured;
use super::estimate::Estimate;
use super::lab::Lab;
use super::plots::{Line, Words};
use super::security::{Trained, trained};
use super::what::What;

/// What a title says of the pictures.
pub fn pictures(synthetic: bool) -> &'static str {
    if synthetic { "SYNTHETIC faces (drawn, not CelebA)" } else { "CelebA" }
}

/// Whether a system's images are drawn.
pub fn synthetic(trained: &Trained) -> bool {
    trained.runs.iter().any(|run| run.result.synthetic)
}

/// What both systems have for one task at one radius, means over the seeds: the VAE's first.
struct Cell {
    task: &'static str,
    radius: f32,
    majority: f64,
    nominal: [f64; 2],
    plain: [f64; 2],
    /// Results of early versions have none.
    balanced: Option<[f64; 2]>,
}

/// The mean over a system's seeds of something that each of their attacks has.
fn mean(trained: &Trained, task: &str, of: impl Fn(&AttackResult) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = trained.runs.iter().map(|run| of(run.attack(task)?)).collect();
    values.filter(|values| !values.is_empty()).map(|values| Estimate::of(&values).mean)
}

/// Every task at every radius that both were attacked with.
fn cells(systems: &[Trained; 2]) -> Vec<Cell> {
    let both = |task: &str, of: &dyn Fn(&AttackResult) -> Option<f64>| -> Option<[f64; 2]> {
        let [vae, smooth] = systems;
        Some([mean(vae, task, of)?, mean(smooth, task, of)?])
    };
    let mut cells = Vec::new();
    for task in TASKS {
        let first = systems[1].runs.first().and_then(|run| run.attack(task));
        let Some(nominal) = both(task, &|attack| Some(attack.nominal_accuracy)) else { continue };
        for &(radius, _) in first.iter().flat_map(|attack| &attack.adversarial_accuracy) {
            let Some(plain) = both(task, &|attack| attack.accuracy_at(radius)) else { continue };
            let balanced = both(task, &|attack| attack.balanced_accuracy_at(radius));
            let majority = first.map_or(f64::NAN, |attack| attack.majority_baseline);
            cells.push(Cell { task, radius, majority, nominal, plain, balanced });
        }
    }
    cells
}

impl Cell {
    fn row(&self) -> Vec<String> {
        let number = |x: f64| format!("{x:.2}");
        let mut row = vec![self.task.to_string(), number(self.majority), short(self.radius).to_string()];
        for system in [0, 1] {
            let balanced = self.balanced.map_or_else(String::new, |both| number(both[system]));
            row.extend([number(self.nominal[system]), number(self.plain[system]), balanced]);
        }
        row
    }
}

/// The VAE and the smooth encoder.
pub fn both(lab: &Lab, measured: &mut Measured) -> Result<[Trained; 2]> {
    let systems = trained(lab, What::Table1, measured)?;
    systems
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| Error::run("the faces have not two systems"))
}

/// Table 1: nominal and adversarial accuracy on the 17 tasks, VAE and smooth encoder.
pub fn table1(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    let systems = both(lab, &mut measured)?;
    write_table1(lab, &cells(&systems), synthetic(&systems[0]))?;
    Ok(measured)
}

/// The radii of the table, each once, in order.
fn radii(cells: &[Cell]) -> Vec<f32> {
    let mut radii: Vec<f32> = cells.iter().map(|cell| cell.radius).collect();
    radii.sort_by(f32::total_cmp);
    radii.dedup();
    radii
}

/// The table as data and on the page, and the bars of its second radius.
fn write_table1(lab: &Lab, cells: &[Cell], synthetic: bool) -> Result<()> {
    let columns = [
        "task",
        "majority",
        "radius",
        "vae_nominal",
        "vae_adversarial",
        "vae_balanced_adversarial",
        "se_nominal",
        "se_adversarial",
        "se_balanced_adversarial",
    ];
    let rows: Vec<Vec<String>> = cells.iter().map(Cell::row).collect();
    lab.csv("table1", &columns, &rows)?;
    lab.show_table(
        "Percent; balanced is the mean of the two classes' accuracies, 50 for a constant answer",
        &columns,
        &rows,
    );
    let radii = radii(cells);
    let Some(&drawn) = radii.get(1).or(radii.first()) else { return Ok(()) };
    let bar = |cell: &Cell| Some((cell.task.to_string(), cell.balanced?.to_vec()));
    let bars: Vec<_> = cells.iter().filter(|cell| cell.radius == drawn).filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(());
    }
    let title = format!("{}, under attack of radius {}", pictures(synthetic), short(drawn));
    let words = Words { title: &title, x: "Task", y: "Balanced adversarial accuracy (%)" };
    lab.bars("table1-balanced", words, &["VAE", "SE"], &bars, (50.0, "a constant answer"))
}

/// Whether accuracies read back can be such.
fn percentages(&(nominal, under): &(f64, f64)) -> bool {
    [nominal, under].iter().all(|value| (0.0..=100.0).contains(value))
}

/// The parts of the labels in percent, all of them last, and the draws of each.
const PERCENT: [f64; 7] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0];
const DRAWS: u64 = 2;

/// The radius of figure 8.
const RADIUS: f32 = 0.1;

/// Balanced accuracies of probes on a part of the labels, a value of each seed, which is the mean over the draws.
#[derive(Debug, Default, Clone)]
struct Part {
    nominal: Vec<f64>,
    attacked: Vec<f64>,
}

/// Probes of a task on each part of the labels, attacked on all test images, and of how many images a plain accuracy
/// would have the error of these balanced ones: each class counts as much as the other, so that the rarer decides.
fn parts(lab: &Lab, smooth: &Trained, name: &str) -> Result<(Vec<Part>, usize)> {
    let mut parts = vec![Part::default(); PERCENT.len()];
    let mut images = 0;
    for run in &smooth.runs {
        let mut loaded = lab.open(run)?;
        let attack = AttackConfig { radii: vec![RADIUS], examples: None, ..loaded.config.attack.clone() };
        let settings = toml::to_string(&attack).unwrap_or_default();
        let task = loaded.tasks(Some(name))?;
        images = balanced_count(&loaded.data.test.labels[task[0]]);
        let mut measure = |fraction: f32, draw: u64| {
            let key = format!(
                "label efficiency of {}: task {name}, fraction {fraction}, draw {draw}, attack {settings}",
                run.path.display()
            );
            lab.part(&key, percentages, || {
                let labels = Labels { fraction, seed: draw, balanced: false };
                let found = loaded.try_probe(&task, labels, &attack)?;
                let numbers = found.first().and_then(|found| {
                    let attacked = found.attack.as_ref()?.balanced_accuracy_at(RADIUS)?;
                    Some((found.balanced_accuracy, attacked))
                });
                numbers.ok_or_else(|| Error::run(format!("task {name} was not attacked at radius {RADIUS}")))
            })
        };
        for (percent, part) in PERCENT.into_iter().zip(&mut parts) {
            let draws = if percent < 100.0 { DRAWS } else { 1 };
            let found = (0..draws).map(|draw| measure((percent / 100.0) as f32, draw));
            let (nominal, attacked): (Vec<f64>, Vec<f64>) =
                found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            part.nominal.push(Estimate::of(&nominal).mean);
            part.attacked.push(Estimate::of(&attacked).mean);
        }
    }
    Ok((parts, images))
}

/// `4 / (1/n_0 + 1/n_1)`: the mean of two accuracies that are alike, of n_0 and n_1 images, has the variance of one of
/// so many.
fn balanced_count(labels: &[u32]) -> usize {
    let ones = labels.iter().filter(|&&label| label == 1).count();
    let others = labels.len() - ones;
    (4 * ones * others).checked_div(labels.len()).unwrap_or(0)
}

/// Figure 8: probes on a part of the labels, tasks Mustache and Bald, balanced accuracies at the paper's radius.
pub fn figure8(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    let systems = trained(lab, What::Fig8, &mut measured)?;
    let Some(smooth) = systems.iter().flatten().next() else { return Ok(measured) };
    for name in ["Mustache", "Bald"] {
        let (parts, images) = parts(lab, smooth, name)?;
        let points = |of: fn(&Part) -> &[f64]| -> Vec<(f64, Estimate)> {
            let of_part = |part| Estimate::percentage(of(part), images);
            PERCENT.into_iter().zip(parts.iter().map(of_part)).collect()
        };
        let [mut nominal, mut attacked] = [points(|part| &part.nominal), points(|part| &part.attacked)];
        let (Some((_, all)), Some(_)) = (attacked.pop(), nominal.pop()) else { continue };
        let system = &smooth.system.name;
        measured.put(system, &format!("{name}@{RADIUS}-balanced"), all);
        if let Some(&(_, tenth)) = attacked.last() {
            measured.put(system, &format!("{name}@{RADIUS}-balanced-tenth"), tenth);
        }
        let levels = [(format!("radius {RADIUS}, all labels"), all.mean)];
        let lines = [
            Line { label: "no attack".into(), points: nominal },
            Line { label: format!("radius {RADIUS}"), points: attacked },
        ];
        let title = format!("{}, SE, task {name}", pictures(synthetic(smooth)));
        let words = Words { title: &title, x: "Labels used (%)", y: "Balanced accuracy (%)" };
        lab.curves(&format!("fig8-{name}"), words, &lines, &levels)?;
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::super::systems::System;
    use super::*;
    use crate::runs::config::Config;
    use crate::runs::made_up::run;

    #[test]
    fn the_rarer_class_decides_the_error_of_a_balanced_accuracy() {
        assert_eq!(balanced_count(&[0, 1, 0, 1]), 4);
        let rare: Vec<u32> = (0..100).map(|i| u32::from(i < 10)).collect();
        assert_eq!(balanced_count(&rare), 36);
        assert_eq!(balanced_count(&[]), 0);
    }

    #[test]
    fn what_an_old_result_does_not_have_is_left_out() {
        let trained = |radii: &'static [(&'static str, f64)], count: usize| {
            let all: Vec<_> = TASKS.iter().take(count).map(|&task| (task, Some(radii))).collect();
            let system = System {
                name: "s".into(),
                label: "a system".into(),
                seeds: &[0, 1],
                config: Config::default(),
            };
            Trained { system, runs: vec![run(&all), run(&all)] }
        };
        let low = &[("0.01", 60.0), ("0.1", 1.0)];
        let high = &[("0.01", 90.0), ("0.1", 50.0)];
        let found = cells(&[trained(low, 17), trained(high, 17)]);
        assert_eq!(found.len(), 34);
        assert!(found.iter().all(|cell| cell.row().len() == 9 && cell.balanced.is_none()));
        assert_eq!(found[1].plain, [1.0, 50.0]);
        let off = &[("0.01", 90.0)];
        assert_eq!(cells(&[trained(low, 17), trained(high, 16)]).len(), 32);
        assert_eq!(cells(&[trained(off, 17), trained(high, 17)]).len(), 17);
        assert!(cells(&[trained(low, 0), trained(high, 17)]).is_empty());
    }
}
