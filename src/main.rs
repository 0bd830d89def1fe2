//! The `smoothenc` command.

use std::process::ExitCode;

use clap::Parser;
use smoothenc::cli::{self, Cli, Command};
use smoothenc::engine::device;
use smoothenc::{Result, method, progress};

fn main() -> ExitCode {
    quieten_vulkan();
    let cli = Cli::parse();
    let filter = env_logger::Env::default().default_filter_or(cli.talk.log_filter());
    env_logger::Builder::from_env(filter).init();
    if cli.talk.quiet {
        progress::be_quiet();
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Without a session directory, Mesa's device-select layer has libwayland complain on stderr whenever adapters are
/// listed; there is no display to select for, so the layer is left out.
fn quieten_vulkan() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the first statement of `main`, so no other thread reads the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn run(cli: Cli) -> Result<()> {
    // Ctrl-C lets training write its checkpoint; a second one, or one at any other time, ends the program at once.
    let stop = || {
        if !progress::request_stop() {
            eprintln!(
                "error: stopped; the same command, or `smoothenc train --resume RUN`, goes on with a run that was being made"
            );
            std::process::exit(1);
        }
    };
    if matches!(cli.command, Command::Train(_) | Command::Sweep(_) | Command::Reproduce(_))
        && let Err(error) = ctrlc::set_handler(stop)
    {
        log::warn!("Ctrl-C will not write a checkpoint: {error}");
    }
    match cli.command {
        Command::Train(args) => cli::train::run(*args),
        Command::Sweep(args) => cli::sweep::run(&args),
        Command::Reproduce(args) => cli::reproduce::run(&args),
        Command::Probe(args) => cli::probe::run(args),
        Command::Attack(args) => cli::attack::run(args),
        Command::Encode(args) => cli::encode::run(&args),
        Command::Reconstruct(args) => cli::reconstruct::run(&args),
        Command::Sample(args) => cli::sample::run(&args),
        Command::Traverse(args) => cli::traverse::run(&args),
        Command::Runs(args) => cli::runs::run(&args),
        Command::Compare(args) => cli::compare::run(&args),
        Command::Divergence(args) => {
            let name = args.device.clone();
            cli::divergence::run(&args, &move |cases| {
                let device = device::open(&name, false)?;
                cases.iter().map(|case| method::divergence::on_device(&device, case)).collect()
            })
        }
        Command::Data(args) => cli::data::run(&args),
        Command::Devices(args) => cli::devices::run(args),
        Command::Bench(args) => cli::bench::run(&args),
        Command::Completions(args) => cli::completions::run(&args),
        Command::Man(args) => cli::man::run(&args),
    }
}
