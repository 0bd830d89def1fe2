//! The selection by itself: all its steps in one kernel call, and one op after the other.

use serde::Serialize;

use crate::bench::{IMAGE, INPUTS, Options, random_images, timing};
use crate::engine::device::{Device, Program};
use crate::engine::graph::{Graph, plan};
use crate::engine::nn::{Init, Weights, initialise};
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::selection::{Selection, Start};
use crate::runs::config::Config;
use crate::runs::recipe;

/// The times of one size of the selection: medians of rounds in which each form runs once.
#[derive(Debug, Clone, Serialize)]
pub struct AscentTime {
    #[serde(rename = "L")]
    pub length: usize,
    pub batch: usize,
    pub rounds: usize,
    /// In one kernel call, as training has it.
    pub fused_s: f64,
    /// The same in half precision, with cooperative matrices where the device has them; for GPUs.
    pub half_s: Option<f64>,
    pub op_by_op_s: f64,
    /// `fused_s / op_by_op_s`.
    pub ratio: f64,
}

const LENGTH: usize = 20;
const LEAST_ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 100;

/// Times the selection of the default settings at several batches.
pub fn measure(device: &Device, options: &Options, progress: &dyn Fn(&str)) -> Result<Vec<AscentTime>> {
    let batches: &[usize] = match device {
        _ if options.quick => &[16],
        Device::Gpu(gpu) if gpu.is_software() => &[32, 128],
        _ => &[128, 512, 2048],
    };
    let one = |&batch: &usize| {
        progress(&format!("ascent, batch {batch}"));
        ascent(device, options, if options.quick { 3 } else { LENGTH }, batch)
    };
    batches.iter().map(one).collect()
}

fn ascent(device: &Device, options: &Options, length: usize, batch: usize) -> Result<AscentTime> {
    let config = Config { selection_steps: length, batch, ..Config::default() };
    let selection = recipe::training(&config)?.selection;
    let mut forms = vec![(true, false), (false, false)];
    if matches!(device, Device::Gpu(_)) {
        forms.push((true, true));
    }
    let mut session = Session::new(device.clone());
    let mut programs = Vec::new();
    for (fused, half) in forms {
        programs.push(program(&mut session, &config, Selection { fused, ..selection }, half)?.0);
    }
    let mut seconds = timing::in_turn(device, &mut programs, options.seconds, LEAST_ROUNDS..=MOST_ROUNDS)?;
    let rounds = seconds[0].len();
    let medians: Vec<f64> = seconds.iter_mut().map(|s| timing::median(s)).collect();
    let (fused_s, op_by_op_s) = (medians[0], medians[1]);
    let half_s = medians.get(2).copied();
    Ok(AscentTime { length, batch, rounds, fused_s, half_s, op_by_op_s, ratio: fused_s / op_by_op_s })
}

/// The selection of a batch of random images by a model that is not trained, and its floating-point operations.
pub(super) fn program(
    session: &mut Session,
    config: &Config,
    selection: Selection,
    half: bool,
) -> Result<(Program, u64)> {
    let vae = recipe::model(config, IMAGE)?;
    let vae = if half { vae.in_half() } else { vae };
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let x = g.variable("x", [config.batch, INPUTS], DType::F32)?;
    let clock = g.variable("clock", [2], DType::U32)?;
    selection.select(&mut g, &vae, &weights, x, Start::Drawn { clock, seed: config.seed })?;
    let images = random_images(config.batch);
    session.set("model", &initialise(&vae.layout, Init::Glorot, Key::new(0, Purpose::Init))?)?;
    session.set("clock", &[0_u32; 2])?;
    session.set("x", &images.floats_of(0..config.batch)?)?;
    Ok((session.compile(&g)?, plan(&g).recording.flops()))
}
