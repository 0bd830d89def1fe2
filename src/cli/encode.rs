//! `encode`: codes of a run's images, in a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::LocationArgs;
use crate::cli::out_file::OutFile;
use crate::cli::report::write;
use crate::data;
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
    /// Other images instead: a folder of .png or .jpg files, or an .npz file with an array x
    #[arg(long, value_name = "DIR|FILE.npz", conflicts_with = "split")]
    pub images: Option<PathBuf>,
    /// Scale these to the size of the run's images
    #[arg(long, requires = "images")]
    pub resize: bool,
    #[command(flatten)]
    pub location: LocationArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc encode runs/mnist-se-1 --out test.npy
  smoothenc encode runs/mnist-se-1 --split train --out train.safetensors
  smoothenc encode runs/mnist-se-1 --images photos --resize --out photos.npy

FILE.npy holds the means, a float32 matrix of one row an image, in the order of
the data set, or of the pictures' names: numpy.load reads it. FILE.safetensors holds two such matrices,
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
    args.location.check()?;
    let format = Format::of(&args.out.out)?;
    args.out.check()?;
    let mut loaded = LoadedRun::open(&args.run, &args.location, context)?;
    let set = &loaded.data;
    let images = match (&args.images, args.split) {
        (Some(place), _) => {
            let [channels, height, width] = set.train.images.shape();
            // Only squares can be scaled to.
            let side = Some(height).filter(|_| args.resize && height == width);
            data::load_images(place, channels, side)?
        }
        (None, Split::Train) => set.train.images.clone(),
        (None, Split::Test) => set.test.images.clone(),
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
