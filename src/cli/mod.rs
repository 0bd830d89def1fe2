//! The command line (docs/interface.md): arguments, their help, and what they resolve to. Dispatch is in `main.rs`.

pub mod attack;
pub mod audit;
pub mod bench;
pub mod check;
pub mod compare;
pub mod completions;
pub mod data;
pub mod devices;
pub mod divergence;
pub mod encode;
pub mod environment;
pub mod evaluate;
pub mod export;
pub mod failure;
pub mod man;
mod out_file;
pub mod picture;
pub mod probe;
pub mod progress;
pub mod reconstruct;
mod report;
pub mod reproduce;
pub mod runs;
pub mod sample;
mod settings;
pub mod sweep;
pub mod train;
mod train_args;
pub mod traverse;
pub mod verify;

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand};

pub use bench::BenchArgs;
pub use data::DataArgs;
pub use divergence::DivergenceArgs;
pub use settings::{AttackFlags, EvaluateFlags, TrainFlags};
pub use train_args::{Request, TrainArgs};

use crate::engine::device::gpu::adapter::Choice;
use crate::files::lock::Lock;
use crate::runs::config::{AttackConfig, AttackMethod, Suite};
use crate::runs::{LoadedRun, Location};
use crate::{Error, Result};

/// Train encoders whose representation resists adversarial perturbation of the input, with no labels and no
/// adversarial training, and measure how much it resists.
///
/// The method is "Adversarially Robust Representations with Smooth Encoders" (Cemgil et al., ICLR 2020).
#[derive(Debug, Parser)]
#[command(name = "smoothenc", version, after_help = SHORT, after_long_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub talk: Talk,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Args)]
pub struct Talk {
    /// Say on stderr what is done; -vv: in every detail (RUST_LOG, if set, decides)
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet", display_order = 900)]
    pub verbose: u8,
    /// Say nothing on stderr but errors: no warnings, no progress
    #[arg(short, long, global = true, display_order = 901)]
    pub quiet: bool,
}

impl Talk {
    /// Which messages are logged, in the words of RUST_LOG. What is used says little that concerns a user.
    pub fn log_filter(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "error,smoothenc=warn",
            (false, 1) => "error,smoothenc=info",
            (false, _) => "error,smoothenc=debug",
        }
    }
}

const SHORT: &str = "\
Examples:
  smoothenc train mnist                     the whole job, in minutes on a CPU
  smoothenc runs                            what was trained, and how well it does

`smoothenc --help` has more examples, `smoothenc COMMAND -h` a command's flags.";

const EXAMPLES: &str = "\
Examples:
  smoothenc train mnist                      the whole job, in minutes on a CPU
  smoothenc train mnist --objective vae      the same for a plain VAE
  smoothenc train --resume runs/mnist-se-1   go on with a run that was stopped
  smoothenc attack runs/mnist-se-1 --attack-radii 0.05,0.1
  smoothenc runs                             what was trained, and how well it does
  smoothenc compare runs/a runs/b --out cmp  two runs, with a page of both
  smoothenc encode runs/a --out codes.npy    the representation, for other tools
  smoothenc evaluate net.onnx --data mnist   a network of another tool, probed and attacked
  smoothenc divergence pairs.json            closed forms for pairs of Gaussians
  smoothenc data make celeba --out faces     synthetic faces in CelebA's layout
  smoothenc reproduce fig5                   a figure of the paper, its claims judged
  smoothenc sweep grid.toml                  settings compared
  smoothenc devices                          what this machine can compute on
  smoothenc bench --quick                    how fast; leave --quick out to measure

Exit codes: 0 done, 1 it failed while running, 2 the request was wrong.
Results go to stdout, progress and errors to stderr.
`smoothenc COMMAND --help` explains a command and its defaults.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model, fit linear classifiers on its frozen encoder, attack them, report
    Train(Box<TrainArgs>),
    /// Fit linear classifiers on the frozen encoder of a run
    Probe(ProbeArgs),
    /// Measure the adversarial accuracy of a run's classifiers
    Attack(AttackArgs),
    /// Check whether the attack behind a run's figures is strong enough
    Audit(audit::AuditArgs),
    /// Replay the adversarial examples that an attack saved
    Verify(verify::VerifyArgs),
    /// Probe and attack a network that another tool trained
    Evaluate(evaluate::EvaluateArgs),
    /// Write the codes of images to a file, for other tools
    Encode(encode::EncodeArgs),
    /// Write a run's classifier as ONNX, and properties for verifiers
    Export(export::ExportArgs),
    /// Draw test images beside what the decoder makes of their codes
    Reconstruct(reconstruct::ReconstructArgs),
    /// Draw images decoded from the prior
    Sample(sample::SampleArgs),
    /// Draw what single latent dimensions change in an image
    Traverse(traverse::TraverseArgs),
    /// List the runs under a folder
    Runs(runs::RunsArgs),
    /// Check whether runs are whole, and mend what can be mended
    Check(check::CheckArgs),
    /// Compare several runs: settings, accuracies, a page
    Compare(compare::CompareArgs),
    /// Compute divergences between pairs of Gaussians in closed form
    Divergence(DivergenceArgs),
    /// Check a data set, say where one comes from, or draw synthetic faces
    Data(DataArgs),
    /// Run a grid of settings and compare them
    Sweep(sweep::SweepArgs),
    /// Make a figure or table of the paper, and hold it against what the paper says
    Reproduce(reproduce::ReproduceArgs),
    /// List what this machine can compute on
    Devices(DevicesArgs),
    /// Measure the kernels, the training step and the attack on a device
    Bench(BenchArgs),
    /// Print a script that completes commands and flags in a shell
    Completions(completions::CompletionsArgs),
    /// Write manual pages
    Man(man::ManArgs),
}

impl Command {
    /// Whether it may open a device.
    pub fn opens_devices(&self) -> bool {
        use Command::{Compare, Completions, Data, Devices, Man, Runs};
        !matches!(self, Compare(_) | Completions(_) | Data(_) | Devices(_) | Man(_) | Runs(_))
    }
}

/// The way out where the lock of a folder stays held.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Unlock {
    /// Take the folder's lock from whoever holds it: for a process that hangs. Two that write one run would mix it
    #[arg(long, hide_short_help = true)]
    pub force_unlock: bool,
}

impl Unlock {
    /// Does so, where it was asked for and there is such a folder.
    ///
    /// # Errors
    /// [`Error::Io`] where the lock cannot be removed.
    pub fn apply(self, folder: &Path) -> Result<()> {
        if self.force_unlock { Lock::force(folder) } else { Ok(()) }
    }
}

/// Where a run is opened.
#[derive(Clone, Debug, Args)]
pub struct LocationArgs {
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Where the run's data set lies now, if it has moved
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl LocationArgs {
    /// Checks the device's name before anything is read.
    ///
    /// # Errors
    /// [`Error::Request`] for one that is unknown.
    pub fn check(&self) -> Result<()> {
        self.device.parse::<Choice>().map(|_| ())
    }
}

impl<'a> From<&'a LocationArgs> for Location<'a> {
    fn from(args: &'a LocationArgs) -> Self {
        Location { device: &args.device, data_dir: args.data_dir.as_deref() }
    }
}

/// The arguments of `probe`.
#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub struct ProbeArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The task to classify [default: every task of the data set]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// The part of the training labels to use, above 0 and up to 1
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    pub labels_fraction: f32,
    /// Show every class as often as the most frequent one, for tasks with rare classes
    #[arg(long)]
    pub balanced: bool,
    /// Seed of the choice of labels and of the batches' order [default: the run's]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub location: LocationArgs,
    #[command(flatten)]
    pub unlock: Unlock,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

const PROBE_EXAMPLES: &str = "\
Examples:
  smoothenc probe runs/mnist-se-1
  smoothenc probe runs/mnist-se-1 --task digit --labels-fraction 0.01
  smoothenc probe runs/celeba-se-1 --balanced && smoothenc attack runs/celeba-se-1

The classifier is a linear softmax on the encoder's mean, trained to
convergence without adversarial examples. The run's result.json and
model.safetensors get what was found.";

impl ProbeArgs {
    /// Checks what needs neither the run nor the device.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag.
    pub fn validate(&self) -> Result<()> {
        self.location.check()?;
        if self.labels_fraction > 0.0 && self.labels_fraction <= 1.0 {
            return Ok(());
        }
        Err(Error::request(format!(
            "--labels-fraction must be above 0 and at most 1, got {}",
            self.labels_fraction
        )))
    }
}

/// The arguments of `attack`.
#[derive(Debug, Args)]
#[command(after_help = ATTACK_EXAMPLES)]
pub struct AttackArgs {
    #[command(flatten)]
    pub of: AttackedArgs,
    /// Write the perturbed image of each example that was broken into a new folder, for `verify` and other tools
    #[arg(long, value_name = "DIR")]
    pub save_examples: Option<PathBuf>,
    #[command(flatten)]
    pub unlock: Unlock,
}

/// A run's classifiers, and how they are attacked.
#[derive(Debug, Args)]
pub struct AttackedArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub attack: AttackFlags,
    /// A name for several --attacks, which run in turn
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "attacks", help_heading = "Attack")]
    pub suite: Option<Suite>,
    /// Another run of the same data: what fools its classifiers is tried too, as the attack transfer
    #[arg(long, value_name = "RUN", help_heading = "Attack")]
    pub from: Option<PathBuf>,
    /// The task whose classifier to attack [default: every task probed]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    #[command(flatten)]
    pub location: LocationArgs,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

impl AttackedArgs {
    /// What was given over the run's own settings, validated. With another run, `transfer` comes last where it is not
    /// named.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag.
    pub fn over(&self, own: &AttackConfig) -> Result<AttackConfig> {
        let mut settings = self.attack.apply(own)?;
        if let Some(suite) = self.suite {
            settings.attacks = suite.attacks();
        }
        if self.from.is_none() {
            settings.validate()?;
            return Ok(settings);
        }
        if !settings.attacks.contains(&AttackMethod::Transfer) {
            settings.attacks.push(AttackMethod::Transfer);
        }
        settings.validate_with_another_run()?;
        Ok(settings)
    }

    /// Opens the other run for `loaded`, where one was given.
    ///
    /// # Errors
    /// [`Error::Request`] naming it.
    pub fn open_other(&self, loaded: &mut LoadedRun) -> Result<()> {
        match &self.from {
            Some(path) => loaded.transfer_from(path, &self.location),
            None => Ok(()),
        }
    }
}

const ATTACK_EXAMPLES: &str = "\
Examples:
  smoothenc attack runs/mnist-se-1
  smoothenc attack runs/mnist-se-1 --radii 4/255,8/255
  smoothenc attack runs/mnist-se-1 --norm l2 --radii 0.5,1,2 --json
  smoothenc attack runs/mnist-se-1 --suite standard
  smoothenc attack runs/mnist-se-1 --from runs/mnist-se-2
  smoothenc attack runs/mnist-se-1 --save-examples broken && smoothenc verify broken

Without flags the run's own attack settings are used. An example counts as
right only if it withstands every restart, and each radius also tries what
fooled the classifier at the smaller ones.";

/// The arguments of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests;
