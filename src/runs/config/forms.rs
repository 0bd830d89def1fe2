//! How values stand in files: single precision as its shortest decimal, words for what is worked out later.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use toml::Value;

use crate::runs;

pub(super) fn short<S: Serializer>(value: &f32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64(runs::short(*value))
}

pub(super) fn short_list<S: Serializer>(
    values: &[f32],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&value| runs::short(value)))
}

/// A value, or the word that stands for none.
#[derive(Deserialize)]
#[serde(untagged)]
enum OrWord<T> {
    Value(T),
    Other(Value),
}

fn read_or_word<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    word: &str,
) -> std::result::Result<Option<T>, D::Error> {
    match OrWord::deserialize(deserializer)? {
        OrWord::Value(value) => Ok(Some(value)),
        OrWord::Other(Value::String(text)) if text == word => Ok(None),
        OrWord::Other(other) => {
            Err(de::Error::custom(format!("must be a value of its type or \"{word}\", got {other}")))
        }
    }
}

/// How a value is written: single precision as its shortest decimal.
trait Written {
    fn write<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>;
}

impl Written for f32 {
    fn write<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        short(self, serializer)
    }
}

impl Written for usize {
    fn write<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

impl Written for Vec<usize> {
    fn write<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

/// Makes a module for `#[serde(with = ..)]`, in whose files `$word` stands for none.
macro_rules! or_word {
    ($name:ident, $word:literal) => {
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            #[expect(private_bounds, reason = "only types of this module are written")]
            pub fn serialize<T: super::Written, S: Serializer>(
                value: &Option<T>,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                match value {
                    Some(value) => value.write(serializer),
                    None => serializer.serialize_str($word),
                }
            }

            pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Option<T>, D::Error> {
                super::read_or_word(deserializer, $word)
            }
        }
    };
}

or_word!(auto, "auto");
or_word!(all, "all");
or_word!(off, "off");
