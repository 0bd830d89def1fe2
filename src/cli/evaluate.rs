//! `evaluate`: a network that another tool trained, probed and attacked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::EvaluateFlags;
use crate::cli::report::{json_document, task_lines, tested, write};
use crate::cli::settings::with_radii;
use crate::error::Result;
use crate::progress::Context;
use crate::runs::config::{Arch, Config, Preset};
use crate::runs::foreign::{self, Role};
use crate::runs::record::TaskResult;

/// The arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArgs {
    /// The network: .onnx, or .safetensors with the metadata `layers`
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// What to evaluate it on: mnist or color-mnist, or with --data-dir celeba or any other name
    #[arg(long, value_name = "DATASET")]
    pub data: String,
    /// What its outputs are
    #[arg(long = "as", value_name = "ROLE", value_enum, default_value = "encoder")]
    pub role: RoleName,
    #[command(flatten)]
    pub settings: EvaluateFlags,
    /// The task to classify [default: of an encoder every task, of a classifier the only one]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

/// [`Role`] by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// a code: a linear probe is trained on it, as by `train`
    Encoder,
    /// the logits of a task's classes: nothing is trained
    Classifier,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc evaluate encoder.onnx --data mnist
  smoothenc evaluate classifier.onnx --data mnist --as classifier --radii 4/255,8/255
  smoothenc evaluate encoder.safetensors --data fashion --data-dir path/to/fashion-mnist --json

The network takes images in [0, 1], as rows or as [channels, height, width]. Known
are dense layers, convolutions and ReLU, one after the other; of ONNX Gemm,
MatMul, Add, Conv, Relu, Flatten, Reshape, Identity, Dropout, and
BatchNormalization right after a layer with weights. Nothing is written to the disk.";

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    tasks: &'a BTreeMap<String, TaskResult>,
}

/// Evaluates the network and prints what came of it.
///
/// # Errors
/// As [`foreign::evaluate`].
pub fn run(args: EvaluateArgs, context: &Context) -> Result<()> {
    let config = config(&args)?;
    let (role, kind) = match args.role {
        RoleName::Encoder => (Role::Encoder, "linear probe"),
        RoleName::Classifier => (Role::Classifier, "classifier"),
    };
    let tasks = foreign::evaluate(&args.model, role, &config, args.task.as_deref(), context)?;
    if args.json {
        return write(&json_document(&Document { tasks: &tasks })?);
    }
    let mut lines = vec![format!("{} on {}", args.model.display(), args.data)];
    lines.extend(task_lines(&tasks, kind, &tested(&config)));
    write(&(lines.join("\n") + "\n"))
}

/// The settings: the flags over the preset for the data.
fn config(args: &EvaluateArgs) -> Result<Config> {
    let preset = Preset::Quick.config(Arch::Mlp, &args.data);
    let mut config = preset.with(with_radii(&preset, args.settings.given.clone()))?;
    config.device = args.device.clone();
    // Nothing is trained in batches of this: a set may be smaller than the preset's.
    config.batch = 1;
    config.validate()?;
    Ok(config)
}
