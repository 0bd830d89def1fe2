//! Appendix E.3: the smooth encoder has a smaller local Lipschitz ratio. On MNIST with the MLP, figure 5's runs.

use crate::error::Result;
use crate::runs::config::{Arch, Config};

use super::claims::{Claim, Spread};
use super::lab::Lab;
use super::plots::Words;
use super::settings::{self, System};

/// The ball in which x* is looked for, and the steps that look for it.
const EPS: f32 = 0.1;
const STEPS: usize = 100;

/// The ratio around 300 (preset quick) or 10,000 test images, VAE and smooth encoder.
pub fn measure(lab: &Lab) -> Result<Vec<Claim>> {
    let count = if lab.quick() { 300 } else { 10_000 };
    let mut claim = Claim::new(
        "lipschitz",
        "smooth encoder training promotes a small local Lipschitz constant of the encoder's mean",
        "the median of |mu(x) - mu(x*)| / |x - x*| at most half of the VAE's",
    );
    let mut medians = Vec::new();
    let mut all = Vec::new();
    let systems = settings::systems(lab, &settings::mnist(lab, Arch::Mlp), settings::wide(Arch::Mlp));
    for System { label, config } in systems.into_iter().take(2) {
        let sound = |found: &Vec<f64>| !found.is_empty() && found.iter().all(|&ratio| ratio >= 0.0);
        let (mut of_seeds, mut ratios) = (Vec::new(), Vec::new());
        for &seed in settings::seeds(Arch::Mlp) {
            let run = lab.run(Config { seed, ..config.clone() })?;
            let key = format!("Lipschitz ratios of {}: {count} images, {EPS}, {STEPS}", run.path.display());
            let found: Vec<f64> = lab.part(&key, sound, || lab.open(&run)?.lipschitz(count, EPS, STEPS))?;
            of_seeds.push(median(&found));
            ratios.extend(found);
            claim.runs.push(run.path.display().to_string());
        }
        claim = claim.measure(format!("{label}, median"), Spread::of(&of_seeds));
        medians.push(Spread::of(&of_seeds).mean);
        all.push((label, ratios));
    }
    let words = Words {
        title: "MNIST, MLP: how far the code moves",
        x: "|μ(x) − μ(x*)| / |x − x*|",
        y: "Test images",
    };
    lab.histogram("lipschitz", words, &all)?;
    Ok(vec![claim.judge(medians[1] <= 0.5 * medians[0])])
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
