//! What more threads of the CPU bring, and what share of the ceiling they reach.

use serde::Serialize;

use crate::bench::{Options, ascent, ceilings, steps, timing};
use crate::engine::device::cpu::Cpu;
use crate::engine::device::{Device, Program};
use crate::engine::graph::{Graph, plan};
use crate::engine::ops;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::selection::Selection;
use crate::runs::config::{Arch, Config, Preset};
use crate::runs::recipe;

/// Some work with one thread and with all, which take turns.
#[derive(Debug, Clone, Serialize)]
pub struct Scaling {
    /// All threads.
    pub threads: usize,
    pub rows: Vec<ScalingRow>,
}

/// One work. Rates count the operations of sums that are left out after a ReLU too.
#[derive(Debug, Clone, Serialize)]
pub struct ScalingRow {
    pub work: String,
    /// Seconds with one thread, and with all; medians.
    pub one_s: f64,
    pub all_s: f64,
    /// `one_s / all_s`, the median of the rounds.
    pub faster: f64,
    pub one_gflops: f64,
    pub all_gflops: f64,
    /// Shares of the multiply-adds that so many threads do.
    pub one_share: f64,
    pub all_share: f64,
}

/// Work for a device: a program, and its floating-point operations.
type Made = (Program, u64);

const LEAST_ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 200;

/// Times products, the selection and the steps of both networks on `device`, a CPU.
pub fn measure(device: &Device, options: &Options, progress: &dyn Fn(&str)) -> Result<Scaling> {
    let devices = [Device::Cpu(Cpu::with_threads(1)), device.clone()];
    progress("ceilings of one thread and of all");
    let mut ceiling = [0.0; 2];
    for (ceiling, device) in ceiling.iter_mut().zip(&devices) {
        *ceiling = ceilings::fma_gflops(device, options)?;
    }
    let (length, batch) = if options.quick { (3, 32) } else { (20, 128) };
    let config = |arch: Arch| Config { batch, ..Preset::Quick.config(arch, "mnist") };
    let long = |arch: Arch| Config { selection_steps: length, ..config(arch) };
    let side = if options.quick { 128 } else { 1024 };
    let mut rows = Vec::new();
    for [m, k, n] in [[batch, 784, 200], [batch, 200, 200], [side; 3]] {
        let work = format!("{LAYERS} layers {m}x{k}x{n}");
        rows.push(row(&devices, ceiling, options, work, progress, &|device| layer(device, [m, k, n]))?);
    }
    let work = format!("selection, L {length}, batch {batch}");
    rows.push(row(&devices, ceiling, options, work, progress, &|device| {
        selection(device, &long(Arch::Mlp))
    })?);
    for (name, config) in [("step of the MLP", long(Arch::Mlp)), ("step of the ConvNet", config(Arch::Conv))]
    {
        let work = format!("{name}, L {}, batch {batch}", config.selection_steps);
        let made = |device: &Device| steps::program(device, &config).map(|step| (step.program, step.flops));
        rows.push(row(&devices, ceiling, options, work, progress, &made)?);
    }
    Ok(Scaling { threads: rayon::current_num_threads(), rows })
}

fn row(
    devices: &[Device; 2],
    ceiling: [f64; 2],
    options: &Options,
    work: String,
    progress: &dyn Fn(&str),
    make: &dyn Fn(&Device) -> Result<Made>,
) -> Result<ScalingRow> {
    progress(&work);
    let [(one, flops), (all, _)] = [make(&devices[0])?, make(&devices[1])?];
    let rounds = LEAST_ROUNDS..=MOST_ROUNDS;
    let mut seconds = timing::in_turn(&devices[1], &mut [one, all], options.seconds, rounds)?;
    let mut ratios: Vec<f64> = seconds[0].iter().zip(&seconds[1]).map(|(one, all)| one / all).collect();
    let faster = timing::median(&mut ratios);
    let [one_s, all_s] = [0, 1].map(|i| timing::median(&mut seconds[i]));
    let rate = |seconds: f64| flops as f64 / seconds / 1e9;
    let (one_gflops, all_gflops) = (rate(one_s), rate(all_s));
    let (one_share, all_share) = (one_gflops / ceiling[0], all_gflops / ceiling[1]);
    Ok(ScalingRow { work, one_s, all_s, faster, one_gflops, all_gflops, one_share, all_share })
}

/// Calls of a layer in a program, as many as of a step, so that the start of a run costs little beside them.
const LAYERS: usize = 32;

/// `x W^T + b` for x `[m, k]` and W `[n, k]`, without zeros.
fn layer(device: &Device, [m, k, n]: [usize; 3]) -> Result<Made> {
    let mut g = Graph::new();
    let (x, w) = (g.variable("x", [m, k], DType::F32)?, g.variable("w", [n, k], DType::F32)?);
    let (b, y) = (g.variable("b", [n], DType::F32)?, g.variable("y", [m, n], DType::F32)?);
    let product = ops::linear(&mut g, x, w, b, false)?;
    ops::store(&mut g, product, y)?;
    let recording = plan(&g).recording;
    let memory = recording.buffers.iter().map(|spec| device.buffer(spec.name(), spec.words));
    let memory = memory.collect::<Result<Vec<_>>>()?;
    for buffer in &memory[1..] {
        buffer.write(0, &vec![0.5_f32; buffer.words()])?;
    }
    let calls: Vec<_> = recording.calls().map(|(call, _)| call.clone()).collect();
    let program = timing::program_of(device, &calls[0], LAYERS, &memory)?;
    Ok((program, LAYERS as u64 * calls[0].flops))
}

fn selection(device: &Device, config: &Config) -> Result<Made> {
    let selection = Selection { fused: true, ..recipe::training(config)?.selection };
    let mut session = Session::new(device.clone());
    ascent::program(&mut session, config, selection, false)
}
