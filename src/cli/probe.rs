//! `probe`: linear classifiers on the frozen encoder of a run.

use std::collections::BTreeSet;

use crate::cli::{ProbeArgs, report};
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::report::run_page;
use crate::runs::LoadedRun;
use crate::runs::evaluate::Labels;
use crate::runs::writing::{Access, Writing};

/// Trains the probe anew and updates the run's result.json and model.safetensors.
pub fn run(args: ProbeArgs, context: &Context) -> Result<()> {
    args.validate()?;
    args.unlock.apply(&args.run)?;
    let run = Access::Write(Writing::open(&args.run)?);
    let mut loaded = LoadedRun::of(run, &args.location, context)?;
    let tasks = loaded.tasks(args.task.as_deref())?;
    let seed = args.seed.unwrap_or(loaded.config.seed);
    let ProbeArgs { labels_fraction: fraction, balanced, .. } = args;
    let labels = Labels { fraction, seed, balanced };
    for &task in &tasks {
        refuse_missing(&loaded, task, labels)?;
    }
    loaded.probe(&tasks, labels, seed)?;
    let page = run_page::write(&mut loaded);
    match args.json {
        true => report::json(&loaded.result),
        false => report::print(&loaded.config, loaded.dir(), &loaded.result),
    }?;
    page
}

/// Refuses a part of the labels with none in it, or none of a class that should be seen as often as the others.
fn refuse_missing(loaded: &LoadedRun, task: usize, labels: Labels) -> Result<()> {
    let all = &loaded.data.train.labels[task];
    let name = &loaded.data.tasks[task].name;
    let classes = |examples: Vec<usize>| -> BTreeSet<u32> { examples.into_iter().map(|i| all[i]).collect() };
    let seen = classes(labels.examples(all));
    let part = format!("--labels-fraction {}", labels.fraction);
    if seen.is_empty() {
        return Err(Error::request(format!(
            "{part} leaves none of the {} training labels; give more",
            all.len()
        )));
    }
    match classes(Labels::ALL.examples(all)).difference(&seen).next() {
        Some(missing) if labels.balanced => Err(Error::request(format!(
            "--balanced: {part} leaves no label of class {missing} of task {name}; give more, or another --seed"
        ))),
        _ => Ok(()),
    }
}
