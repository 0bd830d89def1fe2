//! `bench`: the engine's speed on a device.

use clap::{Args, ValueEnum};

use crate::bench::{self, AscentTime, AttackTime, Fit, KernelTime, Line, Options, Report, Scaling, StepTime};
use crate::cli::report::{aligned, json_document, write};
use crate::engine::device::gpu::adapter::Choice;
use crate::error::{Error, Result};
use crate::progress::Context;
use crate::runs::config::Precision;

/// The arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
    /// The parts to measure [default: all]
    #[arg(long, value_name = "PART,..", value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// Precision of the training step's dense layers, and of the squares; `ascent` has both in any case
    #[arg(long, value_name = "NAME", value_enum, default_value = "f32")]
    pub precision: Precision,
    /// Small sizes: shows that everything works, not how fast
    #[arg(long)]
    pub quick: bool,
    /// Time to spend on each entry, in seconds, about [default: 1, with --quick 0.02]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The rates of fused multiply-adds and of copying that bound every kernel
    Ceilings,
    /// Each kernel of the training step, and products of square matrices
    Kernels,
    /// The training step over selection steps L and batch sizes
    Step,
    /// The selection alone, in one kernel call and op by op
    Ascent,
    /// Products, selection and steps with one thread of the CPU and with all
    Scaling,
    /// The evaluation's attack
    Attack,
}

const EXAMPLES: &str = "\
Examples:
  smoothenc bench
  smoothenc bench --device gpu --only step --json
  smoothenc bench --device gpu --only kernels --precision f16
  smoothenc bench --quick

Times are medians; the ceilings are the best of their samples. Run it on an
idle machine. On a GPU, kernels are timed by its own time stamps where it has
them, and a row tells where wall time differs from them by over 20 %.";

impl BenchArgs {
    /// What to measure.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag.
    pub fn options(&self) -> Result<Options> {
        self.device.parse::<Choice>()?;
        let seconds = self.seconds.unwrap_or(if self.quick { 0.02 } else { 1.0 });
        if !(seconds > 0.0 && seconds <= 3600.0) {
            let text = format!("--seconds must be above 0 and at most 3600, got {seconds}");
            return Err(Error::request(text));
        }
        let wanted = |part| self.only.is_empty() || self.only.contains(&part);
        Ok(Options {
            ceilings: wanted(Part::Ceilings),
            kernels: wanted(Part::Kernels),
            steps: wanted(Part::Step),
            ascent: wanted(Part::Ascent),
            scaling: wanted(Part::Scaling),
            attack: wanted(Part::Attack),
            precision: self.precision,
            quick: self.quick,
            seconds,
        })
    }
}

/// Measures and prints.
pub fn run(args: &BenchArgs, context: &Context) -> Result<()> {
    let options = args.options()?;
    let device = context.open(&args.device, false)?;
    let report = bench::run(&device, &options, &|what| {
        context.observer.say(what);
    })?;
    if args.json {
        return write(&json_document(&report)?);
    }
    write(&text(&report))
}

/// The report as tables.
fn text(report: &Report) -> String {
    let mut lines = vec![report.device.clone()];
    if report.quick {
        lines.push("with --quick: these numbers say little".into());
    }
    if let Some(c) = &report.ceilings {
        lines.push(String::new());
        lines.push(format!(
            "ceilings: {:.1} GFLOP/s of fused multiply-adds, {:.1} GB/s of copying (read and written)",
            c.fma_gflops, c.copy_gbs
        ));
    }
    if let Some(kernels) = &report.kernels {
        lines.push(String::new());
        lines.extend(kernel_table(kernels));
    }
    if let Some(steps) = &report.steps {
        lines.push(String::new());
        lines.extend(step_table(steps));
    }
    lines.extend(report.fit.iter().flat_map(fit_lines));
    lines.extend(report.ascent.iter().flat_map(|rows| ascent_table(rows)));
    lines.extend(report.scaling.iter().flat_map(scaling_table));
    lines.extend(report.attack.iter().flat_map(attack_lines));
    lines.join("\n") + "\n"
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).to_vec()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |v| format!("{v:.digits$}"))
}

fn kernel_table(kernels: &[KernelTime]) -> Vec<String> {
    let heading = ["kernel", "shape", "calls", "us", "wall us", "GFLOP/s", "GB/s", "of ceiling", ""];
    let mut rows = vec![cells(heading)];
    rows.extend(kernels.iter().map(|k| {
        let share = match (k.share, k.bound) {
            (Some(share), Some(bound)) => format!("{:.0} % {bound:<4}", 100.0 * share),
            _ => "-".into(),
        };
        let notes = [k.variant.as_str(), k.note.as_deref().unwrap_or_default()];
        let notes: Vec<_> = notes.into_iter().filter(|text| !text.is_empty()).collect();
        vec![
            k.kernel.clone(),
            k.shape.clone(),
            k.calls_per_step.to_string(),
            number(k.seconds.map(|s| 1e6 * s), 1),
            number(k.wall_s.map(|s| 1e6 * s), 1),
            number(k.gflops, 2),
            number(k.gbs, 2),
            share,
            notes.join("; "),
        ]
    }));
    let mut lines = aligned(&rows, &[0, 1, 8]);
    lines.push(
        "calls: in one step of `train mnist`; above 100 % copy: the data stays in the cache; \
         GB/s: each bound word once"
            .into(),
    );
    lines
}

fn step_table(steps: &[StepTime]) -> Vec<String> {
    let heading =
        ["step: L", "batch", "ms", "device ms", "GFLOP", "GFLOP/s", "dispatches", "scratch KiB", ""];
    let mut rows = vec![cells(heading)];
    rows.extend(steps.iter().map(|s| {
        vec![
            s.length.to_string(),
            s.batch.to_string(),
            number(Some(1e3 * s.median_s), 3),
            number(s.device_s.map(|s| 1e3 * s), 3),
            number(Some(s.gflop), 3),
            number(Some(s.gflops), 1),
            s.dispatches.to_string(),
            (s.scratch_bytes / 1024).to_string(),
            s.note.clone().unwrap_or_default(),
        ]
    }));
    aligned(&rows, &[8])
}

fn fit_lines(fit: &Fit) -> Vec<String> {
    let formula = |line: &Line, x: &str| {
        let (start, slope) = (1e3 * line.intercept_s, 1e3 * line.slope_s);
        format!("ms = {start:.3} + {slope:.4} {x}, R^2 {:.4}", line.r2)
    };
    vec![
        format!("at batch {}: {}", fit.batch, formula(&fit.against_l, "L")),
        format!("at L {}: {}", fit.length, formula(&fit.against_batch, "batch")),
        format!(
            "scratch memory {} on L",
            if fit.scratch_independent_of_l { "does not depend" } else { "DEPENDS" }
        ),
    ]
}

fn ascent_table(ascents: &[AscentTime]) -> Vec<String> {
    let heading =
        ["selection: L", "batch", "rounds", "one call ms", "half ms", "op by op ms", "one call / op by op"];
    let mut rows = vec![cells(heading)];
    rows.extend(ascents.iter().map(|a| {
        vec![
            a.length.to_string(),
            a.batch.to_string(),
            a.rounds.to_string(),
            number(Some(1e3 * a.fused_s), 3),
            number(a.half_s.map(|s| 1e3 * s), 3),
            number(Some(1e3 * a.op_by_op_s), 3),
            number(Some(a.ratio), 3),
        ]
    }));
    [vec![String::new()], aligned(&rows, &[])].concat()
}

fn scaling_table(scaling: &Scaling) -> Vec<String> {
    let all = format!("{} threads ms", scaling.threads);
    let heading = ["scaling", "one thread ms", &all, "faster", "GFLOP/s", "", "of ceiling", ""];
    let mut rows = vec![cells(heading)];
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    rows.extend(scaling.rows.iter().map(|row| {
        vec![
            row.work.clone(),
            number(Some(1e3 * row.one_s), 3),
            number(Some(1e3 * row.all_s), 3),
            format!("{:.2}x", row.faster),
            number(Some(row.one_gflops), 1),
            number(Some(row.all_gflops), 1),
            percent(row.one_share),
            percent(row.all_share),
        ]
    }));
    let mut lines = [vec![String::new()], aligned(&rows, &[0])].concat();
    lines.push(
        "one thread, then all; of ceiling: of the multiply-adds that so many threads do. Sums over inputs that a \
         ReLU set to zero for a whole panel are counted and left out, so a share may be above 100 %"
            .into(),
    );
    lines
}

fn attack_lines(a: &AttackTime) -> Vec<String> {
    vec![
        String::new(),
        format!(
            "attack: {} images, {} steps x {} restarts: {:.3} s, {:.0} image steps a second ({:.1} % stood)",
            a.images, a.steps, a.restarts, a.seconds, a.image_steps_per_second, a.standing
        ),
    ]
}
