//! `config.toml`: reading, writing, laying one set of settings over another, and the hash.

use std::fs;
use std::path::Path;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::{Arch, Config};
use crate::{Error, Result, runs};

/// The settings that do not fix the numbers of training: where it runs, how long, what it writes and what follows.
const NOT_HASHED: [&str; 9] = [
    "data-dir",
    "iterations",
    "log-every",
    "checkpoint-every",
    "device",
    "checked",
    "tensorboard",
    "probe",
    "attack",
];

impl Config {
    /// The text of `config.toml`: every setting, defaults included.
    ///
    /// # Errors
    /// [`Error::Request`] for what TOML cannot hold: a path that is not UTF-8, a seed of 2^63 or more.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| {
            Error::request(format!(
                "the settings cannot be written as TOML ({error}): use a UTF-8 path and a seed below 2^63"
            ))
        })
    }

    /// Reads settings; those that are missing come from `base`. `origin` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Request`] naming the line and the unknown key or the value that does not fit. Values that are
    /// well-formed but wrong are left to [`Config::validate`].
    pub fn from_toml(text: &str, origin: &str, base: &Config) -> Result<Config> {
        // Once by itself, where errors know their line, then over the base.
        toml::from_str::<Config>(text).map_err(|error| explain(&error, text, origin))?;
        let mut table: Table = toml::from_str(&base.to_toml()?).map_err(|e| explain(&e, text, origin))?;
        let over: Table = toml::from_str(text).map_err(|e| explain(&e, text, origin))?;
        lay_over(&mut table, over);
        let mut config: Config = Value::Table(table).try_into().map_err(|e| explain(&e, text, origin))?;
        config.attack.radii.sort_by(f32::total_cmp);
        Ok(config)
    }

    /// Reads a settings file over `base`, as `--config` does.
    ///
    /// # Errors
    /// As [`Config::from_toml`], and for a file that cannot be read.
    pub fn from_file(path: &Path, base: &Config) -> Result<Config> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::request(format!("{} cannot be read: {error}", path.display())))?;
        Config::from_toml(&text, &path.display().to_string(), base)
    }

    /// 16 hexadecimal digits over the settings that fix the numbers of training, so that a checkpoint is only
    /// gone on with under those it was made with. Lengths, the device, paths and all that follows training
    /// are left out.
    pub fn hash(&self) -> Result<String> {
        let mut table: Table = toml::from_str(&self.to_toml()?)
            .map_err(|error| Error::run(format!("the settings do not read back: {error}")))?;
        for key in NOT_HASHED {
            table.remove(key);
        }
        if self.arch == Arch::Mlp {
            table.remove("conv-channels");
        }
        // Sorted lines, so that the order of the fields does not matter.
        let mut lines: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        lines.sort();
        let digest = Sha256::digest(lines.concat());
        Ok(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Replaces the values of `under` by those of `over`, table by table.
pub fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => lay_over(inner, value),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// A TOML error as one sentence with its line.
fn explain(error: &toml::de::Error, text: &str, origin: &str) -> Error {
    let message = error.message().trim().replace('\n', ", ");
    located(text, error.span().map_or(0, |span| span.start), origin, &message)
}

/// An error at a place in a text, with its line.
pub fn located(text: &str, at: usize, origin: &str, message: &str) -> Error {
    let start = at.min(text.len());
    let number = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    let line = text.lines().nth(number).unwrap_or("").trim();
    Error::request(format!("{origin}, line {} ({line}): {message}", number + 1))
}

pub(super) fn is_zero(value: &u64) -> bool {
    *value == 0
}

pub(super) fn short<S: Serializer>(value: &f32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64(runs::short(*value))
}

pub(super) fn short_list<S: Serializer>(
    values: &[f32],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&value| runs::short(value)))
}

pub(super) fn short_or_auto<S: Serializer>(
    value: &Option<f32>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(value) => short(value, serializer),
        None => serializer.serialize_str("auto"),
    }
}

pub(super) fn counts_or_auto<S: Serializer>(
    value: &Option<Vec<usize>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(counts) => counts.serialize(serializer),
        None => serializer.serialize_str("auto"),
    }
}

pub(super) fn count_or_all<S: Serializer>(
    value: &Option<usize>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(count) => count.serialize(serializer),
        None => serializer.serialize_str("all"),
    }
}

/// A number, or a list of them, or a word that stands for none.
#[derive(Deserialize)]
#[serde(untagged)]
enum OrWord<T> {
    Number(T),
    Other(Value),
}

impl<T> OrWord<T> {
    fn read<E: de::Error>(self, word: &str, number: &str) -> std::result::Result<Option<T>, E> {
        match self {
            OrWord::Number(value) => Ok(Some(value)),
            OrWord::Other(Value::String(text)) if text == word => Ok(None),
            OrWord::Other(other) => Err(E::custom(format!("must be {number} or \"{word}\", got {other}"))),
        }
    }
}

pub(super) fn number_or_auto<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<f32>, D::Error> {
    OrWord::deserialize(deserializer)?.read("auto", "a number")
}

pub(super) fn counts_or_auto_back<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Vec<usize>>, D::Error> {
    OrWord::deserialize(deserializer)?.read("auto", "a list of counts")
}

pub(super) fn number_or_all<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<usize>, D::Error> {
    OrWord::deserialize(deserializer)?.read("all", "a count")
}
