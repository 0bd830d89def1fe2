//! Seconds of the evaluation's attack on a run, as one line of JSON:
//! `cargo bench --bench attack -- --run runs/mnist-se-1 --radius 0.1 --device cpu`.
//!
//! The twin of `peers/bench_torch_attack.py`; `peers/compare.py` runs the two in turn. The run's
//! result.json gets the outcome, as from `smoothenc attack`, so give it a copy.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use smoothenc::cli::environment::{limit_instructions, tuning};
use smoothenc::progress::Context;
use smoothenc::runs::LoadedRun;
use smoothenc::runs::config::{AttackConfig, AttackMethod};
use smoothenc::runs::writing::{Access, Writing};

#[derive(Parser)]
struct Args {
    /// The run's directory
    #[arg(long)]
    run: PathBuf,
    #[arg(long, default_value_t = 0.1)]
    radius: f32,
    #[arg(long, default_value_t = 100)]
    steps: usize,
    #[arg(long, default_value_t = 10)]
    restarts: usize,
    /// The first so many test images
    #[arg(long, default_value_t = 1000)]
    examples: usize,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> smoothenc::Result<()> {
    let args = Args::parse();
    limit_instructions()?;
    let context = Context { tuning: tuning()?, ..Context::silent() };
    let name = context.open(&args.device, false)?.description();
    let run = Access::Write(Writing::open(&args.run)?);
    let mut run = LoadedRun::of(run, args.device.as_str(), &context)?;
    let settings = |steps, restarts| AttackConfig {
        // As the peer's.
        attacks: vec![AttackMethod::Pgd],
        radii: vec![args.radius],
        steps,
        restarts,
        examples: Some(args.examples),
        ..AttackConfig::default()
    };
    run.attack(&[0], &settings(args.steps.min(10), 1))?; // Warms up.
    let start = Instant::now();
    run.attack(&[0], &settings(args.steps, args.restarts))?;
    let seconds = start.elapsed().as_secs_f64();
    let standing = run.result.tasks[&run.data.tasks[0].name].attack.as_ref().and_then(|attack| {
        let (_, accuracy) = attack.adversarial_accuracy.first()?;
        Some(*accuracy)
    });
    let result = serde_json::json!({
        "impl": "smoothenc", "radius": args.radius, "steps": args.steps, "restarts": args.restarts,
        "examples": args.examples, "device": name, "seconds": seconds, "standing": standing,
    });
    println!("{result}");
    Ok(())
}
