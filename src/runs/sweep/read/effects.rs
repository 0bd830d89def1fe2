//! Which points of a grid are runs of their own.

use std::collections::HashMap;

use toml::Table;

use super::{Axis, Point, Source};
use crate::error::{Error, Result};
use crate::runs::config::{Config, declared};
use crate::runs::store;

/// Refuses a setting that varies and changes nothing in any of the runs.
pub fn check(source: &Source, axes: &[Axis], points: &[Point]) -> Result<()> {
    for Axis { name, at, .. } in axes {
        let whys: Option<Vec<String>> =
            points.iter().map(|point| point.config.why_without_effect(name)).collect();
        if let Some(why) = whys.as_ref().and_then(|whys| whys.first()) {
            let what = format!("[grid] {name} has no effect in any of the runs: {why}; leave it out");
            return Err(source.refuse_at(*at, what));
        }
    }
    Ok(())
}

/// The points that are runs of their own, each with no value where a setting has no effect in it: those that differ in
/// such settings alone are one. Other values that are one run are refused: it would count several times.
pub fn distinct(
    source: &Source,
    axes: &[Axis],
    chosen: &[Vec<usize>],
    points: Vec<Point>,
) -> Result<Vec<Point>> {
    let mut seen = HashMap::new();
    let mut own = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let effect = |axis: &usize| point.config.why_without_effect(&axes[*axis].name).is_none();
        let before = *seen.entry(identity(&point.config)?).or_insert(i);
        if before == i {
            let mut point = point.clone();
            for axis in (0..axes.len()).filter(|axis| !effect(axis)) {
                point.values[axis].clear();
            }
            own.push(point);
            continue;
        }
        let other = |axis: &usize| chosen[before][*axis] != chosen[i][*axis] && effect(axis);
        let Some(axis) = (0..axes.len()).find(other) else { continue };
        let Axis { name, at, .. } = &axes[axis];
        let (one, two) = (&points[before].values[axis], &point.values[axis]);
        let why = format!("[grid] {name}: {two} gives the same run as {one}; leave one of them out");
        return Err(source.refuse_at(*at, why));
    }
    Ok(own)
}

/// Every setting that a number of a run's result depends on, without those that have no effect.
fn identity(config: &Config) -> Result<String> {
    let mut settings: Table = toml::from_str(&store::identity(config)?)
        .map_err(|error| Error::run("the settings do not read back").because(error))?;
    for setting in declared().filter(|setting| config.why_without_effect(&setting.path()).is_some()) {
        setting.remove(&mut settings);
    }
    Ok(settings.to_string())
}
