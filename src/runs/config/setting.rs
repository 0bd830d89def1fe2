//! What is known of a setting: everything that flag, help, file, validation, hash and schema need.

use toml::Value;

use crate::{Error, Result, runs};

/// One setting, as `declared.rs` states it.
#[derive(Debug)]
pub struct Setting {
    /// The table of `config.toml` that it stands in; empty for the top level.
    pub table: &'static str,
    /// The field's name, with underscores.
    pub(super) field: &'static str,
    pub(super) help: &'static [&'static str],
    pub group: Group,
    /// What stands for its value in a usage line.
    pub value_name: &'static str,
    pub kind: Kind,
    /// The word that may stand for a value that is worked out later: `auto`, `all`.
    pub word: Option<&'static str>,
    pub role: Role,
    /// Among the dozen that `-h` shows.
    pub common: bool,
    /// For a setting that came later: the value that runs had before. Hashes leave it out there.
    pub neutral: Option<&'static str>,
}

/// What a setting's value is, with its range.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Path,
    Switch,
    Count {
        least: u64,
        most: u64,
    },
    /// From one to `longest` counts, each from 1.
    Counts {
        most: u64,
        longest: usize,
    },
    /// Finite and above 0.
    Positive,
    /// Finite and at least 0.
    NotNegative,
    /// From 0 to 1.
    Fraction,
    /// At least one number above 0.
    Positives,
    /// One of these.
    Choice(fn() -> Known),
    /// At least one of these, none twice.
    Choices(fn() -> Known),
}

/// Names with what they mean.
pub type Known = &'static [(&'static str, &'static str)];

/// The heading of the help that a setting stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Data,
    Model,
    Selection,
    Training,
    Probe,
    Attack,
    Output,
}

/// What a setting decides. It follows whether a hash has it, and whether a resumed run may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The numbers of training: in every hash.
    Training,
    /// How long training goes on: a resumed run may go on for longer.
    Length,
    /// How probes are trained.
    Probe,
    /// How probes are attacked: a resumed run may be attacked otherwise.
    Attack,
    /// Where the data are.
    Place,
    /// Nothing that is measured: where it runs, what it writes and how often.
    Output,
}

impl Kind {
    /// Whether it names a file or folder, which may be given or not.
    pub fn is_path(self) -> bool {
        matches!(self, Kind::Path)
    }
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Data => "Data",
            Group::Model => "Model",
            Group::Selection => "Selection of the second point of SE",
            Group::Training => "Training",
            Group::Probe => "Probe",
            Group::Attack => "Attack",
            Group::Output => "Output",
        }
    }

    /// All of them, in the order of the help.
    pub const ALL: [Group; 7] = [
        Group::Data,
        Group::Model,
        Group::Selection,
        Group::Training,
        Group::Probe,
        Group::Attack,
        Group::Output,
    ];
}

/// A setting's value, as its range is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Count(u64),
    Counts(Vec<u64>),
    Real(f32),
    Reals(Vec<f32>),
    /// Texts, paths, switches and choices: their types have no values out of range.
    Other,
    /// The word.
    Word,
}

/// A type that a setting may have.
pub trait Settable {
    fn content(&self) -> Content;
}

/// Counts and numbers, alone, in lists, or with a word in their place.
macro_rules! settable {
    ($($type:ty => |$value:ident| $content:expr;)*) => {
        $(impl Settable for $type {
            fn content(&self) -> Content {
                let $value = self;
                $content
            }
        })*
    };
}

settable! {
    u64 => |value| Content::Count(*value);
    usize => |value| Content::Count(*value as u64);
    f32 => |value| Content::Real(*value);
    Vec<f32> => |value| Content::Reals(value.clone());
    Vec<usize> => |value| Content::Counts(value.iter().map(|&count| count as u64).collect());
    Vec<super::AttackMethod> => |_value| Content::Other;
    bool => |_value| Content::Other;
    String => |_value| Content::Other;
    std::path::PathBuf => |_value| Content::Other;
}

impl<T: Settable> Settable for Option<T> {
    fn content(&self) -> Content {
        self.as_ref().map_or(Content::Word, Settable::content)
    }
}

impl Setting {
    /// The key in its table: `learning-rate`.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// The key with its table: `attack.radii`.
    pub fn path(&self) -> String {
        if self.table.is_empty() { self.key() } else { format!("{}.{}", self.table, self.key()) }
    }

    /// The flag's name without its dashes: `attack-radii`, but `attacks`.
    pub fn flag(&self) -> String {
        match self.key().starts_with(self.table) {
            true => self.key(),
            false => self.path().replace('.', "-"),
        }
    }

    /// What it is, in a line or two.
    pub fn help(&self) -> String {
        self.help.concat().trim().to_string()
    }

    /// Whether a resumed run may have another value.
    pub fn may_change(&self) -> bool {
        // The data may have moved: their fingerprint tells whether they are the same.
        matches!(self.role, Role::Length | Role::Attack | Role::Output | Role::Place)
    }

    /// The value in a file's table, where it is there.
    pub fn value_in<'a>(&self, table: &'a toml::Table) -> Option<&'a Value> {
        match self.table {
            "" => table.get(&self.key()),
            inner => table.get(inner)?.get(self.key()),
        }
    }

    /// Puts a value into a file's table.
    pub fn put(&self, table: &mut toml::Table, value: Value) {
        let table = match self.table {
            "" => table,
            inner => match table.entry(inner).or_insert_with(|| Value::Table(Default::default())) {
                Value::Table(inner) => inner,
                _ => return,
            },
        };
        table.insert(self.key(), value);
    }

    /// Takes the value out of a file's table.
    pub fn remove(&self, table: &mut toml::Table) {
        match self.table {
            "" => _ = table.remove(&self.key()),
            inner => {
                if let Some(Value::Table(inner)) = table.get_mut(inner) {
                    inner.remove(&self.key());
                }
            }
        }
    }

    /// Whether the table has the value that runs had before there was this setting.
    pub fn is_neutral_in(&self, table: &toml::Table) -> bool {
        self.neutral.is_some_and(|neutral| {
            self.value_in(table).is_some_and(|value| self.parse(neutral).as_ref() == Ok(value))
        })
    }

    /// Reads a flag's text.
    ///
    /// # Errors
    /// What is wanted instead, in a few words.
    pub fn parse(&self, text: &str) -> std::result::Result<Value, String> {
        let text = text.trim();
        if self.word == Some(text) {
            return Ok(text.into());
        }
        let or_word = self.word.map_or(String::new(), |word| format!(", or {word}"));
        let named = |known: fn() -> Known, text: &str| {
            known().iter().find(|(name, _)| *name == text).map(|(name, _)| Value::from(*name))
        };
        let names =
            |known: fn() -> Known| known().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let list = |one: &dyn Fn(&str) -> Option<Value>, wanted: &str| {
            let parts = text.strip_suffix(',').unwrap_or(text).split(',');
            let values: Option<Vec<Value>> = parts.map(|part| one(part.trim())).collect();
            values.map(Value::Array).ok_or_else(|| format!("give {wanted}{or_word}"))
        };
        match self.kind {
            Kind::Text | Kind::Path => Ok(text.into()),
            Kind::Choice(known) => named(known, text).ok_or_else(|| format!("give one of {}", names(known))),
            Kind::Choices(known) => list(
                &|one| named(known, one),
                &format!("names with commas between them, of {}", names(known)),
            ),
            Kind::Switch => text.parse().map(Value::Boolean).map_err(|_| "give true or false".to_string()),
            Kind::Count { most, .. } => count(text).ok_or_else(|| match text.parse::<u128>() {
                Ok(_) => format!("give at most {most}"),
                Err(_) => format!("give a whole number{or_word}"),
            }),
            Kind::Counts { .. } => list(&count, "whole numbers with commas between them"),
            Kind::Positive | Kind::NotNegative | Kind::Fraction => {
                real(text).ok_or_else(|| format!("give a number, such as 0.1 or 8/255{or_word}"))
            }
            Kind::Positives => list(&real, "numbers with commas between them, such as 0.1,0.2 or 8/255"),
        }
    }

    /// Checks a value against the range of its kind.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag and the value.
    pub fn check(&self, content: &Content) -> Result<()> {
        let refuse = |must: String| Err(Error::setting(self.path(), format!("must be {must}")));
        let counted = |value: u64, least: u64, most: u64| {
            if value < least {
                return refuse(format!("at least {least}, got {value}"));
            }
            if value > most {
                return refuse(format!("at most {most}, got {value}"));
            }
            Ok(())
        };
        let positive = |value: f32| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => refuse(format!("a positive number, got {value}")),
        };
        match (self.kind, content) {
            (_, Content::Word | Content::Other) => Ok(()),
            (Kind::Count { least, most }, Content::Count(value)) => counted(*value, least, most),
            (Kind::Counts { most, longest }, Content::Counts(values)) => {
                if values.is_empty() {
                    return refuse("at least one number".into());
                }
                if values.len() > longest {
                    return refuse(format!("at most {longest} numbers, got {}", values.len()));
                }
                values.iter().try_for_each(|&value| counted(value, 1, most))
            }
            (Kind::Positive, Content::Real(value)) => positive(*value),
            (Kind::NotNegative, Content::Real(value)) => match *value >= 0.0 && value.is_finite() {
                true => Ok(()),
                false => refuse(format!("0 or a positive number, got {value}")),
            },
            (Kind::Fraction, Content::Real(value)) => match (0.0..=1.0).contains(value) {
                true => Ok(()),
                false => refuse(format!("from 0 to 1, got {value}")),
            },
            (Kind::Positives, Content::Reals(values)) => {
                if values.is_empty() {
                    return refuse("at least one number".into());
                }
                values.iter().try_for_each(|&value| positive(value))
            }
            (kind, content) => {
                Err(Error::run(format!("the setting {} is {content:?}, declared as {kind:?}", self.path())))
            }
        }
    }
}

fn count(text: &str) -> Option<Value> {
    text.parse::<u64>().ok().and_then(|value| i64::try_from(value).ok()).map(Value::Integer)
}

/// A decimal or a fraction such as 8/255.
pub fn number(text: &str) -> Option<f32> {
    let value = match text.split_once('/') {
        Some((above, below)) => above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?,
        None => text.parse::<f64>().ok()?,
    };
    Some(value as f32)
}

fn real(text: &str) -> Option<Value> {
    number(text).map(|value| Value::Float(runs::short(value)))
}
