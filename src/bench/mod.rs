//! Benchmarks of the engine on a device: the device's ceilings, every kernel of a training step, the step as a whole,
//! the selection in both forms, what threads bring, and the attack. `smoothenc bench` prints them.

mod ascent;
mod attack;
mod ceilings;
mod kernels;
mod scaling;
mod steps;
mod timing;

pub use ascent::AscentTime;
pub use attack::AttackTime;
pub use ceilings::{Ceilings, KERNELS};
pub use kernels::KernelTime;
pub use scaling::{Scaling, ScalingRow};
pub use steps::{Fit, Line, StepTime};

use serde::Serialize;

use crate::data::Images;
use crate::engine::device::{Device, cpu};
use crate::engine::ops::ImageShape;
use crate::engine::rng::{Key, Purpose, threefry};
use crate::error::Result;
use crate::runs::config::Precision;

/// What is measured, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub ceilings: bool,
    pub kernels: bool,
    pub steps: bool,
    pub ascent: bool,
    /// The CPU's with one thread and with all.
    pub scaling: bool,
    pub attack: bool,
    /// Of the training step, its kernels and the squares.
    pub precision: Precision,
    /// Smaller sizes: to see that it works, not how fast.
    pub quick: bool,
    /// Time for each entry, about.
    pub seconds: f64,
}

/// What was measured; what was left out is null.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub device: String,
    /// True for the CPU back end and for software Vulkan.
    pub software: bool,
    /// Threads of the host, which are those of the CPU back end.
    pub threads: usize,
    pub precision: Precision,
    pub quick: bool,
    pub ceilings: Option<Ceilings>,
    pub kernels: Option<Vec<KernelTime>>,
    pub steps: Option<Vec<StepTime>>,
    pub fit: Option<Fit>,
    pub ascent: Option<Vec<AscentTime>>,
    /// Of a CPU with more than one thread.
    pub scaling: Option<Scaling>,
    pub attack: Option<AttackTime>,
}

/// The device, a CPU with the processor's name.
fn described(device: &Device) -> String {
    let processor = match device {
        Device::Cpu(_) => cpu::processor(),
        Device::Gpu(_) => None,
    };
    processor.map_or(device.description(), |name| format!("{}, {name}", device.description()))
}

/// Measures on `device`. Calls `progress` with what comes next.
pub fn run(device: &Device, options: &Options, progress: &dyn Fn(&str)) -> Result<Report> {
    let mut report = Report {
        device: described(device),
        software: device.is_software(),
        threads: rayon::current_num_threads(),
        precision: options.precision,
        quick: options.quick,
        ceilings: None,
        kernels: None,
        steps: None,
        fit: None,
        ascent: None,
        scaling: None,
        attack: None,
    };
    // Kernels are compared with the ceilings.
    if options.ceilings || options.kernels {
        progress("ceilings");
        report.ceilings = Some(ceilings::measure(device, options)?);
    }
    if let (true, Some(ceilings)) = (options.kernels, report.ceilings) {
        report.kernels = Some(kernels::measure(device, options, ceilings, progress)?);
    }
    if options.steps {
        let (steps, fit) = steps::measure(device, options, progress)?;
        (report.steps, report.fit) = (Some(steps), Some(fit));
    }
    if options.ascent {
        report.ascent = Some(ascent::measure(device, options, progress)?);
    }
    if let (true, Device::Cpu(cpu)) = (options.scaling, device)
        && cpu.threads() > 1
    {
        report.scaling = Some(scaling::measure(device, options, progress)?);
    }
    if options.attack {
        progress("attack");
        report.attack = Some(attack::measure(device, options)?);
    }
    Ok(report)
}

/// Random bytes in place of images: the work is the same.
pub fn random_images(count: usize) -> Images {
    let key = Key::new(0, Purpose::Shuffle);
    let words = (0..(count * INPUTS).div_ceil(4) as u32).map(|i| threefry([i], [0], key).0[0]);
    let mut pixels: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    pixels.truncate(count * INPUTS);
    Images::new(IMAGE, pixels)
}

/// An image as MNIST has them, and its pixels.
const IMAGE: ImageShape = [1, 28, 28];
const INPUTS: usize = 784;
