//! Seconds per SE training step (selection, objective, Adam) at the paper's MLP sizes, as one
//! line of JSON: `cargo bench --bench step -- --L 20 --batch 128 --device cpu`.
//!
//! The twin of `peers/bench_torch_step.py`; `peers/compare.py` runs the two in turn.

use std::time::Instant;

use clap::Parser;
use smoothenc::bench;
use smoothenc::cli::environment::{limit_instructions, tuning};
use smoothenc::engine::device;
use smoothenc::method::Trainer;
use smoothenc::runs::config::{Arch, Config, Preset};
use smoothenc::runs::recipe;

#[derive(Parser)]
struct Args {
    /// Selection steps
    #[arg(long = "L", default_value_t = 20)]
    steps: usize,
    #[arg(long, default_value_t = 128)]
    batch: usize,
    #[arg(long, default_value_t = 64)]
    dz: usize,
    /// mlp or conv, each as `train mnist` has it
    #[arg(long, default_value = "mlp")]
    arch: Arch,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Timed training steps
    #[arg(long, default_value_t = 30)]
    count: usize,
    #[arg(long, default_value_t = 5)]
    warmup: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> smoothenc::Result<()> {
    env_logger::init(); // RUST_LOG=smoothenc=debug prints the time of each variant of a kernel.
    let args = Args::parse();
    limit_instructions()?;
    let config = Config {
        selection_steps: args.steps,
        batch: args.batch,
        latent: args.dz,
        iterations: 1000,
        ..Preset::Quick.config(args.arch, "mnist")
    };
    let images = bench::random_images(4096.max(args.batch));
    let device = device::open_tuned(&args.device, false, &tuning()?)?;
    let name = device.description();
    let vae = recipe::model(&config, images.shape())?;
    let mut trainer = Trainer::new(device, vae, &recipe::training(&config)?, &images)?;
    let mut timed = |steps: usize| -> smoothenc::Result<Vec<f64>> {
        let one = |_| {
            let start = Instant::now();
            trainer.step()?;
            trainer.steps_done()?; // Waits for the device.
            Ok(start.elapsed().as_secs_f64())
        };
        (0..steps).map(one).collect()
    };
    timed(args.warmup)?;
    let mut seconds = timed(args.count)?;
    seconds.sort_by(f64::total_cmp);
    let result = serde_json::json!({
        "impl": "smoothenc", "arch": args.arch, "L": args.steps, "batch": args.batch, "dz": args.dz, "device": name,
        "dispatches": trainer.dispatches(), "n": seconds.len(),
        "median_s": seconds[seconds.len() / 2], "min_s": seconds[0],
    });
    println!("{result}");
    Ok(())
}
