//! Appendix E.3: the smooth encoder has a smaller local Lipschitz ratio. On MNIST with the MLP, figure 5's runs.

use crate::error::Result;

use super::condition::Measured;
use super::estimate::Estimate;
use super::lab::Lab;
use super::plots::Words;
use super::security::trained;
use super::what::What;

/// The ball in which x* is looked for, and the steps that look for it.
const EPS: f32 = 0.1;
const STEPS: usize = 100;

/// The ratio around 300 (preset quick) or 10,000 test images, VAE and smooth encoder.
pub fn measure(lab: &Lab) -> Result<Measured> {
    let count = if lab.quick() { 300 } else { 10_000 };
    let mut measured = Measured::default();
    let mut all = Vec::new();
    for trained in trained(lab, What::Lipschitz, &mut measured)?.into_iter().flatten() {
        let sound = |found: &Vec<f64>| !found.is_empty() && found.iter().all(|&ratio| ratio >= 0.0);
        let ratios = trained.runs.iter().map(|run| {
            let key = format!("Lipschitz ratios of {}: {count} images, {EPS}, {STEPS}", run.path.display());
            lab.part(&key, sound, || lab.open(run)?.lipschitz(count, EPS, STEPS))
        });
        let ratios: Vec<Vec<f64>> = ratios.collect::<Result<_>>()?;
        measured.put(&trained.system.name, "lipschitz", Estimate::median_of(&ratios));
        all.push((trained.system.label, ratios.concat()));
    }
    let words = Words {
        title: "MNIST, MLP: how far the code moves",
        x: "|μ(x) − μ(x*)| / |x − x*|",
        y: "Test images",
    };
    lab.histogram("lipschitz", words, &all)?;
    Ok(measured)
}
