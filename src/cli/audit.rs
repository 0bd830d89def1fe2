//! `audit`: whether the attack behind a run's figures is as strong as can be told.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::AttackedArgs;
use crate::cli::report::{json_document, write};
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::LoadedRun;
use crate::runs::audit::{Audit, Baseline, Check};
use crate::runs::config::AttackMethod;

/// The arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(flatten)]
    pub of: AttackedArgs,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc audit runs/mnist-se-1
  smoothenc audit runs/mnist-se-1 --attacks pgd,margin
  smoothenc audit runs/mnist-se-1 --from runs/mnist-se-2
  smoothenc audit runs/mnist-se-1 --examples 200 --json

An accuracy under attack is only as good as the attack. The audit attacks the
run's classifiers as the run's settings or the flags say, and checks what must
hold of an attack that is strong: it beats random points and a single step;
twice the steps and restarts, another goal, an attack without gradients and, with
--from, what fools another run break hardly more; nothing stands at a radius in
which any image may become any other; gradients do not vanish. Passing proves
nothing; failing shows that the figures are too good. Beside the checks stands
what images rounded to black and white give without a robust encoder.
The run stays as it is, and the exit code is 0 either way.";

/// Audits the run's probes.
pub fn run(AuditArgs { of: args }: AuditArgs, context: &Context) -> Result<()> {
    let mut loaded = LoadedRun::open(&args.run, &args.location, context)?;
    let settings = args.over(&loaded.config.attack)?;
    if settings.certify && !loaded.config.attack.certify {
        return Err(Error::setting("attack.certify", "is for `attack`: an audit has no bounds"));
    }
    if settings.attacks == [AttackMethod::Transfer] {
        return Err(Error::setting(
            "attack.attacks",
            "has transfer alone: an audit needs an attack of the run's own",
        ));
    }
    args.open_other(&mut loaded)?;
    let tasks = loaded.tasks(args.task.as_deref())?;
    let audit = loaded.audit(&tasks, &settings)?;
    match args.json {
        true => write(&json_document(&audit)?),
        false => print(&audit),
    }
}

fn print(audit: &Audit) -> Result<()> {
    let mut lines = Vec::new();
    let told = |measured: &BTreeMap<String, f64>| {
        measured.iter().map(|(what, value)| format!("{what}: {value}")).collect::<Vec<_>>().join(", ")
    };
    for Check { name, task, passed, wanted, measured } in &audit.checks {
        let verdict = if *passed { "passed" } else { "FAILED" };
        lines.push(format!("{verdict}  {task}, {name}: {wanted}"));
        lines.push(format!("        {}", told(measured)));
    }
    for Baseline { name, task, is, measured } in &audit.baselines {
        lines.push(format!("\nbeside  {task}, {name}: {is}"));
        lines.push(format!("        {}", told(measured)));
    }
    let failed = audit.checks.iter().filter(|check| !check.passed).count();
    let all = audit.checks.len();
    lines.push(match failed {
        0 => format!("\npassed: all {all} checks"),
        failed => format!("\nFAILED: {failed} of {all} checks; accuracies under attack are too high"),
    });
    write(&(lines.join("\n") + "\n"))
}
