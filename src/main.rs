//! The `smoothenc` command.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use smoothenc::Result;
use smoothenc::cli::environment;
use smoothenc::cli::{self, Cli, Command};
use smoothenc::engine::device::Tuning;
use smoothenc::memory;
use smoothenc::progress::Stop;

#[global_allocator]
static MEMORY: memory::Telling = memory::Telling;

/// Signals within this time of the first are the same wish: shells and `timeout` send one to the program and one to its
/// group, and impatience takes longer.
const SAME_WISH: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    quieten_vulkan();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return print(&answer),
    };
    let filter = env_logger::Env::default().default_filter_or(cli.talk.log_filter());
    env_logger::Builder::from_env(filter).init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&cli::failure::explain(&error));
            // 2: the request was wrong; 1: it failed while running (docs/interface.md).
            ExitCode::from(if error.is_request() { 2 } else { 1 })
        }
    }
}

/// Prints help, or what is wrong with the arguments. Help that cannot be written is a failure, unless its reader has
/// closed the pipe.
fn print(answer: &clap::Error) -> ExitCode {
    let printed = answer.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(error) if !answer.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            tell(&format!("error: stdout: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)),
    }
}

/// A line on stderr. Where that is closed or full nobody can be told, and the exit code says enough.
fn tell(text: &str) {
    _ = writeln!(std::io::stderr(), "{text}");
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
    let stop = Stop::default();
    match cli.command {
        Command::Train(_) => stop_by_signal(&stop, true),
        Command::Sweep(_) | Command::Reproduce(_) => stop_by_signal(&stop, false),
        _ => {}
    }
    // What is wrong in the environment is told before anything is done.
    environment::start_threads()?;
    environment::limit_instructions()?;
    let tuning = if cli.command.opens_devices() { environment::tuning()? } else { Tuning::Off };
    let context = &cli::progress::context(stop, cli.talk, tuning);
    match cli.command {
        Command::Train(args) => cli::train::run(*args, context),
        Command::Sweep(args) => cli::sweep::run(&args, context),
        Command::Reproduce(args) => cli::reproduce::run(&args, context),
        Command::Probe(args) => cli::probe::run(args, context),
        Command::Attack(args) => cli::attack::run(args, context),
        Command::Audit(args) => cli::audit::run(args, context),
        Command::Verify(args) => cli::verify::run(&args, context),
        Command::Evaluate(args) => cli::evaluate::run(args, context),
        Command::Encode(args) => cli::encode::run(&args, context),
        Command::Export(args) => cli::export::run(&args, context),
        Command::Reconstruct(args) => cli::reconstruct::run(&args, context),
        Command::Sample(args) => cli::sample::run(&args, context),
        Command::Traverse(args) => cli::traverse::run(&args, context),
        Command::Runs(args) => cli::runs::run(&args),
        Command::Check(args) => cli::check::run(&args, context),
        Command::Compare(args) => cli::compare::run(&args),
        Command::Divergence(args) => cli::divergence::run(&args, context),
        Command::Data(args) => cli::data::run(&args, context),
        Command::Devices(args) => cli::devices::run(args),
        Command::Bench(args) => cli::bench::run(&args, context),
        Command::Completions(args) => cli::completions::run(&args),
        Command::Man(args) => cli::man::run(&args),
    }
}

/// Ctrl-C lets training write its checkpoint; a later one, or one at any other time, ends the program at once. What a
/// single training leaves is gone on with by another command (`one_run`), sweeps and figures by the same.
fn stop_by_signal(stop: &Stop, one_run: bool) {
    let stop = stop.clone();
    let mut first: Option<Instant> = None;
    let handler = move || {
        if first.is_some_and(|first| first.elapsed() < SAME_WISH) {
            return;
        }
        first.get_or_insert_with(Instant::now);
        if !stop.request() {
            tell(&cli::failure::stopped(one_run, stop.run().as_deref()));
            std::process::exit(1);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will not write a checkpoint: {error}");
    }
}
