//! The settings as flags, made from their declaration (`runs/config/declared.rs`).

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use toml::{Table, Value};

use crate::error::Result;
use crate::runs::config::{AttackConfig, Config, Group, Kind, Preset, Setting, declared};

/// What was given, as a file would have it, of the settings `OF` a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingFlags<const OF: u8> {
    pub given: Table,
}

const TRAIN: u8 = 0;
const ATTACK: u8 = 1;
const EVALUATE: u8 = 2;

/// The flags of `train`: every setting.
pub type TrainFlags = SettingFlags<TRAIN>;

/// The flags of `attack`.
pub type AttackFlags = SettingFlags<ATTACK>;

/// The flags of `evaluate`: of the data, the probe and the attack.
pub type EvaluateFlags = SettingFlags<EVALUATE>;

impl<const OF: u8> SettingFlags<OF> {
    /// Those with a flag of their own: a data set is named without one, and `--no-attack` turns the attack off.
    fn settings() -> impl Iterator<Item = &'static Setting> {
        let other = |setting: &Setting| ["dataset", "attack.enabled"].contains(&setting.path().as_str());
        let of = |group| match OF {
            ATTACK => group == Group::Attack,
            EVALUATE => [Group::Data, Group::Probe, Group::Attack].contains(&group),
            _ => true,
        };
        declared().filter(move |setting| !other(setting) && of(setting.group))
    }
}

/// What was given by flags, with the radii of the attack's norm where that is not the settings' one.
pub fn with_radii(config: &Config, mut given: Table) -> Table {
    if let Some(Value::Table(attack)) = given.get_mut("attack") {
        *attack = config.attack.radii_of_the_norm(std::mem::take(attack));
    }
    given
}

impl AttackFlags {
    /// Lays what was given over `config`. Radii come out ascending; a norm that is not `config`'s brings its own.
    ///
    /// # Errors
    /// As [`AttackConfig::with`].
    pub fn apply(&self, config: &AttackConfig) -> Result<AttackConfig> {
        match self.given.get("attack") {
            Some(Value::Table(given)) => config.with(config.radii_of_the_norm(given.clone())),
            _ => Ok(config.clone()),
        }
    }
}

impl<const OF: u8> Args for SettingFlags<OF> {
    fn augment_args(command: Command) -> Command {
        Self::settings().fold(command, |command, setting| {
            let flag = argument(setting);
            // `attack` needs not say whose radii they are.
            let attack = OF != TRAIN && setting.group == Group::Attack;
            let short = attack && setting.key() != setting.flag();
            command.arg(if short { flag.visible_alias(setting.key()) } else { flag })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const OF: u8> FromArgMatches for SettingFlags<OF> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        for setting in Self::settings() {
            let id = setting.flag();
            let value = match setting.kind {
                Kind::Switch => matches.get_flag(&id).then_some(Value::Boolean(true)),
                _ => matches.get_one::<Value>(&id).cloned(),
            };
            if let Some(value) = value {
                setting.put(&mut self.given, value);
            }
        }
        Ok(())
    }
}

/// The first clause of a help, for `-h`, which is to fit on a screen.
fn brief(help: &str) -> &str {
    let ends = ["; ", ": ", ", in "].iter().filter_map(|mark| help.find(mark));
    ends.min().map_or(help, |end| &help[..end])
}

fn argument(setting: &'static Setting) -> Arg {
    let flag = Arg::new(setting.flag()).long(setting.flag()).help_heading(setting.group.title());
    let default = Preset::Quick.default_of(setting);
    let flag = match setting.kind {
        Kind::Switch => {
            return flag
                .help(brief(&setting.help()).to_string())
                .long_help(setting.help())
                .action(ArgAction::SetTrue)
                .hide_short_help(!setting.common);
        }
        Kind::Choice(known) => {
            let values = known().iter().map(|(name, about)| PossibleValue::new(*name).help(about.trim()));
            flag.value_parser(PossibleValuesParser::new(values).map(Value::String))
        }
        _ => flag.value_parser(|text: &str| setting.parse(text)).allow_negative_numbers(true),
    };
    let flag = flag.value_name(setting.value_name).hide_short_help(!setting.common);
    if setting.kind.is_path() {
        return flag.help(brief(&setting.help()).to_string()).long_help(setting.help());
    }
    // `-h` has the default of the MLP on MNIST, `--help` those of other networks and data too.
    let plain = default.split(';').next().unwrap_or_default();
    let names = match setting.kind {
        Kind::Choices(known) => {
            let name = |(name, about): &(&str, &str)| format!("\n- {name}: {}", about.trim());
            format!("\n\nNames:{}", known().iter().map(name).collect::<String>())
        }
        _ => String::new(),
    };
    flag.help(format!("{} [default: {plain}]", brief(&setting.help())))
        .long_help(format!("{} [default: {default}]{names}", setting.help()))
}
