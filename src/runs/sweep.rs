//! A grid of settings, a run at every point, and which of them no other beats in both accuracies.

pub(crate) mod read;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::config::Config;
use crate::runs::load_data;
use crate::runs::record::AttackResult;
use crate::runs::store::{Finished, Runs};

/// What a grid file asks for.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The settings that vary, as they are called in `config.toml`, `seed` last if it is one.
    pub axes: Vec<String>,
    /// The radius whose adversarial accuracy is compared.
    pub radius: f32,
    /// The radii that every run is attacked with.
    pub radii: Vec<f32>,
    /// The task whose accuracies are compared; none for the first.
    pub task: Option<String>,
    points: Vec<Point>,
}

/// One run to be.
#[derive(Debug, Clone)]
struct Point {
    /// For each axis its value, as TOML writes it; empty where the setting has no effect in this run.
    values: Vec<String>,
    config: Config,
}

/// What was measured at one setting, over its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// For each axis but `seed` its value; empty where the setting has no effect.
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

impl Grid {
    /// How many runs it has.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// A grid has at least one point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The settings that vary, but the seed.
    pub fn settings(&self) -> Vec<&str> {
        self.axes.iter().map(String::as_str).filter(|axis| *axis != SEED).collect()
    }

    /// Whether the runs are compared on test images; else on training images that were held out.
    pub fn on_test_images(&self) -> bool {
        self.points.iter().any(|point| point.config.holdout == 0)
    }

    /// Where data of one's own lie, each place once.
    pub fn data_folders(&self) -> Vec<PathBuf> {
        let folders: BTreeSet<_> =
            self.points.iter().filter_map(|point| point.config.data_dir.clone()).collect();
        folders.into_iter().collect()
    }

    /// Runs every point whose run is not there yet, and compares them.
    ///
    /// # Errors
    /// As [`Runs::get`]; [`Error::Request`] for a task that the data set has not got.
    pub fn run(&self, runs: &Runs) -> Result<Vec<Row>> {
        self.check_task(runs.context())?;
        let mut found: Vec<(Vec<String>, Vec<Finished>)> = Vec::new();
        let settings = self.settings().len();
        for (i, point) in self.points.iter().enumerate() {
            let set = self.axes.iter().zip(&point.values).filter(|(_, value)| !value.is_empty());
            let words = set.map(|(axis, value)| format!("{axis} {value}"));
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

    /// Refuses a task that a data set has not got, before anything is trained.
    fn check_task(&self, context: &Context) -> Result<()> {
        let Some(name) = &self.task else { return Ok(()) };
        let mut seen = Vec::new();
        for Point { config, .. } in &self.points {
            let set = (&config.dataset, &config.data_dir);
            if seen.contains(&set) {
                continue;
            }
            seen.push(set);
            let tasks = load_data(config, context)?.tasks;
            if !tasks.iter().any(|task| task.name == *name) {
                let known: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
                let (set, known) = (&config.dataset, known.join(", "));
                return Err(Error::setting("task", format!("{name}: {set} has {known}"))
                    .with_hint("name one of these"));
            }
        }
        Ok(())
    }

    /// The attack of a run that is compared.
    fn attack<'a>(&self, run: &'a Finished) -> Result<&'a AttackResult> {
        let task = match &self.task {
            Some(name) => run.result.tasks.get(name),
            None => run.result.tasks.values().next(),
        };
        let attack = task.and_then(|task| task.attack.as_ref());
        attack.ok_or_else(|| lacks(run, "no attack on the task that is compared"))
    }

    fn row(&self, values: Vec<String>, runs: &[Finished]) -> Result<Row> {
        let attacks: Vec<&AttackResult> = runs.iter().map(|run| self.attack(run)).collect::<Result<_>>()?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let at = |radius: f32| -> Result<f64> {
            let of = |(run, attack): (&Finished, &&AttackResult)| {
                attack.accuracy_at(radius).ok_or_else(|| lacks(run, &format!("no attack of radius {radius}")))
            };
            Ok(mean(&runs.iter().zip(&attacks).map(of).collect::<Result<Vec<f64>>>()?))
        };
        Ok(Row {
            values,
            seeds: runs.len(),
            nominal: mean(&attacks.iter().map(|attack| attack.nominal_accuracy).collect::<Vec<f64>>()),
            adversarial: self.radii.iter().map(|&radius| Ok((radius, at(radius)?))).collect::<Result<_>>()?,
            at_radius: at(self.radius)?,
            efficient: false,
            runs: runs.iter().map(|run| run.path.display().to_string()).collect(),
        })
    }
}

/// Of a result that another than the run wrote: its own has every radius.
fn lacks(run: &Finished, what: &str) -> Error {
    let path = run.path.join("result.json");
    Error::run(format!("{} has {what}", path.display()))
        .with_hint("remove it, and the same command makes it again")
}

/// Which points no other is better than in one coordinate and as good as in the other (Pareto).
fn efficient(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 >= b.0 && a.1 >= b.1 && a != b;
    points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Grid> {
        read::parse(text, "grid.toml", "cpu")
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
    fn attacks_with_different_radii_share_a_table_of_what_all_have() {
        let grid = "[grid]\nattack = [{radii = [0.05, 0.1, 0.3]}, {radii = [0.1, 0.2, 0.3], restarts = 3}]";
        let grid = parse(&format!("[base.attack]\nsteps = 7\n{grid}")).unwrap();
        assert_eq!((&grid.radii[..], grid.radius), (&[0.1, 0.3][..], 0.1));
        assert!(grid.points.iter().all(|point| point.config.attack.steps == 7), "[base.attack] holds too");
        // Rows go by the radius, wherever it stands in a result.
        use crate::runs::made_up::run;
        let runs = [
            run(&[("digit", Some(&[("0.05", 9.0), ("0.1", 8.0), ("0.3", 1.0)]))]),
            run(&[("digit", Some(&[("0.1", 6.0), ("0.2", 5.0), ("0.3", 3.0)]))]),
        ];
        let row = grid.row(Vec::new(), &runs).unwrap();
        assert_eq!((&row.adversarial[..], row.at_radius), (&[(0.1, 7.0), (0.3, 2.0)][..], 7.0));
        let error = grid.row(Vec::new(), &[run(&[("digit", Some(&[("0.1", 8.0)]))])]).unwrap_err();
        assert!(error.to_string().contains("no attack of radius 0.3"), "{error}");
        assert!(
            grid.row(Vec::new(), &[run(&[("digit", None)])])
                .unwrap_err()
                .to_string()
                .contains("no attack on")
        );
    }

    #[test]
    fn one_run_is_not_counted_twice() {
        for (axes, parts) in [
            ("seed = [0, 0, 0]", ["seed", "0 gives the same run as 0"]),
            ("gamma = [1, 10, 1.0]", ["gamma", "1.0 gives the same run as 1"]),
            ("gamma = [2, 3]\nseed = [4, 5, 4]", ["seed", "4 gives the same run as 4"]),
            ("attack = [{radii = [0.1, 0.2]}, {radii = [0.2, 0.1]}]", ["attack", "the same run"]),
            ("log-every = [10, 20]", ["log-every", "20 gives the same run as 10"]),
            ("eps = [0.1, 0.10000000001]", ["eps", "the same run as 0.1"]),
        ] {
            let error = parse(&format!("[grid]\n{axes}")).unwrap_err().to_string();
            assert!(error.contains("grid.toml, line "), "{error}");
            parts.iter().for_each(|part| assert!(error.contains(part), "{axes}: {error}"));
        }
    }

    #[test]
    fn a_setting_without_effect_does_not_vary() {
        for (text, why) in [
            ("[grid]\nbeta = [1, 2]", "[grid] beta has no effect in any of the runs: the objective se"),
            ("[grid]\nbeta = [1]\ngamma = [1, 2]", "[grid] beta has no effect"),
            (
                "[base]\nselection = 'random'\n[grid]\nselection-steps = [1, 2]",
                "random points are not searched",
            ),
            ("[grid]\nconv-channels = [[1], [2]]", "the mlp has no convolutions"),
            ("[grid]\nobjective = ['vae', 'beta-vae']\ngamma = [1, 2]", "[grid] gamma has no effect"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("grid.toml, line ") && error.contains(why), "{text}: {error}");
        }
        // With an effect in some of the runs it makes those, and the others once.
        let points = |text: &str| -> Vec<String> {
            parse(text).unwrap().points.iter().map(|point| point.values.join("|")).collect()
        };
        assert_eq!(
            points(
                "[grid]\nobjective = ['vae', 'se', 'beta-vae']\ngamma = [1, 2]\nbeta = [3, 4]\nseed = [0, 1]"
            )
            .len(),
            2 + 4 + 4
        );
        let grid = "[grid]\ngamma = [1, 2]\nobjective = ['vae', 'se']";
        assert_eq!(points(grid), ["|\"vae\"", "1|\"se\"", "2|\"se\""]);
        // A rise that the training ends within has begun.
        assert_eq!(points("[base]\niterations = 5\n[grid]\ngamma-warmup = [10, 20]").len(), 2);
        let error = parse("[grid]\nobjective = ['vae', 'se']\ngamma = [1, 1.0]").unwrap_err().to_string();
        assert!(error.contains("gamma: 1.0 gives the same run as 1"), "{error}");
    }

    #[test]
    fn errors_name_the_grids_own_line() {
        for (line, text) in [
            (5, "radius = 0.1\n[base]\nlatent = 2\n[grid]\nnosuch = [1]"),
            (3, "[base]\nlatent = 2\nnosuch = 1\n[grid]\ngamma = [1]"),
            (6, "[base]\nlatent = 2\n\n[grid]\nseed = [0, 1]\ngamma = [1, 'a']"),
            (4, "[base]\nlatent = 2\n[grid]\ngamma = [1, -3]\nseed = [0]"),
            (2, "[base]\ngamma = -3\n[grid]\nseed = [0]"),
            (4, "[base]\nlatent = 2\n[grid]\ngamma = 3"),
            (2, "[base.attack]\nsteps = 'x'\n[grid]\ngamma = [1]"),
            (4, "[base]\nlatent = 2\n\nlatent = 3\n[grid]\ngamma = [3]"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            let number = format!("grid.toml, line {line} (");
            assert!(error.starts_with(&number), "{text}\n{error}");
        }
    }

    #[test]
    fn the_presets_of_networks_and_data_apply() {
        let grid = parse("[base]\narch = 'conv'\nholdout = 10\n[grid]\ngamma = [1]").unwrap();
        assert_eq!(grid.points[0].config.iterations, 2500);
        assert!(!grid.on_test_images());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, part) in [
            ("", "[grid] needs"),
            ("[grid]\ngamma = 3", "gamma must be a list"),
            ("[grid]\ngamma = []", "gamma must be a list"),
            ("[grid]\ngama = [3]", "gama"),
            ("[grid]\ngamma = [-1]", "`gamma`"),
            ("[grid]\ngamma = ['x']", "gamma"),
            ("radius = 0.15\n[grid]\ngamma = [1]", "radius 0.15"),
            ("preset = 'slow'\n[grid]\ngamma = [1]", "quick or paper"),
            ("what = 1\n[grid]\ngamma = [1]", "what"),
            ("[base.attack]\nenabled = false\n[grid]\ngamma = [1]", "attack.enabled"),
            ("[grid]\nattack = [{norm = 'l2'}, {norm = 'linf'}]", "attack.norm"),
            ("[grid]\nattack = [{radii = [0.1]}, {radii = [0.2]}]", "radius 0.1 is not among"),
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
