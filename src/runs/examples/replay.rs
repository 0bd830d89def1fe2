//! Whether examples hold: on the CPU, with the run's model and the data at hand.

use serde::Serialize;

use super::{Example, Examples};
use crate::data::Dataset;
use crate::engine::device;
use crate::engine::nn::{NamedTensor, load_weights};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::robustness::{AttackReport, answers, distance, reach};
use crate::method::vae::Vae;
use crate::progress::Context;
use crate::runs::evaluate::Evaluator;
use crate::runs::{recipe, short};

/// An example that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// Its number in the file.
    pub example: usize,
    /// The image's number in the test split.
    pub image: usize,
    pub task: String,
    pub attack: String,
    pub radius: f64,
    /// Each thing that does not hold.
    pub why: Vec<String>,
}

/// A model on the CPU, to classify examples again.
#[derive(Debug)]
pub struct Replay<'a> {
    session: Session,
    vae: &'a Vae,
    tensors: &'a [NamedTensor],
    data: &'a Dataset,
    context: &'a Context,
}

impl<'a> Replay<'a> {
    pub(in crate::runs) fn new(
        vae: &'a Vae,
        tensors: &'a [NamedTensor],
        data: &'a Dataset,
        context: &'a Context,
    ) -> Result<Self> {
        let mut session = Session::new(device::open("cpu", false)?);
        load_weights(&mut session, "model", &vae.layout, tensors)?;
        Ok(Replay { session, vae, tensors, data, context })
    }

    /// What the classifier of a task answers to the perturbed images of `examples`.
    fn answers<'e>(
        &mut self,
        task: usize,
        examples: impl Iterator<Item = &'e Example>,
    ) -> Result<Vec<Option<u32>>> {
        let points: Vec<f32> = examples.flat_map(|example| &example.x_adv).copied().collect();
        let Replay { session, vae, tensors, data, context } = self;
        let mut evaluator = Evaluator { session, vae, data, context };
        evaluator.with_target(task, tensors, &[], |session, target| {
            answers(session, target.vae, target.probe, &points)
        })
    }

    /// Adds those examples of an attack on a task that hold on the CPU, with its answers. The others are named, and
    /// their images do not count as broken. `x` are the attacked images.
    pub(in crate::runs) fn keep(
        &mut self,
        examples: &mut Examples,
        task: usize,
        report: &mut AttackReport,
        x: &[f32],
    ) -> Result<()> {
        let numbers: Vec<usize> = self.data.test.images.sample(report.outcomes.len()).collect();
        let found = examples.of_report(task, report, x, &numbers);
        let answers = self.answers(task, found.iter().map(|(_, example)| example))?;
        for ((place, mut example), answer) in found.into_iter().zip(answers) {
            example.answer = answer.unwrap_or(example.label);
            let mut why = examples.misplaced(&example);
            why.extend(wrong_answer(&example, answer));
            if why.is_empty() {
                examples.examples.push(example);
                continue;
            }
            log::warn!("{} does not count, since on the CPU {}", examples.title(&example), why.join("; "));
            report.outcomes[place].broken = None;
            report.points.remove(&place);
        }
        Ok(())
    }

    /// What does not hold of `examples`.
    pub(in crate::runs) fn faults(&mut self, examples: &Examples) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for (number, name) in examples.about.tasks.iter().enumerate() {
            let of_task: Vec<(usize, &Example)> =
                examples.examples.iter().enumerate().filter(|(_, example)| example.task == number).collect();
            if of_task.is_empty() {
                continue;
            }
            let task = self.data.tasks.iter().position(|task| task.name == *name);
            let task = task.ok_or_else(|| Error::request(format!("the data have no task {name}")))?;
            let answers = self.answers(task, of_task.iter().map(|(_, example)| *example))?;
            for ((at, example), answer) in of_task.into_iter().zip(answers) {
                let mut why = self.not_of_the_data(example, task)?;
                why.extend(examples.misplaced(example));
                why.extend(wrong_answer(example, answer));
                if !why.is_empty() {
                    faults.push(examples.fault(at, why));
                }
            }
        }
        faults.sort_by_key(|fault| fault.example);
        Ok(faults)
    }

    /// What image and label are not in the data.
    fn not_of_the_data(&self, example: &Example, task: usize) -> Result<Vec<String>> {
        let test = &self.data.test;
        if example.image >= test.count() {
            return Ok(vec![format!("the test split has only {} images", test.count())]);
        }
        let (x, label) = (test.images.floats_of([example.image])?, test.labels[task][example.image]);
        let mut why = Vec::new();
        if x != example.x {
            why.push("the image is not that of the data".to_string());
        }
        if label != example.label {
            why.push(format!("the label is {} and in the data {label}", example.label));
        }
        Ok(why)
    }
}

/// What is wrong with an example's answer, where the CPU's is `answer`.
fn wrong_answer(example: &Example, answer: Option<u32>) -> Option<String> {
    match answer {
        None => Some("the classifier gives no answer: its logits are no numbers".into()),
        Some(answer) if answer == example.label => Some(format!("the answer is {answer}, which is right")),
        Some(answer) if answer != example.answer => {
            Some(format!("the answer is {answer}, and was {}", example.answer))
        }
        Some(_) => None,
    }
}

impl Examples {
    /// What ball and box do not hold.
    fn misplaced(&self, example: &Example) -> Vec<String> {
        let Example { x, x_adv, radius, .. } = example;
        let norm = recipe::norm(self.about.norm);
        let (away, reach) = (distance(norm, x, x_adv), reach(norm, *radius));
        let mut why = Vec::new();
        if !x_adv.iter().all(|value| (0.0..=1.0).contains(value)) {
            why.push("a pixel lies outside [0, 1]".to_string());
        }
        // Not so where either is no number.
        let within = away <= reach;
        if !within {
            why.push(format!("it is {away} away from the image, the radius being {radius}"));
        }
        why
    }

    fn fault(&self, at: usize, why: Vec<String>) -> Fault {
        let example = &self.examples[at];
        Fault {
            example: at,
            image: example.image,
            task: self.about.tasks[example.task].clone(),
            attack: self.about.attacks[example.attack].to_string(),
            radius: short(example.radius),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::method::robustness::{Broken, Method, Outcome};
    use crate::runs::config::{AttackConfig, AttackMethod};
    use crate::runs::made_up;
    use crate::runs::record::Provenance;

    /// What another back end calls broken, and the CPU does not, is left out, and its image stands again.
    #[test]
    fn what_does_not_hold_on_the_cpu_does_not_count() {
        let base = tempfile::tempdir().unwrap();
        let run = made_up::quick_run(base.path());
        let (context, count) = (Context::silent(), run.data.test.count());
        let mut replay = Replay::new(&run.vae, &run.tensors, &run.data, &context).unwrap();
        let by = Provenance::unknown();
        let (radii, attacks) = (vec![0.25], vec![AttackMethod::Pgd]);
        let config = AttackConfig { radii, attacks, ..run.config.attack.clone() };
        let mut examples = Examples::none(run.dir().path(), String::new(), &run.data, &config, by);
        // The images themselves as perturbed images: the answers to those with another label are wrong.
        let x = run.data.test.images.floats_of(0..count).unwrap();
        let broken = Some(Broken { radius: 0.25, method: Method::Pgd, restart: 0, iteration: 0 });
        let outcome = |&label: &u32| Outcome { label, clean: true, broken };
        let outcomes: Vec<Outcome> = run.data.test.labels[0].iter().map(outcome).collect();
        let mut points: BTreeMap<usize, Vec<f32>> = x.chunks(16).map(<[f32]>::to_vec).enumerate().collect();
        // One lies out of the ball.
        points.insert(1, points[&1].iter().map(|x| if *x < 0.5 { x + 0.5 } else { x - 0.5 }).collect());
        let mut report = AttackReport { outcomes, points };
        replay.keep(&mut examples, 0, &mut report, &x).unwrap();
        let held: Vec<usize> = examples.examples.iter().map(|example| example.image).collect();
        assert!(!held.is_empty() && held.len() < count && !held.contains(&1), "{held:?}");
        for (image, outcome) in report.outcomes.iter().enumerate() {
            assert_eq!(outcome.broken.is_some(), held.contains(&image));
            assert_eq!(report.points.contains_key(&image), held.contains(&image));
        }
        assert!(examples.examples.iter().all(|example| example.answer != example.label));
        assert_eq!(replay.faults(&examples).unwrap(), []);
    }
}
