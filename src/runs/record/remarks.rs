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
        if self.code.is_some_and(|code| code.is_collapsed()) {
            let mend = match self.objective {
                Objective::Se => {
                    "; a smaller `gamma`, or one that rises more slowly (`gamma-warmup`), may keep more"
                }
                Objective::Vae | Objective::BetaVae => "",
            };
            lines.push(format!("the codes have collapsed: they do not tell the test images apart{mend}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::EXAMPLE;
    use super::*;
    use crate::method::robustness::CodeUse;

    #[test]
    fn what_the_numbers_do_not_say_is_said() {
        let mut result: RunRecord = serde_json::from_str(EXAMPLE).unwrap();
        assert!(result.remarks().is_empty());
        let used = CodeUse { kl: 12.0, spread: 1.0, latents_in_use: 1, information: 1.0 };
        result.code = Some(used);
        assert!(result.remarks().is_empty());
        result.code = Some(CodeUse { information: 1e-6, ..used });
        let [collapsed] = &result.remarks()[..] else { panic!() };
        assert!(collapsed.contains("collapsed") && collapsed.contains("`gamma-warmup`"));
        result.objective = Objective::Vae;
        assert!(!result.remarks()[0].contains("gamma"));
        result.code = None;
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
}
