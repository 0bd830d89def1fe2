//! `attack`: adversarial accuracy of a run's probe.

use crate::cli::{AttackArgs, report};
use crate::error::Result;
use crate::progress::Context;
use crate::report::run_page;
use crate::runs::LoadedRun;
use crate::runs::examples;
use crate::runs::writing::{Access, Writing};

/// Attacks the run's probe and updates its result.json.
pub fn run(AttackArgs { of: args, save_examples, unlock }: AttackArgs, context: &Context) -> Result<()> {
    if let Some(folder) = &save_examples {
        examples::check_folder(folder)?;
    }
    unlock.apply(&args.run)?;
    let run = Writing::open(&args.run)?;
    let settings = args.over(&run.config()?.attack)?;
    let mut loaded = LoadedRun::of(Access::Write(run), &args.location, context)?;
    args.open_other(&mut loaded)?;
    let tasks = loaded.tasks(args.task.as_deref())?;
    let saved = match &save_examples {
        Some(folder) => {
            let examples = loaded.attack_with_examples(&tasks, &settings, &args.run)?;
            examples.save(folder)?;
            Some((folder, examples.examples.len()))
        }
        None => {
            loaded.attack(&tasks, &settings)?;
            None
        }
    };
    let page = run_page::write(&mut loaded);
    match args.json {
        true => report::json(&loaded.result),
        false => report::print(&loaded.config, loaded.dir(), &loaded.result),
    }?;
    if let (Some((folder, count)), false) = (saved, args.json) {
        report::write(&format!("{count} examples in {}, for `smoothenc verify`\n", folder.display()))?;
    }
    page
}
