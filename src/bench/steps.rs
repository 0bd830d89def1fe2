//! The training step as a whole, over selection steps L and batch sizes.

use serde::Serialize;

use crate::bench::{IMAGE, Options, random_images, timing};
use crate::engine::device::{Device, Program};
use crate::engine::graph::plan;
use crate::engine::nn::initialise;
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::Table;
use crate::method::training_graph;
use crate::runs::config::Config;
use crate::runs::recipe;

/// One size of the step.
#[derive(Debug, Clone, Serialize)]
pub struct StepTime {
    #[serde(rename = "L")]
    pub length: usize,
    pub batch: usize,
    pub median_s: f64,
    /// By the device's own clock, where it has one.
    pub device_s: Option<f64>,
    pub gflop: f64,
    pub gflops: f64,
    pub dispatches: usize,
    pub scratch_bytes: usize,
    /// A remark on this row.
    pub note: Option<String>,
}

/// `seconds = intercept + slope x`, by least squares.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub intercept_s: f64,
    pub slope_s: f64,
    /// The coefficient of determination.
    pub r2: f64,
}

/// How the step's time grows, and whether its memory does.
#[derive(Debug, Clone, Serialize)]
pub struct Fit {
    /// Time against L, at this batch.
    pub batch: usize,
    pub against_l: Line,
    /// Time against the batch, at this L.
    #[serde(rename = "L")]
    pub length: usize,
    pub against_batch: Line,
    /// True where scratch memory is the same for every L at each batch.
    pub scratch_independent_of_l: bool,
}

/// The sizes, and where the lines are fitted.
struct Grid {
    lengths: &'static [usize],
    batches: &'static [usize],
    length: usize,
    batch: usize,
    /// All pairs, or only those on the two lines.
    all: bool,
}

const FULL: Grid =
    Grid { lengths: &[1, 5, 20, 50], batches: &[32, 128, 512, 2048], length: 20, batch: 128, all: true };
/// For software Vulkan, where a full one would take an hour.
const SMALL: Grid = Grid { lengths: &[1, 5, 20], batches: &[32, 64, 128], length: 5, batch: 32, all: false };
const QUICK: Grid = Grid { lengths: &[1, 3, 6], batches: &[16, 32, 64], length: 3, batch: 16, all: false };

/// Times the step at every size, and fits the two lines.
pub fn measure(device: &Device, options: &Options, progress: &dyn Fn(&str)) -> Result<(Vec<StepTime>, Fit)> {
    let grid = match device {
        _ if options.quick => QUICK,
        Device::Gpu(gpu) if gpu.is_software() => SMALL,
        _ => FULL,
    };
    let mut steps = Vec::new();
    for &length in grid.lengths {
        for &batch in grid.batches {
            if grid.all || length == grid.length || batch == grid.batch {
                progress(&format!("step L {length}, batch {batch}"));
                steps.push(step(device, options, length, batch)?);
            }
        }
    }
    let points = |on: &dyn Fn(&StepTime) -> Option<usize>| -> Vec<(f64, f64)> {
        steps.iter().filter_map(|s| on(s).map(|x| (x as f64, s.median_s))).collect()
    };
    let same_scratch = |batch: usize| {
        let mut of_batch = steps.iter().filter(|s| s.batch == batch).map(|s| s.scratch_bytes);
        let first = of_batch.next();
        of_batch.all(|bytes| Some(bytes) == first)
    };
    let fit = Fit {
        batch: grid.batch,
        against_l: line(&points(&|s| (s.batch == grid.batch).then_some(s.length))),
        length: grid.length,
        against_batch: line(&points(&|s| (s.length == grid.length).then_some(s.batch))),
        scratch_independent_of_l: grid.batches.iter().all(|&batch| same_scratch(batch)),
    };
    Ok((steps, fit))
}

fn step(device: &Device, options: &Options, length: usize, batch: usize) -> Result<StepTime> {
    let precision = options.precision;
    let config = Config { selection_steps: length, batch, precision, ..Config::default() };
    let Step { mut program, flops, scratch_words } = program(device, &config)?;
    for _ in 0..2 {
        timing::run_once(device, &mut program)?; // Warms up memory, caches and clocks.
    }
    let timing = timing::time_program(device, &mut program, 1, options.seconds)?;
    Ok(StepTime {
        length,
        batch,
        median_s: timing.wall_s,
        device_s: timing.device_s,
        gflop: flops as f64 / 1e9,
        gflops: flops as f64 / timing.wall_s / 1e9,
        dispatches: program.dispatches(),
        scratch_bytes: 4 * scratch_words,
        note: timing.disagreement(),
    })
}

/// A training step, ready to run.
pub(super) struct Step {
    pub program: Program,
    pub flops: u64,
    scratch_words: usize,
}

/// The step of `config` on random images.
pub(super) fn program(device: &Device, config: &Config) -> Result<Step> {
    let images = random_images(config.batch.max(4096));
    let (vae, training) = (recipe::model(config, IMAGE)?, recipe::training(config)?);
    let mut session = Session::new(device.clone());
    let table = Table::whole("train.images", &images);
    table.upload(&mut session, &images)?;
    session.set("model", &initialise(&vae.layout, training.init, Key::new(config.seed, Purpose::Init))?)?;
    session.set("clock", &[0_u32; 2])?;
    let graph = training_graph(&vae, &training, &table, Some(images.count))?;
    let planned = plan(&graph);
    let flops = planned.recording.flops();
    Ok(Step { program: session.compile(&graph)?, flops, scratch_words: planned.scratch_words })
}

/// The least-squares line through `points`.
fn line(points: &[(f64, f64)]) -> Line {
    let n = points.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x0, y0) = (mean(&|p| p.0), mean(&|p| p.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| of(p.0 - x0, p.1 - y0)).sum::<f64>();
    let slope_s = sum(&|x, y| x * y) / sum(&|x, _| x * x);
    let left = sum(&|x, y| (y - slope_s * x).powi(2));
    Line { intercept_s: y0 - slope_s * x0, slope_s, r2: 1.0 - left / sum(&|_, y| y * y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let exact = line(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert!((exact.slope_s - 2.0).abs() < 1e-12 && (exact.intercept_s - 3.0).abs() < 1e-12);
        assert!((exact.r2 - 1.0).abs() < 1e-12);
        // Slope 0.5, left over 1.5 of 2.
        let bent = line(&[(0.0, 0.0), (1.0, -1.0), (2.0, 1.0)]);
        assert!((bent.slope_s - 0.5).abs() < 1e-12 && (bent.r2 - 0.25).abs() < 1e-12);
    }
}
