//! Seconds of matrix products C = A B on a device, one line of JSON for each size:
//! `cargo bench --bench matmul -- --device gpu 128x784x200 200x128x784:tn` (m x k x n; `t` for a factor whose transpose
//! is stored).
//!
//! The twin of `peers/bench_torch_matmul.py` and `peers/burn_matmul`; `peers/compare.py` runs them in turn. With
//! `--tiles` a line for each tiling that a GPU could choose.

use std::time::Instant;

use clap::Parser;
use smoothenc::cli::environment::{limit_instructions, tuning};
use smoothenc::engine::device::{self, Device, Program};
use smoothenc::engine::graph::{Graph, plan};
use smoothenc::engine::kernel::BufferId;
use smoothenc::engine::ops;
use smoothenc::engine::recording::{Call, Recording, Step};
use smoothenc::engine::tensor::DType::F32;
use smoothenc::error::{Error, Result};

#[derive(Parser)]
struct Args {
    /// Sizes, each as MxKxN, or MxKxN:nt and the like where a factor's transpose is stored
    #[arg(required = true)]
    sizes: Vec<String>,
    #[arg(long, default_value = "gpu")]
    device: String,
    /// Timed samples of each size
    #[arg(long, default_value_t = 10)]
    samples: usize,
    /// Time every tiling that the product has for a GPU, not only the one chosen
    #[arg(long)]
    tiles: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A sample is as many products as take about this long, handed over before one wait.
const SAMPLE_SECONDS: f64 = 0.02;
const MOST_PRODUCTS: f64 = 64.0;

/// The sides m, k and n, and whether the transposes of A and of B are stored.
fn sizes(text: &str) -> Result<([usize; 3], [bool; 2])> {
    let (sides, form) = text.split_once(':').unwrap_or((text, "nn"));
    let parsed: Option<Vec<usize>> = sides.split('x').map(|n| n.parse().ok().filter(|&n| n > 0)).collect();
    let sides = parsed.and_then(|sides| sides.try_into().ok());
    let form = match form {
        "nn" => Some([false, false]),
        "nt" => Some([false, true]),
        "tn" => Some([true, false]),
        "tt" => Some([true, true]),
        _ => None,
    };
    let wrong = || Error::request(format!("{text}: a size is MxKxN, as 128x784x200 or 128x784x200:nt"));
    sides.zip(form).ok_or_else(wrong)
}

fn main() -> Result<()> {
    let args = Args::parse();
    limit_instructions()?;
    let device = device::open_tuned(&args.device, false, &tuning()?)?;
    for size in &args.sizes {
        let (sides, transposed) = sizes(size)?;
        let recording = recording(sides, transposed)?;
        let Some((call, _)) = recording.calls().next() else { continue };
        let variants = match args.tiles {
            true => (0..call.variants.len()).map(|i| call.chosen(i)).collect(),
            false => vec![call.clone()],
        };
        for call in variants {
            let seconds = time(&device, &recording, &call, args.samples)?;
            let tile: Vec<_> = call.constants.iter().map(|(name, v)| format!("{name}={v}")).collect();
            let line = serde_json::json!({
                "impl": "smoothenc", "size": sides, "form": size, "device": device.description(),
                "software": device.is_software(), "n": seconds.len(), "median_s": seconds[seconds.len() / 2],
                "min_s": seconds[0], "gflops": call.flops as f64 / seconds[seconds.len() / 2] / 1e9,
                "constants": tile.join(" "),
            });
            println!("{line}");
        }
    }
    Ok(())
}

/// The recording of one product.
fn recording([m, k, n]: [usize; 3], [transpose_a, transpose_b]: [bool; 2]) -> Result<Recording> {
    let mut g = Graph::new();
    let a = g.variable("a", if transpose_a { [k, m] } else { [m, k] }, F32)?;
    let b = g.variable("b", if transpose_b { [n, k] } else { [k, n] }, F32)?;
    let product = ops::matmul(&mut g, a, transpose_a, b, transpose_b)?;
    let c = g.variable("c", [m, n], F32)?;
    ops::store(&mut g, product, c)?;
    Ok(plan(&g).recording)
}

/// Seconds of one `call` of `recording`, a sample each, sorted.
fn time(device: &Device, recording: &Recording, call: &Call, samples: usize) -> Result<Vec<f64>> {
    let memory = recording.buffers.iter().map(|spec| device.buffer(spec.name(), spec.words));
    let memory: Vec<_> = (0..).map(BufferId).zip(memory.collect::<Result<Vec<_>>>()?).collect();
    for (_, buffer) in &memory[1..] {
        let words: Vec<f32> = (0..buffer.words()).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
        buffer.write(0, &words)?;
    }
    let program = |times: usize| {
        let steps = match device {
            // Not a loop, which threads would go through without waiting for each other.
            Device::Cpu(_) => vec![Step::Call(call.clone()); times],
            Device::Gpu(_) => vec![Step::Repeat { times, body: vec![call.clone()] }],
        };
        device.compile(Recording { buffers: recording.buffers.clone(), steps }, &memory)
    };
    let run = |program: &mut Program| -> Result<f64> {
        let start = Instant::now();
        program.run()?;
        device.finish()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut once = program(1)?;
    run(&mut once)?; // Compiles the kernel, on some drivers.
    let products = (SAMPLE_SECONDS / run(&mut once)?).clamp(1.0, MOST_PRODUCTS) as usize;
    let mut all = program(products)?;
    let mut seconds = (0..samples.max(1)).map(|_| run(&mut all)).collect::<Result<Vec<_>>>()?;
    seconds.iter_mut().for_each(|s| *s /= products as f64);
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}
