//! `encode`: codes of a run's images, in a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::out_file::OutFile;
use crate::cli::report::write;
use crate::engine::device::gpu::adapter::Choice;
use crate::error::Result;
use crate::progress::Context;
use crate::runs::LoadedRun;
use crate::runs::codes::{self, Format};

/// The arguments of `encode`.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("out", |arg| arg.help("The file to write: .npy for the means, .safetensors for means and log-variances")),
)]
pub struct EncodeArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub out: OutFile,
    /// Which images of the run's data set
    #[arg(long, value_name = "NAME", value_enum, default_value = "test")]
    pub split: Split,
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc encode runs/mnist-se-1 --out test.npy
  smoothenc encode runs/mnist-se-1 --split train --out train.safetensors

FILE.npy holds the means, a float32 matrix of one row an image, in the order of
the data set: numpy.load reads it. FILE.safetensors holds two such matrices,
`mean` and `log_variance`. The mean is what the linear classifiers see.";

/// A part of the run's data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// what the run was trained on
    Train,
    /// what it was tested on
    Test,
}

/// Encodes the images and says what was written.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) for a file of another ending or that exists, before any work.
pub fn run(args: &EncodeArgs, context: &Context) -> Result<()> {
    args.device.parse::<Choice>()?;
    let format = Format::of(&args.out.out)?;
    args.out.check()?;
    let mut loaded =
        LoadedRun::open(&args.run, |config| context.open(&args.device, config.checked), context)?;
    let images = match args.split {
        Split::Train => loaded.data.train.images.clone(),
        Split::Test => loaded.data.test.images.clone(),
    };
    let codes = loaded.encode(&images)?;
    codes::save(&args.out.out, &codes, format)?;
    let (path, count, latent) = (args.out.out.display(), codes.count, codes.latent);
    let what = match format {
        Format::Npy => "means",
        Format::Safetensors => "means and log-variances",
    };
    write(&format!("{path}: {what} of the codes of {count} images, {latent} numbers each\n"))
}
