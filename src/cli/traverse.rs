//! `traverse`: a picture of a code moved along single dimensions, decoded.

use clap::Args;

use crate::cli::picture::PictureArgs;
use crate::error::Result;
use crate::progress::Context;
use crate::report::pictures;

/// The arguments of `traverse`.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("out", |arg| arg.help("The picture to write, a .png")),
    mut_arg("count", |arg| arg.help("How many latent dimensions, those that say most about the images first")),
    mut_arg("seed", |arg| arg.help("Choose the test image by chance [default: the first one]")),
)]
pub struct TraverseArgs {
    #[command(flatten)]
    pub picture: PictureArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc traverse runs/mnist-se-1 --out traversals.png
  smoothenc traverse runs/mnist-se-1 --out another.png --count 20 --seed 1

Each row moves one dimension of a test image's code from -3 to 3 and decodes it.
The dimensions of largest mean KL to the prior come first.";

/// Writes the picture.
///
/// # Errors
/// As [`PictureArgs::make`].
pub fn run(args: &TraverseArgs, context: &Context) -> Result<()> {
    args.picture.make(context, pictures::traversals)
}
