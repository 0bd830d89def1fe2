//! `train`: the whole job.

use crate::cli::train_args::Request;
use crate::cli::{TrainArgs, report};
use crate::error::Result;
use crate::progress::Context;
use crate::report::run_page::RunPage;
use crate::runs::config::declared;
use crate::runs::destination::Destination;
use crate::runs::pipeline;
use crate::runs::writing::Writing;

/// Trains, probes, attacks and reports.
pub fn run(args: TrainArgs, context: &Context) -> Result<()> {
    let unlock = args.unlock;
    let given = args.settings.given.clone();
    // Claimed before its settings are read: another process may be about to change them.
    let claimed = match &args.resume {
        Some(path) => {
            unlock.apply(path)?;
            Some(Writing::open(path)?)
        }
        None => None,
    };
    let (file, preset) = (args.config.clone(), args.preset.unwrap_or_default());
    let request = args.resolve()?;
    for setting in declared().filter(|setting| setting.value_in(&given).is_some()) {
        if let Some(why) = request.config.why_unused(&setting.path()) {
            log::warn!("--{} {why}", setting.flag());
        }
    }
    if let Some(path) = file {
        for (name, why) in request.config.unused_in_file(&path, preset)? {
            log::warn!("{}: {name} {why}", path.display());
        }
    }
    if let Destination::Out { path, .. } = &request.destination {
        unlock.apply(path)?;
    }
    let Request { config, destination, .. } = &request;
    let completed = pipeline::complete_claimed(config, destination, claimed, context, &RunPage)?;
    // What was measured is printed also where its page cannot be written.
    match request.json {
        true => report::json(&completed.result),
        false => report::print(&request.config, &completed.run, &completed.result),
    }?;
    completed.page
}
