//! Figure 7: how the second point is selected, on ColorMNIST with the ConvNet.

use crate::error::Result;
use crate::runs::config::{Config, Objective, Selection};
use crate::runs::store::Finished;

use super::claims::Claim;
use super::lab::Lab;
use super::plots::Line;
use super::security::{at, curve, need_at, words};
use super::settings;

/// The radius at which the claims are judged: that of the selection.
const RADIUS: f64 = 0.1;

const TASKS: [&str; 2] = ["color", "digit"];

/// One run for each label.
type Labelled = Vec<(String, Finished)>;

/// Draws one plot a task.
fn draw(lab: &Lab, name: &str, runs: &Labelled) -> Result<()> {
    for task in TASKS {
        let lines: Vec<Line> = runs
            .iter()
            .map(|(label, run)| Line { label: label.clone(), points: curve(std::slice::from_ref(run), task) })
            .collect();
        let title = format!("ColorMNIST, ConvNet, task {task}");
        lab.curves(&format!("{name}-{task}"), words(&title), &lines, &[])?;
    }
    Ok(())
}

/// `claim` with every run's accuracy at the radius, judged by `holds` of these, task by task.
fn judge(mut claim: Claim, runs: &Labelled, holds: impl Fn(&[f64]) -> bool) -> Claim {
    let mut all_hold = true;
    for task in TASKS {
        let mut values = Vec::new();
        for (label, run) in runs {
            let points = curve(std::slice::from_ref(run), task);
            claim = need_at(claim, format!("{task}, {label}"), &points, task, RADIUS);
            values.extend(at(&points, RADIUS).map(|spread| spread.mean));
        }
        all_hold &= values.len() == runs.len() && holds(&values);
    }
    claim.runs = runs.iter().map(|(_, run)| run.path.display().to_string()).collect();
    claim.judge(all_hold)
}

/// Figure 7a: a random second point against an adversarial one.
pub fn figure7a(lab: &Lab) -> Result<Vec<Claim>> {
    let base = settings::color_mnist(lab);
    let random = Config { selection: Selection::Random, ..base.clone() };
    let vae = Config { objective: Objective::Vae, ..base.clone() };
    let runs = [("VAE", vae), ("SE, random selection", random), ("SE, adversarial selection", base)];
    let runs = runs.into_iter().map(|(label, config)| Ok((label.to_string(), lab.run(config)?)));
    let runs: Labelled = runs.collect::<Result<_>>()?;
    draw(lab, "fig7a", &runs)?;
    let claim = Claim::new(
        "fig7a-adversarial-beats-random",
        "random selection gives limited improvements over the VAE, adversarial selection is much more effective",
        "accuracy at radius 0.1, both tasks: adversarial above random by at least 5 points",
    );
    Ok(vec![judge(claim, &runs, |values| values[2] - values[1] >= 5.0)])
}

/// Figure 7b: the number of selection steps L.
pub fn figure7b(lab: &Lab) -> Result<Vec<Claim>> {
    let base = settings::color_mnist(lab);
    let run = |steps| {
        let config = Config { selection_steps: steps, ..base.clone() };
        Ok((format!("L = {steps}"), lab.run(config)?))
    };
    let runs: Labelled = [1, 5, 10, 20].into_iter().map(run).collect::<Result<_>>()?;
    draw(lab, "fig7b", &runs)?;
    let harm = Claim::new(
        "fig7b-more-steps-do-not-hurt",
        "more selection steps do not hurt",
        "accuracy at radius 0.1, both tasks: never more than 5 points below that of a smaller L",
    );
    let gain = Claim::new(
        "fig7b-20-beats-1",
        "L = 20 beats L = 1",
        "accuracy at radius 0.1, both tasks: L = 20 above L = 1",
    );
    let unharmed = |values: &[f64]| {
        (0..values.len()).all(|i| values[..i].iter().all(|before| values[i] >= before - 5.0))
    };
    Ok(vec![judge(harm, &runs, unharmed), judge(gain, &runs, |values| values[3] > values[0])])
}

#[cfg(test)]
mod tests {
    use super::super::claims::Verdict;
    use super::*;
    use crate::runs::made_up::{Radii, run};

    #[test]
    fn every_run_and_task_is_needed() {
        let [at, off] = [&[("0.1", 50.0)][..], &[("0.2", 50.0)]].map(Some);
        let verdict = |runs: [[Radii; 2]; 2]| {
            let runs =
                runs.map(|[color, digit]| ("a run".into(), run(&[("color", color), ("digit", digit)])));
            judge(Claim::new("x", "", ""), &runs.to_vec(), |_| true)
        };
        assert_eq!(verdict([[at, at], [at, at]]).verdict(), Verdict::Reproduced);
        let missing = verdict([[at, at], [at, off]]);
        assert_eq!(missing.verdict(), Verdict::Untested);
        assert!(missing.numbers().ends_with("not measured: radius 0.1"), "{}", missing.numbers());
        let missing = verdict([[at, None], [at, at]]);
        assert_eq!(missing.verdict(), Verdict::Untested);
        assert!(missing.numbers().ends_with("task digit under attack"), "{}", missing.numbers());
    }
}
