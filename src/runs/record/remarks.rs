//! What a run's numbers do not say by themselves.

use super::{RunRecord, TaskResult};
use crate::runs::config::Objective;

impl RunRecord {
    /// What these numbers do not say by themselves, a line each.
    pub fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.skipped_images > 0 {
            let skipped = self.skipped_images;
            lines.push(format!("{skipped} photographs that cannot be read were left out (`skip-bad`)"));
        }
        let few = |(name, task): (&String, &TaskResult)| {
            task.labels_fraction.map(|part| format!("{name} ({part})"))
        };
        let few: Vec<_> = self.tasks.iter().filter_map(few).collect();
        if !few.is_empty() {
            lines.push(format!("probes on a part of the labels: {}", few.join(", ")));
        }
        let balanced = self.tasks.iter().filter(|(_, task)| task.balanced_probe);
        let balanced: Vec<_> = balanced.map(|(name, _)| name.as_str()).collect();
        if !balanced.is_empty() {
            lines.push(format!("probes that saw every class equally often: {}", balanced.join(", ")));
        }
        // A constant answer has the majority's accuracy and, of k classes, 1/k in balance; a probe that gives up a rare
        // class only has more there.
        let constant = |task: &TaskResult| {
            let TaskResult { nominal_accuracy, majority_baseline, balanced_accuracy, .. } = *task;
            let slack = slack(majority_baseline, self.test_images);
            // How many classes there are the record does not say. The most frequent one has at least its share.
            let least = (100.0 / majority_baseline - 0.01).ceil().max(2.0);
            let classes = 100.0 / balanced_accuracy;
            let balanced = [classes.floor(), classes.ceil()].into_iter().any(|classes| {
                (least..f64::INFINITY).contains(&classes)
                    && (balanced_accuracy - 100.0 / classes).abs() <= slack
            });
            balanced && nominal_accuracy <= majority_baseline + slack
        };
        let mut own = self.tasks.values().filter(|task| task.has_own_probe(self.seed)).peekable();
        if own.peek().is_some() && own.all(constant) {
            let mend = match self.objective {
                Objective::Se => {
                    "; a smaller `gamma`, or one that rises more slowly (`gamma-warmup`), may keep more"
                }
                Objective::Vae | Objective::BetaVae => "",
            };
            let text =
                "no probe does better than one constant answer: the code hardly tells these images apart";
            lines.push(format!("{text}{mend}"));
        }
        lines
    }
}

/// How far above a constant answer, in points, an accuracy still says nothing: half a point, and among few images two
/// standard deviations of the hits of guesses that are right as often. Of 120 images in three classes that is 8.6
/// points or 10 images; of MNIST's 10,000 it is 0.6.
fn slack(majority: f64, images: usize) -> f64 {
    let share = majority / 100.0;
    match images {
        0 => 0.5,
        n => (200.0 * (share * (1.0 - share) / n as f64).sqrt()).max(0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::EXAMPLE;
    use super::*;

    #[test]
    fn what_the_numbers_do_not_say_is_said() {
        let mut result: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
        assert!(result.remarks().is_empty());
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (94.9, 95.0, 61.0);
        assert!(result.remarks().is_empty(), "a rare class given up is no collapse");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (100.0, 100.0, 100.0);
        assert!(result.remarks().is_empty(), "nor is a test set of one class");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (45.0, 55.0, 42.0);
        assert!(result.remarks().is_empty(), "nor are answers worse than a constant one");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (0.0, 55.0, 0.0);
        assert!(result.remarks().is_empty(), "nor are answers that are all wrong");
        let digit = result.tasks.get_mut("digit").unwrap();
        (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) = (11.4, 11.35, 10.02);
        let [collapsed] = &result.remarks()[..] else { panic!() };
        assert!(
            collapsed.contains("hardly tells these images apart") && collapsed.contains("`gamma-warmup`")
        );
        result.objective = Objective::Vae;
        assert!(!result.remarks()[0].contains("gamma"));
        // With few labels, or rare classes made as frequent as others, it need not be the code.
        let digit = result.tasks.get_mut("digit").unwrap();
        digit.labels_fraction = Some(0.01);
        assert!(!digit.has_own_probe(0));
        (digit.labels_fraction, digit.probe_seed) = (None, Some(0));
        assert!(digit.has_own_probe(0) && !digit.has_own_probe(1));
        digit.balanced_probe = true;
        assert!(!digit.has_own_probe(0));
        digit.labels_fraction = Some(0.01);
        result.skipped_images = 3;
        let [skipped, few, balanced] = &result.remarks()[..] else { panic!() };
        assert!(skipped.starts_with("3 photographs"));
        assert!(few.ends_with("part of the labels: digit (0.01)"));
        assert!(balanced.ends_with("equally often: digit"));
    }

    /// One image of 120 is 0.83 points, and some are right by chance.
    #[test]
    fn a_collapse_is_seen_among_few_images() {
        let mut result: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
        let mut collapsed = |images: usize, [accuracy, majority, balanced]: [f64; 3]| {
            result.test_images = images;
            let digit = result.tasks.get_mut("digit").unwrap();
            (digit.nominal_accuracy, digit.majority_baseline, digit.balanced_accuracy) =
                (accuracy, majority, balanced);
            !result.remarks().is_empty()
        };
        for accuracy in [33.33, 34.17, 35.0, 41.67] {
            assert!(collapsed(120, [accuracy, 33.33, accuracy]), "{accuracy}");
        }
        assert!(!collapsed(120, [44.17, 33.33, 44.17]), "guesses do not get that far");
        assert!(!collapsed(12_000, [34.5, 33.33, 34.5]), "many images tell more");
        assert!(!collapsed(0, [34.17, 33.33, 34.17]), "how many they are is not known");
        assert!(collapsed(10_000, [11.8, 11.35, 10.5]) && !collapsed(10_000, [12.1, 11.35, 10.8]));
        assert!(!collapsed(200, [94.0, 95.0, 61.0]), "a rare class is told apart");
        assert!(!collapsed(20, [0.0, 55.0, 0.0]), "all wrong is no constant answer");
    }
}
