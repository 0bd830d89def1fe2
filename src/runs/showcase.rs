//! What a run's page shows beside its numbers: a few images, computed on its model and its test images.
//!
//! All of it is plain data, and little enough to take seconds: the first 256 test images at the most.

use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::nn::load_weights;
use crate::engine::ops::ImageShape;
use crate::engine::ops::store;
use crate::engine::rng::{self, Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::divergence::kl_standard;
use crate::method::lipschitz;
use crate::method::robustness::{self, Attack, Build, Probe};
use crate::method::selection::{Metric, Selection};
use crate::method::vae::Vae;
use crate::runs::config::{AttackConfig, Norm};
use crate::runs::{LoadedRun, model_file, recipe};

/// Images in a row of the page.
pub const ROW: usize = 10;
/// Prior samples.
const SAMPLES: usize = 3 * ROW;
/// Latent dimensions shown.
const TRAVERSALS: usize = 6;
/// How far a traversal goes to either side, in units of the prior's deviation.
pub const TRAVERSAL_END: f32 = 3.0;
/// Steps of the ascents made for the page.
const STEPS: usize = 20;

/// Images `[channels, height, width]` in [0, 1]; a linear decoder's may leave that range.
pub type Images = Vec<Vec<f32>>;

/// What is shown of a run.
#[derive(Debug, Clone)]
pub struct Showcase {
    pub shape: ImageShape,
    /// Test images, and what the decoder makes of their codes' means.
    pub originals: Images,
    pub reconstructions: Images,
    /// Decoded draws from the prior.
    pub samples: Images,
    pub traversals: Vec<Traversal>,
    pub neighbours: Neighbours,
    /// Of the task with the most classes, where it was probed.
    pub attacked: Option<Attacked>,
}

/// The first test image's code, one of its dimensions set to evenly spaced values in
/// [-[`TRAVERSAL_END`], [`TRAVERSAL_END`]] and decoded.
#[derive(Debug, Clone)]
pub struct Traversal {
    /// The dimension, from 0.
    pub dimension: usize,
    /// The mean of KL(q(z_i|x) || p) over test images, in nats: how much the dimension says.
    pub kl: f64,
    pub images: Images,
}

/// An image, a perturbed copy, and what the decoder makes of both.
#[derive(Debug, Clone)]
pub struct Pair {
    pub original: Vec<f32>,
    pub perturbed: Vec<f32>,
    pub reconstruction: Vec<f32>,
    pub perturbed_reconstruction: Vec<f32>,
}

/// Test images x with the x* of the selection (docs/method.md, section 4): the code's distance is made large, no
/// label is used.
#[derive(Debug, Clone)]
pub struct Neighbours {
    pub norm: Norm,
    /// The radius.
    pub eps: f32,
    pub steps: usize,
    pub examples: Vec<Pair>,
    /// The local Lipschitz ratio `|mu(x) - mu(x*)| / |x - x*|` (the paper's E.3), Euclidean, of each image.
    pub ratios: Vec<f64>,
}

/// Test images attacked through encoder and probe.
#[derive(Debug, Clone)]
pub struct Attacked {
    pub task: String,
    pub norm: Norm,
    pub radius: f32,
    pub steps: usize,
    /// Images attacked, each from one random start.
    pub images: usize,
    /// Those that were right before and wrong after come first.
    pub examples: Vec<Example>,
    /// `[class][answer]`: how many images of the class got the answer.
    pub confusion: Vec<Vec<usize>>,
}

/// An attacked image, its class, and the classifier's answers before and after.
#[derive(Debug, Clone)]
pub struct Example {
    pub pair: Pair,
    pub class: u32,
    pub before: u32,
    pub after: u32,
}

impl LoadedRun {
    /// Computes what the run's page shows.
    pub fn showcase(&mut self) -> Result<Showcase> {
        let (chosen, x) = self.first_images()?;
        let count = chosen.len();
        let shown = count.min(ROW);
        let inputs = self.vae.encoder.inputs();
        let heads = encode(&mut self.session, &self.vae, &x)?;
        let means = means_of(&heads, self.vae.latent);
        let x = &x[..count * inputs];
        let reconstructions = self.decoded(&means[..shown * self.vae.latent])?;
        let samples = self.samples(SAMPLES, self.config.seed)?;
        let dimensions = telling_dimensions(&heads, self.vae.latent, TRAVERSALS);
        let traversals = self.traversals(&heads[..self.vae.latent], &dimensions)?;
        let neighbours = self.neighbours(x, shown)?;
        let attacked = self.attacked(x, &chosen, shown)?;
        let shape = self.data.test.images.shape();
        let originals = x.chunks_exact(inputs).take(shown).map(<[f32]>::to_vec).collect();
        Ok(Showcase { shape, originals, reconstructions, samples, traversals, neighbours, attacked })
    }

    /// What the decoder makes of codes `[_, latent]`.
    pub(super) fn decoded(&mut self, codes: &[f32]) -> Result<Images> {
        let vae = &self.vae;
        let images = evaluate(&mut self.session, vae, codes, vae.latent, &|g, w, z| vae.decode(g, w, z))?;
        Ok(images.chunks_exact(vae.encoder.inputs()).map(<[f32]>::to_vec).collect())
    }

    /// Decoded draws from the prior.
    pub fn samples(&mut self, count: usize, seed: u64) -> Result<Images> {
        let mut codes = vec![0.0; count * self.vae.latent];
        rng::fill(Key::new(seed, Purpose::Showcase), 0, 0, true, &mut codes);
        self.decoded(&codes)
    }

    /// `code` moved along each of `dimensions`, which come with their mean KL.
    pub(super) fn traversals(&mut self, code: &[f32], dimensions: &[(usize, f64)]) -> Result<Vec<Traversal>> {
        let moved = |dimension: usize, value: f32| {
            let mut code = code.to_vec();
            code[dimension] = value;
            code
        };
        let codes: Vec<f32> = dimensions
            .iter()
            .flat_map(|&(dimension, _)| traversal_values().flat_map(move |value| moved(dimension, value)))
            .collect();
        let images = self.decoded(&codes)?;
        let of = |(&(dimension, kl), images): (&(usize, f64), &[Vec<f32>])| Traversal {
            dimension,
            kl,
            images: images.to_vec(),
        };
        Ok(dimensions.iter().zip(images.chunks(ROW)).map(of).collect())
    }

    fn neighbours(&mut self, x: &[f32], shown: usize) -> Result<Neighbours> {
        let eps = self.config.eps;
        let trained = recipe::training(&self.config)?.selection;
        let selection =
            Selection { steps: STEPS, step_size: 2.5 * eps / STEPS as f32, metric: Metric::W2, ..trained };
        let found = lipschitz::farthest(&mut self.session, &self.vae, &selection, x, self.config.seed)?;
        let ratios: Vec<f64> = found.ratios.into_iter().filter(|ratio| ratio.is_finite()).collect();
        let kept: Vec<usize> = (0..shown.min(x.len() / self.vae.encoder.inputs())).collect();
        let examples = self.pairs(x, &found.selected, &kept)?;
        Ok(Neighbours { norm: self.config.selection_norm, eps, steps: STEPS, examples, ratios })
    }

    /// Images `kept` of `x` with their perturbed copies and the reconstructions of both.
    fn pairs(&mut self, x: &[f32], perturbed: &[f32], kept: &[usize]) -> Result<Vec<Pair>> {
        let (inputs, latent) = (self.vae.encoder.inputs(), self.vae.latent);
        let rows = |all: &[f32]| -> Vec<f32> {
            kept.iter().flat_map(|&i| all[i * inputs..][..inputs].to_vec()).collect()
        };
        let (originals, perturbed) = (rows(x), rows(perturbed));
        let mut reconstructed = |x: &[f32]| {
            let heads = encode(&mut self.session, &self.vae, x)?;
            self.decoded(&means_of(&heads, latent))
        };
        let (before, after) = (reconstructed(&originals)?, reconstructed(&perturbed)?);
        let images = originals
            .chunks_exact(inputs)
            .zip(perturbed.chunks_exact(inputs))
            .zip(before.into_iter().zip(after));
        Ok(images
            .map(|((original, perturbed), (reconstruction, perturbed_reconstruction))| Pair {
                original: original.to_vec(),
                perturbed: perturbed.to_vec(),
                reconstruction,
                perturbed_reconstruction,
            })
            .collect())
    }

    /// The first test images, at most `shown`, with their x* in the ball of radius `eps` (figure 1).
    pub fn perturbed_pairs(&mut self, shown: usize, eps: f32) -> Result<Neighbours> {
        self.config.eps = eps;
        let (_, x) = self.first_images()?;
        self.neighbours(&x, shown)
    }

    /// Images of task number `task` attacked at a radius (figure 6); none where it was not probed.
    pub fn attacked_images(&mut self, task: usize, radius: f32, shown: usize) -> Result<Option<Attacked>> {
        let (chosen, x) = self.first_images()?;
        let norm = self.config.attack.norm;
        match model_file::of_probe(&self.tensors, &self.data.tasks[task].name).is_empty() {
            true => Ok(None),
            false => self.attacked_at(task, norm, radius, &x, &chosen, shown).map(Some),
        }
    }

    /// The numbers of the first test images, and these.
    pub(super) fn first_images(&self) -> Result<(Vec<usize>, Vec<f32>)> {
        let count = self.data.test.count().min(robustness::ROWS);
        let chosen: Vec<usize> = self.data.test.images.sample(count).collect();
        let x = self.data.test.images.floats_of(chosen.iter().copied())?;
        Ok((chosen, x))
    }

    /// By the attack that the task's result is of, or the one in the settings, at its middle radius.
    fn attacked(&mut self, x: &[f32], chosen: &[usize], shown: usize) -> Result<Option<Attacked>> {
        let probed =
            |task: &usize| !model_file::of_probe(&self.tensors, &self.data.tasks[*task].name).is_empty();
        // The first of those with the most classes.
        let tasks = (0..self.data.tasks.len()).rev().filter(probed);
        let Some(task) = tasks.max_by_key(|&task| self.data.tasks[task].classes) else { return Ok(None) };
        let measured =
            self.result.tasks.get(&self.data.tasks[task].name).and_then(|task| task.attack.as_ref());
        let (norm, radii) = match measured {
            Some(attack) => (attack.norm, attack.adversarial_accuracy.iter().map(|r| r.0).collect()),
            None => (self.config.attack.norm, self.config.attack.radii.clone()),
        };
        let Some(&radius) = radii.get(radii.len().saturating_sub(1) / 2) else { return Ok(None) };
        self.attacked_at(task, norm, radius, x, chosen, shown).map(Some)
    }

    fn attacked_at(
        &mut self,
        task: usize,
        norm: Norm,
        radius: f32,
        x: &[f32],
        chosen: &[usize],
        shown: usize,
    ) -> Result<Attacked> {
        let about = self.data.tasks[task].clone();
        let config = AttackConfig { norm, ..self.config.attack.clone() };
        let attack = Attack { steps: STEPS, ..recipe::attack(&config) };

        let probe = Probe::new(self.vae.latent, about.classes);
        self.session.forget("probe"); // The one before may have had another number of classes.
        let tensors = model_file::of_probe(&self.tensors, &about.name);
        load_weights(&mut self.session, "probe", &probe.layout, &tensors)?;
        let labels: Vec<u32> = chosen.iter().map(|&i| self.data.test.labels[task][i]).collect();
        let shape = self.data.test.images.shape();
        let target = robustness::Target { vae: &self.vae, probe: &probe, x, labels: &labels, shape };
        let perturbed = robustness::perturbed(&mut self.session, &target, &attack, radius)?;
        let mut answers = |x: &[f32]| {
            let heads = encode(&mut self.session, &self.vae, x)?;
            probe.predict(&self.session, &means_of(&heads, self.vae.latent))
        };
        let (before, after) = (answers(x)?, answers(&perturbed)?);
        let mut confusion = vec![vec![0; about.classes]; about.classes];
        for (&class, &answer) in labels.iter().zip(&after) {
            // An answer to numbers that are not finite is no class.
            if let Some(count) = confusion[class as usize].get_mut(answer as usize) {
                *count += 1;
            }
        }
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&i| (before[i] != labels[i], after[i] == labels[i], i));
        order.truncate(shown);
        let pairs = self.pairs(x, &perturbed, &order)?;
        let example =
            |(i, pair): (usize, Pair)| Example { pair, class: labels[i], before: before[i], after: after[i] };
        let examples = order.into_iter().zip(pairs).map(example).collect();
        let (task, images) = (about.name, labels.len());
        Ok(Attacked { task, norm, radius, steps: STEPS, images, examples, confusion })
    }
}

/// The values that a traversal sets its dimension to.
pub fn traversal_values() -> impl Iterator<Item = f32> {
    (0..ROW).map(|k| TRAVERSAL_END * (2.0 * k as f32 / (ROW - 1) as f32 - 1.0))
}

/// The `count` dimensions of largest mean KL(q(z_i|x) || p) over codes `heads`, the largest first, with that mean.
pub(super) fn telling_dimensions(heads: &[f32], latent: usize, count: usize) -> Vec<(usize, f64)> {
    let mut kl = vec![0.0; latent];
    let rows = heads.chunks_exact(2 * latent);
    let images = rows.len().max(1) as f64;
    for (mean, logvar) in rows.map(|head| head.split_at(latent)) {
        for ((kl, &m), &l) in kl.iter_mut().zip(mean).zip(logvar) {
            *kl += kl_standard(&[f64::from(m)], &[f64::from(l)]) / images;
        }
    }
    let mut dimensions: Vec<(usize, f64)> = kl.into_iter().enumerate().collect();
    dimensions.sort_by(|a, b| b.1.total_cmp(&a.1));
    dimensions.truncate(count);
    dimensions
}

/// Means and log-variances `[rows, 2 latent]` of images `x`.
pub(super) fn encode(session: &mut Session, vae: &Vae, x: &[f32]) -> Result<Vec<f32>> {
    evaluate(session, vae, x, vae.encoder.inputs(), &|g, weights, x| vae.encode(g, weights, x))
}

/// The means out of what [`encode`] gives.
pub(super) fn means_of(heads: &[f32], latent: usize) -> Vec<f32> {
    heads.chunks_exact(2 * latent).flat_map(|head| &head[..latent]).copied().collect()
}

/// What `build` makes of rows `input` `[_, width]` with the weights in the variable `model`.
fn evaluate(
    session: &mut Session,
    vae: &Vae,
    input: &[f32],
    width: usize,
    build: &Build,
) -> Result<Vec<f32>> {
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let x = g.variable("showcase.in", [input.len() / width, width], DType::F32)?;
    let y = build(&mut g, &weights.views, x)?;
    let shape = g.shape(y)?.clone();
    let kept = g.variable("showcase.out", shape, DType::F32)?;
    store(&mut g, y, kept)?;
    // The rows before may have been others.
    session.forget("showcase.in");
    session.forget("showcase.out");
    let mut program = session.compile(&g)?;
    session.set("showcase.in", input)?;
    program.run()?;
    session.get("showcase.out")
}

#[cfg(test)]
mod tests {
    use crate::runs::made_up;

    #[test]
    fn all_images_are_as_many_as_there_are() {
        let base = tempfile::tempdir().unwrap();
        let mut run = made_up::quick_run(base.path());
        assert_eq!(run.perturbed_pairs(usize::MAX, 0.1).unwrap().examples.len(), 12);
        assert_eq!(run.perturbed_pairs(3, 0.1).unwrap().examples.len(), 3);
        assert_eq!(run.attacked_images(0, 0.1, usize::MAX).unwrap().unwrap().examples.len(), 12);
    }
}
