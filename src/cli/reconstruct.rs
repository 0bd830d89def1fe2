//! `reconstruct`: a picture of test images and what the decoder makes of their codes.

use clap::Args;

use crate::cli::picture::PictureArgs;
use crate::error::Result;
use crate::progress::Context;
use crate::report::pictures;

/// The arguments of `reconstruct`.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("out", |arg| arg.help("The picture to write, a .png")),
    mut_arg("count", |arg| arg.help("How many test images, at most those there are")),
    mut_arg("seed", |arg| arg.help("Choose the images by chance [default: the first ones]")),
)]
pub struct ReconstructArgs {
    #[command(flatten)]
    pub picture: PictureArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc reconstruct runs/mnist-se-1 --out reconstructions.png
  smoothenc reconstruct runs/mnist-se-1 --out others.png --count 20 --seed 1

Each test image stands above what the decoder makes of its code's mean.";

/// Writes the picture.
///
/// # Errors
/// As [`PictureArgs::make`].
pub fn run(args: &ReconstructArgs, context: &Context) -> Result<()> {
    args.picture.make(context, pictures::reconstructions)
}
