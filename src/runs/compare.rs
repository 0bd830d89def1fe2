//! Several finished runs on one data set, side by side: where their settings differ, and their accuracies with 95 %
//! intervals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::method::robustness::interval;
use crate::runs::config::{AttackMethod, Config, Norm, Role, declared};
use crate::runs::dir::RunDir;
use crate::runs::paired::{Paired, Tested, paired};
use crate::runs::record::{AttackResult, RunRecord, TaskResult, TransferSource, in_words, round};
use crate::runs::{identity, short};

/// What a comparison says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub dataset: String,
    /// The names of the settings that differ.
    pub differing: Vec<String>,
    pub runs: Vec<Compared>,
    /// For each task the radii at which all runs that were attacked there were, 0 (no attack) first. None where these
    /// were attacked in different norms.
    pub common_radii: BTreeMap<String, Vec<f64>>,
    /// Whether the images are drawn and no photographs.
    pub synthetic: bool,
    /// Every other run against the first, on the same images.
    pub paired: Vec<Paired>,
    /// What the numbers do not say by themselves, a line each.
    pub remarks: Vec<String>,
}

/// One of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The run's folder.
    pub run: String,
    /// A name for legends: the folder's own, or where two are called alike the whole path.
    pub name: String,
    /// Of the settings that differ; null where the run has not got one.
    pub settings: Map<String, Value>,
    pub tasks: BTreeMap<String, Measured>,
}

/// A task's accuracies in a run, in percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// On all test images.
    pub accuracy: f64,
    /// None where the run was not attacked.
    pub attack: Option<Attacked>,
}

/// What an attack left, on the images that were attacked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attacked {
    /// What was tried, in this order.
    pub attacks: Vec<AttackMethod>,
    pub norm: Norm,
    pub steps: usize,
    pub restarts: usize,
    pub examples: usize,
    /// Where the points of transfer come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_from: Option<TransferSource>,
    /// Radius 0, which is no attack, first.
    pub curve: Vec<Point>,
}

/// Accuracy at a radius, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    pub radius: f64,
    pub accuracy: f64,
    pub low: f64,
    pub high: f64,
}

/// Whether a difference in this setting is of no interest. The attack's settings are not either: a later `attack` has
/// others, and the results tell them.
fn says_nothing(setting: &str) -> bool {
    let output = declared().any(|s| s.role == Role::Output && s.path() == setting);
    output || setting.starts_with("attack ")
}

/// Compares the runs in these folders, in their order.
///
/// # Errors
/// [`Error::Request`] naming the run that is none, is not finished, or is on another data set than the first.
pub fn compare(paths: &[PathBuf]) -> Result<Comparison> {
    let mut read = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let Some((first, Config { dataset, .. }, _)) = read.first() else {
        return Err(Error::request("there is no run to compare"));
    };
    let (first, dataset) = (first.clone(), dataset.clone());
    if let Some((path, other, _)) = read.iter().find(|(_, config, _)| config.dataset != dataset) {
        return Err(Error::request(format!(
            "only runs on one data set can be compared: {first} is on {dataset}, {path} on {}",
            other.dataset
        )));
    }
    let mut unfinished = Vec::new();
    for ((path, config, record), folder) in read.iter_mut().zip(paths) {
        identity::check_record(record, &RunDir::open(folder)?, config, None)?;
        let (done, asked) = (record.iterations, config.iterations);
        if done != asked {
            unfinished.push(format!(
                "{path}: its numbers are those of {done} steps; its training goes on to {asked}"
            ));
            // What was measured is compared, not what is still to be trained.
            config.iterations = done;
        }
    }
    let settings = read.iter().map(|(_, config, _)| settings(config)).collect::<Result<Vec<_>>>()?;
    let differing = differing(&settings);
    let names = names(paths);
    let runs = read.iter().zip(&settings).zip(names).map(|(((path, _, result), settings), name)| {
        let of = |key: &String| (key.clone(), settings.get(key).cloned().unwrap_or_default());
        let tasks = result.tasks.iter().map(|(task, result)| (task.clone(), Measured::of(result)));
        Compared {
            run: path.clone(),
            name,
            settings: differing.iter().map(of).collect(),
            tasks: tasks.collect(),
        }
    });
    let runs: Vec<Compared> = runs.collect();
    let common_radii = tasks(&runs).into_iter().map(|task| {
        let radii = common_radii(runs.iter().filter_map(|run| run.tasks.get(&task)?.attack.as_ref()));
        (task, radii)
    });
    let common_radii = common_radii.collect();
    let mut remarks = different_attacks(&runs);
    let configs: Vec<&Config> = read.iter().map(|(_, config, _)| config).collect();
    remarks.extend(tested_on(&configs));
    remarks.extend(unfinished);
    for (path, _, result) in &read {
        remarks.extend(result.remarks().into_iter().map(|remark| format!("{path}: {remark}")));
    }
    let tested: Vec<Tested> = paths
        .iter()
        .zip(&read)
        .map(|(folder, (_, config, record))| Tested { folder, config, record })
        .collect();
    let paired = tested.split_first().map_or(Ok(vec![]), |(first, others)| paired(first, others))?;
    let synthetic = read.iter().any(|(_, _, result)| result.synthetic);
    Ok(Comparison { dataset, differing, runs, common_radii, synthetic, paired, remarks })
}

/// A run's folder, settings and record.
fn read(path: &Path) -> Result<(String, Config, RunRecord)> {
    let run = RunDir::open(path)?;
    let config = run.config()?;
    run.require(&[run.result_path()])?;
    run.warn_of_changed_settings();
    let record = RunRecord::load(&run.result_path())?.shown(&config);
    Ok((path.display().to_string(), config, record))
}

impl Comparison {
    /// Every task that one of the runs has.
    pub fn tasks(&self) -> impl Iterator<Item = &String> {
        self.common_radii.keys()
    }
}

impl Measured {
    fn of(result: &TaskResult) -> Measured {
        Measured {
            accuracy: round(result.nominal_accuracy),
            attack: result.attack.as_ref().map(Attacked::of),
        }
    }

    /// Accuracy at a radius at which the run was attacked.
    pub fn at(&self, radius: f64) -> Option<&Point> {
        self.attack.as_ref()?.curve.iter().find(|point| point.radius == radius)
    }
}

impl Attacked {
    fn of(result: &AttackResult) -> Attacked {
        let AttackResult { norm, steps, restarts, examples, .. } = *result;
        let attacks = result.attacks.clone();
        let point = |(radius, accuracy): (f32, f64)| {
            let (low, high) = interval(accuracy, examples);
            Point { radius: short(radius), accuracy: round(accuracy), low: round(low), high: round(high) }
        };
        let clean = (0.0, result.nominal_accuracy);
        let curve = std::iter::once(clean).chain(result.adversarial_accuracy.iter().copied()).map(point);
        let transfer_from = result.transfer_from.clone();
        Attacked { attacks, norm, steps, restarts, examples, transfer_from, curve: curve.collect() }
    }

    fn title(&self) -> String {
        let Attacked { attacks, norm, steps, restarts, examples, transfer_from, .. } = self;
        let (norm, tried) = (norm.title(), in_words(attacks, *steps, *restarts));
        let from = transfer_from.as_ref().map_or(String::new(), |from| format!(" from {}", from.run));
        format!("{norm}, {tried}{from}, {examples} images")
    }
}

fn settings(config: &Config) -> Result<BTreeMap<String, Value>> {
    let json = |value: toml::Value| serde_json::to_value(value).unwrap_or_default();
    Ok(config.flat()?.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// The names of the settings that are not the same in all runs.
fn differing(runs: &[BTreeMap<String, Value>]) -> Vec<String> {
    let all: BTreeSet<&String> = runs.iter().flat_map(BTreeMap::keys).collect();
    let same = |name: &str| runs.iter().all(|run| run.get(name) == runs[0].get(name));
    all.into_iter().filter(|name| !says_nothing(name) && !same(name)).cloned().collect()
}

/// The folders' own names where they differ, else their paths.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let own = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let short: Vec<String> = paths.iter().filter_map(own).collect();
    let distinct = short.iter().collect::<BTreeSet<_>>().len() == paths.len();
    if distinct { short } else { paths.iter().map(|path| path.display().to_string()).collect() }
}

fn tasks(runs: &[Compared]) -> BTreeSet<String> {
    runs.iter().flat_map(|run| run.tasks.keys().cloned()).collect()
}

/// The radii that all attacks have; none where their norms differ, since a radius means another thing in each.
fn common_radii<'a>(attacks: impl Iterator<Item = &'a Attacked>) -> Vec<f64> {
    let attacks: Vec<&Attacked> = attacks.collect();
    let Some(first) = attacks.first() else { return Vec::new() };
    if attacks.iter().any(|attack| attack.norm != first.norm) {
        return Vec::new();
    }
    let in_all = |radius: &f64| attacks.iter().all(|a| a.curve.iter().any(|point| point.radius == *radius));
    first.curve.iter().map(|point| point.radius).filter(in_all).collect()
}

/// Says so where runs were tested on other images than the test set's.
fn tested_on(configs: &[&Config]) -> Option<String> {
    let holdouts: BTreeSet<usize> = configs.iter().map(|config| config.holdout).collect();
    match (holdouts.len(), holdouts.last()) {
        (1, Some(0)) | (_, None) => None,
        (1, Some(n)) => Some(format!("all numbers are on {n} training images held out, not on test images")),
        _ => Some("the runs were tested on different images, see holdout: not comparable".into()),
    }
}

/// Which runs were attacked in another way than others.
fn different_attacks(runs: &[Compared]) -> Vec<String> {
    let mut kinds = BTreeMap::<String, Vec<&str>>::new();
    for run in runs {
        let titles: BTreeSet<String> =
            run.tasks.values().filter_map(|task| Some(task.attack.as_ref()?.title())).collect();
        titles.into_iter().for_each(|title| kinds.entry(title).or_default().push(&run.name));
    }
    if kinds.len() < 2 {
        return Vec::new();
    }
    let of = |(title, names): (&String, &Vec<&str>)| format!("attack of {}: {title}", names.join(", "));
    kinds.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attacked(norm: Norm, radii: &[f64]) -> Attacked {
        let point = |&radius: &f64| Point { radius, accuracy: 50.0, low: 40.0, high: 60.0 };
        let (attacks, curve) = (vec![AttackMethod::Pgd], radii.iter().map(point).collect());
        Attacked { attacks, norm, steps: 1, restarts: 1, examples: 100, transfer_from: None, curve }
    }

    #[test]
    fn radii_are_common_where_all_have_them_in_one_norm() {
        let [a, b] = [&[0.0, 0.1, 0.2], &[0.0, 0.2, 0.3]].map(|radii| attacked(Norm::Linf, radii));
        assert_eq!(common_radii([&a, &b].into_iter()), [0.0, 0.2]);
        assert_eq!(common_radii([&a].into_iter()), [0.0, 0.1, 0.2]);
        assert!(common_radii([&a, &attacked(Norm::L2, &[0.0, 0.1])].into_iter()).is_empty());
        assert!(common_radii([].into_iter()).is_empty());
    }

    #[test]
    fn only_settings_that_numbers_depend_on_differ() {
        let a = Config::default();
        let b = Config { gamma: 1.0, gamma_warmup: 7, device: "cpu".into(), log_every: 1, ..a.clone() };
        let settings: Vec<_> = [&a, &b].map(|config| settings(config).unwrap()).into();
        assert_eq!(differing(&settings), ["gamma", "gamma-warmup"]);
        assert_eq!(settings[0].get("gamma-warmup").map(ToString::to_string), Some("0".to_string()));
        assert!(differing(&settings[..1]).is_empty());
    }

    #[test]
    fn it_is_said_where_the_numbers_are_not_of_test_images() {
        let held_out = |holdout| Config { holdout, ..Config::default() };
        let said = |holdouts: &[usize]| {
            let configs: Vec<Config> = holdouts.iter().map(|&n| held_out(n)).collect();
            tested_on(&configs.iter().collect::<Vec<_>>())
        };
        assert_eq!(said(&[0, 0]), None);
        assert!(said(&[10, 10]).is_some_and(|text| text.contains("10 training images held out")));
        assert!(said(&[0, 10]).is_some_and(|text| text.contains("not comparable")));
    }

    #[test]
    fn names_are_short_unless_two_are_alike() {
        let names = |paths: &[&str]| super::names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["a/x", "b/y"]), ["x", "y"]);
        assert_eq!(names(&["a/x", "b/x"]), ["a/x", "b/x"]);
    }
}
