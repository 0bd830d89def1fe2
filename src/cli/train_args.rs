//! The flags of `train`, and how they, a settings file and a preset make one [`Config`].

use std::path::{Path, PathBuf};

use clap::Args;

use super::AttackFlags;
use crate::runs::config::{
    Arch, Config, DecoderOutput, Init, Metric, Norm, Objective, Precision, Preset, Selection,
};
use crate::runs::dir::{Destination, RunDir};
use crate::{Error, Result};

/// The arguments of `train`. None where a flag was not given, so that presets and files show through.
#[derive(Debug, Default, Args)]
#[command(after_help = SHORT, after_long_help = EXAMPLES)]
pub struct TrainArgs {
    /// mnist or color-mnist (bundled), or with --data-dir celeba or any other name
    #[arg(value_name = "DATASET", required_unless_present_any = ["resume", "config"])]
    pub dataset: Option<String>,
    /// Folder of IDX files of the MNIST naming, gzipped or not; of celeba in its official layout
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Side of the square cut from the middle of a celeba photograph [default: 148]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub crop: Option<usize>,
    /// Leave celeba's unreadable photographs out, and say how many, instead of refusing the set
    #[arg(long)]
    pub skip_bad: bool,
    /// Start from these settings [default: quick]
    #[arg(long, value_name = "NAME", value_enum)]
    pub preset: Option<Preset>,
    /// Lay the settings of a file, such as a run's config.toml, over the preset; flags win
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Keep the last N training images out and test on them [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub holdout: Option<usize>,

    /// What to maximise [default: se]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub objective: Option<Objective>,
    /// The networks [default: mlp]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub arch: Option<Arch>,
    /// Latent dimensions [default: 128; with --arch conv 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Model")]
    pub latent: Option<usize>,
    /// Widths of the hidden dense layers of encoder and decoder [default: 200,200,200,200; with --arch conv 200]
    #[arg(
        long,
        value_name = "N,..",
        allow_negative_numbers = true,
        value_delimiter = ',',
        help_heading = "Model"
    )]
    pub hidden: Option<Vec<usize>>,
    /// Channels of the convolutions of --arch conv, each 4x4 with stride 2 [default: 32,64; 32,64,128 for 64x64]
    #[arg(
        long,
        value_name = "N,..",
        allow_negative_numbers = true,
        value_delimiter = ',',
        help_heading = "Model"
    )]
    pub conv_channels: Option<Vec<usize>>,
    /// Observation variance, in squared pixel units of the [0, 1] scale [default: 0.02]
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Model")]
    pub variance: Option<f32>,
    /// Coupling of the two encodings in SE; 0 is none [default: 100; with --arch conv 50]
    #[arg(long, value_name = "G", allow_negative_numbers = true, help_heading = "Model")]
    pub gamma: Option<f32>,
    /// Steps over which gamma rises to its value, in ten stairs; a strong coupling from the first step on can bring all codes together
    /// for good [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Model")]
    pub gamma_warmup: Option<u64>,
    /// Weight of the KL term in beta-VAE [default: 2]
    #[arg(long, value_name = "B", allow_negative_numbers = true, help_heading = "Model")]
    pub beta: Option<f32>,
    /// How weights start [default: glorot]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub init: Option<Init>,
    /// What the decoder's last layer goes through [default: sigmoid]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Model")]
    pub decoder_output: Option<DecoderOutput>,

    /// Radius of the ball it is taken from, in pixels of the [0, 1] scale [default: 0.1]
    #[arg(
        long,
        value_name = "E",
        allow_negative_numbers = true,
        help_heading = "Selection of the second point of SE"
    )]
    pub eps: Option<f32>,
    /// How it is chosen [default: pgd]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Selection of the second point of SE")]
    pub selection: Option<Selection>,
    /// Steps of projected gradient ascent [default: 7]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Selection of the second point of SE"
    )]
    pub selection_steps: Option<usize>,
    /// Length of such a step, in pixel units [default: 2.5 eps / L]
    #[arg(
        long,
        value_name = "A",
        allow_negative_numbers = true,
        help_heading = "Selection of the second point of SE"
    )]
    pub selection_step_size: Option<f32>,
    /// What the ascent maximises [default: w2]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Selection of the second point of SE")]
    pub selection_metric: Option<Metric>,
    /// The ball's norm; an L2 radius may exceed 1 [default: linf]
    #[arg(long, value_name = "NORM", value_enum, help_heading = "Selection of the second point of SE")]
    pub selection_norm: Option<Norm>,

    /// Optimiser steps [default: 12000; with --arch conv 1500]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Training")]
    pub iterations: Option<u64>,
    /// Examples a step [default: 128]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Training")]
    pub batch: Option<usize>,
    /// Adam's learning rate at the start [default: 0.001]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Training")]
    pub learning_rate: Option<f32>,
    /// The fraction of it reached linearly at the last step; 1 keeps it constant [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Training")]
    pub final_learning_rate: Option<f32>,
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices` [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Training")]
    pub device: Option<String>,
    /// Precision of what the dense layers of training multiply [default: f32]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Training")]
    pub precision: Option<Precision>,
    /// Check every buffer access in a GPU's kernels, slowly (the CPU's are always checked)
    #[arg(long, help_heading = "Training")]
    pub checked: bool,
    /// Write the metrics also as event files for TensorBoard, into RUN/tensorboard
    #[arg(long, help_heading = "Output")]
    pub tensorboard: bool,

    #[command(flatten)]
    pub attack: AttackFlags,
    /// Leave the attack out
    #[arg(long, help_heading = "Attack")]
    pub no_attack: bool,

    /// The run's directory, which must not exist [default: runs/DATASET-OBJECTIVE-N]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// Replace the run in --out
    #[arg(long, requires = "out", help_heading = "Output")]
    pub overwrite: bool,
    /// Go on with the run in DIR; only lengths, attack and device may be given anew
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub resume: Option<PathBuf>,
    /// Steps between two lines of metrics.jsonl [default: 100]
    #[arg(long, value_name = "STEPS", allow_negative_numbers = true, help_heading = "Output")]
    pub log_every: Option<u64>,
    /// Steps between two checkpoints [default: 1000]
    #[arg(long, value_name = "STEPS", allow_negative_numbers = true, help_heading = "Output")]
    pub checkpoint_every: Option<u64>,
    /// Print result.json and nothing else on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

const SHORT: &str = "\
Examples:
  smoothenc train mnist
  smoothenc train mnist --objective vae --out runs/plain-vae

`smoothenc train --help` has more examples, and the defaults of other data sets.";

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

The defaults above are those of the preset quick and its MLP. --arch conv has 64
latents, a dense layer of 200, gamma 50 and 1500 steps; for color-mnist gamma 200
that rises over 750 steps. celeba has 4000 steps and a shorter attack (40 steps, 2
restarts, 500 images, radii 0.01, 0.05 and 0.1); with --arch conv 3000 steps of 64
examples, 16,32,64 channels, variance 0.1 and gamma 100 that rises over 1000 steps.

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
        let (mut config, destination) = match &self.resume {
            Some(path) => {
                let config = self.resumed(path)?;
                (config, Destination::Resume(path.clone()))
            }
            None => (self.fresh()?, self.fresh_destination()?),
        };
        self.attack.apply(&mut config.attack);
        if self.no_attack && self.attack.any() {
            return Err(Error::request("--no-attack and the other --attack flags exclude each other"));
        }
        // To set an attack is to ask for it, also where the run was made without one.
        config.attack.enabled = !self.no_attack && (config.attack.enabled || self.attack.any());
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
        let preset = |arch, dataset: &str| self.preset.unwrap_or(Preset::Quick).config(arch, dataset);
        let dataset = self.dataset.as_deref().unwrap_or("mnist");
        let base = preset(self.arch.unwrap_or(Arch::Mlp), dataset);
        let mut config = match &self.config {
            Some(path) => {
                // The file may name the networks and the data that the preset is for.
                let file = Config::from_file(path, &base)?;
                let dataset = self.dataset.as_ref().unwrap_or(&file.dataset);
                Config::from_file(path, &preset(self.arch.unwrap_or(file.arch), dataset))?
            }
            None => base,
        };
        /// Sets each field whose flag was given.
        macro_rules! lay_over {
            ($($field:ident),*) => {
                $(if let Some(value) = &self.$field { config.$field = value.clone(); })*
            };
        }
        lay_over!(
            dataset,
            crop,
            objective,
            arch,
            latent,
            hidden,
            variance,
            gamma,
            gamma_warmup,
            beta,
            eps,
            selection,
            selection_steps,
            selection_metric,
            selection_norm,
            iterations,
            batch,
            learning_rate,
            final_learning_rate,
            seed,
            init,
            decoder_output,
            precision,
            log_every,
            checkpoint_every,
            holdout,
            device
        );
        config.selection_step_size = self.selection_step_size.or(config.selection_step_size);
        if let Some(channels) = &self.conv_channels {
            if config.arch != Arch::Conv {
                return Err(Error::request("--conv-channels is for --arch conv"));
            }
            config.conv_channels = Some(channels.clone());
        }
        config.checked |= self.checked;
        config.tensorboard |= self.tensorboard;
        config.skip_bad |= self.skip_bad;
        if let Some(directory) = &self.data_dir {
            // As an absolute path, so that the run can be repeated and resumed from elsewhere.
            let absolute = std::path::absolute(directory)
                .map_err(|error| Error::request(format!("--data-dir {}: {error}", directory.display())))?;
            config.data_dir = Some(absolute);
        }
        Ok(config)
    }

    /// The settings of the run in `path`, with what may be changed laid over.
    fn resumed(&self, path: &Path) -> Result<Config> {
        if let Some(flag) = self.fixed_flag() {
            return Err(Error::request(format!(
                "{flag} cannot be given with --resume, which takes every setting from the run; only --iterations, \
                 --checkpoint-every, --log-every, --device, --checked, --tensorboard, --json and the attack's flags can"
            )));
        }
        let mut config = RunDir::open(path)?.config()?;
        if let Some(dataset) = &self.dataset
            && *dataset != config.dataset
        {
            return Err(Error::request(format!(
                "{} was trained on {}, not {dataset}: leave DATASET out with --resume",
                path.display(),
                config.dataset
            )));
        }
        config.iterations = self.iterations.unwrap_or(config.iterations);
        config.checkpoint_every = self.checkpoint_every.unwrap_or(config.checkpoint_every);
        config.log_every = self.log_every.unwrap_or(config.log_every);
        if let Some(device) = &self.device {
            config.device = device.clone();
        }
        config.checked |= self.checked;
        config.tensorboard |= self.tensorboard;
        Ok(config)
    }

    /// The first flag given that a resumed run may not change.
    fn fixed_flag(&self) -> Option<&'static str> {
        let given = [
            ("--data-dir", self.data_dir.is_some()),
            ("--crop", self.crop.is_some()),
            ("--skip-bad", self.skip_bad),
            ("--preset", self.preset.is_some()),
            ("--config", self.config.is_some()),
            ("--seed", self.seed.is_some()),
            ("--holdout", self.holdout.is_some()),
            ("--objective", self.objective.is_some()),
            ("--arch", self.arch.is_some()),
            ("--latent", self.latent.is_some()),
            ("--hidden", self.hidden.is_some()),
            ("--conv-channels", self.conv_channels.is_some()),
            ("--variance", self.variance.is_some()),
            ("--gamma", self.gamma.is_some()),
            ("--gamma-warmup", self.gamma_warmup.is_some()),
            ("--beta", self.beta.is_some()),
            ("--init", self.init.is_some()),
            ("--decoder-output", self.decoder_output.is_some()),
            ("--eps", self.eps.is_some()),
            ("--selection", self.selection.is_some()),
            ("--selection-steps", self.selection_steps.is_some()),
            ("--selection-step-size", self.selection_step_size.is_some()),
            ("--selection-metric", self.selection_metric.is_some()),
            ("--selection-norm", self.selection_norm.is_some()),
            ("--batch", self.batch.is_some()),
            ("--learning-rate", self.learning_rate.is_some()),
            ("--final-learning-rate", self.final_learning_rate.is_some()),
            ("--precision", self.precision.is_some()),
            ("--out", self.out.is_some()),
            ("--overwrite", self.overwrite),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}
