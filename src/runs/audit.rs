//! What can be checked by itself of an accuracy under attack (Carlini et al., 2019, On Evaluating Adversarial
//! Robustness): whether the attack that it rests on is as strong as it can be told to be.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::{AttackConfig, AttackMethod, Norm};
use super::evaluate::{Attacked, Evaluator};
use super::record::{AttackResult, round};
use super::{recipe, short, shown};
use crate::engine::nn::NamedTensor;
use crate::error::Result;
use crate::method::robustness::{Attack, Thresholded, percent, vanishing_gradients};

/// Percent of the images by which a stronger attack may differ.
const TOLERANCE: f64 = 1.0;

/// How many times as many steps and restarts a stronger attack of the same kind has.
const STRONGER: usize = 2;

/// The checks of figures, and what they should be compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Whether all checks are passed.
    pub passed: bool,
    pub checks: Vec<Check>,
    pub baselines: Vec<Baseline>,
}

/// What a task's images give by themselves, without a robust encoder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    pub name: &'static str,
    pub task: String,
    /// What it is, in words.
    pub is: &'static str,
    /// In percent of the attacked images.
    pub measured: BTreeMap<String, f64>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub task: String,
    pub passed: bool,
    /// What must hold, in words.
    pub wanted: String,
    /// In percent of the attacked images.
    pub measured: BTreeMap<String, f64>,
}

impl Default for Audit {
    /// Without checks, none of which fails.
    fn default() -> Self {
        Audit { passed: true, checks: vec![], baselines: vec![] }
    }
}

impl Audit {
    /// Adds another task's.
    pub fn add(&mut self, other: Audit) {
        self.passed &= other.passed;
        self.checks.extend(other.checks);
        self.baselines.extend(other.baselines);
    }
}

/// The audit of a task while it is made.
struct Auditor<'a, 'b> {
    evaluator: &'a mut Evaluator<'b>,
    task: usize,
    tensors: &'a [NamedTensor],
    config: &'a AttackConfig,
    x: &'a [f32],
    audit: Audit,
}

/// Accuracies by radius.
type Curve = [(f32, f64)];

/// The most by which a curve lies above another of the same radii.
fn most_above(curve: &Curve, other: &Curve) -> f64 {
    curve.iter().zip(other).map(|(a, b)| a.1 - b.1).fold(f64::NEG_INFINITY, f64::max)
}

/// A radius in which any image can become any other.
fn whole_box(norm: Norm, inputs: usize) -> f32 {
    match norm {
        Norm::Linf => 1.0,
        Norm::L2 => (inputs as f32).sqrt().ceil(),
    }
}

impl Evaluator<'_> {
    /// Checks the attack of `config` on the probe of `task`, whose weights are among `tensors`, on the test images `x`.
    /// `transferred` are the points of [`AttackMethod::Transfer`], or none.
    ///
    /// # Errors
    /// As [`Evaluator::attack`].
    pub fn audit(
        &mut self,
        task: usize,
        tensors: &[NamedTensor],
        x: &[f32],
        config: &AttackConfig,
        transferred: Vec<Vec<f32>>,
    ) -> Result<Audit> {
        // Its many attacks are not compared with bounds, and what is transferred has a check of its own.
        let attacks: Vec<_> =
            config.attacks.iter().copied().filter(|attack| *attack != AttackMethod::Transfer).collect();
        let config = &AttackConfig { certify: false, attacks, ..config.clone() };
        let mut audit = Auditor { evaluator: self, task, tensors, config, x, audit: Audit::default() };
        let own = audit.attack(config)?;
        audit.against_weaker(&own.adversarial_accuracy)?;
        audit.against_stronger(&own.adversarial_accuracy)?;
        if !transferred.is_empty() {
            audit.against_transfer(&own.adversarial_accuracy, transferred)?;
        }
        audit.larger_radii(own.nominal_accuracy)?;
        audit.gradients()?;
        audit.check(
            "more-than-a-constant-answer",
            own.nominal_accuracy > own.majority_baseline,
            "without an attack, more is right than by the answer that is most often right",
            &[("constant", own.majority_baseline), ("no attack", own.nominal_accuracy)],
        );
        if config.norm == Norm::Linf {
            audit.thresholded()?;
        }
        Ok(audit.audit)
    }
}

impl Auditor<'_, '_> {
    fn attack(&mut self, config: &AttackConfig) -> Result<AttackResult> {
        Ok(self.evaluator.attack(self.task, self.tensors, self.x, config)?.result)
    }

    /// What stands under these attacks.
    fn curve(&mut self, attacks: &[AttackMethod]) -> Result<Vec<(f32, f64)>> {
        let config = AttackConfig { attacks: attacks.to_vec(), ..self.config.clone() };
        Ok(self.attack(&config)?.adversarial_accuracy)
    }

    fn check(&mut self, name: &'static str, passed: bool, wanted: &str, measured: &[(&str, f64)]) {
        let task = self.evaluator.data.tasks[self.task].name.clone();
        let measured = measured.iter().map(|&(what, value)| (what.to_string(), round(value)));
        let (wanted, measured) = (wanted.to_string(), measured.collect());
        self.audit.passed &= passed;
        self.audit.checks.push(Check { name, task, passed, wanted, measured });
    }

    /// A check of curves, by what they are of.
    fn check_curves(&mut self, name: &'static str, passed: bool, wanted: &str, curves: &[(&str, &Curve)]) {
        let points = curves.iter().flat_map(|(of, curve)| curve.iter().map(move |point| (of, point)));
        let named: Vec<_> =
            points.map(|(of, (radius, at))| (format!("{of} at {}", shown(short(*radius))), *at)).collect();
        let measured: Vec<_> = named.iter().map(|(what, at)| (what.as_str(), *at)).collect();
        self.check(name, passed, wanted, &measured);
    }

    fn against_weaker(&mut self, own: &Curve) -> Result<()> {
        let noise = self.curve(&[AttackMethod::Noise])?;
        let single = self.curve(&[AttackMethod::Fgsm])?;
        self.check_curves(
            "noise-does-less",
            most_above(own, &noise) <= 0.0,
            "random points break no more images than the attack",
            &[("attack", own), ("noise", &noise)],
        );
        self.check_curves(
            "steps-beat-one-step",
            most_above(own, &single) <= 0.0,
            "a single step up the gradient breaks no more images than the attack",
            &[("attack", own), ("fgsm", &single)],
        );
        Ok(())
    }

    fn against_stronger(&mut self, own: &Curve) -> Result<()> {
        let (steps, restarts) = (STRONGER * self.config.steps, STRONGER * self.config.restarts);
        let config = AttackConfig { steps, restarts, ..self.config.clone() };
        let longer = self.attack(&config)?.adversarial_accuracy;
        self.check_curves(
            "more-steps-change-nothing",
            most_above(own, &longer) <= TOLERANCE,
            "twice the steps and restarts break at most 1 % more of the images",
            &[("attack", own), ("longer", &longer)],
        );
        let known = |method| self.config.attacks.contains(&method);
        let goal = match known(AttackMethod::Margin) {
            true => (AttackMethod::Pgd, "the cross-entropy's ascent breaks"),
            false => (AttackMethod::Margin, "the margins' ascent breaks"),
        };
        let none = (AttackMethod::Square, "random squares, without gradients, break");
        let others = [("another-goal-breaks-no-more", goal), ("no-gradient-breaks-no-more", none)];
        let others: Vec<_> = others.into_iter().filter(|(_, (method, _))| !known(*method)).collect();
        for (name, (method, title)) in others {
            let both = self.curve(&[&self.config.attacks[..], &[method]].concat())?;
            self.check_curves(
                name,
                most_above(own, &both) <= TOLERANCE,
                &format!("{title} at most 1 % of the images after the attack"),
                &[("attack", own), ("both", &both)],
            );
        }
        Ok(())
    }

    fn against_transfer(&mut self, own: &Curve, transferred: Vec<Vec<f32>>) -> Result<()> {
        let attacks = [&self.config.attacks[..], &[AttackMethod::Transfer]].concat();
        let config = AttackConfig { attacks, ..self.config.clone() };
        let attack = Attack { transferred, ..recipe::attack(&config) };
        let report = self.evaluator.attack_report(self.task, self.tensors, self.x, &attack)?;
        let task = &self.evaluator.data.tasks[self.task].name;
        let both = Attacked::of(task, &config, report).result.adversarial_accuracy;
        self.check_curves(
            "transfer-breaks-no-more",
            most_above(own, &both) <= TOLERANCE,
            "what fools the other run's classifier breaks at most 1 % of the images after the attack",
            &[("attack", own), ("both", &both)],
        );
        Ok(())
    }

    /// What the run's own classifier has on images in black and white, attacked through the threshold.
    fn thresholded(&mut self) -> Result<()> {
        let AttackConfig { steps, restarts, seed, .. } = *self.config;
        let (radii, attack) = (&self.config.radii, Thresholded { steps, restarts, seed });
        let broken = self.evaluator.with_target(self.task, self.tensors, self.x, |session, target| {
            attack.broken_at(session, target, radii)
        })?;
        let standing = |radius: f32| broken.iter().filter(|broken| **broken > radius).count();
        let at =
            |radius: f32| (format!("at {}", shown(short(radius))), percent(standing(radius), broken.len()));
        let measured = [0.0].iter().chain(radii).map(|&radius| at(radius));
        let baseline = Baseline {
            name: "thresholded-input",
            task: self.evaluator.data.tasks[self.task].name.clone(),
            is: "the classifier on images rounded to black and white, attacked through the rounding",
            measured: measured.map(|(what, value)| (what, round(value))).collect(),
        };
        self.audit.baselines.push(baseline);
        Ok(())
    }

    /// Each radius by itself, not given what the smaller ones found; and one in which nothing can stand.
    fn larger_radii(&mut self, nominal: f64) -> Result<()> {
        let mut curve = vec![(0.0, nominal)];
        let huge = whole_box(self.config.norm, self.evaluator.vae.encoder.inputs());
        for radius in self.config.radii.iter().copied().chain([huge]) {
            let config = AttackConfig { radii: vec![radius], ..self.config.clone() };
            curve.extend(self.attack(&config)?.adversarial_accuracy);
        }
        let left = curve.pop().map_or(f64::NAN, |(_, left)| left);
        self.check_curves(
            "larger-radii-break-more",
            most_above(&curve[1..], &curve) <= TOLERANCE,
            "a larger radius, attacked by itself, leaves at most 1 % more images standing",
            &[("attack", &curve)],
        );
        self.check_curves(
            "a-huge-radius-breaks-all",
            left == 0.0,
            "nothing stands where any image may become any other",
            &[("attack", &[(huge, left)])],
        );
        Ok(())
    }

    fn gradients(&mut self) -> Result<()> {
        let images = self.x.len() / self.evaluator.vae.encoder.inputs();
        let vanishing = self.evaluator.with_target(self.task, self.tensors, self.x, |session, target| {
            vanishing_gradients(session, target)
        })?;
        let share = percent(vanishing, images);
        let wanted = "at most 1 % of the images have a gradient that is 0 in single precision";
        self.check("gradients-do-not-vanish", share <= TOLERANCE, wanted, &[("vanishing", share)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::nn::TensorData;
    use crate::progress::Context;
    use crate::runs::config::{AttackConfig, AttackMethod, Config, Objective};
    use crate::runs::destination::Destination;
    use crate::runs::pipeline::complete;
    use crate::runs::{LoadedRun, made_up};

    /// Weights of the probe a million times as large leave every answer as it is. They saturate the softmax, so the
    /// cross-entropy has no slope, and PGD on it breaks nothing: the classifier only looks robust.
    #[test]
    fn a_classifier_that_hides_its_gradients_fails() {
        let base = tempfile::tempdir().unwrap();
        // The column of a class is brighter, by as much as the noise.
        let pixel = |image: u32, pixel: u32| {
            let noise = (image * 7919 + pixel * 104_729) % 97;
            (60 + noise + if pixel % 4 == image % 3 { 90 } else { 0 }) as u8
        };
        let settings = made_up::settings_on(base.path(), [150, 90], pixel);
        let config = Config::from_toml(&settings, "here", &Config::default()).unwrap();
        let (objective, hidden) = (Objective::Vae, vec![32]);
        let config = Config { objective, iterations: 2000, hidden, latent: 4, ..config };
        let config = Config {
            probe: crate::runs::config::ProbeConfig { epochs: 300, ..config.probe.clone() },
            ..config
        };
        let path = base.path().join("run");
        let destination = Destination::Out { path: path.clone(), overwrite: false };
        complete(&config, &destination, &Context::silent(), &made_up::NoPages).unwrap();
        let mut run = LoadedRun::open(&path, "cpu", &Context::silent()).unwrap();
        let radii = vec![0.1, 0.2, 0.3];
        let attacks = vec![AttackMethod::Pgd, AttackMethod::Margin];
        let attack = AttackConfig { attacks, radii, steps: 20, restarts: 4, examples: None, ..config.attack };
        let failed = |audit: &super::Audit| -> Vec<&str> {
            audit.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect()
        };
        let honest = run.audit(&[0], &attack).unwrap();
        assert_eq!(failed(&honest), [""; 0], "{honest:#?}");
        for tensor in run.tensors.iter_mut().filter(|tensor| tensor.name.starts_with("probe.")) {
            if let TensorData::F32(values) = &mut tensor.data {
                values.iter_mut().for_each(|value| *value *= 1e6);
            }
        }
        let pgd = AttackConfig { attacks: vec![AttackMethod::Pgd], ..attack };
        let masked = run.audit(&[0], &pgd).unwrap();
        let failed = failed(&masked);
        for name in ["gradients-do-not-vanish", "another-goal-breaks-no-more", "no-gradient-breaks-no-more"] {
            assert!(failed.contains(&name), "{name} passes: {masked:#?}");
        }
        assert!(!masked.passed && honest.passed);
    }
}
