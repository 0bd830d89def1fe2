//! What the declaration of the settings tells other programs and readers: a JSON schema, and the guide's table.

use serde_json::{Map, Value, json};

use super::setting::{Group, Kind, Known, Setting};
use super::{Preset, declared};

/// The JSON schema (draft 2020-12) of a `config.toml`.
pub fn json_schema() -> Value {
    let mut root = Map::new();
    let mut tables = Map::new();
    for setting in declared() {
        let here = match setting.table {
            "" => &mut root,
            table => match tables.entry(table).or_insert_with(|| json!({})) {
                Value::Object(inner) => inner,
                _ => continue,
            },
        };
        here.insert(setting.key(), property(setting));
    }
    for (name, properties) in tables {
        root.insert(name, json!({"type": "object", "properties": properties, "additionalProperties": false}));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The settings of a smoothenc run (config.toml)",
        "type": "object",
        "properties": root,
        "additionalProperties": false,
    })
}

fn property(setting: &Setting) -> Value {
    let mut property = match setting.kind {
        Kind::Text | Kind::Path => json!({"type": "string"}),
        Kind::Switch => json!({"type": "boolean"}),
        Kind::Count { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Counts { most, longest } => json!({
            "type": "array", "minItems": 1, "maxItems": longest,
            "items": {"type": "integer", "minimum": 1, "maximum": most},
        }),
        Kind::Positive => json!({"type": "number", "exclusiveMinimum": 0}),
        Kind::NotNegative => json!({"type": "number", "minimum": 0}),
        Kind::Fraction => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Kind::Positives => {
            json!({"type": "array", "minItems": 1, "items": {"type": "number", "exclusiveMinimum": 0}})
        }
        Kind::Choice(known) => names(known()),
        Kind::Choices(known) => {
            json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": names(known())})
        }
    };
    if let Some(word) = setting.word {
        property = json!({"anyOf": [property, {"const": word}]});
    }
    property["description"] = setting.help().into();
    property
}

fn names(known: Known) -> Value {
    json!({"enum": known.iter().map(|(name, _)| name).collect::<Vec<_>>()})
}

/// The guide's tables of settings, a heading for each group.
pub fn markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        text += &format!(
            "### {}\n\n| flag | in the file | default | what it is |\n|---|---|---|---|\n",
            group.title()
        );
        for setting in declared().filter(|setting| setting.group == group) {
            let flag = match setting.path().as_str() {
                "dataset" => "`DATASET`".to_string(),
                "attack.enabled" => "`--no-attack`".to_string(),
                _ => format!("`--{}`", setting.flag()),
            };
            let mut help = setting.help();
            if let Kind::Choice(known) | Kind::Choices(known) = setting.kind {
                let each = known().iter().map(|(name, about)| format!("`{name}`: {}", about.trim()));
                help += &format!(". {}", each.collect::<Vec<_>>().join("; "));
            }
            let default = Preset::Quick.default_of(setting);
            text +=
                &format!("| {flag} | `{}` | {default} | {} |\n", setting.path(), help.replace('|', "\\|"));
        }
        text.push('\n');
    }
    text
}
