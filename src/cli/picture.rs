//! What `reconstruct`, `sample` and `traverse` share: a picture of images that a run's model makes.

use std::path::PathBuf;

use clap::Args;

use crate::cli::LocationArgs;
use crate::cli::out_file::OutFile;
use crate::cli::report::write;
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::progress::Context;
use crate::report::Drawing;
use crate::runs::LoadedRun;

/// The arguments of each; the commands say by `mut_arg` what is counted and what the seed is of.
#[derive(Debug, Args)]
pub struct PictureArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub out: OutFile,
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count)]
    pub count: usize,
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub location: LocationArgs,
}

/// More would make a picture that nobody can look at.
const MOST: usize = 1000;

fn count(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

impl PictureArgs {
    /// Has `draw` make the picture from the run, the count and the seed, and writes it.
    ///
    /// # Errors
    /// [`Error::Request`] for a file of another ending or that exists, before any work.
    pub fn make(
        &self,
        context: &Context,
        draw: impl FnOnce(&mut LoadedRun, usize, Option<u64>) -> Result<Drawing>,
    ) -> Result<()> {
        self.location.check()?;
        let path = &self.out.out;
        if path.extension().is_none_or(|ending| ending != "png") {
            let text =
                format!("--out {}: pictures are written as .png; give a file of that ending", path.display());
            return Err(Error::request(text));
        }
        self.out.check()?;
        let mut loaded = LoadedRun::open(&self.run, &self.location, context)?;
        let drawing = draw(&mut loaded, self.count, self.seed)?;
        write_whole(path, &drawing.png()?)?;
        write(&format!("{}: {}\n", path.display(), drawing.title))
    }
}
