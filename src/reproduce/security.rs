//! Figures 4 and 5: accuracy under attack against the attack's radius, for the VAE and two smooth encoders.

use crate::error::Result;
use crate::runs::config::{Arch, Config};
use crate::runs::store::Finished;

use super::claims::{Claim, Spread};
use super::lab::Lab;
use super::plots::{Line, Words};
use super::settings::{self, System};

/// A system with its runs, one a seed.
struct Trained {
    label: String,
    runs: Vec<Finished>,
}

/// Trains each system with each seed.
fn trained(lab: &Lab, seeds: &[u64], systems: [System; 3]) -> Result<[Trained; 3]> {
    let one = |System { label, config }: System| {
        let runs = seeds.iter().map(|&seed| lab.run(Config { seed, ..config.clone() }));
        Ok(Trained { runs: runs.collect::<Result<_>>()?, label })
    };
    let [vae, smooth, wide] = systems.map(one);
    Ok([vae?, smooth?, wide?])
}

/// Radius and accuracy in percent over the runs, from radius 0 (no attack) on; nothing where a run was not attacked.
/// Only radii that all of them have.
pub fn curve(runs: &[Finished], task: &str) -> Vec<(f64, Spread)> {
    let attack = |run| Finished::attack(run, task);
    let Some(attacks) = runs.iter().map(attack).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let Some(first) = attacks.first() else { return Vec::new() };
    let clean: Vec<f64> = attacks.iter().map(|attack| attack.nominal_accuracy).collect();
    let mut points = vec![(0.0, Spread::of(&clean))];
    for &(radius, _) in &first.adversarial_accuracy {
        let at: Option<Vec<f64>> = attacks.iter().map(|attack| attack.accuracy_at(radius)).collect();
        points.extend(at.map(|at| (crate::runs::short(radius), Spread::of(&at))));
    }
    points
}

/// `claim` with the accuracy of one curve at a radius, which it needs.
pub fn need_at(claim: Claim, name: String, points: &[(f64, Spread)], task: &str, radius: f64) -> Claim {
    let missing =
        if points.is_empty() { format!("task {task} under attack") } else { format!("radius {radius}") };
    claim.need(name, at(points, radius), missing)
}

/// The words of a plot of accuracy against the attack's radius.
pub fn words(title: &str) -> Words<'_> {
    Words { title, x: "Attack radius (L∞, pixels in [0, 1])", y: "Accuracy under attack (%)" }
}

/// The accuracy at a radius, if it was attacked with it.
pub fn at(curve: &[(f64, Spread)], radius: f64) -> Option<Spread> {
    curve.iter().find(|(r, _)| (r - radius).abs() < 1e-9).map(|&(_, spread)| spread)
}

/// Draws the curves of one task and judges the two claims on them.
fn compare(lab: &Lab, name: &str, title: &str, systems: &[Trained; 3], task: &str) -> Result<Vec<Claim>> {
    let line = |system: &Trained| Line { label: system.label.clone(), points: curve(&system.runs, task) };
    let lines = systems.each_ref().map(line);
    lab.curves(name, words(title), &lines, &[])?;
    let runs = || {
        let all = systems.iter().flat_map(|system| &system.runs);
        all.map(|run| run.path.display().to_string()).collect::<Vec<_>>()
    };
    let mut falls = Claim::new(
        &format!("{name}-vae-falls"),
        "the VAE's accuracy under attack falls towards 0 by radius 0.2",
        "the VAE at radius 0.2: at most 5 %",
    );
    let mut stays = Claim::new(
        &format!("{name}-se-stays"),
        "the smooth encoder's does not",
        "at radius 0.1 a smooth encoder at least 20 points above the VAE, at radius 0.2 at least 10",
    );
    let [vae, smooth @ ..] = &lines;
    falls = need_at(falls, "VAE at 0.2".into(), &vae.points, task, 0.2);
    for radius in [0.1, 0.2] {
        for line in &lines {
            stays = need_at(stays, format!("{} at {radius}", line.label), &line.points, task, radius);
        }
    }
    let fell = at(&vae.points, 0.2).is_some_and(|spread| spread.mean <= 5.0);
    let ahead = [(0.1, 20.0), (0.2, 10.0)].iter().all(|&(radius, least)| {
        let vae = at(&vae.points, radius);
        let best = smooth.iter().filter_map(|line| at(&line.points, radius)).map(|spread| spread.mean);
        vae.is_some_and(|vae| best.fold(f64::NEG_INFINITY, f64::max) - vae.mean >= least)
    });
    (falls.runs, stays.runs) = (runs(), runs());
    Ok(vec![falls.judge(fell), stays.judge(ahead)])
}

/// Figure 4: ColorMNIST, ConvNet, tasks colour and digit.
pub fn figure4(lab: &Lab) -> Result<Vec<Claim>> {
    let systems = settings::systems(lab, &settings::color_mnist(lab), settings::WIDE_COLORS);
    let systems = trained(lab, settings::seeds(Arch::Conv), systems)?;
    let mut claims = Vec::new();
    for task in ["color", "digit"] {
        let title = format!("ColorMNIST, ConvNet, task {task}");
        claims.extend(compare(lab, &format!("fig4-{task}"), &title, &systems, task)?);
    }
    Ok(claims)
}

/// Figure 5: MNIST, with the MLP and with the ConvNet.
pub fn figure5(lab: &Lab) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (arch, words) in [(Arch::Mlp, "MLP"), (Arch::Conv, "ConvNet")] {
        let systems = settings::systems(lab, &settings::mnist(lab, arch), settings::wide(arch));
        let systems = trained(lab, settings::seeds(arch), systems)?;
        let title = format!("MNIST, {words}, task digit");
        claims.extend(compare(lab, &format!("fig5-{arch}"), &title, &systems, "digit")?);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::super::claims::Verdict;
    use super::*;
    use crate::runs::config::Preset;
    use crate::runs::made_up::{Radii, run};

    /// The verdicts on systems with these accuracies, and what is said of their measurements.
    fn judged(systems: [&[Radii]; 3]) -> Vec<(Verdict, String)> {
        let base = tempfile::tempdir().unwrap();
        let lab = Lab::new(base.path(), Preset::Quick, "cpu", None, None, crate::progress::Context::silent())
            .unwrap();
        let trained = systems.map(|radii| Trained {
            label: "a system".into(),
            runs: radii.iter().map(|radii| run(&[("digit", *radii)])).collect(),
        });
        let claims = compare(&lab, "x", "x", &trained, "digit").unwrap();
        claims.iter().map(|claim| (claim.verdict(), claim.numbers())).collect()
    }

    #[test]
    fn a_radius_that_is_not_measured_decides_nothing() {
        let low: Radii = Some(&[("0.1", 30.0), ("0.2", 1.0)]);
        let high: Radii = Some(&[("0.1", 80.0), ("0.2", 50.0)]);
        let all = judged([&[low, low], &[low, low], &[high, high]]);
        assert!(all.iter().all(|(verdict, _)| *verdict == Verdict::Reproduced), "{all:?}");
        let other: Radii = Some(&[("0.05", 80.0)]);
        let both = "not measured: radius 0.1, radius 0.2";
        for (systems, parts) in [
            ([&[other, other][..]; 3], ["not measured: radius 0.2", both]),
            ([&[None, None][..]; 3], ["not measured: task digit under attack"; 2]),
            // One system, or one seed of it, is enough.
            ([&[low, low], &[low, low], &[other, other]], ["", both]),
            ([&[low, other], &[low, low], &[high, high]], ["not measured: radius 0.2", both]),
            ([&[low, low], &[low, None], &[high, high]], ["", "not measured: task digit under attack"]),
        ] {
            for ((verdict, numbers), part) in judged(systems).into_iter().zip(parts) {
                let expected = if part.is_empty() { Verdict::Reproduced } else { Verdict::Untested };
                assert!(verdict == expected && numbers.ends_with(part), "{verdict:?}: {numbers}, {part}");
            }
        }
    }
}
