//! Whether what lies in a run belongs together: its settings, its data, its model and its record.

use std::fs;
use std::path::Path;
use std::time::Duration;

use toml::Table;

use crate::engine::nn::NamedTensor;
use crate::error::{Error, Result};
use crate::runs::checkpoint::{self, DATA, Metadata, SETTINGS};
use crate::runs::config::{Arch, Config, Role, Setting, declared};
use crate::runs::dir::{MODEL, RunDir};
use crate::runs::record::{FileMark, RunRecord};

/// The record of a finished run and the tensors of its model, which are those that the record was measured with, under
/// these settings and data (by the first digits of the fingerprint).
///
/// # Errors
/// [`Error::Request`] naming the file that does not read or does not belong to the rest.
pub fn load_model(run: &RunDir, config: &Config, data: &str) -> Result<(RunRecord, Vec<NamedTensor>)> {
    let path = run.model_path();
    let mut tries = 0;
    let (record, content) = loop {
        let record = RunRecord::load(&run.result_path())?;
        let content = fs::read(&path).map_err(|error| Error::file(&path, "cannot be read").because(error))?;
        match record.files.get(MODEL) {
            Some(mark) if *mark != FileMark::of(&content) => {}
            _ => break (record, content),
        }
        // Another process may have changed the run between the two readings.
        tries += 1;
        if tries == 3 {
            return Err(Error::file(&path, "is not the model that result.json was measured with").with_hint(
                "the run can be made whole again from its checkpoint: go on with it by `resume`",
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let (tensors, metadata) = checkpoint::decode(&path, &content)?;
    checkpoint::check_finite(&path, &tensors)?;
    check_settings(&metadata, &path, config)?;
    check_data(&metadata, &path, data)?;
    Ok((record, tensors))
}

/// Refuses settings with which the file's numbers were not made.
///
/// # Errors
/// [`Error::Request`] naming the first setting that differs, and both values.
pub fn check_settings(metadata: &Metadata, path: &Path, config: &Config) -> Result<()> {
    let Some(text) = metadata.get(SETTINGS) else { return Ok(()) };
    let then: Table = toml::from_str(text)
        .map_err(|error| Error::file(path, "has settings that do not read").because(error))?;
    let Some(difference) = difference(&then, &fixed(config)?) else { return Ok(()) };
    let what = format!("was made with other settings than config.toml has: {difference}");
    Err(Error::file(path, what).with_hint("undo the change to config.toml, or start another run"))
}

/// The first setting that fixes numbers and is not the same, in words.
fn difference(then: &Table, now: &Table) -> Option<String> {
    let words = |value: Option<&toml::Value>| value.map_or("none".to_string(), toml::Value::to_string);
    let known = |setting: &&Setting| setting.value_in(then).is_some() || !setting.is_neutral_in(now);
    let differs = |setting: &&Setting| setting.value_in(then) != setting.value_in(now);
    let setting = declared().filter(known).find(differs)?;
    let (then, now) = (words(setting.value_in(then)), words(setting.value_in(now)));
    Some(format!("`{}` was {then}, not {now}", setting.path()))
}

/// Refuses a record whose numbers were not measured under these settings or, where `data` are known, on other data.
///
/// # Errors
/// [`Error::Request`] naming its file.
pub fn check_record(record: &RunRecord, run: &RunDir, config: &Config, data: Option<&str>) -> Result<()> {
    let path = run.result_path();
    // Records of early versions have neither.
    if record.settings.is_some() && record.settings != Some(config.hash()?) {
        return Err(Error::file(path, "was measured under other settings than config.toml has").with_hint(
            "undo the change to config.toml, or start another run; to have this one measured anew remove result.json",
        ));
    }
    match (&record.data, data) {
        (Some(then), Some(now)) if then != now => {
            let what = format!("was measured on other data: their fingerprint was {then}, and is now {now}");
            Err(Error::file(path, what)
                .with_hint("give the folder of the right data as `data-dir`, or start another run"))
        }
        _ => Ok(()),
    }
}

/// Refuses the run in a folder that is to have one of the settings `wanted`.
///
/// # Errors
/// [`Error::Request`] naming the folder and the first setting that differs.
pub fn check_run(run: &RunDir, wanted: &Config) -> Result<()> {
    let there = run.config()?;
    let Some(difference) = difference(&fixed(wanted)?, &fixed(&there)?) else { return Ok(()) };
    Err(Error::file(run.path(), format!("is not the run that belongs there: {difference}"))
        .with_hint("move it away; the same command then makes the right one"))
}

/// The settings that fix the numbers of a model, as they stand in its file.
///
/// # Errors
/// As [`Config::to_toml`].
pub fn fixed_settings(config: &Config) -> Result<String> {
    Ok(fixed(config)?.to_string())
}

fn fixed(config: &Config) -> Result<Table> {
    let mut table: Table = toml::from_str(&config.to_toml()?)
        .map_err(|error| Error::run("the settings do not read back").because(error))?;
    let free = declared().filter(|setting| !matches!(setting.role, Role::Training | Role::Probe));
    free.for_each(|setting| setting.remove(&mut table));
    table.retain(|_, value| value.as_table().is_none_or(|table| !table.is_empty()));
    if config.arch == Arch::Mlp {
        table.remove("conv-channels");
    }
    Ok(table)
}

/// Refuses data with which the file's numbers were not made.
///
/// # Errors
/// [`Error::Request`] with both fingerprints.
pub fn check_data(metadata: &Metadata, path: &Path, data: &str) -> Result<()> {
    match metadata.get(DATA) {
        Some(then) if then != data => {
            let what = format!("was made from other data: their fingerprint was {then}, and is now {data}");
            Err(Error::file(path, what).with_hint(
                "give the folder of the right data as `data-dir`, or start another run (`smoothenc data info` tells \
                 a fingerprint, its sha256)",
            ))
        }
        _ => Ok(()),
    }
}
