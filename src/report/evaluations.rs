//! What a run's page says of evaluations: which probe and which attack, and those that its tables do not show.

use crate::report::html::{Block, Section};
use crate::runs::record::{AttackResult, Evaluation, RunRecord, TaskResult};
use crate::runs::{short, shown};

/// How a probe was trained, in words.
pub fn probe(task: &TaskResult) -> String {
    let labels = match task.labels_fraction {
        Some(part) => format!("{part} of the labels"),
        None => "all labels".into(),
    };
    let balanced = if task.balanced_probe { ", every class equally often" } else { "" };
    let seed = task.probe_seed.map_or(String::new(), |seed| format!(", seed {seed}"));
    format!("{labels}{balanced}{seed}")
}

/// A section with the evaluations that the other sections do not show; none where there are none.
pub fn others(result: &RunRecord) -> Option<Section> {
    let is_shown = |evaluation: &&Evaluation| {
        evaluation.iterations == result.iterations
            && result.tasks.get(&evaluation.task) == Some(&evaluation.result)
    };
    let rows: Vec<_> = result.evaluations.iter().filter(|e| !is_shown(e)).map(|e| row(e, result)).collect();
    let heading = ["task", "probe", "accuracy", "attack", "accuracy by radius"].map(String::from).to_vec();
    let section = Section::new("evaluations", "Other evaluations").text(
        "Every other probe of this run, and the attack on it, the oldest first; in percent. The sections above show \
         those \
         that the run's own settings ask for.",
    );
    (!rows.is_empty()).then(|| section.with(Block::Words { heading, rows }))
}

fn row(evaluation: &Evaluation, result: &RunRecord) -> Vec<String> {
    let Evaluation { task, iterations, result: found, .. } = evaluation;
    let trained = match *iterations == result.iterations {
        true => String::new(),
        false => format!(", after {iterations} steps"),
    };
    let attack = found.attack.as_ref();
    let accuracies = |attack: &AttackResult| {
        let radii = attack.adversarial_accuracy.iter();
        let cells = radii.map(|(radius, value)| format!("{}: {value:.2}", shown(short(*radius))));
        let clean = format!("0: {:.2}", attack.nominal_accuracy);
        [clean].into_iter().chain(cells).collect::<Vec<_>>().join(", ")
    };
    vec![
        task.clone(),
        format!("{}{trained}", probe(found)),
        format!("{:.2}", found.nominal_accuracy),
        attack.map_or("none".into(), |a| format!("{}, first {} images", a.title(), a.examples)),
        attack.map_or(String::new(), accuracies),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::made_up;

    #[test]
    fn what_is_not_shown_is_listed() {
        let mut record = made_up::run(&[("label", Some(&[("0.1", 40.0)]))]).result;
        let task = record.tasks["label"].clone();
        let evaluation = |iterations: u64, result: TaskResult| Evaluation {
            task: "label".into(),
            iterations,
            result,
            made_by: crate::runs::record::Provenance::unknown(),
            attacked_by: None,
        };
        record.evaluations.push(evaluation(record.iterations, task.clone()));
        assert!(others(&record).is_none());
        let few = TaskResult {
            attack: None,
            labels_fraction: Some(0.01),
            balanced_probe: true,
            probe_seed: Some(3),
            ..task.clone()
        };
        record.evaluations.push(evaluation(record.iterations, few));
        record.evaluations.push(evaluation(7, task));
        let section = others(&record).unwrap();
        let Some(Block::Words { rows, .. }) = section.blocks.last() else { panic!() };
        let attack = "L-infinity attack, PGD of 1 steps x 1 restarts, first 1 images";
        assert_eq!(
            rows[..],
            [
                ["label", "0.01 of the labels, every class equally often, seed 3", "99.00", "none", ""],
                ["label", "all labels, after 7 steps", "99.00", attack, "0: 99.00, 0.1: 40.00"],
            ]
        );
    }
}
