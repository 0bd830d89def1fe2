//! A grid file, read and checked: whatever can be refused is refused here, with the file's own line, before anything is
//! trained.

mod effects;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::{Grid, Point, SEED};
use crate::error::{Error, Place, Result};
use crate::runs::config::{Arch, Config, Preset, lay_over, located, plain};
use crate::runs::short;

/// More would be a slip of the pen.
const MOST_POINTS: usize = 10_000;

/// The grid file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    preset: Option<String>,
    radius: Option<f32>,
    task: Option<String>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    grid: BTreeMap<String, Spanned<Value>>,
}

/// `[base]` read as settings, so that its errors have their line.
#[derive(Deserialize)]
struct Base {
    #[serde(rename = "base")]
    _base: Option<Config>,
}

/// A setting that varies.
struct Axis {
    name: String,
    values: Vec<Value>,
    /// Where its values begin in the file.
    at: usize,
}

impl Grid {
    /// Reads a grid: `[grid]` has a list of values for each setting that varies, `[base]` the other settings, and above
    /// them `preset`, `radius` and `task` may stand. `device` is where everything is to run.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file, its line and the key at fault; every point's settings are checked.
    pub fn read(path: &Path, device: &str) -> Result<Grid> {
        let origin = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|error| Error::file(path, "cannot be read").because(error))?;
        parse(&text, &origin, device)
    }
}

/// The text of a grid, and how its faults are told.
struct Source<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Source<'_> {
    fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::request(format!("{}: {why}", self.origin))
    }

    /// With the line of a place in the text.
    fn refuse_at(&self, at: usize, why: impl std::fmt::Display) -> Error {
        located(self.text, at, self.origin, &why.to_string())
    }

    fn refuse_toml(&self, error: &toml::de::Error) -> Error {
        self.refuse_at(error.span().map_or(0, |span| span.start), plain(error.message()))
    }
}

/// Reads the text of a grid file, which `origin` names.
///
/// # Errors
/// As [`Grid::read`].
pub(crate) fn parse(text: &str, origin: &str, device: &str) -> Result<Grid> {
    let source = Source { text, origin };
    let file: File = toml::from_str(text).map_err(|error| source.refuse_toml(&error))?;
    toml::from_str::<Base>(text).map_err(|error| source.refuse_toml(&error))?;
    let axes = axes(&source, file.grid)?;
    let preset = match file.preset.as_deref() {
        None | Some("quick") => Preset::Quick,
        Some("paper") => Preset::Paper,
        Some(other) => return Err(source.refuse(format!("preset must be quick or paper, got {other:?}"))),
    };
    let settings = Settings { source: &source, axes: &axes, base: file.base, preset, device };
    let combinations = combinations(&source, &axes)?;
    let points: Vec<Point> =
        combinations.iter().map(|chosen| settings.point(chosen)).collect::<Result<_>>()?;
    effects::check(&source, &axes, &points)?;
    settings.warn_of_unused(&points)?;
    let points = effects::distinct(&source, &axes, &combinations, points)?;
    let radii = common_radii(&source, &points)?;
    let radius = radius(&source, file.radius, &points)?;
    Ok(Grid {
        axes: axes.into_iter().map(|axis| axis.name).collect(),
        radius,
        radii,
        task: file.task,
        points,
    })
}

/// The axes, `seed` last, each value by itself one that the setting can have.
fn axes(source: &Source, grid: BTreeMap<String, Spanned<Value>>) -> Result<Vec<Axis>> {
    if grid.is_empty() {
        return Err(source.refuse("[grid] needs at least one setting with a list of values"));
    }
    let mut axes = Vec::new();
    for (name, values) in grid {
        let at = values.span().start;
        let values = match values.into_inner() {
            Value::Array(values) if !values.is_empty() => values,
            other => {
                let table = matches!(other, Value::Table(_));
                let example = if table { "[{ radii = [0.1] }, { radii = [0.2] }]" } else { "[1, 2]" };
                let why = format!("[grid] {name} must be a list of values, as in {name} = {example}");
                return Err(source.refuse_at(at, why));
            }
        };
        for value in &values {
            Table::from_iter([(name.clone(), value.clone())]).try_into::<Config>().map_err(|error| {
                source.refuse_at(at, format!("[grid] {name}: {}", plain(error.message())))
            })?;
        }
        axes.push(Axis { name, values, at });
    }
    axes.sort_by_key(|axis| axis.name == SEED);
    Ok(axes)
}

/// For each point which value of each axis it has.
fn combinations(source: &Source, axes: &[Axis]) -> Result<Vec<Vec<usize>>> {
    let mut combinations = vec![Vec::new()];
    for axis in axes {
        if combinations.len() * axis.values.len() > MOST_POINTS {
            return Err(source.refuse(format!("[grid] has more than {MOST_POINTS} points")));
        }
        let longer = combinations.iter().flat_map(|before: &Vec<usize>| {
            (0..axis.values.len()).map(move |i| [&before[..], &[i]].concat())
        });
        combinations = longer.collect();
    }
    Ok(combinations)
}

/// What points are made from.
struct Settings<'a> {
    source: &'a Source<'a>,
    axes: &'a [Axis],
    base: Table,
    preset: Preset,
    device: &'a str,
}

impl Settings<'_> {
    fn point(&self, chosen: &[usize]) -> Result<Point> {
        let chosen: Vec<(&Axis, &Value)> =
            self.axes.iter().zip(chosen).map(|(axis, &i)| (axis, &axis.values[i])).collect();
        let config = self.config(&chosen)?;
        if let Err(error) = config.validate() {
            return Err(self.blame(&chosen, &error));
        }
        if !config.attack.enabled {
            let why = "a sweep compares adversarial accuracies: leave attack.enabled out";
            return Err(self.source.refuse(why));
        }
        Ok(Point { values: chosen.iter().map(|(_, value)| value.to_string()).collect(), config })
    }

    /// `[base]` with these values over it, over the preset.
    fn config(&self, chosen: &[(&Axis, &Value)]) -> Result<Config> {
        let mut settings = self.base.clone();
        for (axis, value) in chosen {
            lay_over(&mut settings, Table::from_iter([(axis.name.clone(), (*value).clone())]));
        }
        let text = toml::to_string(&settings).map_err(|error| self.source.refuse(error))?;
        let read = |base| Config::from_toml(&text, self.source.origin, &base);
        // The settings may name the networks and the data that the preset is for.
        let named = read(self.preset.config(Arch::Mlp, "mnist"))?;
        let config = read(self.preset.config(named.arch, &named.dataset))?;
        Ok(Config { device: self.device.to_string(), ..config.beside(Path::new(self.source.origin)) })
    }

    /// An error with the line of what has it by itself: a setting of `[base]`, or an axis; without a line where it
    /// takes several of them.
    fn blame(&self, chosen: &[(&Axis, &Value)], error: &Error) -> Error {
        let why = error.in_full();
        let alone = |chosen: &[(&Axis, &Value)]| {
            self.config(chosen)
                .is_ok_and(|config| config.validate().is_err_and(|error| error.in_full() == why))
        };
        if alone(&[]) {
            return match self.line_in_base(error) {
                Some(at) => self.source.refuse_at(at, why),
                None => self.source.refuse(why),
            };
        }
        match chosen.iter().find(|one| alone(std::slice::from_ref(one))) {
            Some((axis, _)) => self.source.refuse_at(axis.at, why),
            None => self.source.refuse(why),
        }
    }

    /// Warns of settings of `[base]` that no point uses.
    fn warn_of_unused(&self, points: &[Point]) -> Result<()> {
        let first = &points[0].config;
        for (name, why) in first.unused_of(&self.base, &self.preset.config(first.arch, &first.dataset))? {
            if points.iter().all(|point| point.config.why_unused(&name).is_some()) {
                log::warn!("{}: [base] {name} {why}", self.source.origin);
            }
        }
        Ok(())
    }

    /// Where the setting of `[base]` stands that an error names.
    fn line_in_base(&self, error: &Error) -> Option<usize> {
        #[derive(Deserialize)]
        struct Lines {
            base: BTreeMap<String, Spanned<Value>>,
        }
        let Lines { base } = toml::from_str(self.source.text).ok()?;
        let Some(Place::Setting(name)) = error.place() else { return None };
        base.get(&name).map(|value| value.span().start)
    }
}

/// The radii that every point has, which are those that a table can have.
fn common_radii(source: &Source, points: &[Point]) -> Result<Vec<f32>> {
    let first = &points[0].config.attack;
    if points.iter().any(|point| point.config.attack.norm != first.norm) {
        return Err(source.refuse("attack.norm must be one for all: radii of two norms are not comparable"));
    }
    let shared = |radius: &f32| points.iter().all(|point| point.config.attack.radii.contains(radius));
    Ok(first.radii.iter().copied().filter(shared).collect())
}

/// The radius asked for; else that of the selection, where the first attack has it, else its middle one.
fn radius(source: &Source, asked: Option<f32>, points: &[Point]) -> Result<f32> {
    let first = &points[0].config;
    let radii = &first.attack.radii;
    let usual = || radii.iter().copied().find(|&radius| radius == first.eps);
    let radius = asked.or_else(usual).unwrap_or(radii[radii.len() / 2]);
    match points.iter().find(|point| !point.config.attack.radii.contains(&radius)) {
        None => Ok(radius),
        Some(point) => Err(source.refuse(format!(
            "radius {} is not among the attack's radii {:?}; name one of them, or set [base.attack] radii",
            short(radius),
            point.config.attack.radii
        ))),
    }
}
