//! Settings that the others leave without an effect.

use std::fs;
use std::path::Path;

use toml::Table;

use super::{Arch, Config, Objective, Preset, Selection, declared};
use crate::error::{Error, Result};

impl Config {
    /// What a user should know of the setting of this name (as in [`Setting::path`](super::Setting::path)) under these
    /// settings, in words that follow its name: it changes nothing, or gamma never comes to its value. None where all
    /// is well.
    pub fn why_unused(&self, name: &str) -> Option<String> {
        let ends_within = name == "gamma-warmup" && self.gamma_warmup > self.iterations;
        self.why_without_effect(name).map(|why| format!("is not used: {why}")).or_else(|| {
            let steps = self.iterations;
            ends_within.then(|| {
                format!("is longer than the training of {steps} steps: gamma never gets to its value")
            })
        })
    }

    /// Why the setting of this name changes nothing under these settings; none where it has an effect.
    pub fn why_without_effect(&self, name: &str) -> Option<String> {
        let smooth = self.objective == Objective::Se;
        match name {
            "gamma" | "gamma-warmup" | "eps" if !smooth => {
                Some(format!("the objective {} has no second point", self.objective))
            }
            "gamma-warmup" if self.gamma == 0.0 => Some("a coupling of 0 does not rise".into()),
            _ if name.starts_with("selection") && !smooth => {
                Some(format!("the objective {} has no second point", self.objective))
            }
            "selection-steps" | "selection-step-size" | "selection-metric"
                if self.selection == Selection::Random =>
            {
                Some("random points are not searched for".into())
            }
            "beta" if self.objective != Objective::BetaVae => {
                Some(format!("the objective {} does not weigh its KL", self.objective))
            }
            "crop" | "skip-bad" if self.dataset != "celeba" => {
                Some(format!("{} has no photographs to cut", self.dataset))
            }
            "conv-channels" if self.arch == Arch::Mlp => Some("the mlp has no convolutions".into()),
            _ => None,
        }
    }

    /// The settings given in a table, by name, that are not used under these settings, and why. Those that are what
    /// they are `beneath` it are left out: a run's own file has every setting.
    ///
    /// # Errors
    /// As [`Config::to_toml`].
    pub fn unused_of(&self, given: &Table, beneath: &Config) -> Result<Vec<(String, String)>> {
        let table = |config: &Config| -> Result<Table> {
            toml::from_str(&config.to_toml()?)
                .map_err(|error| Error::run("the settings do not read back").because(error))
        };
        let (own, beneath) = (table(self)?, table(beneath)?);
        let set = declared().filter(|setting| {
            setting.value_in(given).is_some() && setting.value_in(&own) != setting.value_in(&beneath)
        });
        Ok(set.filter_map(|setting| Some((setting.path(), self.why_unused(&setting.path())?))).collect())
    }

    /// The settings of the file at `path`, laid over a preset, that are not used by themselves and not under these
    /// settings, which may have others laid over them: by name, and why.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn unused_in_file(&self, path: &Path, preset: Preset) -> Result<Vec<(String, String)>> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let given: Table = toml::from_str(&text).unwrap_or_default();
        let named = Config::from_file(path, &preset.config(Arch::Mlp, "mnist"))?;
        let beneath = preset.config(named.arch, &named.dataset);
        let alone = Config::from_file(path, &beneath)?.unused_of(&given, &beneath)?;
        Ok(alone.into_iter().filter(|(name, _)| self.why_unused(name).is_some()).collect())
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
            assert_eq!(config.why_unused("conv-channels").is_some(), config.arch == Arch::Mlp);
            names.into_iter().filter(|name| config.why_unused(name).is_some()).collect()
        };
        assert_eq!(unused(&se), ["beta", "crop"]);
        assert_eq!(unused(&random), ["selection-steps", "beta", "crop"]);
        assert_eq!(
            unused(&vae),
            ["gamma", "eps", "selection", "selection-steps", "selection-norm", "beta", "crop"]
        );
        let short = Config { gamma_warmup: 9, iterations: 8, ..se };
        assert!(short.why_unused("gamma-warmup").unwrap().contains("training of 8 steps"));
        assert_eq!(short.why_without_effect("gamma-warmup"), None, "it has begun to rise");
        let uncoupled = Config { gamma: 0.0, gamma_warmup: 9, ..Config::default() };
        assert!(uncoupled.why_without_effect("gamma-warmup").unwrap().contains("does not rise"));
        let conv = Config { arch: Arch::Conv, ..Config::default() };
        assert_eq!(unused(&conv), ["beta", "crop"]);
    }

    #[test]
    fn a_file_is_told_of_what_it_sets_in_vain() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("own.toml");
        let told = |text: &str, over: &Config| -> Vec<String> {
            fs::write(&path, text).unwrap();
            let unused = over.unused_in_file(&path, Preset::Quick).unwrap();
            unused.into_iter().map(|(name, _)| name).collect()
        };
        let se = Config::default();
        let vae = Config { objective: Objective::Vae, ..se.clone() };
        assert_eq!(told("beta = 7\nconv-channels = [3]\n", &se), ["conv-channels", "beta"]);
        // By flags it is of another objective than it is made for.
        assert!(told("gamma = 7\n", &vae).is_empty());
        assert_eq!(told("gamma = 7\nobjective = 'vae'\n", &vae), ["gamma"]);
        assert!(told("gamma = 7\nobjective = 'vae'\n", &se).is_empty());
        assert!(told(&vae.to_toml().unwrap(), &vae).is_empty(), "a run's own settings");
    }
}
