//! `train`: the whole job.

use crate::cli::{TrainArgs, report};
use crate::error::Result;
use crate::progress::Context;
use crate::report::run_page::RunPage;
use crate::runs::destination::Destination;
use crate::runs::pipeline;

/// Trains, probes, attacks and reports.
pub fn run(args: TrainArgs, context: &Context) -> Result<()> {
    let unlock = args.unlock;
    let request = args.resolve()?;
    if let Destination::Resume(path) | Destination::Out { path, .. } = &request.destination {
        unlock.apply(path)?;
    }
    let completed = pipeline::complete(&request.config, &request.destination, context, &RunPage)?;
    // What was measured is printed also where its page cannot be written.
    match request.json {
        true => report::json(&completed.result),
        false => report::print(&request.config, &completed.run, &completed.result),
    }?;
    completed.page
}
