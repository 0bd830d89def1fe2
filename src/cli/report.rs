//! What the commands print of a run's result.

use std::io::{ErrorKind, Write};

use crate::error::{Error, Result};
use crate::run::config::{Config, Norm, Objective};
use crate::run::dir::RunDir;
use crate::run::result::RunResult;

/// One line on what is trained: `SE on mnist`.
pub fn title(config: &Config) -> String {
    let objective = match config.objective {
        Objective::Se => format!("smooth encoder (gamma {}, eps {})", config.gamma, config.eps),
        Objective::Vae => "VAE".to_string(),
        Objective::BetaVae => format!("beta-VAE (beta {})", config.beta),
    };
    format!("{objective} of {}", config.dataset)
}

/// The result as one JSON document.
pub fn json(result: &RunResult) -> Result<()> {
    write(&result.to_json()?)
}

/// The result as a table, radius against accuracy, and where the run lies.
pub fn print(config: &Config, run: &RunDir, result: &RunResult) -> Result<()> {
    let tested = match config.holdout {
        0 => "test images".to_string(),
        n => format!("{n} training images held out"),
    };
    let mut lines = vec![
        format!(
            "{}: {} steps in {:.0} s ({:.1} ms a step) on {}",
            title(config),
            result.iterations,
            result.train_seconds,
            1e3 * result.seconds_per_step,
            result.device
        ),
        format!("ELBO {:.2} nats, mean over the {tested}", result.elbo_test),
    ];
    for (name, task) in &result.tasks {
        lines.push(String::new());
        lines.push(format!(
            "linear probe, task {name}: accuracy {:.2} % on the {tested} (always the most frequent class: {:.2} %)",
            task.nominal_accuracy, task.majority_baseline
        ));
        let Some(attack) = &task.attack else { continue };
        let norm = match attack.norm {
            Norm::Linf => "L-infinity",
            Norm::L2 => "L2",
        };
        lines.push(format!(
            "under {norm} attack, PGD of {} steps x {} restarts, first {} of them:",
            attack.steps, attack.restarts, attack.examples
        ));
        lines.push(format!("  {:>8}  {:>10}", "radius", "accuracy"));
        lines.push(format!("  {:>8}  {:>8.2} %", 0, attack.nominal_accuracy));
        for (radius, accuracy) in &attack.adversarial_accuracy {
            lines.push(format!("  {radius:>8}  {accuracy:>8.2} %"));
        }
    }
    lines.push(String::new());
    lines.push(format!("run: {}", run.path().display()));
    write(&(lines.join("\n") + "\n"))
}

/// Text for stdout.
pub(super) fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // A reader such as `head` that has seen enough is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("stdout")(error)),
        _ => Ok(()),
    }
}
