//! `report.html`: what stands on a run's page.

use std::fs;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::method::robustness::interval;
use crate::report::evaluations;
use crate::report::html::{self, Block, Page, Section};
use crate::report::pictures::{reconstruction_rows, sample_rows, traversal_rows};
use crate::report::plot::number;
use crate::report::{Chart, Drawing, HeatMap, Image, SYNTHETIC_FACES, Series};
use crate::runs::LoadedRun;
use crate::runs::config::{Config, Norm, Objective};
use crate::runs::dir::RunDir;
use crate::runs::pipeline::PageWriter;
use crate::runs::record::{AttackResult, FileMark, RunRecord, TaskResult};
use crate::runs::showcase::{Attacked, Example, Neighbours, Pair, Showcase, TRAVERSAL_END};
use crate::runs::{metrics, short, shown};

/// More tasks than these are drawn as their mean and range.
const MANY_TASKS: usize = 6;
/// Points of a learning curve at the most.
const CURVE_POINTS: usize = 500;
/// Of a chart on a page.
pub(super) const SIZE: (f64, f64) = (460.0, 320.0);

/// The page of a run, for whoever completes one.
#[derive(Debug, Clone, Copy)]
pub struct RunPage;

impl PageWriter for RunPage {
    fn is_fresh(&self, run: &RunDir) -> bool {
        is_fresh(run)
    }

    fn write(&self, run: &mut LoadedRun) -> Result<()> {
        write(run)
    }
}

/// Writes the run's `report.html`, computing what it shows on the run's device.
///
/// # Errors
/// Any, naming `report.html`: the run's other files are complete then.
pub fn write(loaded: &mut LoadedRun) -> Result<()> {
    let path = loaded.dir().report_path();
    let made = loaded.showcase().and_then(|showcase| {
        let lines = metrics::read(&loaded.dir().metrics_path())?;
        let config = loaded.dir().config()?;
        let page = page(loaded.dir(), &config, &loaded.result, &lines, &showcase)?;
        write_whole(&path, page.html().as_bytes())?;
        log::info!("wrote {}", path.display());
        Ok(())
    });
    made.map_err(|error| {
        Error::run(format!("{} was not written", path.display()))
            .because(error)
            .with_hint("the run itself is finished, its result.json is complete")
    })
}

/// Whether the run's page is there, whole, and shows its result as it is now.
fn is_fresh(run: &RunDir) -> bool {
    let page = fs::read_to_string(run.report_path()).unwrap_or_default();
    FileMark::of_file(&run.result_path()).is_ok_and(|result| html::shows(&page, &result.sha256))
}

fn page(
    run: &RunDir,
    config: &Config,
    record: &RunRecord,
    lines: &[Map<String, Value>],
    showcase: &Showcase,
) -> Result<Page> {
    let result = &record.shown(config);
    let mut about = vec![
        format!(
            "{} · {} steps in {:.0} s ({:.1} ms a step) on {}",
            run.path().display(),
            result.iterations,
            result.train_seconds,
            1e3 * result.seconds_per_step,
            result.device
        ),
        result.summary(config, &tested(config)),
    ];
    about.extend(result.remarks());
    let synthetic = result.synthetic;
    let warning = if synthetic { SYNTHETIC_FACES } else { "" };
    let mut sections = vec![
        accuracy(config, result),
        security(run, config, result),
        learning(lines),
        reconstructions(showcase),
        samples(showcase),
        traversals(showcase),
        neighbours(showcase),
        adversarial(record, showcase),
        confusion(record, showcase),
        lipschitz(&showcase.neighbours),
        settings(config)?,
    ];
    // Before the settings.
    let last = sections.len() - 1;
    sections.splice(last..last, evaluations::others(result));
    let of = FileMark::of_file(&run.result_path())?.sha256;
    Ok(Page { title: config.title(), about, warning: warning.into(), sections, of })
}

fn tested(config: &Config) -> String {
    match config.holdout {
        0 => "test images".into(),
        n => format!("{n} training images held out"),
    }
}

fn accuracy(config: &Config, result: &RunRecord) -> Section {
    let text = format!(
        "Linear classifiers on the frozen encoder's means, on the {}, in percent. Majority: always the most frequent \
         class. Balanced: the mean of the classes' accuracies.",
        tested(config)
    );
    let heading = ["task", "accuracy", "majority", "balanced"].map(String::from).to_vec();
    let percent = |value: f64| format!("{value:.2}");
    let row = |(name, task): (&String, &TaskResult)| {
        let values = [task.nominal_accuracy, task.majority_baseline, task.balanced_accuracy];
        [vec![name.clone()], values.map(percent).to_vec()].concat()
    };
    let rows = result.tasks.iter().map(row).collect();
    Section::new("accuracy", "Accuracy").text(text).with(Block::Table { heading, rows })
}

/// One line of the security curve: the radii with 0, and the accuracies.
fn curve(task: &TaskResult) -> Vec<(f64, f64)> {
    let points = task.attack.iter().flat_map(|attack| {
        let radii = attack.adversarial_accuracy.iter().map(|&(radius, value)| (short(radius), value));
        [(0.0, attack.nominal_accuracy)].into_iter().chain(radii)
    });
    points.collect()
}

/// What is certified at the radii of [`curve`], where there are certificates. Without an attack what is right is right.
fn certified(task: &TaskResult) -> Option<Vec<f64>> {
    let attack = task.attack.as_ref().filter(|attack| !attack.certified_accuracy.is_empty())?;
    let radii = attack.adversarial_accuracy.iter().map(|&(radius, _)| attack.certified_at(radius));
    [Some(attack.nominal_accuracy)].into_iter().chain(radii).collect()
}

fn security(run: &RunDir, config: &Config, result: &RunRecord) -> Section {
    let section = Section::new("security", "Accuracy under attack");
    let Some(first) = result.tasks.values().find_map(|task| task.attack.as_ref()) else {
        return section.text("The classifiers were not attacked; smoothenc attack RUN does it.");
    };
    let mut section = section.text(format!(
        "{}, on the first {} of the {}; radius 0 is without attack. An image counts as right only if it withstands \
         every \
         start and every iterate, at this radius and at the smaller ones.",
        first.title(),
        first.examples,
        tested(config)
    ));
    let mut runs = vec![(short_title(config), result.clone())];
    if let Some((name, other_config, other)) = counterpart(run, config) {
        let about = other_config.title();
        section = section
            .text(format!("Beside it the run {name}: {about}, of the same data, networks and variance."));
        let others = other.tasks.values().filter_map(|task| task.attack.as_ref());
        if let Some(differs) = others.map(AttackResult::title).find(|title| *title != first.title()) {
            section = section.text(format!("It was attacked otherwise: {differs}."));
        }
        runs.push((short_title(&other_config), other));
    }
    let mut section = section.with(Block::Charts(vec![security_chart(&runs, first.norm)]));
    // Attacks of different radii cannot share columns.
    let attacked: Vec<_> = result.tasks.iter().map(|(name, task)| (name, curve(task))).collect();
    let attacked: Vec<_> = attacked.into_iter().filter(|(_, curve)| !curve.is_empty()).collect();
    for tasks in attacked.chunk_by(|a, b| radii(&a.1) == radii(&b.1)) {
        let columns = radii(&tasks[0].1).into_iter().map(|radius| format!("radius {}", shown(radius)));
        let heading = ["task".to_string()].into_iter().chain(columns).collect();
        let row = |(name, curve): &(&String, Vec<(f64, f64)>)| {
            let values = curve.iter().map(|(_, accuracy)| format!("{accuracy:.2}"));
            [(*name).clone()].into_iter().chain(values).collect()
        };
        let intervals = |(name, curve): &(&String, Vec<(f64, f64)>)| {
            let examples = result.tasks.get(*name)?.attack.as_ref()?.examples;
            let ends = curve.iter().map(|(_, accuracy)| interval(*accuracy, examples));
            let texts = ends.map(|(low, high)| format!("{low:.1} to {high:.1}"));
            Some(["95 % interval".to_string()].into_iter().chain(texts).collect())
        };
        let bounds = |(name, _): &(&String, Vec<(f64, f64)>)| {
            let values = certified(result.tasks.get(*name)?)?;
            let texts = values.iter().map(|value| format!("{value:.2}"));
            Some(["certified".to_string()].into_iter().chain(texts).collect())
        };
        let rows = tasks.iter().flat_map(|task| [Some(row(task)), intervals(task), bounds(task)]);
        let rows = rows.flatten().collect();
        section = section.with(Block::Table { heading, rows });
    }
    section
}

fn radii(curve: &[(f64, f64)]) -> Vec<f64> {
    curve.iter().map(|point| point.0).collect()
}

/// The objective with its settings, for a legend.
fn short_title(config: &Config) -> String {
    match config.objective {
        Objective::Se => format!("SE (γ {}, ε {})", config.gamma, shown(short(config.eps))),
        Objective::Vae => "VAE".into(),
        Objective::BetaVae => format!("β-VAE (β {})", config.beta),
    }
}

/// The newest finished run beside this one of the same data, networks and variance that is a VAE, or for a VAE an SE.
fn counterpart(run: &RunDir, config: &Config) -> Option<(String, Config, RunRecord)> {
    let wanted = if config.objective == Objective::Vae { Objective::Se } else { Objective::Vae };
    let place = fs::canonicalize(run.path()).ok()?;
    let beside = fs::read_dir(place.parent()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let found = beside.filter(|path| *path != place).filter_map(|path| {
        let other = RunDir::open(&path).ok()?;
        let about = other.config().ok()?;
        let data = |c: &Config| (c.dataset.clone(), c.data_dir.clone(), c.holdout);
        let model = |c: &Config| (c.arch, c.latent, c.hidden.clone(), c.conv_channels.clone(), c.variance);
        if about.objective != wanted || data(&about) != data(config) || model(&about) != model(config) {
            return None;
        }
        let result = RunRecord::load(&other.result_path()).ok()?.shown(&about);
        let time: SystemTime = fs::metadata(other.result_path()).ok()?.modified().ok()?;
        let attacked = result.tasks.values().any(|task| task.attack.is_some());
        let own = result.tasks.values().all(|task| task.has_own_probe(result.seed));
        (attacked && own).then(|| {
            (time, path.file_name().unwrap_or_default().to_string_lossy().into_owned(), about, result)
        })
    });
    found.max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1))).map(|(_, name, config, result)| (name, config, result))
}

/// One line a task, or of many tasks their mean in the range of all; each further run dashed.
fn security_chart(runs: &[(String, RunRecord)], norm: Norm) -> Drawing {
    let mut chart =
        Chart::new("", radius_axis(norm), "accuracy (%)").y_range(0.0, 100.0).size(SIZE.0, SIZE.1);
    for (r, (title, result)) in runs.iter().enumerate() {
        let curves: Vec<_> = result.tasks.iter().map(|(name, task)| (name, curve(task))).collect();
        let curves: Vec<_> = curves.into_iter().filter(|(_, curve)| !curve.is_empty()).collect();
        let first = curves.first().map(|(_, curve)| radii(curve));
        let alike = curves.iter().all(|(_, curve)| Some(radii(curve)) == first);
        let several = curves.len();
        if several > MANY_TASKS && alike {
            let at = |k: usize| curves.iter().map(move |(_, curve)| curve[k].1);
            let points = first.iter().flatten().enumerate();
            let mean = points.clone().map(|(k, &radius)| (radius, at(k).sum::<f64>() / several as f64));
            let ends = points.clone().map(|(k, _)| (at(k).fold(100.0, f64::min), at(k).fold(0.0, f64::max)));
            let name = format!("{title}: mean and range of {several} tasks");
            let series = Series::marked(name, mean).style(r).band(ends);
            chart = chart.with(if r == 0 { series } else { series.dashed() });
            continue;
        }
        for (t, (task, points)) in curves.into_iter().enumerate() {
            let name = if several == 1 { title.clone() } else { format!("{title}: {task}") };
            let style = if several == 1 { r } else { t };
            let bounds = result.tasks.get(task).and_then(certified).filter(|_| several == 1);
            let series = match bounds {
                None => Series::marked(name, points).style(style),
                Some(bounds) => {
                    let name = format!("{name}, down to what is certified");
                    let band: Vec<_> = bounds.into_iter().zip(points.iter().map(|point| point.1)).collect();
                    Series::marked(name, points).style(style).band(band)
                }
            };
            chart = chart.with(if r == 0 { series } else { series.dashed() });
        }
    }
    chart.drawing()
}

/// What the axis of a security curve says.
pub(super) fn radius_axis(norm: Norm) -> String {
    format!("radius ({} norm, pixels in [0, 1])", norm.title())
}

/// Names of terms in metrics.jsonl, and what they are called here.
const TERMS: [(&str, &str); 6] = [
    ("loss", "loss: minus the objective"),
    ("log_likelihood", "log-likelihood E log p(x|z)"),
    ("kl", "KL(q(z|x) || p(z))"),
    ("prior_a", "prior term of x"),
    ("prior_b", "prior term of x'"),
    ("wd", "entropic divergence WD of q(z|x) and q(z|x')"),
];

fn learning(lines: &[Map<String, Value>]) -> Section {
    let section = Section::new("learning", "Learning curves").text(
        "Means over the steps between two lines of metrics.jsonl and over the batch, in nats an image, \
            constants included.",
    );
    let charts = TERMS.iter().filter_map(|(key, name)| {
        let value =
            |line: &Map<String, Value>| Some((line.get("step")?.as_f64()?, line.get(*key)?.as_f64()?));
        let points: Vec<_> = lines.iter().filter_map(value).collect();
        let every = points.len().div_ceil(CURVE_POINTS).max(1);
        let last = points.last().copied().filter(|_| (points.len() - 1) % every != 0);
        let shown: Vec<_> = points.iter().copied().step_by(every).chain(last).collect();
        let few = shown.len() <= 10;
        let series = if few { Series::marked("", shown) } else { Series::line("", shown) };
        let chart = Chart::new(*name, "step", "nats").with(series).size(SIZE.0, 260.0);
        (!points.is_empty()).then(|| chart.drawing())
    });
    let charts: Vec<_> = charts.collect();
    if charts.is_empty() {
        return section.text("The run has no metrics.jsonl.");
    }
    section.with(Block::Charts(charts))
}

fn reconstructions(showcase: &Showcase) -> Section {
    let Showcase { shape, originals, reconstructions, .. } = showcase;
    Section::new("reconstructions", "Reconstructions")
        .text("Test images, and what the decoder makes of the means of their codes.")
        .with(Block::Strips { rows: reconstruction_rows(*shape, originals, reconstructions) })
}

fn samples(showcase: &Showcase) -> Section {
    Section::new("samples", "Samples from the prior")
        .text("Means of p(x|z) for codes z drawn from the prior.")
        .with(Block::Strips { rows: sample_rows(showcase.shape, &showcase.samples) })
}

fn traversals(showcase: &Showcase) -> Section {
    Section::new("traversals", "Latent traversals")
        .text(format!(
            "The first test image's code with one dimension moved from −{TRAVERSAL_END} to {TRAVERSAL_END}, decoded: \
             the \
             dimensions of largest mean KL to the prior, which say most about the image."
        ))
        .with(Block::Strips { rows: traversal_rows(showcase.shape, &showcase.traversals) })
}

/// Rows of a perturbation's picture: before, after, the change made visible, and what the decoder makes of both.
fn perturbation_rows(shape: [usize; 3], pairs: &[&Pair], scale: f32) -> Vec<(String, Vec<Image>)> {
    let of = |pick: fn(&Pair) -> &Vec<f32>| pairs.iter().map(|pair| Image::of(shape, pick(pair))).collect();
    let change = |pair: &&Pair| {
        let change: Vec<f32> = pair.perturbed.iter().zip(&pair.original).map(|(a, b)| a - b).collect();
        Image::of_difference(shape, &change, scale)
    };
    vec![
        ("test image x".into(), of(|pair| &pair.original)),
        ("perturbed x*".into(), of(|pair| &pair.perturbed)),
        (format!("x* − x, black −{0}, white {0}", shown(short(scale))), pairs.iter().map(change).collect()),
        ("reconstruction of x".into(), of(|pair| &pair.reconstruction)),
        ("reconstruction of x*".into(), of(|pair| &pair.perturbed_reconstruction)),
    ]
}

/// What change is drawn in full black or white: an L-infinity ball's radius; of an L2 ball, whose pixels may move by
/// anything up to it, the largest change there is, in two digits.
fn change_scale(norm: Norm, radius: f32, pairs: &[&Pair]) -> f32 {
    let changes = pairs.iter().flat_map(|p| p.perturbed.iter().zip(&p.original)).map(|(a, b)| (a - b).abs());
    match (norm, changes.fold(0.0, f32::max)) {
        (Norm::L2, largest) if largest > 0.0 => (largest * 100.0).ceil() / 100.0,
        _ => radius.max(f32::MIN_POSITIVE),
    }
}

fn neighbours(showcase: &Showcase) -> Section {
    let Neighbours { norm, eps, steps, ref examples, .. } = showcase.neighbours;
    let pairs: Vec<_> = examples.iter().collect();
    let scale = change_scale(norm, eps, &pairs);
    Section::new("neighbours", "Perturbed to move the code")
        .text(format!(
            "Test images x and x* in the {} ball of radius {} around them, found by {steps} steps of projected \
             gradient ascent on the squared 2-Wasserstein distance of the two codes, without labels; the paper's \
             figure 1.",
            norm.title(),
            shown(short(eps))
        ))
        .with(Block::Strips { rows: perturbation_rows(showcase.shape, &pairs, scale) })
}

/// What an attack made for this page is: it has the last probe of the run's record, whose weights the model has.
fn attack_text(record: &RunRecord, attacked: &Attacked) -> String {
    let last = record.tasks.get(&attacked.task);
    let probe = last.map_or(String::new(), |task| format!(" ({})", evaluations::probe(task)));
    let whose = match last.is_some_and(|task| task.attack.is_some()) {
        true => "the last attack on it",
        false => "the run's settings",
    };
    let Attacked { task, norm, radius, steps, images, .. } = attacked;
    let (norm, radius) = (norm.title(), shown(short(*radius)));
    format!(
        "Task {task}: the first {images} test images attacked in the {norm} ball of radius {radius} through encoder \
         and \
         the classifier in model.safetensors{probe}, one random start of {steps} steps, made for this page. Norm and \
         radius, the middle one, are those of {whose}."
    )
}

const NOT_PROBED: &str = "The run has no classifier; smoothenc probe RUN makes one.";

/// What a class of a task is called.
fn class_name(record: &RunRecord, class: usize) -> String {
    record.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

fn adversarial(record: &RunRecord, showcase: &Showcase) -> Section {
    let section = Section::new("adversarial", "Adversarial examples");
    let Some(attacked) = &showcase.attacked else { return section.text(NOT_PROBED) };
    let pairs: Vec<_> = attacked.examples.iter().map(|example| &example.pair).collect();
    let scale = change_scale(attacked.norm, attacked.radius, &pairs);
    let columns = (1..=pairs.len()).map(|i| i.to_string());
    let heading = ["image, from the left".to_string()].into_iter().chain(columns).collect();
    let row = |name: &str, of: fn(&Example) -> u32| {
        let answers = attacked.examples.iter().map(|example| class_name(record, of(example) as usize));
        [name.to_string()].into_iter().chain(answers).collect()
    };
    let rows =
        vec![row("class", |e| e.class), row("answer to x", |e| e.before), row("answer to x*", |e| e.after)];
    section
        .text(format!(
            "{} Images that the attack turned from right to wrong come first; the paper's figure 6.",
            attack_text(record, attacked)
        ))
        .with(Block::Strips { rows: perturbation_rows(showcase.shape, &pairs, scale) })
        .with(Block::Table { heading, rows })
}

fn confusion(record: &RunRecord, showcase: &Showcase) -> Section {
    let section = Section::new("confusion", "What the attacked classifier says");
    let Some(attacked) = &showcase.attacked else { return section.text(NOT_PROBED) };
    let share = |row: &Vec<usize>| {
        let all = row.iter().sum::<usize>() as f64;
        row.iter().map(|&count| 100.0 * count as f64 / all).collect()
    };
    let values = attacked.confusion.iter().map(share).collect();
    let names = || (0..attacked.confusion.len()).map(|class| class_name(record, class));
    let title = format!("Answers at radius {}", shown(short(attacked.radius)));
    let map = HeatMap::new(title, "answer under attack", "true class", "% of the class", values)
        .columns(names())
        .rows(names())
        .range(0.0, 100.0)
        .numbers(0)
        .size(SIZE.0, 380.0);
    section
        .text(format!("{} Grey: no image of the class among them.", attack_text(record, attacked)))
        .with(Block::Charts(vec![map.drawing()]))
}

fn lipschitz(neighbours: &Neighbours) -> Section {
    let Neighbours { norm, eps, ratios, .. } = neighbours;
    let section = Section::new("lipschitz", "Local Lipschitz ratio").text(format!(
        "How much faster the code's mean moves than the image: |μ(x) − μ(x*)| / |x − x*|, Euclidean, x* as above in \
         the {} \
         ball of radius {} (the paper's E.3), over {} test images.",
        norm.title(),
        shown(short(*eps)),
        ratios.len()
    ));
    let mut sorted = ratios.clone();
    sorted.sort_by(f64::total_cmp);
    let Some((&median, &largest)) = sorted.get(sorted.len() / 2).zip(sorted.last()) else {
        return section.text("No image could be moved.");
    };
    let chart = Chart::new("", "|μ(x) − μ(x*)| / |x − x*|", "test images")
        .with(Series::histogram("", ratios, (0.0, largest.max(f64::MIN_POSITIVE)), 24))
        .size(SIZE.0, 280.0);
    // Three digits.
    let of = |value: f64| number(value, 10f64.powf(value.max(1e-9).log10().floor() - 2.0));
    section
        .text(format!("Median {}, largest {}.", of(median), of(largest)))
        .with(Block::Charts(vec![chart.drawing()]))
}

fn settings(config: &Config) -> Result<Section> {
    let plain = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    let settings = config.flat()?.into_iter().map(|(name, value)| (name, plain(value))).collect();
    let text = "smoothenc train --config config.toml, with the file in this directory, repeats the run.";
    Ok(Section::new("settings", "Settings").text(text).with(Block::Settings(settings)))
}
