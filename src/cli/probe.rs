//! `probe`: linear classifiers on the frozen encoder of a run.

use crate::backend;
use crate::cli::{ProbeArgs, report};
use crate::error::{Error, Result};
use crate::experiment::LoadedRun;
use crate::experiment::evaluate::Labels;
use crate::report::run_page;
use crate::run::dir::RunDir;

/// Trains the probe anew and updates the run's result.json and model.safetensors.
pub fn run(args: ProbeArgs) -> Result<()> {
    args.validate()?;
    let mut loaded = LoadedRun::open(&args.run, |config| backend::open(&args.device, config.checked))?;
    let tasks = loaded.tasks(args.task.as_deref())?;
    loaded.config.seed = args.seed.unwrap_or(loaded.config.seed);
    let ProbeArgs { labels_fraction: fraction, balanced, .. } = args;
    let labels = Labels { fraction, seed: loaded.config.seed, balanced };
    let images = loaded.data.train.count();
    if labels.examples(&vec![0; images]).is_empty() {
        let text =
            format!("--labels-fraction {fraction} leaves none of the {images} training labels; give more");
        return Err(Error::request(text));
    }
    loaded.probe(&tasks, labels)?;
    let page = run_page::write(&mut loaded);
    match args.json {
        true => report::json(&loaded.result),
        false => report::print(&loaded.config, &RunDir::open(&args.run)?, &loaded.result),
    }?;
    page
}
