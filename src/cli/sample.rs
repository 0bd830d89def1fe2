//! `sample`: a picture of decoded draws from the prior.

use clap::Args;

use crate::cli::picture::PictureArgs;
use crate::error::Result;
use crate::progress::Context;
use crate::report::pictures;

/// The arguments of `sample`.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("out", |arg| arg.help("The picture to write, a .png")),
    mut_arg("count", |arg| arg.help("How many images")),
    mut_arg("seed", |arg| arg.help("Seed of the codes [default: the run's, as on its page]")),
)]
pub struct SampleArgs {
    #[command(flatten)]
    pub picture: PictureArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc sample runs/mnist-se-1 --out samples.png
  smoothenc sample runs/mnist-se-1 --out more.png --count 50 --seed 1

Codes are drawn from the prior N(0, I) and decoded.";

/// Writes the picture.
///
/// # Errors
/// As [`PictureArgs::make`].
pub fn run(args: &SampleArgs, context: &Context) -> Result<()> {
    args.picture.make(context, pictures::samples)
}
