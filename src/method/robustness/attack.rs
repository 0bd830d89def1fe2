//! Adversarial accuracy: projected gradient ascent on the cross-entropy (docs/method.md, section 5, step 4).
//!
//! The work is a queue of (image, restart). A fixed number of rows runs on the device. Every few steps the host reads
//! which rows are misclassified, drops the other restarts of their images, and refills the free rows from the queue. So
//! all rows are busy, and a misclassified image costs no further steps.

use crate::engine::autodiff;
use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::nn::Dense;
use crate::engine::nn::Weights;
use crate::engine::ops::{self};
use crate::engine::rng::{self, Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::ops::{Ascent, Goal, Norm, fits, mark_wrong, pgd_mlp, pgd_step, start_linf};
use crate::method::robustness::Accuracies;
use crate::method::robustness::Probe;
use crate::method::vae::Vae;

/// An attack's settings. Each radius takes `steps` steps of `2.5 radius / steps`.
#[derive(Debug, Clone)]
pub struct Attack {
    /// The norm of the balls.
    pub norm: Norm,
    /// The radii of the balls, in rising order, on the [0, 1] scale.
    pub radii: Vec<f32>,
    /// Steps of ascent; 0 classifies the random starts alone.
    pub steps: usize,
    /// Random starts for each image and radius.
    pub restarts: usize,
    /// The seed of the random starts.
    pub seed: u64,
    /// Whether steps run in one kernel call where the encoder allows it, as in
    /// [`Selection`](crate::method::selection::Selection).
    pub fused: bool,
}

/// Accuracies in percent of the attacked images.
#[derive(Debug, Clone)]
pub struct AttackReport {
    /// Those without an attack.
    pub nominal: Accuracies,
    /// For each radius: those of images that no iterate of a restart, at this or a smaller radius, makes misclassified.
    pub adversarial: Vec<Accuracies>,
    /// The outcome of each image, in their order.
    pub outcomes: Vec<Outcome>,
}

/// The outcome of the attack on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The image's class.
    pub label: u32,
    /// Whether it is classified correctly without an attack.
    pub clean: bool,
    /// The smallest radius at which it was misclassified; `None` where it was so without an attack, or at no radius.
    pub broken_at: Option<f32>,
}

/// The target of an attack: a classifier, and images with their classes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model, whose weights are in the variable `model`.
    pub vae: &'a Vae,
    /// The probe, whose weights are in the variable `probe`.
    pub probe: &'a Probe,
    /// The images `[labels.len(), inputs]`, in [0, 1].
    pub x: &'a [f32],
    /// The images' classes.
    pub labels: &'a [u32],
}

/// The rows that run on the device.
pub const ROWS: usize = 256;
/// The most steps between two checks of the rows.
const STEPS_BETWEEN_CHECKS: usize = 25;

/// Attacks encoder and probe. Calls `progress` with the work done and all work, counted in restarts of an image.
///
/// # Errors
/// Those of the device.
pub fn attack(
    session: &mut Session,
    target: &Target,
    settings: &Attack,
    progress: &dyn Fn(usize, usize),
) -> Result<AttackReport> {
    let Target { vae, probe, x, labels } = *target;
    let mut victims = Victims { x, labels, inputs: vae.encoder.inputs(), fooled: vec![false; labels.len()] };
    let images = labels.len();
    // The images themselves, without a step: which are misclassified without an attack.
    let mut check = chunk(session, vae, probe, settings, 0.0, 0)?;
    let as_is = |image: usize, _, out: &mut [f32]| out.copy_from_slice(victims_row(x, image, out.len()));
    let queue = (0..images).map(|image| (image, 0));
    victims.run(session, &mut check, queue, 1, &as_is, &|_| ())?;
    let nominal = victims.standing();
    let clean = |(&label, &fooled): (&u32, &bool)| Outcome { label, clean: !fooled, broken_at: None };
    let mut outcomes: Vec<Outcome> = labels.iter().zip(&victims.fooled).map(clean).collect();

    let (checks, steps_a_check) = cut(settings.steps);
    let mut adversarial = Vec::new();
    for (i, &radius) in settings.radii.iter().enumerate() {
        let mut program = chunk(session, vae, probe, settings, radius, steps_a_check)?;
        let start = |image: usize, restart: usize, out: &mut [f32]| {
            random_start(settings, radius, victims_row(x, image, out.len()), image, restart, out);
        };
        let all = settings.restarts * images;
        let queue = (0..all).map(|q| work_at(q, images, settings.restarts));
        let report = |waiting: usize| progress((i + 1) * all - waiting, settings.radii.len() * all);
        victims.run(session, &mut program, queue, checks, &start, &report)?;
        for (outcome, &fooled) in outcomes.iter_mut().zip(&victims.fooled) {
            if fooled && outcome.clean && outcome.broken_at.is_none() {
                outcome.broken_at = Some(radius);
            }
        }
        adversarial.push(victims.standing());
    }
    Ok(AttackReport { nominal, adversarial, outcomes })
}

/// Compiles what [`attack`] runs, and frees its memory again; the variable `probe` too.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where the device has no room for it.
pub fn check_attack(session: &mut Session, vae: &Vae, probe: &Probe, settings: &Attack) -> Result<()> {
    let (_, steps) = cut(settings.steps);
    let radius = settings.radii.first().copied().unwrap_or(0.0);
    chunk(session, vae, probe, settings, radius, steps)?;
    ["probe", "attack.x", "attack.x_adv", "attack.labels", "attack.wrong"]
        .iter()
        .for_each(|name| session.forget(name));
    Ok(())
}

/// The perturbed images at which one restart of the attack at `radius` ends, for at most [`ROWS`] images. The radii and
/// restarts in `settings` are not used.
///
/// # Errors
/// Those of the device; [`Error::Device`](crate::Error::Device) for more images.
pub fn perturbed(session: &mut Session, target: &Target, settings: &Attack, radius: f32) -> Result<Vec<f32>> {
    let Target { vae, probe, x, labels } = *target;
    let inputs = vae.encoder.inputs();
    let (runs, steps_a_run) = cut(settings.steps);
    let mut program = chunk(session, vae, probe, settings, radius, steps_a_run)?;
    let mut points = vec![0.0; x.len()];
    for (image, point) in points.chunks_exact_mut(inputs).enumerate() {
        random_start(settings, radius, victims_row(x, image, inputs), image, 0, point);
    }
    session.write("attack.x", 0, x)?;
    session.write("attack.x_adv", 0, &points)?;
    session.write("attack.labels", 0, labels)?;
    for _ in 0..runs {
        program.run()?;
    }
    let rows: Vec<f32> = session.get("attack.x_adv")?;
    points.copy_from_slice(&rows[..x.len()]);
    Ok(points)
}

/// A restart of an image's attack: (image, restart).
type Work = (usize, usize);

/// Item `q` of the queue: first one restart of every image, since most that are misclassified at all are so in the
/// first, then the others image by image. Rows of one image share their zeros, and the CPU skips zeros that a
/// panel's rows share.
fn work_at(q: usize, images: usize, restarts: usize) -> Work {
    match q.checked_sub(images) {
        None => (q, 0),
        Some(rest) => (rest / (restarts - 1), 1 + rest % (restarts - 1)),
    }
}

/// The images under attack, and which are misclassified so far.
struct Victims<'a> {
    x: &'a [f32],
    labels: &'a [u32],
    inputs: usize,
    fooled: Vec<bool>,
}

impl Victims<'_> {
    fn standing(&self) -> Accuracies {
        Accuracies::of(self.labels.iter().zip(&self.fooled).map(|(&label, fooled)| (label, !fooled)))
    }

    /// Processes `queue`, each item in `checks` runs of `program`, and marks the misclassified images. Calls `report`
    /// with the items left after each run.
    fn run(
        &mut self,
        session: &Session,
        program: &mut Program,
        mut queue: impl ExactSizeIterator<Item = Work>,
        checks: usize,
        start: &dyn Fn(usize, usize, &mut [f32]),
        report: &dyn Fn(usize),
    ) -> Result<()> {
        let mut rows: [Option<(usize, usize)>; ROWS] = [None; ROWS]; // (image, checks left)
        let mut point = vec![0.0; self.inputs];
        loop {
            for (r, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_none()) {
                // A misclassified image needs no further restart.
                let Some((image, restart)) = queue.find(|(image, _)| !self.fooled[*image]) else {
                    break;
                };
                start(image, restart, &mut point);
                session.write("attack.x", r * self.inputs, victims_row(self.x, image, self.inputs))?;
                session.write("attack.x_adv", r * self.inputs, &point)?;
                session.write("attack.labels", r, &self.labels[image..=image])?;
                session.write("attack.wrong", r, &[0_u32])?;
                *row = Some((image, checks));
            }
            if rows.iter().all(Option::is_none) {
                return Ok(());
            }
            program.run()?;
            let wrong: Vec<u32> = session.get("attack.wrong")?;
            for (row, wrong) in rows.iter().zip(wrong) {
                if let Some((image, _)) = row {
                    self.fooled[*image] |= wrong != 0;
                }
            }
            for row in &mut rows {
                *row = row
                    .map(|(image, left)| (image, left - 1))
                    .filter(|&(i, left)| left > 0 && !self.fooled[i]);
            }
            report(queue.len() + rows.iter().flatten().count());
        }
    }
}

fn victims_row(x: &[f32], image: usize, inputs: usize) -> &[f32] {
    &x[image * inputs..(image + 1) * inputs]
}

/// The program of `steps` attack steps. Every iterate is classified, the last one too, so that an adversarial example
/// counts wherever it appears.
fn chunk(
    session: &mut Session,
    vae: &Vae,
    probe: &Probe,
    settings: &Attack,
    radius: f32,
    steps: usize,
) -> Result<Program> {
    let step_size = if steps == 0 { 0.0 } else { 2.5 * radius / settings.steps as f32 };
    let mut g = Graph::new();
    let model = Weights::new(&mut g, &vae.layout, "model")?;
    let head = Weights::new(&mut g, &probe.layout, "probe")?;
    let shape = [ROWS, vae.encoder.inputs()];
    let x = g.variable("attack.x", shape, DType::F32)?;
    let x_adv = g.variable("attack.x_adv", shape, DType::F32)?;
    let labels = g.variable("attack.labels", [ROWS], DType::U32)?;
    let wrong = g.variable("attack.wrong", [ROWS], DType::U32)?;
    let fits = |layers: &[Dense], probe| {
        let with_probe = [layers, &[probe]].concat();
        settings.fused && fits(&with_probe, vae.encoder.inputs())
    };
    if let (Some(layers), Some(layer)) = (vae.encoder.dense(&vae.layout, vae.latent), probe.dense())
        && fits(&layers, layer)
    {
        let goal = Goal::CrossEntropy { probe: head.arena, layer, labels, wrong };
        let (weights, norm) = (model.arena, settings.norm);
        let ascent = Ascent {
            weights,
            layers,
            goal,
            norm,
            eps: radius,
            step: step_size,
            steps,
            start: None,
            points: None,
        };
        pgd_mlp(&mut g, x_adv, x, ascent)?;
        return session.compile(&g);
    }
    let classify = |g: &mut Graph| {
        let means = vae.encode_mean(g, &model.views, x_adv)?;
        let logits = probe.logits(g, &head.views, means)?;
        mark_wrong(g, logits, labels, wrong)?;
        Ok(logits)
    };
    if steps > 0 {
        g.repeat(steps, |g| {
            let logits = classify(g)?;
            let entropy = ops::softmax_cross_entropy(g, logits, labels)?;
            let gradient = autodiff::gradients_from(g, &[(logits, entropy.d_logits)], &[x_adv])?[0];
            pgd_step(g, settings.norm, x_adv, gradient, x, radius, step_size)
        })?;
    }
    classify(&mut g)?;
    session.compile(&g)
}

/// A random point of the ball around `x`, clipped to the box: the host's twin of `pgd_start`.
fn random_start(settings: &Attack, radius: f32, x: &[f32], image: usize, restart: usize, out: &mut [f32]) {
    let key = Key::new(settings.seed, Purpose::Attack);
    let first_block = (image * out.len().div_ceil(2)) as u32;
    rng::fill(key, restart as u32, first_block, settings.norm == Norm::L2, out);
    match settings.norm {
        Norm::Linf => out.iter_mut().zip(x).for_each(|(o, x)| *o = start_linf(*x, *o, radius)),
        Norm::L2 => {
            let key = Key::new(settings.seed, Purpose::AttackRadius);
            let share = rng::uniform(key, restart as u32, image as u32).powf(1.0 / out.len() as f32);
            let length = out.iter().map(|o| o * o).sum::<f32>().sqrt();
            out.iter_mut().zip(x).for_each(|(o, x)| *o = x + radius * share * *o / length);
        }
    }
    out.iter_mut().for_each(|o| *o = o.clamp(0.0, 1.0));
}

/// Cuts `steps` into equal pieces of at most [`STEPS_BETWEEN_CHECKS`]: the number of pieces, and the steps of each.
/// Without steps there is one piece, which checks the starts.
fn cut(steps: usize) -> (usize, usize) {
    let piece = (1..=STEPS_BETWEEN_CHECKS.min(steps)).rev().find(|piece| steps.is_multiple_of(*piece));
    piece.map_or((1, 0), |piece| (steps / piece, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_cut_into_equal_pieces() {
        assert_eq!([0, 1, 7, 40, 100, 101].map(cut), [(1, 0), (1, 1), (1, 7), (2, 20), (4, 25), (101, 1)]);
    }

    #[test]
    fn every_restart_of_every_image_is_in_the_queue() {
        for (images, restarts) in [(5, 1), (1, 4), (7, 3)] {
            let mut works: Vec<Work> = (0..images * restarts).map(|q| work_at(q, images, restarts)).collect();
            assert!(works[..images].iter().all(|(_, restart)| *restart == 0));
            works.sort_unstable();
            let all = (0..images).flat_map(|i| (0..restarts).map(move |r| (i, r)));
            assert_eq!(works, all.collect::<Vec<_>>());
        }
    }
}
