//! `completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::report::write;
use crate::error::{Error, Result};

/// The arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc completions bash > ~/.local/share/bash-completion/completions/smoothenc
  smoothenc completions zsh > ~/.zfunc/_smoothenc       with ~/.zfunc in $fpath
  smoothenc completions fish > ~/.config/fish/completions/smoothenc.fish";

/// Prints the shell's script.
///
/// # Errors
/// [`Error::Io`] where stdout cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "smoothenc", &mut script);
    let script = String::from_utf8(script).map_err(|error| Error::run(format!("completions: {error}")))?;
    write(&script)
}
