//! `train`: the whole job.

use crate::cli::{TrainArgs, report};
use crate::engine::device;
use crate::error::Result;
use crate::progress;
use crate::report::run_page;
use crate::runs::dir::{Destination, RunDir};
use crate::runs::{self, LoadedRun};

/// Trains, probes, attacks and reports. All that can be checked is checked before a file is made.
pub fn run(args: TrainArgs) -> Result<()> {
    let request = args.resolve()?;
    let config = &request.config;
    let data = runs::load_data(config)?;
    if let Destination::Resume(path) = &request.destination {
        runs::check_resumable(config, &RunDir::open(path)?)?;
    }
    let device = device::open(&config.device, config.checked)?;
    let device_name = device.description();
    let run = RunDir::prepare(&request.destination, config)?;
    if progress::shown() {
        eprintln!("{} on {device_name}, into {}", config.title(), run.path().display());
    }
    let result = runs::train(config, &run, &data, device.clone())?;
    let page = match run_page::is_fresh(&run) {
        true => Ok(()),
        false => LoadedRun::with(run.clone(), config.clone(), data, device)
            .and_then(|mut loaded| run_page::write(&mut loaded)),
    };
    // What was measured is printed also where its page cannot be written.
    match request.json {
        true => report::json(&result),
        false => report::print(config, &run, &result),
    }?;
    page
}
