//! The `smoothenc` command.

use std::process::ExitCode;

use clap::Parser;
use smoothenc::cli::{self, Cli, Command};
use smoothenc::{Result, backend, experiment};

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    // The first Ctrl-C lets a training run write its checkpoint; the second ends it at once.
    let stop = || {
        if experiment::progress::request_stop() {
            std::process::exit(1);
        }
    };
    match cli.command {
        Command::Train(args) => {
            if let Err(error) = ctrlc::set_handler(stop) {
                log::warn!("Ctrl-C will not write a checkpoint: {error}");
            }
            cli::train::run(*args)
        }
        Command::Probe(args) => cli::probe::run(args),
        Command::Attack(args) => cli::attack::run(args),
        Command::Divergence(args) => {
            let name = args.device.clone();
            cli::divergence::run(&args, &move |cases| {
                let device = backend::open(&name, false)?;
                cases.iter().map(|case| experiment::divergence::on_device(&device, case)).collect()
            })
        }
        Command::Devices(args) => cli::devices::run(args),
    }
}
