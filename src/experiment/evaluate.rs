//! Probe and attack on a trained encoder, in the terms of result.json.

use crate::data::{Dataset, Images, Split};
use crate::error::Result;
use crate::experiment::{progress, settings, trainer};
use crate::robustness::{self, Probe, encode_means};
use crate::run::config::{AttackConfig, Config};
use crate::run::result::{AttackResult, TaskResult, percent};
use crate::session::Session;
use crate::vae::Vae;

/// Trains a linear probe on the codes of the training images (variable `train.images`) that
/// `seen` lets it see, and tests it on the test split (variable `test.images`).
pub fn probe_task(
    session: &mut Session,
    vae: &Vae,
    config: &Config,
    data: &Dataset,
    seen: &dyn Fn(usize) -> bool,
) -> Result<(Probe, TaskResult)> {
    let means = encode_means(session, vae, "train.images", data.train.count())?;
    let examples = data.train.labels.iter().zip(means.chunks_exact(vae.latent)).enumerate();
    let (labels, rows): (Vec<u32>, Vec<&[f32]>) = examples.filter(|(i, _)| seen(*i)).map(|(_, e)| e).unzip();
    let probe = Probe::new(vae.latent, data.classes);
    let bar = progress::bar("probe", 0);
    probe.train(
        session,
        &rows.concat(),
        &labels,
        settings::probe(config, data.train.count()),
        &|done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();
    let result = test_probe(session, vae, &probe, &data.test)?;
    Ok((probe, result))
}

/// Accuracies of the probe on the test split (variable `test.images`), in percent.
fn test_probe(session: &mut Session, vae: &Vae, probe: &Probe, test: &Split) -> Result<TaskResult> {
    let means = encode_means(session, vae, "test.images", test.count())?;
    let predicted = probe.predict(session, &means)?;
    let mut count = vec![0; probe.classes()];
    let mut right = vec![0; probe.classes()];
    for (&label, predicted) in test.labels.iter().zip(predicted) {
        count[label as usize] += 1;
        right[label as usize] += usize::from(label == predicted);
    }
    let present = count.iter().filter(|&&c| c > 0).count().max(1);
    let recalls = right.iter().zip(&count).map(|(&right, &count)| percent(right, count));
    Ok(TaskResult {
        nominal_accuracy: percent(right.iter().sum(), test.count()),
        majority_baseline: percent(count.iter().copied().max().unwrap_or(0), test.count()),
        balanced_accuracy: recalls.sum::<f64>() / present as f64,
        attack: None,
        extra: Default::default(),
    })
}

/// Adversarial accuracy on the first `config.examples` images of the test split.
pub fn attack_task(
    session: &mut Session,
    vae: &Vae,
    probe: &Probe,
    test: &Split,
    config: &AttackConfig,
) -> Result<AttackResult> {
    let examples = config.examples.unwrap_or(test.count()).min(test.count());
    let x = floats(&test.images, examples);
    let attack = settings::attack(config);
    let labels = &test.labels[..examples];
    let bar = progress::bar("attack", 0);
    let report = robustness::attack(session, vae, probe, &x, labels, &attack, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(AttackResult {
        norm: config.norm,
        steps: config.steps,
        restarts: config.restarts,
        examples,
        nominal_accuracy: report.nominal,
        adversarial_accuracy: attack.radii.iter().copied().zip(report.adversarial).collect(),
        extra: Default::default(),
    })
}

/// The first `count` images in [0, 1], as the kernel `gather` scales them.
fn floats(images: &Images, count: usize) -> Vec<f32> {
    images.pixels[..count * images.image_len()].iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

/// Puts both splits on the device.
pub fn upload(session: &mut Session, train: &Images, test: &Images) -> Result<()> {
    trainer::upload_images(session, "train.images", train)?;
    trainer::upload_images(session, "test.images", test)
}
