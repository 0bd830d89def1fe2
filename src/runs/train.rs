//! A training run from start to result: train, probe, attack, and the files of its directory.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::data::Dataset;
use crate::engine::device::Device;
use crate::engine::nn::NamedTensor;
use crate::error::{Error, Result};
use crate::method::robustness::encode_codes;
use crate::method::{Averages, Trainer, mean_elbo};
use crate::progress::Context;
use crate::runs::checkpoint::{self, Metadata};
use crate::runs::config::Config;
use crate::runs::dir::{METRICS, MODEL, RunDir};
use crate::runs::evaluate::{self, Evaluator, Labels};
use crate::runs::metrics::{self, Metrics};
use crate::runs::model_file::{self, About};
use crate::runs::record::{FileMark, Provenance, RunRecord};
use crate::runs::tensorboard::EventFile;
use crate::runs::writing::Writing;
use crate::runs::{identity, recipe, replace};

/// Steps left out of `seconds_per_step`: caches and clocks are still warming up.
const WARM_UP: usize = 10;

/// The model of `config` on `device`, at the start of its training.
///
/// # Errors
/// [`Error::TooLarge`] for a model that the device has no room for; [`Error::Request`] for one that does not fit the
/// images.
pub fn trainer(config: &Config, data: &Dataset, device: Device) -> Result<Trainer> {
    let vae = recipe::model(config, data.train.images.shape())?;
    let mend = match device {
        Device::Cpu(_) => "make `hidden`, `batch` or `resize` smaller",
        Device::Gpu(_) => "make `hidden`, `batch` or `resize` smaller, or use `device` cpu",
    };
    let trainer = Trainer::new(device, vae, &recipe::training(config)?, &data.train.images);
    let mut trainer = trainer.map_err(|error| match error {
        Error::TooLarge(_) => error.with_hint(mend),
        other => other,
    })?;
    evaluate::check_room(&mut trainer, config, data)?;
    Ok(trainer)
}

/// Trains, probes and attacks by `config` into `run`. Goes on from the run's checkpoint if it has one.
///
/// # Errors
/// [`Error::Run`] for a loss that is not finite (the last good checkpoint stays) and for a stop on
/// request (a checkpoint is written first); [`Error::Request`] for a checkpoint of other settings.
pub fn train(
    config: &Config,
    run: &Writing,
    data: &Dataset,
    mut trainer: Trainer,
    context: &Context,
) -> Result<RunRecord> {
    let (device_name, fingerprint) = (trainer.session.device().description(), data.short_fingerprint());
    if let Some(result) = finished(config, run, data)? {
        return Ok(result);
    }
    // Before the training, so that a record that does not read costs nothing.
    let earlier = earlier_record(run)?.map(|mut record| {
        record.forget_damaged(run, &config.attack);
        (record.evaluations, record.files)
    });
    let mut clock = resume(&mut trainer, config, run, &fingerprint)?;
    train_to_the_end(&mut trainer, config, run, &fingerprint, &mut clock, context).map_err(|error| {
        match error {
            Error::Io { .. } => Error::Interrupted { run: run.path().to_path_buf(), source: Box::new(error) },
            other => other,
        }
    })?;

    let Trainer { session, vae, .. } = &mut trainer;
    let elbo_test = mean_elbo(session, vae, &data.test.images, config.seed)?;
    let code = Some(encode_codes(session, vae, &data.test.images)?.in_use());
    let mut evaluator = Evaluator { session, vae, data, context };
    let made_by = Provenance::of(device_name.clone(), &fingerprint);
    let mut record = RunRecord {
        data: Some(fingerprint.clone()),
        elbo_test,
        code,
        ..new_record(config, data, device_name, &clock)?
    };
    let tasks: Vec<usize> = (0..data.tasks.len()).collect();
    let probed = evaluator.probe(&tasks, Labels::ALL, recipe::probe(config, data.train.count()))?;
    (record.evaluations, record.files) = earlier.unwrap_or_default();
    let tensors: Vec<_> = probed.iter().flat_map(|p| p.tensors.clone()).collect();
    let about = About { vae, config, image_shape: data.train.images.shape(), data: &fingerprint };
    let model = model_file::encode(evaluator.session, about, &tensors)?;
    for (task, probed) in data.tasks.iter().zip(probed) {
        record.add_probe(&task.name, probed.result, &made_by);
    }
    record.files.insert(METRICS.into(), FileMark::of_file(&run.metrics_path())?);
    let mut change = run.change()?;
    replace::forget(run, &mut change);
    record.put(&mut change, MODEL, &model)?;
    record.commit(change)?;
    // The same probes may have been attacked so before.
    let examples = config.attack.attacked(data.test.count());
    if config.attack.enabled && record.as_configured(&config.attack, Some(examples)).is_none() {
        let x = evaluate::attacked_images(&data.test.images, &config.attack)?;
        for (number, task) in data.tasks.iter().enumerate() {
            let attacked = evaluator.attack(number, &tensors, &x, &config.attack)?;
            attacked.add_to(&mut record, run, &task.name, &made_by)?;
        }
    }
    Ok(record)
}

/// The record of a training, without evaluations.
fn new_record(config: &Config, data: &Dataset, device: String, clock: &TrainClock) -> Result<RunRecord> {
    Ok(RunRecord {
        train_seconds: clock.seconds_before,
        seconds_per_step: clock.seconds_per_step,
        synthetic: data.synthetic,
        skipped_images: data.skipped,
        test_images: data.test.count(),
        class_names: data.class_names.clone(),
        ..RunRecord::new(config, device)?
    })
}

/// The result of a run that has nothing left to do: trained to the end, probed for every task of `data`, and
/// attacked as `config` asks, with every file that belongs to these numbers. It needs no checkpoint.
fn finished(config: &Config, run: &RunDir, data: &Dataset) -> Result<Option<RunRecord>> {
    let checkpoint = run.checkpoint_path();
    let step = if checkpoint.exists() { checkpoint::peek(&checkpoint)?.remove("step") } else { None };
    if step.is_some_and(|step| step.parse() != Ok(config.iterations)) {
        return Ok(None);
    }
    let Some(result) = earlier_record(run)? else { return Ok(None) };
    let damaged = model_file::damaged(run, &result);
    for name in &damaged {
        log::warn!("{} is missing or damaged; it is made again", run.path().join(name).display());
    }
    let (wanted, images) = (&config.attack, data.test.count());
    // The model has the weights of the last probes; others' in their place measure something else.
    let whole = damaged.is_empty()
        && data.tasks.iter().all(|task| result.tasks.contains_key(&task.name))
        && result.has_own_probes();
    let own = result.as_configured(wanted, Some(wanted.attacked(images)));
    Ok(own.filter(|record| whole && record.iterations == config.iterations))
}

/// Wall time of the training, over all its sessions.
struct TrainClock {
    seconds_before: f64,
    seconds_per_step: f64,
}

/// Checks that the run's checkpoint, where there is one, is whole, of `config`'s settings and not past its end, and
/// that its metrics read.
///
/// # Errors
/// [`Error::Request`] naming the file.
pub fn check_resumable(config: &Config, run: &Writing, data: &Dataset) -> Result<()> {
    run.warn_of_changed_settings();
    let fingerprint = data.short_fingerprint();
    let checkpoint = load_checkpoint(config, run, &fingerprint)?;
    if let Some(record) = earlier_record(run)? {
        identity::check_record(&record, run, config, Some(&fingerprint))?;
    }
    if checkpoint.is_none() && run.result_path().exists() && finished(config, run, data)?.is_none() {
        let what = "is not there, though the run has a result: it cannot be gone on with";
        return Err(Error::file(run.checkpoint_path(), what)
            .with_hint("put it back, or replace the run with `overwrite`, which trains it anew"));
    }
    metrics::check(&run.metrics_path())
}

/// The run's record, where there is one.
///
/// # Errors
/// [`Error::Request`] for one that does not read.
fn earlier_record(run: &RunDir) -> Result<Option<RunRecord>> {
    if !run.result_path().exists() {
        return Ok(None);
    }
    let record = RunRecord::load(&run.result_path());
    record.map(Some)
}

fn load_checkpoint(
    config: &Config,
    run: &RunDir,
    data: &str,
) -> Result<Option<(Vec<NamedTensor>, Metadata)>> {
    let path = run.checkpoint_path();
    if !path.exists() {
        return Ok(None);
    }
    let (tensors, metadata) = checkpoint::load_sealed(&path)?;
    identity::check_settings(&metadata, &path, config)?;
    identity::check_data(&metadata, &path, data)?;
    // A checkpoint of an early version has the hash alone.
    if metadata.get("config_hash") != Some(&config.hash()?) {
        return Err(Error::file(path, "was made with other settings than this run's config.toml")
            .with_hint("undo the change to config.toml, or start another run"));
    }
    let done: u64 = metadata.get("step").and_then(|step| step.parse().ok()).unwrap_or(0);
    if done > config.iterations {
        let (asked, run) = (config.iterations, run.path().display());
        let what = format!("{asked} is fewer than the {done} steps that {run} has done already");
        return Err(Error::setting("iterations", what).with_hint(format!("give {done} or more")));
    }
    Ok(Some((tensors, metadata)))
}

/// Goes on from the run's checkpoint, where there is one, and drops what was logged after it.
fn resume(trainer: &mut Trainer, config: &Config, run: &RunDir, data: &str) -> Result<TrainClock> {
    let Some((tensors, metadata)) = load_checkpoint(config, run, data)? else {
        metrics::truncate_after(&run.metrics_path(), 0)?;
        return Ok(TrainClock { seconds_before: 0.0, seconds_per_step: 0.0 });
    };
    let refuse = |error: Error| {
        Error::file(run.checkpoint_path(), "does not fit the model of this run's settings").because(error)
    };
    trainer.restore(&tensors).map_err(refuse)?;
    metrics::truncate_after(&run.metrics_path(), trainer.steps_done()?)?;
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    Ok(TrainClock { seconds_before: number("train_seconds"), seconds_per_step: number("seconds_per_step") })
}

fn save_checkpoint(
    trainer: &Trainer,
    config: &Config,
    run: &Writing,
    data: &str,
    clock: &TrainClock,
) -> Result<()> {
    run.check()?;
    trainer.check_finite()?;
    let (step, state) = (trainer.steps_done()?, trainer.state()?);
    let metadata = Metadata::from([
        ("config_hash".into(), config.hash()?),
        ("step".into(), step.to_string()),
        ("seed".into(), config.seed.to_string()),
        ("train_seconds".into(), clock.seconds_before.to_string()),
        ("seconds_per_step".into(), clock.seconds_per_step.to_string()),
        (checkpoint::SETTINGS.into(), identity::fixed_settings(config)?),
        (checkpoint::DATA.into(), data.into()),
        (checkpoint::PROGRAM.into(), env!("CARGO_PKG_VERSION").into()),
    ]);
    checkpoint::save_sealed(&run.checkpoint_path(), &state, &metadata)
}

fn train_to_the_end(
    trainer: &mut Trainer,
    config: &Config,
    run: &Writing,
    data: &str,
    clock: &mut TrainClock,
    context: &Context,
) -> Result<()> {
    let first = trainer.steps_done()?;
    let watching = context.stop.watch();
    let mut metrics = Metrics::append(&run.metrics_path())?;
    let mut events = events(config, run, clock.seconds_before)?;
    let task = context.begin("training", first, config.iterations);
    let (seconds_before, started) = (clock.seconds_before, Instant::now());
    let mut durations: Vec<f64> = Vec::new();
    let (mut looked_at, mut looked) = (Instant::now(), first);
    let mut step_started = Instant::now();
    for step in first + 1..=config.iterations {
        trainer.step()?;
        task.advance(step, config.iterations);
        let (last, stop) = (step == config.iterations, context.stop.requested());
        if step.is_multiple_of(config.log_every) || last {
            let averages = trainer.take_averages()?;
            let examples = (step - looked) as f64 * config.batch as f64;
            let rate = examples / looked_at.elapsed().as_secs_f64();
            (looked_at, looked) = (Instant::now(), step);
            task.note(&format!("loss {:.2}", averages.loss));
            let all = config.iterations;
            log::info!("step {step} of {all}: loss {:.2}, {rate:.0} examples/s", averages.loss);
            let seconds = seconds_before + started.elapsed().as_secs_f64();
            let line = metrics_line(step, seconds, &averages, rate);
            metrics.write(&line)?;
            if let Some(events) = &mut events {
                events.write(&line)?;
            }
        }
        // With the waiting for the device in it: a GPU's step returns when it is handed over.
        durations.push(step_started.elapsed().as_secs_f64());
        if step.is_multiple_of(config.checkpoint_every) || last || stop {
            clock.seconds_before = seconds_before + started.elapsed().as_secs_f64();
            // A short session says less than a longer one before it.
            if clock.seconds_per_step == 0.0 || durations.len() > WARM_UP {
                clock.seconds_per_step = median_step(&durations);
            }
            // What was logged before it must not be younger than it after a loss of power.
            metrics.sync()?;
            save_checkpoint(trainer, config, run, data, clock)?;
        }
        if stop {
            return Err(stopped(step, run));
        }
        step_started = Instant::now();
    }
    drop((task, watching));
    match context.stop.requested() {
        true => Err(stopped(config.iterations, run)),
        false => Ok(()),
    }
}

/// TensorBoard's file, where the settings ask for it.
fn events(config: &Config, run: &RunDir, seconds_before: f64) -> Result<Option<EventFile>> {
    match config.tensorboard {
        true => EventFile::follow(&run.tensorboard_path(), &run.metrics_path(), seconds_before).map(Some),
        false => Ok(None),
    }
}

fn stopped(step: u64, run: &RunDir) -> Error {
    Error::Stopped { run: run.path().to_path_buf(), step }
}

/// One line of metrics.jsonl.
fn metrics_line(step: u64, seconds: f64, averages: &Averages, rate: f64) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| _ = line.insert(key.to_string(), value);
    put("step", json!(step));
    put("seconds", json!((seconds * 1e3).round() / 1e3));
    put("loss", json!(averages.loss));
    for &(name, value) in &averages.terms {
        match name {
            // Subtracted, not negated: a KL of 0 is no -0.
            "minus_kl" => put("kl", json!(0.0 - value)),
            _ => put(name, json!(value)),
        }
    }
    put("examples_per_second", json!(rate.round()));
    line
}

/// The median, without the warm-up where there is more than that.
fn median_step(seconds: &[f64]) -> f64 {
    let warm = seconds.get(WARM_UP..).filter(|rest| !rest.is_empty());
    let mut sorted = warm.unwrap_or(seconds).to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
