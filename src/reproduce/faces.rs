//! Table 1 and figure 8: CelebA's tasks, or those of synthetic faces.

use crate::data::celeba::TASKS;
use crate::error::{Error, Result};
use crate::runs::config::{Config, Objective};
use crate::runs::evaluate::Labels;
use crate::runs::short;
use crate::runs::store::Finished;

use super::claims::{Claim, Spread};
use super::lab::Lab;
use super::plots::{Line, Words};
use super::settings;

/// What a title says of the pictures.
fn pictures(synthetic: bool) -> &'static str {
    if synthetic { "SYNTHETIC faces (drawn, not CelebA)" } else { "CelebA" }
}

/// What both systems have for one task at one radius: the VAE's first.
struct Cell {
    task: &'static str,
    radius: f32,
    majority: f64,
    nominal: [f64; 2],
    plain: [f64; 2],
    /// Results of early versions have none.
    balanced: Option<[f64; 2]>,
}

/// The radius of the claims.
const RADIUS: f32 = 0.1;

/// Every task at every radius that both were attacked with.
fn cells(vae: &Finished, smooth: &Finished) -> Vec<Cell> {
    let mut cells = Vec::new();
    for task in TASKS {
        let (Some(va), Some(sa)) = (vae.attack(task), smooth.attack(task)) else { continue };
        for &(radius, se) in &sa.adversarial_accuracy {
            let Some(plain) = va.accuracy_at(radius) else { continue };
            let balanced = va.balanced_accuracy_at(radius).zip(sa.balanced_accuracy_at(radius));
            cells.push(Cell {
                task,
                radius,
                majority: sa.majority_baseline,
                nominal: [va.nominal_accuracy, sa.nominal_accuracy],
                plain: [plain, se],
                balanced: balanced.map(|(vb, sb)| [vb, sb]),
            });
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

    /// The smooth encoder above the VAE and above a constant answer.
    fn is_above_both(&self) -> Option<bool> {
        self.balanced.map(|[vae, smooth]| smooth > vae && smooth > 50.0)
    }
}

/// Table 1: nominal and adversarial accuracy on the 17 tasks, VAE and smooth encoder.
pub fn table1(lab: &Lab) -> Result<Vec<Claim>> {
    let base = settings::celeba(lab)?;
    let smooth = lab.run(base.clone())?;
    let vae = lab.run(Config { objective: Objective::Vae, ..base })?;
    let cells = cells(&vae, &smooth);
    write_table1(lab, &cells, smooth.result.synthetic)?;
    let mut claims = judge_table1(&cells);
    for claim in &mut claims {
        claim.runs = [&vae, &smooth].map(|run| run.path.display().to_string()).to_vec();
    }
    Ok(claims)
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

fn judge_table1(cells: &[Cell]) -> Vec<Claim> {
    let falls = Claim::new(
        "table1-vae-falls",
        "the VAE's adversarial accuracy is 0.0 on all 17 tasks at radius 0.1",
        "at most 5 % on all tasks at radius 0.1",
    );
    let above = Claim::new(
        "table1-se-above",
        "the smooth encoder's is above it on every task",
        "above the VAE's on all tasks at radius 0.1",
    );
    let balanced = Claim::new(
        "table1-se-balanced",
        "(not in the paper) a classifier that always gives one answer is never fooled: in balanced accuracy it has \
         50 %",
        "above both the VAE's and 50 % in balanced accuracy, on at least 5 tasks at radius 0.1",
    );
    let (all, some) = (TASKS.len(), 5);
    vec![
        count_tasks(falls, cells, "with at most 5 %", all, |cell| Some(cell.plain[0] <= 5.0)),
        count_tasks(above, cells, "above the VAE's", all, |cell| Some(cell.plain[1] > cell.plain[0])),
        count_tasks(balanced, cells, "above both", some, Cell::is_above_both),
    ]
}

/// `claim` with the tasks of which something holds at each radius, judged by whether these are at least so many at its
/// own. It needs every task there.
fn count_tasks(
    mut claim: Claim,
    cells: &[Cell],
    what: &str,
    least: usize,
    holds: impl Fn(&Cell) -> Option<bool>,
) -> Claim {
    let mut held = 0;
    for radius in radii(cells) {
        let judged: Vec<(&str, bool)> = cells
            .iter()
            .filter(|cell| cell.radius == radius)
            .filter_map(|cell| Some((cell.task, holds(cell)?)))
            .collect();
        let count = judged.iter().filter(|(_, holds)| *holds).count();
        if judged.is_empty() {
            continue;
        }
        claim = claim.measure(format!("tasks {what} at {radius}"), Spread::of(&[count as f64]));
        if radius == RADIUS {
            held = count;
        }
    }
    let has = |task: &&str| {
        cells.iter().any(|cell| cell.radius == RADIUS && cell.task == *task && holds(cell).is_some())
    };
    let absent: Vec<&str> = TASKS.into_iter().filter(|task| !has(task)).collect();
    if absent.len() == TASKS.len() {
        claim = claim.lack(format!("tasks {what} at radius {RADIUS}"));
    } else if !absent.is_empty() {
        claim = claim.lack(format!("{} at radius {RADIUS}", absent.join(", ")));
    }
    claim.judge(held >= least)
}

/// Whether accuracies read back can be such.
fn percentages(&(nominal, under): &(f64, f64)) -> bool {
    [nominal, under].iter().all(|value| (0.0..=100.0).contains(value))
}

/// Figure 8: probes on a part of the labels, tasks Mustache and Bald.
pub fn figure8(lab: &Lab) -> Result<Vec<Claim>> {
    let run = lab.run(settings::celeba(lab)?)?;
    let mut loaded = lab.open(&run)?;
    // The quick preset's encoder of small faces holds at small radii only.
    let (draws, radius) = if lab.quick() { (3, 0.01) } else { (5, 0.1) };
    let mut attack = loaded.config.attack.clone();
    attack.radii = vec![radius];
    let synthetic = run.result.synthetic;
    let settings = toml::to_string(&attack).unwrap_or_default();
    let mut claims = Vec::new();
    for name in ["Mustache", "Bald"] {
        let task = loaded.tasks(Some(name))?;
        let mut measure = |fraction: f32, draw: u64| {
            let key = format!(
                "label efficiency of {}: task {name}, fraction {fraction}, draw {draw}, attack {settings}",
                run.path.display()
            );
            lab.part(&key, percentages, || {
                let labels = Labels { fraction, seed: draw, balanced: false };
                let measured = loaded.try_probe(&task, labels, &attack)?;
                let numbers = measured.first().and_then(|found| {
                    let under = found.attack.as_ref()?.balanced_accuracy_at(radius)?;
                    Some((found.balanced_accuracy, under))
                });
                numbers.ok_or_else(|| Error::run(format!("task {name} was not attacked at radius {radius}")))
            })
        };
        let full = measure(1.0, 0)?;
        let (mut nominal, mut adversarial) = (Vec::new(), Vec::new());
        for percent in [0.1, 0.5, 1.0, 2.0, 5.0, 10.0] {
            let fraction = (percent / 100.0) as f32;
            let found: Vec<(f64, f64)> =
                (0..draws).map(|draw| measure(fraction, draw)).collect::<Result<_>>()?;
            nominal.push((percent, Spread::of(&found.iter().map(|f| f.0).collect::<Vec<_>>())));
            adversarial.push((percent, Spread::of(&found.iter().map(|f| f.1).collect::<Vec<_>>())));
        }
        let most = adversarial[adversarial.len() - 1].1;
        let lines = [
            Line { label: "no attack".into(), points: nominal },
            Line { label: format!("radius {radius}"), points: adversarial },
        ];
        let levels = [(format!("radius {radius}, all labels"), full.1)];
        let title = format!("{}, SE, task {name}", pictures(synthetic));
        let words = Words { title: &title, x: "Labels used (%)", y: "Balanced accuracy (%)" };
        lab.curves(&format!("fig8-{name}"), words, &lines, &levels)?;
        let mut claim = Claim::new(
            &format!("fig8-{}", name.to_lowercase()),
            "essentially the same adversarial accuracy can be had with a small fraction of the labels",
            format!(
                "balanced, radius {radius}: above 50 % (a constant answer) by at least 5 points with all labels, and \
                 with 10 % of \
                 them by at least 80 % of those points"
            ),
        );
        claim = claim.measure("with 10 %", most).measure("with all", Spread::of(&[full.1]));
        claim.runs = vec![run.path.display().to_string()];
        claims.push(claim.judge(full.1 >= 55.0 && most.mean - 50.0 >= 0.8 * (full.1 - 50.0)));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::super::claims::Verdict;
    use super::*;
    use crate::runs::made_up::run;

    #[test]
    fn what_an_old_result_does_not_have_is_not_measured() {
        let tasks = |radii: &'static [(&'static str, f64)], count: usize| {
            let all: Vec<_> = TASKS.iter().take(count).map(|&task| (task, Some(radii))).collect();
            run(&all)
        };
        let low = &[("0.01", 60.0), ("0.1", 1.0)];
        let high = &[("0.01", 90.0), ("0.1", 50.0)];
        let verdicts = |vae: &Finished, smooth: &Finished| {
            let cells = cells(vae, smooth);
            assert!(cells.iter().all(|cell| cell.row().len() == 9 && cell.balanced.is_none()));
            judge_table1(&cells)
        };
        // No balanced accuracies under attack.
        let claims = verdicts(&tasks(low, 17), &tasks(high, 17));
        let found: Vec<_> = claims.iter().map(Claim::verdict).collect();
        assert_eq!(found, [Verdict::Reproduced, Verdict::Reproduced, Verdict::Untested]);
        assert_eq!(claims[2].numbers(), "not measured: tasks above both at radius 0.1");
        // Not all tasks, other radii, and nothing at all.
        let off = &[("0.01", 90.0)];
        for (vae, smooth, part) in [
            (tasks(low, 17), tasks(high, 16), TASKS[16]),
            (tasks(off, 17), tasks(high, 17), "at radius 0.1"),
            (tasks(low, 17), tasks(off, 17), "at radius 0.1"),
            (tasks(low, 0), tasks(high, 17), "at radius 0.1"),
        ] {
            let claims = verdicts(&vae, &smooth);
            assert!(claims.iter().all(|claim| claim.verdict() == Verdict::Untested));
            for said in claims[..2].iter().map(Claim::numbers) {
                assert!(said.contains("not measured: ") && said.contains(part), "{said}");
            }
        }
    }
}
