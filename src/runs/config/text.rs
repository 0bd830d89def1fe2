//! `config.toml`: reading, writing, laying one set of settings over another, and the hash.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::{Arch, AttackConfig, Config, Role, declared};
use crate::data::hex_sha256;
use crate::files;
use crate::nearest::nearest;
use crate::{Error, Result};

impl Config {
    /// The text of `config.toml`: every setting, defaults included.
    ///
    /// # Errors
    /// [`Error::Request`] for what TOML cannot hold: a path that is not UTF-8, a seed of 2^63 or more.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| {
            Error::request("the settings cannot be written as TOML")
                .because(error)
                .with_hint("use a UTF-8 path and a seed below 2^63")
        })
    }

    /// The text of a run's own `config.toml`: as [`Config::to_toml`], under a comment with its checksum.
    ///
    /// # Errors
    /// As [`Config::to_toml`].
    pub fn to_sealed_toml(&self) -> Result<String> {
        let text = self.to_toml()?;
        Ok(format!("{SEAL}{}\n{text}", hex_sha256(text.as_bytes())))
    }

    /// Every setting that the file has, by name; those in a table have its name before theirs (`attack radii`).
    ///
    /// # Errors
    /// As [`Config::to_toml`].
    pub fn flat(&self) -> Result<Vec<(String, toml::Value)>> {
        let table: toml::Table = toml::from_str(&self.to_toml()?)
            .map_err(|error| Error::run("the settings do not read back").because(error))?;
        let settings = table.into_iter().flat_map(|(name, value)| match value {
            toml::Value::Table(inner) => {
                inner.into_iter().map(|(key, value)| (format!("{name} {key}"), value)).collect()
            }
            value => vec![(name, value)],
        });
        Ok(settings.collect())
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

    /// The defaults, and for settings that were added later what runs did before: what a run's own file has not got.
    pub fn before() -> Config {
        let mut over = Table::new();
        for setting in declared() {
            let Some(Ok(value)) = setting.neutral.map(|neutral| setting.parse(neutral)) else { continue };
            let inner = match setting.table {
                "" => Some(&mut over),
                table => over.entry(table).or_insert(Value::Table(Table::new())).as_table_mut(),
            };
            inner.map(|inner| inner.insert(setting.key(), value));
        }
        // A test reads them all.
        Config::default().with(over).unwrap_or_default()
    }

    /// These settings with those of `over` laid over them. Radii come out ascending.
    ///
    /// # Errors
    /// [`Error::Request`] naming the key whose value does not fit.
    pub fn with(&self, over: Table) -> Result<Config> {
        let mut config: Config = laid_over(self, over)?;
        config.attack.radii.sort_by(f32::total_cmp);
        Ok(config)
    }

    /// Reads a settings file over `base`, as `--config` does.
    ///
    /// # Errors
    /// As [`Config::from_toml`], and for a file that cannot be read.
    pub fn from_file(path: &Path, base: &Config) -> Result<Config> {
        let text =
            fs::read_to_string(path).map_err(|error| Error::file(path, "cannot be read").because(error))?;
        Ok(Config::from_toml(&text, &path.display().to_string(), base)?.beside(path))
    }

    /// With a relative `data-dir` taken from the folder of the file that names it, so that the file means the same
    /// wherever the program runs.
    pub fn beside(mut self, file: &Path) -> Config {
        if let Some(data_dir) = &self.data_dir
            && data_dir.is_relative()
            && let Ok(file) = std::path::absolute(file)
        {
            self.data_dir = Some(files::directory(&file).join(data_dir));
        }
        self
    }

    /// 16 hexadecimal digits over the settings that fix the numbers of training, so that a checkpoint is only
    /// gone on with under those it was made with. Lengths, the device, paths and all that follows training
    /// are left out.
    pub fn hash(&self) -> Result<String> {
        let mut table: Table = toml::from_str(&self.to_toml()?)
            .map_err(|error| Error::run("the settings do not read back").because(error))?;
        for setting in declared() {
            if setting.role != Role::Training || setting.is_neutral_in(&table) {
                setting.remove(&mut table);
            }
        }
        // Tables of their own have nothing of training.
        table.retain(|_, value| !value.is_table());
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

/// What comes before the checksum. It is the first line: a file that was cut keeps it.
const SEAL: &str = "# As written by smoothenc, sha256 ";

/// Whether the text of a run's settings is as it was written, or has no checksum.
pub fn seal_holds(text: &str) -> bool {
    let seal = text.strip_prefix(SEAL).and_then(|rest| rest.split_once('\n'));
    !text.starts_with(SEAL) || seal.is_some_and(|(sum, rest)| sum == hex_sha256(rest.as_bytes()))
}

impl AttackConfig {
    /// These settings with those of `over` laid over them. Radii come out ascending.
    ///
    /// # Errors
    /// [`Error::Request`] naming the key whose value does not fit.
    pub fn with(&self, over: Table) -> Result<AttackConfig> {
        let mut config: AttackConfig = laid_over(self, over)?;
        config.radii.sort_by(f32::total_cmp);
        Ok(config)
    }
}

impl AttackConfig {
    /// The settings `over`, which are to be laid over these, with the radii of their norm where they name another norm
    /// and no radii: those of one norm say nothing in another.
    pub fn radii_of_the_norm(&self, mut over: Table) -> Table {
        let norm = over.get("norm").and_then(Value::as_str).filter(|norm| *norm != self.norm.name());
        let radii: &[f64] = match norm {
            Some("l2") => &L2_RADII,
            Some("linf") => &LINF_RADII,
            _ => return over,
        };
        over.entry("radii").or_insert_with(|| radii.to_vec().into());
        over
    }
}

/// On MNIST the Euclidean length of a change of 0.1 of every pixel is 2.8.
const L2_RADII: [f64; 5] = [0.5, 1.0, 1.5, 2.0, 3.0];
/// As in the preset.
const LINF_RADII: [f64; 4] = [0.01, 0.1, 0.2, 0.3];

fn laid_over<T: Serialize + DeserializeOwned>(under: &T, over: Table) -> Result<T> {
    let refuse =
        |error: String| Error::request(format!("the settings: {}", error.trim().replace('\n', ", ")));
    let mut table = Table::try_from(under).map_err(|error| refuse(error.to_string()))?;
    lay_over(&mut table, over);
    Value::Table(table).try_into().map_err(|error: toml::de::Error| refuse(error.to_string()))
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

/// What the reader of a settings file found, for people: types have names that they know, and a key that is none is
/// told with the one that was maybe meant, in place of all that there are.
pub fn plain(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, [key, known @ ..]) = (message.starts_with("unknown field `"), &quoted[..]) {
        return unknown_key(key, known);
    }
    let types = [
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected u64", "expected a whole number from 0"),
        ("expected usize", "expected a whole number from 0"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
    ];
    types.iter().fold(message, |message, (inner, said)| message.replace(inner, said))
}

/// `known` are the keys of the table in which it stands. The names stand in quotes: in backticks the command line would
/// show the flag in their place, and this is about a file.
fn unknown_key(key: &str, known: &[&str]) -> String {
    let own = |name: &str| known.contains(&name);
    let table = ["attack", "probe"].into_iter().find(|table| {
        let mut declared = declared().filter(|setting| setting.table == *table);
        declared.all(|setting| own(&setting.key()))
    });
    // The right name, at the wrong level or as a flag. A grid file has keys of its own beside settings.
    let settings = table.is_some() || own("gamma");
    let elsewhere = declared().find(|setting| settings && (setting.flag() == key || setting.key() == key));
    if let Some(setting) = elsewhere {
        return match setting.table {
            "" => format!("no setting {key:?} here; write it above all tables"),
            inner if table == Some(inner) => format!("no setting {key:?}; here it is {:?}", setting.key()),
            inner => format!("no setting {key:?} here; write {:?} under [{inner}]", setting.key()),
        };
    }
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("no setting {key:?}; did you mean {meant:?}?"),
        None if known.len() > 10 => {
            format!("no setting {key:?}; `smoothenc train --help` and docs/settings.md list all")
        }
        None => format!("no setting {key:?}; there are {}", known.join(", ")),
    }
}

/// A TOML error as one sentence with its line.
fn explain(error: &toml::de::Error, text: &str, origin: &str) -> Error {
    let message = plain(error.message());
    located(text, error.span().map_or(0, |span| span.start), origin, &message)
}

/// An error at a place in a text, with its line.
pub fn located(text: &str, at: usize, origin: &str, message: &str) -> Error {
    let start = at.min(text.len());
    let number = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    let line = text.lines().nth(number).unwrap_or("").trim();
    Error::request(format!("{origin}, line {} ({line}): {message}", number + 1))
}
