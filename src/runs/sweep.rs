//! A grid of settings, a run at every point, and which of them no other beats in both accuracies.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::error::{Error, Result};
use crate::runs::config::{Arch, Config, Preset};
use crate::runs::short;
use crate::runs::store::{Finished, Runs};

/// What a grid file asks for.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The settings that vary, as they are called in `config.toml`, `seed` last if it is one.
    pub axes: Vec<String>,
    /// The radius whose adversarial accuracy is compared.
    pub radius: f32,
    /// The task whose accuracies are compared; none for the first.
    pub task: Option<String>,
    points: Vec<Point>,
}

/// One run to be.
#[derive(Debug, Clone)]
struct Point {
    /// For each axis its value, as TOML writes it.
    values: Vec<String>,
    config: Config,
}

/// What was measured at one setting, over its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// For each axis but `seed` its value.
    pub values: Vec<String>,
    pub seeds: usize,
    /// Means over the seeds, in percent, on the examples that were attacked: without an attack, and under it at each
    /// radius.
    pub nominal: f64,
    pub adversarial: Vec<(f32, f64)>,
    /// At the grid's radius.
    pub at_radius: f64,
    /// No other setting is better in one of nominal and adversarial accuracy and as good in the other.
    pub efficient: bool,
    /// The folders of its runs.
    pub runs: Vec<String>,
}

const SEED: &str = "seed";

/// More would be a slip of the pen.
const MOST_POINTS: usize = 10_000;

impl Grid {
    /// Reads a grid: `[grid]` has a list of values for each setting that varies, `[base]` the other settings, and above
    /// them `preset`, `radius` and `task` may stand. `device` is where everything is to run.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file and the key at fault; every point's settings are checked.
    pub fn read(path: &Path, device: &str) -> Result<Grid> {
        let origin = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::request(format!("{origin} cannot be read: {error}")))?;
        Grid::parse(&text, &origin, device)
    }

    fn parse(text: &str, origin: &str, device: &str) -> Result<Grid> {
        let refuse = |why: String| Error::request(format!("{origin}: {why}"));
        let file: File = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if file.grid.is_empty() {
            return Err(refuse("[grid] needs at least one setting with a list of values".into()));
        }
        let mut axes: Vec<String> = file.grid.keys().cloned().collect();
        axes.sort_by_key(|axis| axis == SEED);
        let mut combinations = vec![Vec::new()];
        for axis in &axes {
            let values = match &file.grid[axis] {
                Value::Array(values) if !values.is_empty() => values,
                _ => {
                    return Err(refuse(format!(
                        "[grid] {axis} must be a list of values, as in {axis} = [1, 2]"
                    )));
                }
            };
            if combinations.len() * values.len() > MOST_POINTS {
                return Err(refuse(format!("[grid] has more than {MOST_POINTS} points")));
            }
            let longer = combinations.iter().flat_map(|before: &Vec<Value>| {
                values.iter().map(move |value| [&before[..], std::slice::from_ref(value)].concat())
            });
            combinations = longer.collect();
        }
        let preset = match file.preset.as_deref() {
            None | Some("quick") => Preset::Quick,
            Some("paper") => Preset::Paper,
            Some(other) => return Err(refuse(format!("preset must be quick or paper, got {other:?}"))),
        };
        let point = |values: Vec<Value>| {
            let mut settings = file.base.clone();
            for (axis, value) in axes.iter().zip(&values) {
                settings.insert(axis.clone(), value.clone());
            }
            let text = toml::to_string(&settings).map_err(|error| refuse(error.to_string()))?;
            // The settings may name the networks and the data that the preset is for.
            let named = Config::from_toml(&text, origin, &preset.config(Arch::Mlp, "mnist"))?;
            let config = Config::from_toml(&text, origin, &preset.config(named.arch, &named.dataset))?;
            let config = Config { device: device.to_string(), ..config };
            config.validate().map_err(|error| refuse(error.to_string()))?;
            if !config.attack.enabled {
                return Err(refuse(
                    "a sweep compares adversarial accuracies: leave attack.enabled out".into(),
                ));
            }
            Ok(Point { values: values.iter().map(Value::to_string).collect(), config })
        };
        let points: Vec<Point> = combinations.into_iter().map(point).collect::<Result<_>>()?;
        let radii = &points[0].config.attack.radii;
        // That of the selection, by default, where the attack has it.
        let usual = points[0].config.eps;
        let fallback = || radii.iter().copied().find(|&r| r == usual).unwrap_or(radii[radii.len() / 2]);
        let radius = file.radius.unwrap_or_else(fallback);
        if let Some(point) = points.iter().find(|point| !point.config.attack.radii.contains(&radius)) {
            return Err(refuse(format!(
                "radius {} is not among the attack's radii {:?}; name one of them, or set [base.attack] radii",
                short(radius),
                point.config.attack.radii
            )));
        }
        Ok(Grid { axes, radius, task: file.task, points })
    }

    /// How many runs it has.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// A grid has at least one point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Whether the runs are compared on test images; else on training images that were held out.
    pub fn on_test_images(&self) -> bool {
        self.points.iter().any(|point| point.config.holdout == 0)
    }

    /// Runs every point whose run is not there yet, and compares them.
    ///
    /// # Errors
    /// As [`Runs::get`]; [`Error::Request`] for a task that the data set has not got.
    pub fn run(&self, runs: &Runs) -> Result<Vec<Row>> {
        let mut found: Vec<(Vec<String>, Vec<Finished>)> = Vec::new();
        let settings = self.axes.iter().filter(|axis| *axis != SEED).count();
        for (i, point) in self.points.iter().enumerate() {
            let words = self.axes.iter().zip(&point.values).map(|(axis, value)| format!("{axis} {value}"));
            let words = words.collect::<Vec<_>>().join(", ");
            runs.context().observer.say(&format!("{} of {}: {words}", i + 1, self.len()));
            let run = runs.get(&point.config)?;
            let values = point.values[..settings].to_vec();
            match found.iter_mut().find(|(there, _)| *there == values) {
                Some((_, runs)) => runs.push(run),
                None => found.push((values, vec![run])),
            }
        }
        let rows = found.into_iter().map(|(values, runs)| self.row(values, &runs));
        let mut rows: Vec<Row> = rows.collect::<Result<_>>()?;
        let points: Vec<(f64, f64)> = rows.iter().map(|row| (row.nominal, row.at_radius)).collect();
        rows.iter_mut().zip(efficient(&points)).for_each(|(row, efficient)| row.efficient = efficient);
        Ok(rows)
    }

    fn row(&self, values: Vec<String>, runs: &[Finished]) -> Result<Row> {
        let mut attacks = Vec::new();
        for run in runs {
            let task = match &self.task {
                Some(name) => run.result.tasks.get(name),
                None => run.result.tasks.values().next(),
            };
            let known = || run.result.tasks.keys().cloned().collect::<Vec<_>>().join(", ");
            let attack = task.and_then(|task| task.attack.as_ref()).ok_or_else(|| {
                let name = self.task.as_deref().unwrap_or("");
                Error::request(format!("task {name}: {} has {} only", run.result.dataset, known()))
            })?;
            attacks.push(attack);
        }
        let mean = |of: &dyn Fn(usize) -> f64| (0..runs.len()).map(of).sum::<f64>() / runs.len() as f64;
        let radii = attacks[0].adversarial_accuracy.iter().enumerate();
        let adversarial: Vec<(f32, f64)> = radii
            .map(|(i, &(radius, _))| (radius, mean(&|n| attacks[n].adversarial_accuracy[i].1)))
            .collect();
        let at_radius = adversarial.iter().find(|(r, _)| *r == self.radius).map_or(f64::NAN, |a| a.1);
        Ok(Row {
            values,
            seeds: runs.len(),
            nominal: mean(&|n| attacks[n].nominal_accuracy),
            adversarial,
            at_radius,
            efficient: false,
            runs: runs.iter().map(|run| run.path.display().to_string()).collect(),
        })
    }
}

/// Which points no other is better than in one coordinate and as good as in the other (Pareto).
fn efficient(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 >= b.0 && a.1 >= b.1 && a != b;
    points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect()
}

/// The grid file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    preset: Option<String>,
    radius: Option<f32>,
    task: Option<String>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    grid: Table,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Grid> {
        Grid::parse(text, "grid.toml", "cpu")
    }

    #[test]
    fn a_grid_is_every_combination_with_seeds_last() {
        let grid =
            parse("[base]\nlatent = 8\n[grid]\nseed = [0, 1, 2]\ngamma = [1, 10.5]\nhidden = [[4], [5, 6]]")
                .unwrap();
        assert_eq!((grid.len(), grid.axes.last().map(String::as_str)), (12, Some("seed")));
        assert_eq!(grid.radius, 0.1);
        assert!(grid.on_test_images());
        assert!(grid.points.iter().all(|p| p.config.latent == 8 && p.config.device == "cpu"));
        let seen: Vec<_> =
            grid.points.iter().map(|p| (p.config.gamma, p.config.hidden.len(), p.config.seed)).collect();
        assert!(seen.contains(&(10.5, 2, 2)) && seen.contains(&(1.0, 1, 0)));
    }

    #[test]
    fn the_presets_of_networks_and_data_apply() {
        let grid = parse("[base]\narch = 'conv'\nholdout = 10\n[grid]\ngamma = [1]").unwrap();
        assert_eq!(grid.points[0].config.iterations, 1500);
        assert!(!grid.on_test_images());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, part) in [
            ("", "[grid] needs"),
            ("[grid]\ngamma = 3", "gamma must be a list"),
            ("[grid]\ngamma = []", "gamma must be a list"),
            ("[grid]\ngama = [3]", "gama"),
            ("[grid]\ngamma = [-1]", "--gamma"),
            ("[grid]\ngamma = ['x']", "gamma"),
            ("radius = 0.15\n[grid]\ngamma = [1]", "radius 0.15"),
            ("preset = 'slow'\n[grid]\ngamma = [1]", "quick or paper"),
            ("what = 1\n[grid]\ngamma = [1]", "what"),
            ("[base.attack]\nenabled = false\n[grid]\ngamma = [1]", "attack.enabled"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("grid.toml") && error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn efficient_points_are_beaten_by_none() {
        let points = [(90.0, 40.0), (91.0, 39.0), (89.0, 39.0), (91.0, 39.0), (95.0, 1.0), (94.0, 1.0)];
        assert_eq!(efficient(&points), [true, true, false, true, true, false]);
    }
}
