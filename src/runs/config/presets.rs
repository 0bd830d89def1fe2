//! The presets: files of settings, with more settings for some networks and data sets.

use std::sync::LazyLock;

use serde::Deserialize;
use toml::{Table, Value};

use super::setting::Setting;
use super::text::lay_over;
use super::{Arch, AttackConfig, Config, Preset, ProbeConfig};

/// A preset's file.
#[derive(Deserialize)]
struct Sheet {
    #[serde(default)]
    when: Vec<When>,
    #[serde(flatten)]
    settings: Table,
}

/// Settings for some networks, or a data set, or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    arch: Option<String>,
    dataset: Option<String>,
    set: Table,
}

static QUICK: LazyLock<Sheet> = LazyLock::new(|| read(include_str!("../../../presets/quick.toml")));
static PAPER: LazyLock<Sheet> = LazyLock::new(|| read(include_str!("../../../presets/paper.toml")));

/// A file that comes with the program; a test reads each.
fn read(text: &str) -> Sheet {
    toml::from_str(text).expect("a preset of the program reads")
}

impl Preset {
    fn sheet(self) -> &'static Sheet {
        match self {
            Preset::Quick => &QUICK,
            Preset::Paper => &PAPER,
        }
    }

    /// The settings that the preset starts from for these networks and this data set.
    pub fn config(self, arch: Arch, dataset: &str) -> Config {
        let mut table = self.table(arch.name(), dataset);
        table.insert("arch".into(), arch.name().into());
        table.insert("dataset".into(), dataset.into());
        Value::Table(table).try_into().expect("a preset of the program has every setting")
    }

    fn table(self, arch: &str, dataset: &str) -> Table {
        let mut table = QUICK.settings.clone();
        lay_over(&mut table, self.sheet().settings.clone());
        let holds = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        for when in self.sheet().when.iter().filter(|w| holds(&w.arch, arch) && holds(&w.dataset, dataset)) {
            lay_over(&mut table, when.set.clone());
        }
        table
    }

    /// The default of `setting` in words: its value, and what it is for some networks and data sets.
    pub fn default_of(self, setting: &Setting) -> String {
        let shown = |arch: &str, dataset: &str| {
            setting.value_in(&self.table(arch, dataset)).map_or("none".to_string(), plain)
        };
        // Data of one's own have no name that a preset knows.
        let base = shown("mlp", "");
        let mut words = vec![base.clone()];
        let conv = shown("conv", "");
        if conv != base {
            words.push(format!("{conv} with --arch conv"));
        }
        for dataset in ["mnist", "color-mnist", "celeba"] {
            let [mlp_here, conv_here] = ["mlp", "conv"].map(|arch| shown(arch, dataset));
            if mlp_here != base {
                words.push(format!("{mlp_here} for {dataset}"));
            }
            let expected = if mlp_here != base { &mlp_here } else { &conv };
            if conv_here != *expected {
                words.push(format!("{conv_here} for {dataset} with --arch conv"));
            }
        }
        words.join("; ")
    }
}

/// A value as a flag takes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

static DEFAULT: LazyLock<Config> = LazyLock::new(|| Preset::Quick.config(Arch::Mlp, "mnist"));

impl Default for Config {
    /// The preset `quick`: the SE on MNIST within minutes on a laptop's CPU.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        DEFAULT.probe.clone()
    }
}

impl Default for AttackConfig {
    fn default() -> Self {
        DEFAULT.attack.clone()
    }
}
