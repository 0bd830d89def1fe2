//! Accuracy under attack against the attack's radius: figures 4, 5 and 7, and the beta-VAE of appendix D.2.

use crate::error::{Error, Result};
use crate::runs::config::{AttackConfig, AttackMethod, Config};
use crate::runs::evaluate::Labels;
use crate::runs::store::Finished;

use super::condition::Measured;
use super::estimate::Estimate;
use super::lab::Lab;
use super::plots::{Line, Words};
use super::systems::{Group, System};

/// A system with its runs, one a seed.
#[derive(Debug)]
pub struct Trained {
    pub system: System,
    pub runs: Vec<Finished>,
}

/// Trains those systems of a group whose names end so, each with each of its seeds, and puts their accuracies.
///
/// # Errors
/// Those of the trainings.
pub fn trained(lab: &Lab, group: Group, names: &[&str], measured: &mut Measured) -> Result<Vec<Trained>> {
    let mut found = Vec::new();
    let wanted: Vec<String> = names.iter().map(|name| format!("{}-{name}", group.name())).collect();
    for system in group.systems(lab)?.into_iter().filter(|system| wanted.contains(&system.name)) {
        let runs = system.seeds.iter().map(|&seed| lab.run(Config { seed, ..system.config.clone() }));
        let runs: Vec<Finished> = runs.collect::<Result<_>>()?;
        found.push(Trained { system, runs });
    }
    found.iter().for_each(|trained| trained.put(measured));
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

/// Both tasks of ColorMNIST.
fn colors(lab: &Lab, figure: &str, names: &[&str]) -> Result<Measured> {
    let mut measured = Measured::default();
    let systems = trained(lab, Group::Color, names, &mut measured)?;
    for task in ["color", "digit"] {
        let title = format!("ColorMNIST, ConvNet, task {task}");
        draw(lab, &format!("{figure}-{task}"), &title, &systems, task)?;
    }
    Ok(measured)
}

/// Figure 4: ColorMNIST, ConvNet, tasks colour and digit.
pub fn figure4(lab: &Lab) -> Result<Measured> {
    colors(lab, "fig4", &["vae", "se", "wide"])
}

/// Figure 7a: a random second point against an adversarial one.
pub fn figure7a(lab: &Lab) -> Result<Measured> {
    colors(lab, "fig7a", &["vae", "random", "se"])
}

/// Figure 7b: the number of selection steps L.
pub fn figure7b(lab: &Lab) -> Result<Measured> {
    colors(lab, "fig7b", &["l1", "l5", "l10", "l20"])
}

/// Figure 5: MNIST, with the MLP and with the ConvNet; and the paper's weaker attack.
pub fn figure5(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    for (group, words) in [(Group::MnistMlp, "MLP"), (Group::MnistConv, "ConvNet")] {
        let systems = trained(lab, group, &["vae", "se", "wide"], &mut measured)?;
        let arch = systems[0].system.config.arch;
        let title = format!("MNIST, {words}, task digit");
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
    let own = &trained.system.config.attack;
    let attack = AttackConfig {
        attacks: vec![AttackMethod::Pgd],
        radii: vec![RADIUS],
        steps: 50,
        restarts: 1,
        ..own.clone()
    };
    let settings = toml::to_string(&attack).unwrap_or_default();
    let mut values = Vec::new();
    let mut images = 0;
    for run in &trained.runs {
        let key = format!("weaker attack of {}: task {task}, attack {settings}", run.path.display());
        let sound = |&(found, images): &(f64, usize)| (0.0..=100.0).contains(&found) && images > 0;
        let found: (f64, usize) = lab.part(&key, sound, || {
            let mut loaded = lab.open(run)?;
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
    let systems = trained(lab, Group::MnistMlp, &["vae", "beta", "uncoupled"], &mut measured)?;
    draw(lab, "beta", "MNIST, MLP, task digit", &systems, "digit")?;
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
