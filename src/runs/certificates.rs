//! Certificates beside an attack: what no perturbation can do to a probe's answers and to the codes.

use crate::engine::nn::NamedTensor;
use crate::error::{Error, Result};
use crate::method::lipschitz::{self, Farthest};
use crate::method::robustness::{self, percent};
use crate::method::selection::{Metric, Selection};
use crate::runs::config::AttackConfig;
use crate::runs::evaluate::{Attacked, Evaluator};
use crate::runs::record::AttackResult;
use crate::runs::{recipe, short};

impl Evaluator<'_> {
    /// Adds certificates to what came of an attack, where `config` asks for them.
    ///
    /// # Errors
    /// [`Error::Run`] for an image that was broken in the ball in which it is certified.
    pub(super) fn with_certificates(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        config: &AttackConfig,
        attacked: Attacked,
    ) -> Result<Attacked> {
        if !config.certify {
            return Ok(attacked);
        }
        let progress = self.context.begin("certify", 0, 0);
        progress.note(&self.data.tasks[task].name);
        let (norm, radii) = (recipe::attack(config).norm, &config.radii);
        let certified = self.with_target(task, tensors, x, |session, target| {
            robustness::certified_radii(session, target, norm, radii, &|done, all| {
                progress.advance(done as u64, all as u64);
            })
        })?;
        drop(progress);
        for (i, (outcome, certified)) in attacked.outcomes.iter().zip(&certified).enumerate() {
            let wrong = if outcome.clean { outcome.broken.map(|broken| broken.radius) } else { Some(0.0) };
            if let (Some(broken), Some(certified)) = (wrong, certified)
                && broken <= *certified
            {
                let what = format!("image {i} is certified up to {certified}, and misclassified at {broken}");
                return Err(Error::run(what).with_hint("this is a fault of the program: please report it"));
            }
        }
        let within = |radius: f32| certified.iter().flatten().filter(|&&r| r >= radius).count();
        let radius_of = |certified: &Option<f32>| f64::from(certified.unwrap_or(0.0));
        let result = AttackResult {
            certified_accuracy: radii.iter().map(|&r| (r, percent(within(r), certified.len()))).collect(),
            median_certified_radius: median(certified.iter().map(radius_of)).map(|r| short(r as f32)),
            code_moves: match self.vae.has_variances() {
                true => self.code_moves(task, tensors, x, config)?,
                // The ascent needs them.
                false => vec![],
            },
            ..attacked.result
        };
        Ok(Attacked { result, certified, ..attacked })
    }

    /// For each radius how far the codes move at least, by an ascent, and at most, by bounds: medians over the images
    /// `x`, in percent of the median distance between the codes of two of them. Radii without a finite bound are left
    /// out.
    ///
    /// # Errors
    /// [`Error::Run`] for a code that moved farther than its bound.
    fn code_moves(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        config: &AttackConfig,
    ) -> Result<Vec<(f32, [f64; 2])>> {
        let progress = self.context.begin("bound codes", 0, 0);
        let (attack, radii) = (recipe::attack(config), &config.radii);
        let bounds = self.with_target(task, tensors, x, |session, target| {
            robustness::code_reach(session, target, attack.norm, radii, &|done, all| {
                progress.advance(done as u64, all as u64);
            })
        })?;
        let mut moves = Vec::new();
        for (&radius, bounds) in radii.iter().zip(bounds) {
            let step_size = 2.5 * radius / config.steps.max(1) as f32;
            let (norm, steps, fused) = (attack.norm, config.steps, true);
            let selection = Selection { norm, eps: radius, steps, step_size, metric: Metric::W2, fused };
            let Farthest { means, distances, .. } =
                lipschitz::farthest(self.session, self.vae, &selection, x, config.seed)?;
            if let Some(i) = distances.iter().zip(&bounds).position(|(moved, bound)| moved > bound) {
                let what =
                    format!("the code of image {i} moves by {}, its bound is {}", distances[i], bounds[i]);
                return Err(Error::run(what).with_hint("this is a fault of the program: please report it"));
            }
            let codes: Vec<&[f32]> = means.chunks_exact(self.vae.latent).collect();
            // Not the next image, which in sorted data is of the same class.
            let other = |i: usize| codes[(i + codes.len() / 2) % codes.len()];
            let pairs = codes.iter().enumerate().map(|(i, code)| lipschitz::distance(code, other(i)));
            let apart = median(pairs).filter(|apart| *apart > 0.0);
            let medians = [median(distances.into_iter()), median(bounds.into_iter())];
            if let (Some(apart), [Some(least), Some(most)]) = (apart, medians) {
                let shares = [least, most].map(|moved| 100.0 * moved / apart);
                moves.extend(shares.iter().all(|share| share.is_finite()).then_some((radius, shares)));
            }
        }
        Ok(moves)
    }
}

/// The upper median.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
