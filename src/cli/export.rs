//! `export`: a run's classifier for other programs.

use std::path::PathBuf;

use clap::Args;

use crate::cli::LocationArgs;
use crate::cli::out_file;
use crate::cli::report::write;
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::LoadedRun;
use crate::runs::config::number;
use crate::runs::export::{Exported, INSTANCES, Properties};

/// The arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE.onnx")]
    pub onnx: PathBuf,
    /// Replace the ONNX file if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// The task whose classifier to export [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Also write properties for verifiers into this folder, which must not exist
    #[arg(long, value_name = "DIR", requires = "radius")]
    pub vnnlib: Option<PathBuf>,
    /// The L-infinity radius of the properties, in pixel units of the [0, 1] scale
    #[arg(long, value_name = "R", requires = "vnnlib", value_parser = radius, allow_negative_numbers = true)]
    pub radius: Option<f32>,
    /// Properties of the first N test images, of color-mnist N different digits in colours in turn; images that are
    /// classified wrong get none
    #[arg(long, value_name = "N", requires = "vnnlib", default_value = "100", value_parser = examples)]
    pub examples: usize,
    #[command(flatten)]
    pub location: LocationArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc export runs/mnist-se-1 --onnx digit.onnx
  smoothenc export runs/mnist-se-1 --onnx digit.onnx --vnnlib digit --radius 0.03 --examples 50

The model takes `image`, in [0, 1], and gives `logits`: the encoder's mean and
the linear classifier in one. DIR gets a property TASK-IMAGE.vnnlib for each image that
is classified right, and instances.csv, as the verifiers of VNN-COMP take them:
a verifier that finds a property satisfiable has an adversarial example.";

fn radius(text: &str) -> std::result::Result<f32, String> {
    let value = number(text.trim()).filter(|value| *value > 0.0 && *value <= 1.0);
    value.ok_or_else(|| "give a number above 0 and at most 1, such as 0.03 or 8/255".into())
}

fn examples(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "give a number from 1".into())
}

/// Exports the classifier and says what was written.
///
/// # Errors
/// [`Error::Request`] for files that exist, before any work.
pub fn run(args: &ExportArgs, context: &Context) -> Result<()> {
    args.location.check()?;
    out_file::check("--onnx", &args.onnx, args.overwrite)?;
    if let Some(folder) = args.vnnlib.as_ref().filter(|folder| folder.exists()) {
        let what = format!("--vnnlib {}: it exists; give a folder that does not", folder.display());
        return Err(Error::request(what));
    }
    let mut loaded = LoadedRun::open(&args.run, &args.location, context)?;
    let task = loaded.one_task(args.task.as_deref())?;
    let name = loaded.data.tasks[task].name.clone();
    let ExportArgs { onnx, examples, .. } = args;
    let asked = args.vnnlib.as_deref().zip(args.radius);
    let properties = asked.map(|(folder, radius)| Properties { folder, radius, examples: *examples });
    let Exported { inputs, classes, properties: written } = loaded.export(task, onnx, properties.as_ref())?;
    let mut text =
        format!("{}: the classifier of {name}, {inputs} inputs, {classes} logits\n", onnx.display());
    if let (Some(Properties { folder, .. }), Some((right, tried))) = (properties, written) {
        let folder = folder.display();
        text += &format!("{folder}: properties of {right} of the first {tried} test images, {INSTANCES}\n");
    }
    write(&text)
}
