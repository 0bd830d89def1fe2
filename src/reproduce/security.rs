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
fn trained(lab: &Lab, seeds: &[u64], systems: [System; 3]) -> Result<Vec<Trained>> {
    let one = |System { label, config }: System| {
        let runs = seeds.iter().map(|&seed| lab.run(Config { seed, ..config.clone() }));
        Ok(Trained { runs: runs.collect::<Result<_>>()?, label })
    };
    systems.into_iter().map(one).collect()
}

/// Radius and accuracy in percent over the runs, from radius 0 (no attack) on.
pub fn curve(runs: &[Finished], task: &str) -> Vec<(f64, Spread)> {
    let attacks: Vec<_> = runs.iter().filter_map(|run| run.result.tasks.get(task)?.attack.as_ref()).collect();
    let Some(first) = attacks.first() else { return Vec::new() };
    let clean: Vec<f64> = attacks.iter().map(|attack| attack.nominal_accuracy).collect();
    let mut points = vec![(0.0, Spread::of(&clean))];
    for (i, (radius, _)) in first.adversarial_accuracy.iter().enumerate() {
        let at: Vec<f64> =
            attacks.iter().filter_map(|a| a.adversarial_accuracy.get(i)).map(|&(_, value)| value).collect();
        points.push((crate::runs::short(*radius), Spread::of(&at)));
    }
    points
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
fn compare(lab: &Lab, name: &str, title: &str, systems: &[Trained], task: &str) -> Result<Vec<Claim>> {
    let lines: Vec<Line> = systems
        .iter()
        .map(|system| Line { label: system.label.to_string(), points: curve(&system.runs, task) })
        .collect();
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
    let (mut fell, mut ahead) = (false, true);
    for radius in [0.1, 0.2] {
        let values: Vec<Spread> = lines.iter().filter_map(|line| at(&line.points, radius)).collect();
        let [vae, smooth @ ..] = &values[..] else { continue };
        if radius == 0.2 {
            falls = falls.measure("VAE at 0.2", *vae);
            fell = vae.mean <= 5.0;
        }
        for (line, value) in lines.iter().zip(&values) {
            stays = stays.measure(format!("{} at {radius}", line.label), *value);
        }
        let best = smooth.iter().map(|spread| spread.mean).fold(f64::NEG_INFINITY, f64::max);
        ahead &= best - vae.mean >= if radius == 0.1 { 20.0 } else { 10.0 };
    }
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
