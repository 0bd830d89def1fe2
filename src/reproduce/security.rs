//! Accuracy under attack against the attack's radius: figures 4, 5 and 7, and the beta-VAE of appendix D.2.

use crate::error::{Error, Result};
use crate::runs::config::{Arch, AttackConfig, AttackMethod, Config};
use crate::runs::evaluate::Labels;
use crate::runs::store::Finished;

use super::condition::Measured;
use super::estimate::Estimate;
use super::lab::Lab;
use super::plots::{Line, Words};
use super::systems::{self, System};
use super::what::What;

/// A system with its runs, one a seed.
#[derive(Debug)]
pub struct Trained {
    pub system: System,
    pub runs: Vec<Finished>,
}

/// Trains the systems of a figure, each with each of its seeds, and puts their accuracies: one list for each group.
///
/// # Errors
/// Those of the trainings.
pub fn trained(lab: &Lab, what: What, measured: &mut Measured) -> Result<Vec<Vec<Trained>>> {
    let one = |system: System| {
        let runs = system.seeds.iter().map(|&seed| lab.run(Config { seed, ..system.config.clone() }));
        Ok(Trained { runs: runs.collect::<Result<_>>()?, system })
    };
    let groups = systems::of(lab, what).into_iter();
    let found = groups.map(|systems| systems.into_iter().map(one).collect::<Result<Vec<_>>>());
    let found = found.collect::<Result<Vec<_>>>()?;
    found.iter().flatten().for_each(|trained| trained.put(measured));
    Ok(found)
}

impl Trained {
    /// Every task's accuracy without an attack and at each radius, and the ELBO.
    fn put(&self, measured: &mut Measured) {
        let name = &self.system.name;
        self.runs.iter().for_each(|run| measured.made_from(name, run.path.display().to_string()));
        let elbo: Vec<f64> = self.runs.iter().map(|run| run.result.elbo_test).collect();
        measured.put(name, "elbo", Estimate::of(&elbo));
        let Some(first) = self.runs.first() else { return };
        for task in first.result.tasks.keys() {
            let tested = |run: &Finished| Some(run.result.tasks.get(task)?.nominal_accuracy);
            if let Some(clean) = self.runs.iter().map(tested).collect::<Option<Vec<f64>>>() {
                let images = first.result.test_images;
                measured.put(name, &format!("{task}@clean"), Estimate::percentage(&clean, images));
            }
            // The first point is that of no attack, on the attacked images alone.
            for (radius, value) in curve(&self.runs, task).into_iter().skip(1) {
                measured.put(name, &format!("{task}@{radius}"), value);
            }
        }
    }

    pub fn line(&self, task: &str) -> Line {
        Line { label: self.system.label.clone(), points: curve(&self.runs, task) }
    }
}

/// Radius and accuracy in percent over the runs, from radius 0 (no attack) on; nothing where a run was not attacked.
/// Only radii that all of them have.
pub fn curve(runs: &[Finished], task: &str) -> Vec<(f64, Estimate)> {
    let attack = |run| Finished::attack(run, task);
    let Some(attacks) = runs.iter().map(attack).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let Some(first) = attacks.first() else { return Vec::new() };
    let images = attacks.iter().map(|attack| attack.examples).min().unwrap_or(0);
    let clean: Vec<f64> = attacks.iter().map(|attack| attack.nominal_accuracy).collect();
    let mut points = vec![(0.0, Estimate::percentage(&clean, images))];
    for &(radius, _) in &first.adversarial_accuracy {
        let at: Option<Vec<f64>> = attacks.iter().map(|attack| attack.accuracy_at(radius)).collect();
        points.extend(at.map(|at| (crate::runs::short(radius), Estimate::percentage(&at, images))));
    }
    points
}

/// Draws the curves of one task.
fn draw(lab: &Lab, name: &str, title: &str, systems: &[Trained], task: &str) -> Result<()> {
    let lines: Vec<Line> = systems.iter().map(|system| system.line(task)).collect();
    let words = Words { title, x: "Attack radius (L∞, pixels in [0, 1])", y: "Accuracy under attack (%)" };
    lab.curves(name, words, &lines, &[])
}

/// Figures 4 and 7: ColorMNIST, ConvNet, tasks colour and digit.
pub fn colors(lab: &Lab, what: What) -> Result<Measured> {
    let mut measured = Measured::default();
    for systems in trained(lab, what, &mut measured)? {
        for task in ["color", "digit"] {
            let title = format!("ColorMNIST, ConvNet, task {task}");
            draw(lab, &format!("{}-{task}", what.name()), &title, &systems, task)?;
        }
    }
    Ok(measured)
}

/// Figure 5: MNIST, with the MLP and with the ConvNet; and the paper's weaker attack.
pub fn figure5(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    for systems in trained(lab, What::Fig5, &mut measured)? {
        let arch = systems[0].system.config.arch;
        let title = format!("MNIST, {}, task digit", if arch == Arch::Mlp { "MLP" } else { "ConvNet" });
        draw(lab, &format!("fig5-{arch}"), &title, &systems, "digit")?;
        for trained in systems.iter().filter(|trained| trained.system.name.ends_with("-se")) {
            let weak = weakly_attacked(lab, trained, "digit")?;
            let name = format!("digit@{RADIUS}-weak");
            measured.put(&trained.system.name, &name, weak);
        }
    }
    Ok(measured)
}

/// The radius of figure 5's weaker attack.
const RADIUS: f32 = 0.1;

/// Accuracy under pgd of 50 steps and one start, on the images of the runs' own attack.
fn weakly_attacked(lab: &Lab, trained: &Trained, task: &str) -> Result<Estimate> {
    let mut values = Vec::new();
    let mut images = 0;
    for run in &trained.runs {
        let mut loaded = lab.open(run)?;
        let attack = AttackConfig {
            attacks: vec![AttackMethod::Pgd],
            radii: vec![RADIUS],
            steps: 50,
            restarts: 1,
            ..loaded.config.attack.clone()
        };
        let settings = toml::to_string(&attack).unwrap_or_default();
        let key = format!("weaker attack of {}: task {task}, attack {settings}", run.path.display());
        let sound = |&(found, images): &(f64, usize)| (0.0..=100.0).contains(&found) && images > 0;
        let found: (f64, usize) = lab.part(&key, sound, || {
            let tasks = loaded.tasks(Some(task))?;
            let measured = loaded.try_probe(&tasks, Labels::ALL, &attack)?;
            let attack = measured.first().and_then(|found| found.attack.as_ref());
            let found = attack.and_then(|attack| Some((attack.accuracy_at(RADIUS)?, attack.examples)));
            found.ok_or_else(|| Error::run(format!("task {task} was not attacked at radius {RADIUS}")))
        })?;
        values.push(found.0);
        images = found.1;
    }
    Ok(Estimate::percentage(&values, images))
}

/// Appendix D.2: the beta-VAE, and the smooth encoder whose second point is the first, without coupling.
pub fn beta(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    for systems in trained(lab, What::Beta, &mut measured)? {
        draw(lab, "beta", "MNIST, MLP, task digit", &systems, "digit")?;
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::made_up::{Radii, run};

    /// What is measured of a system whose runs have these accuracies.
    fn measured(runs: &[Radii]) -> Measured {
        let system =
            System { name: "s".into(), label: "a system".into(), seeds: &[0, 1], config: Config::default() };
        let runs = runs.iter().map(|radii| run(&[("digit", *radii)])).collect();
        let mut measured = Measured::default();
        Trained { system, runs }.put(&mut measured);
        measured
    }

    #[test]
    fn a_radius_needs_every_run() {
        let [both, one] = [&[("0.1", 30.0), ("0.2", 10.0)][..], &[("0.1", 50.0)]].map(Some);
        let found = measured(&[both, one]);
        assert_eq!(found.get("s.digit@0.1").map(|value| (value.mean, value.count)), Some((40.0, 2)));
        assert_eq!(found.get("s.digit@0.2"), None);
        assert_eq!(found.get("s.digit@clean").map(|value| value.mean), Some(99.0));
        assert_eq!(found.get("s.digit@0"), None);
        assert!(measured(&[both, None]).get("s.digit@0.1").is_none());
        assert!(measured(&[]).get("s.digit@clean").is_none());
    }
}
