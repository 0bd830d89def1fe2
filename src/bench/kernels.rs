//! Each kernel of the training step by itself, and the matrix product of squares.

use serde::Serialize;

use crate::bench::{Ceilings, IMAGE, Options, random_images, timing};
use crate::engine::device::{Buffer, Device};
use crate::engine::graph::{Graph, Plan, plan};
use crate::engine::kernel::{Access, NONE, Scope};
use crate::engine::nn::initialise;
use crate::engine::ops;
use crate::engine::ops::store;
use crate::engine::recording::{BufferSpec, Call};
use crate::engine::rng::{Key, Purpose};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::Table;
use crate::method::training_graph;
use crate::runs::config::{Config, Precision};
use crate::runs::recipe;

/// One kernel with its constants and shapes. Without a time where it was not measured.
#[derive(Debug, Clone, Serialize)]
pub struct KernelTime {
    pub kernel: String,
    /// The constants that are not 0, as `TRANSPOSE_B=1 BIAS=1`, and those of the variant that a GPU chose.
    pub variant: String,
    /// What it is bound to: rows x width where each row has its own part, else words.
    pub shape: String,
    /// How often a training step calls it; 0 for the squares.
    pub calls_per_step: usize,
    /// Seconds by the device's own clock where it has one, else wall time.
    pub seconds: Option<f64>,
    pub wall_s: Option<f64>,
    pub device_s: Option<f64>,
    pub gflops: Option<f64>,
    pub gbs: Option<f64>,
    /// The larger of its shares of the two ceilings. Above 1 of `copy`: its data stays in the cache.
    pub share: Option<f64>,
    /// That ceiling: `fma` or `copy`.
    pub bound: Option<&'static str>,
    /// A remark on this row.
    pub note: Option<String>,
}

const SQUARES: [usize; 4] = [256, 512, 1024, 2048];
/// A product that would take longer than this is left out.
const MOST_SECONDS: f64 = 3.0;

/// Every distinct call of the default training step in the order it makes them, then the squares.
pub fn measure(
    device: &Device,
    options: &Options,
    ceilings: Ceilings,
    progress: &dyn Fn(&str),
) -> Result<Vec<KernelTime>> {
    let mut rows = step_kernels(device, options, ceilings, progress)?;
    let mut rate = f64::INFINITY; // Operations a second of the square before.
    for n in SQUARES {
        progress(&format!("matmul {n}"));
        let plan = plan(&square(n, options.precision)?);
        let Some((call, _)) = plan.recording.calls().next() else { continue };
        let expected = call.flops as f64 / rate;
        let mut row = describe(call);
        if expected > MOST_SECONDS || options.quick && n > 512 {
            row.note = Some(match options.quick {
                true => "left out by --quick".into(),
                false => format!("left out: one call would take about {expected:.0} s"),
            });
        } else {
            let buffers = buffers(device, &plan.recording.buffers)?;
            for buffer in &buffers[1..] {
                buffer.write(0, &vec![0.5_f32; buffer.words()])?;
            }
            fill(
                &mut row,
                device,
                call,
                timing::time_call(device, call, &buffers, options.seconds)?,
                ceilings,
            );
            rate = call.flops as f64 / row.seconds.unwrap_or(f64::INFINITY);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Runs through one training step, so that every call is timed on its real inputs.
fn step_kernels(
    device: &Device,
    options: &Options,
    ceilings: Ceilings,
    progress: &dyn Fn(&str),
) -> Result<Vec<KernelTime>> {
    let (plan, buffers) = training_step(device, options)?;
    let (mut rows, mut keys): (Vec<KernelTime>, Vec<_>) = (Vec::new(), Vec::new());
    for (call, times) in plan.recording.calls() {
        let sizes: Vec<_> = call.args.iter().map(|arg| arg.view.words).collect();
        let key = (call.kernel.name, call.constants.clone(), call.rows, sizes);
        match keys.iter().position(|known| *known == key) {
            Some(i) => rows[i].calls_per_step += times,
            None => {
                progress(call.kernel.name);
                let mut row = describe(call);
                row.calls_per_step = times;
                let kept = written(call, &buffers)?;
                let timing = timing::time_call(device, call, &buffers, options.seconds)?;
                // Repetitions of a call in place have worked on their own results.
                for (buffer, words) in kept {
                    buffer.write(0, &words)?;
                }
                fill(&mut row, device, call, timing, ceilings);
                keys.push(key);
                rows.push(row);
            }
        }
        timing::program_of(device, call, 1, &buffers)?.run()?;
    }
    Ok(rows)
}

/// The default training step, planned, and its memory at the start of a run.
fn training_step(device: &Device, options: &Options) -> Result<(Plan, Vec<Buffer>)> {
    let (batch, precision) = (if options.quick { 32 } else { 128 }, options.precision);
    let config = Config { batch, precision, ..Config::default() };
    let images = random_images(4096);
    let vae = recipe::model(&config, IMAGE)?;
    let table = Table::whole("train.images", &images);
    let plan = plan(&training_graph(&vae, &recipe::training(&config)?, &table, Some(images.count))?);
    let buffers = buffers(device, &plan.recording.buffers)?;
    for (spec, buffer) in plan.recording.buffers.iter().zip(&buffers) {
        match spec.name() {
            "model" => {
                let weights = initialise(
                    &vae.layout,
                    recipe::training(&config)?.init,
                    Key::new(config.seed, Purpose::Init),
                )?;
                buffer.write(0, &weights)?;
            }
            "train.images" => buffer.write(0, bytemuck::cast_slice::<u8, u32>(&images.bytes()?))?,
            _ => {}
        }
    }
    Ok((plan, buffers))
}

fn buffers(device: &Device, specs: &[BufferSpec]) -> Result<Vec<Buffer>> {
    specs.iter().map(|spec| device.buffer(spec.name(), spec.words)).collect()
}

/// The buffers that `call` writes, with their content.
fn written<'a>(call: &Call, buffers: &'a [Buffer]) -> Result<Vec<(&'a Buffer, Vec<u32>)>> {
    let args = call.args.iter().zip(call.kernel.bindings);
    let written = args.filter(|(arg, binding)| binding.access == Access::Write && arg.view != NONE);
    let read = written.map(|(arg, _)| {
        let buffer = &buffers[arg.view.buffer.0 as usize];
        let mut words = vec![0_u32; buffer.words()];
        buffer.read(0, &mut words)?;
        Ok((buffer, words))
    });
    read.collect()
}

/// The product of two squares; in half precision it is a layer, with a bias.
fn square(n: usize, precision: Precision) -> Result<Graph> {
    let mut g = Graph::new();
    let mut square = |name| g.variable(name, [n, n], DType::F32);
    let (a, b, c) = (square("a")?, square("b")?, square("c")?);
    let product = match precision {
        Precision::F32 => ops::matmul(&mut g, a, false, b, false)?,
        Precision::F16 => {
            let bias = g.variable("bias", [n], DType::F32)?;
            ops::half_linear(&mut g, a, b, bias, false)?
        }
    };
    store(&mut g, product, c)?;
    Ok(g)
}

/// A row without times.
fn describe(call: &Call) -> KernelTime {
    let set = call.constants.iter().filter(|(_, value)| *value != 0);
    let variant: Vec<_> = set.map(|(name, value)| format!("{name}={value}")).collect();
    let part = |wanted: Access| {
        let args = call.args.iter().zip(call.kernel.bindings);
        let of = args.filter(|(arg, binding)| binding.access == wanted && arg.view != NONE);
        let parts = of.map(|(arg, _)| match arg.scope {
            Scope::Row => format!("{}x{}", call.rows, arg.view.words / call.rows),
            Scope::Pair => format!("{}x{}", 2 * call.rows, arg.view.words / (2 * call.rows)),
            Scope::Whole => arg.view.words.to_string(),
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    KernelTime {
        kernel: call.kernel.name.into(),
        variant: variant.join(" "),
        shape: format!("{} -> {}", part(Access::Read), part(Access::Write)).trim_start().into(),
        calls_per_step: 0,
        seconds: None,
        wall_s: None,
        device_s: None,
        gflops: None,
        gbs: None,
        share: None,
        bound: None,
        note: None,
    }
}

fn fill(row: &mut KernelTime, device: &Device, call: &Call, timing: timing::Timing, ceilings: Ceilings) {
    // Known once it has been compiled.
    if let Device::Gpu(gpu) = device
        && let Some(name) = gpu.variant_of(call)
    {
        row.variant = format!("{} {name}", row.variant).trim_start().into();
    }
    let rate = |amount: u64| amount as f64 / timing.seconds() / 1e9;
    let (gflops, gbs) = (rate(call.flops), rate(call.bytes()));
    let (of_fma, of_copy) = (gflops / ceilings.fma_gflops, gbs / ceilings.copy_gbs);
    row.seconds = Some(timing.seconds());
    row.wall_s = Some(timing.wall_s);
    row.device_s = timing.device_s;
    // Kernels that only move or draw numbers count no operations.
    row.gflops = (call.flops > 0).then_some(gflops);
    row.gbs = Some(gbs);
    row.share = Some(of_fma.max(of_copy));
    row.bound = Some(if of_fma > of_copy { "fma" } else { "copy" });
    row.note = timing.disagreement();
}
