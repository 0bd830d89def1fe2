//! The flags of `train`, and how they, a settings file and a preset make one [`Config`].

use std::path::{Path, PathBuf};

use clap::Args;
use toml::{Table, Value};

use super::Unlock;
use super::settings::{TrainFlags, with_radii};
use crate::runs::config::{Arch, Config, Preset, Setting, declared};
use crate::runs::destination::Destination;
use crate::runs::dir::RunDir;
use crate::{Error, Result};

/// The arguments of `train`: the settings, and what is to be done with them.
#[derive(Debug, Default, Args)]
#[command(after_help = SHORT, after_long_help = EXAMPLES)]
pub struct TrainArgs {
    /// mnist or color-mnist (bundled), or with --data-dir celeba or any other name
    #[arg(value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Start from these settings [default: quick]
    #[arg(long, value_name = "NAME", value_enum)]
    pub preset: Option<Preset>,
    /// Lay the settings of a file, such as a run's config.toml, over the preset; flags win
    #[arg(long, value_name = "FILE.toml", hide_short_help = true)]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub settings: TrainFlags,
    /// Leave the attack out
    #[arg(long, help_heading = "Attack")]
    pub no_attack: bool,

    /// The run's directory, new or empty [default: runs/DATASET-OBJECTIVE-N]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long, requires = "out", help_heading = "Output")]
    pub overwrite: bool,
    /// Go on with the run in DIR; only lengths, attack and device may be given anew
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub resume: Option<PathBuf>,
    /// Print result.json and nothing else on stdout
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub json: bool,
    #[command(flatten)]
    pub unlock: Unlock,
}

const SHORT: &str = "\
Examples:
  smoothenc train mnist
  smoothenc train mnist --objective vae --out runs/plain-vae

`smoothenc train --help` has more examples, and the defaults that
other data sets and --arch conv have.";

const EXAMPLES: &str = "\
Examples:
  smoothenc train mnist
  smoothenc train mnist --objective vae --out runs/plain-vae
  smoothenc train fashion --data-dir path/to/fashion-mnist --no-attack
Try settings without touching the test set:
  smoothenc train mnist --seed 1 --gamma 50 --eps 0.15 --holdout 5000
The same run with another seed:
  smoothenc train --config runs/mnist-se-1/config.toml --seed 2
Go on with a run, for longer:
  smoothenc train --resume runs/mnist-se-1 --iterations 40000
  (the learning rate falls to its end at the new length, so it first rises again)

The defaults above are those of the preset quick.

Without a terminal, as under nohup or Slurm, nothing tells how far it has come. -v
tells progress in a log file: a line on stderr for each stage and each --log-every steps.

A run leaves config.toml, metrics.jsonl, model.safetensors, checkpoint.safetensors,
result.json and report.html, a page with its curves and images.";

/// What `train` is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Every setting, validated.
    pub config: Config,
    /// Where the run goes; nothing has been made yet.
    pub destination: Destination,
    /// Print the result as JSON.
    pub json: bool,
}

impl TrainArgs {
    /// Lays flags over the settings file over the preset over the defaults, or the few flags that may be given
    /// with `--resume` over the run's settings, and validates what comes out. Touches nothing on the disk.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag, file or setting at fault.
    pub fn resolve(self) -> Result<Request> {
        if self.dataset.is_none() && self.config.is_none() && self.resume.is_none() {
            return Err(Error::request("DATASET is missing").with_hint(
                "smoothenc train mnist, or for a run that was stopped smoothenc train --resume RUN",
            ));
        }
        let (mut config, destination) = match &self.resume {
            Some(path) => (self.resumed(path)?, Destination::Resume(path.clone())),
            None => (self.fresh()?, self.fresh_destination()?),
        };
        let attacked = self.settings.given.contains_key("attack");
        if self.no_attack && attacked {
            return Err(Error::request("--no-attack and the other --attack flags exclude each other"));
        }
        // To set an attack is to ask for it, also where the run was made without one.
        config.attack.enabled = !self.no_attack && (config.attack.enabled || attacked);
        config.validate()?;
        Ok(Request { config, destination, json: self.json })
    }

    fn fresh_destination(&self) -> Result<Destination> {
        match &self.out {
            Some(path) if path.as_os_str().is_empty() => {
                Err(Error::request("--out must name a directory, got an empty text"))
            }
            Some(path) => Ok(Destination::Out { path: path.clone(), overwrite: self.overwrite }),
            None if self.overwrite => Err(Error::request("--overwrite needs --out DIR, the run to replace")),
            None => Ok(Destination::Numbered),
        }
    }

    /// The settings of a new run.
    fn fresh(&self) -> Result<Config> {
        let mut given = self.given()?;
        if let Some(dataset) = &self.dataset {
            given.insert("dataset".into(), dataset.clone().into());
        }
        // Flags, or else the file, name the networks and the data that the preset is for.
        let preset = |named: &Config| self.preset.unwrap_or_default().config(named.arch, &named.dataset);
        let base = preset(&Config::default().with(given.clone())?);
        let config = match &self.config {
            Some(path) => {
                let named = Config::from_file(path, &base)?.with(given.clone())?;
                Config::from_file(path, &preset(&named))?
            }
            None => base,
        };
        let config = config.with(with_radii(&config, given.clone()))?;
        if given.contains_key("conv-channels") && config.arch != Arch::Conv {
            return Err(Error::request("--conv-channels is for --arch conv"));
        }
        Ok(config)
    }

    /// The settings of the run in `path`, with what may be changed laid over.
    fn resumed(&self, path: &Path) -> Result<Config> {
        if let Some(flag) = self.fixed_flag() {
            let may = declared().filter(|setting| setting.may_change() && setting.table.is_empty());
            let may: Vec<String> = may.map(|setting| format!("--{}", setting.flag())).collect();
            return Err(Error::request(format!(
                "--{flag} cannot be given with --resume, which takes every setting from the run; only {}, --json and \
                 the attack's flags can",
                may.join(", ")
            )));
        }
        let config = RunDir::open(path)?.config()?;
        if let Some(dataset) = &self.dataset
            && *dataset != config.dataset
        {
            return Err(Error::request(format!(
                "{} was trained on {}, not {dataset}: leave DATASET out with --resume",
                path.display(),
                config.dataset
            )));
        }
        config.with(with_radii(&config, self.given()?))
    }

    /// The settings given by flags; the folder of the data as an absolute path, so that the run can be repeated and
    /// resumed from elsewhere.
    fn given(&self) -> Result<Table> {
        let mut given = self.settings.given.clone();
        if let Some(directory) = given.get("data-dir").and_then(Value::as_str) {
            let absolute = std::path::absolute(directory)
                .map_err(|error| Error::setting("data-dir", directory).because(error))?;
            given.insert("data-dir".into(), absolute.display().to_string().into());
        }
        Ok(given)
    }

    /// The first flag given that a resumed run may not change.
    fn fixed_flag(&self) -> Option<String> {
        let fixed = declared().find(|s| !s.may_change() && s.value_in(&self.settings.given).is_some());
        let other = [
            ("preset", self.preset.is_some()),
            ("config", self.config.is_some()),
            ("out", self.out.is_some()),
            ("overwrite", self.overwrite),
        ];
        let other = other.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag.to_string());
        fixed.map(Setting::flag).or(other)
    }
}
