//! `attack`: adversarial accuracy of a run's probe.

use crate::cli::{AttackArgs, report};
use crate::error::Result;
use crate::progress::Context;
use crate::report::run_page;
use crate::runs::LoadedRun;
use crate::runs::writing::{Access, Writing};

/// Attacks the run's probe and updates its result.json.
pub fn run(AttackArgs { of: args, unlock }: AttackArgs, context: &Context) -> Result<()> {
    unlock.apply(&args.run)?;
    let run = Writing::open(&args.run)?;
    let settings = args.over(&run.config()?.attack)?;
    let mut loaded = LoadedRun::of(Access::Write(run), &args.location, context)?;
    let tasks = loaded.tasks(args.task.as_deref())?;
    loaded.attack(&tasks, &settings)?;
    let page = run_page::write(&mut loaded);
    match args.json {
        true => report::json(&loaded.result),
        false => report::print(&loaded.config, loaded.dir(), &loaded.result),
    }?;
    page
}
