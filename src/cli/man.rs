//! `man`: manual pages of the program and of every command.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::cli::report::write;
use crate::error::{Error, Result};
use crate::files::write_whole;

/// The arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The folder for the pages, made if it is not there; pages of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc man --out ~/.local/share/man/man1 && man smoothenc-train
  smoothenc man --out pages && man pages/smoothenc.1";

/// Writes the pages.
///
/// # Errors
/// [`Error::Request`] for a folder that cannot be made, [`Error::Io`] for a page that cannot be written.
pub fn run(args: &ManArgs) -> Result<()> {
    let out = &args.out;
    fs::create_dir_all(out).map_err(|error| {
        Error::request(format!("--out {}: the folder cannot be made: {error}", out.display()))
    })?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let pages = write_pages(&program, out)?;
    write(&format!("{}: {pages} pages, of which smoothenc.1 is the first to read\n", out.display()))
}

/// The page of a command and of all below it; how many these are.
fn write_pages(command: &Command, out: &Path) -> Result<usize> {
    let man = Man::new(command.clone());
    let path = out.join(man.get_filename());
    let mut page = Vec::new();
    man.render(&mut page).map_err(Error::io(&path))?;
    write_whole(&path, &page)?;
    command.get_subcommands().try_fold(1, |pages, below| Ok(pages + write_pages(below, out)?))
}
