//! Settings that the others leave without an effect.

use super::{Config, Objective, Selection};

impl Config {
    /// Why the setting of this name (as in [`Setting::path`](super::Setting::path)) changes nothing under these
    /// settings; none where it has an effect.
    pub fn why_unused(&self, name: &str) -> Option<String> {
        let smooth = self.objective == Objective::Se;
        match name {
            "gamma" | "gamma-warmup" | "eps" if !smooth => {
                Some(format!("the objective {} has no second point", self.objective))
            }
            _ if name.starts_with("selection") && !smooth => {
                Some(format!("the objective {} has no second point", self.objective))
            }
            "selection-steps" | "selection-step-size" | "selection-metric"
                if self.selection == Selection::Random =>
            {
                Some("random points are not searched for".into())
            }
            "gamma-warmup" if self.gamma_warmup > self.iterations => {
                Some(format!("the training ends within it, after {} steps", self.iterations))
            }
            "beta" if self.objective != Objective::BetaVae => {
                Some(format!("the objective {} does not weigh its KL", self.objective))
            }
            "crop" | "skip-bad" if self.dataset != "celeba" => {
                Some(format!("{} has no photographs to cut", self.dataset))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_known() {
        let se = Config::default();
        let vae = Config { objective: Objective::Vae, ..se.clone() };
        let random = Config { selection: Selection::Random, ..se.clone() };
        let unused = |config: &Config| -> Vec<&'static str> {
            let names =
                ["gamma", "eps", "selection", "selection-steps", "selection-norm", "beta", "crop", "latent"];
            names.into_iter().filter(|name| config.why_unused(name).is_some()).collect()
        };
        assert_eq!(unused(&se), ["beta", "crop"]);
        assert_eq!(unused(&random), ["selection-steps", "beta", "crop"]);
        assert_eq!(
            unused(&vae),
            ["gamma", "eps", "selection", "selection-steps", "selection-norm", "beta", "crop"]
        );
        let short = Config { gamma_warmup: 9, iterations: 8, ..se };
        assert!(short.why_unused("gamma-warmup").unwrap().contains("after 8 steps"));
    }
}
