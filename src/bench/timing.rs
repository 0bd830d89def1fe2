//! Timing of programs and of single calls.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::engine::device::{Buffer, Device, Program};
use crate::engine::kernel::BufferId;
use crate::engine::recording::{BufferSpec, Call, Recording, Step};
use crate::error::Result;

/// Samples taken where time allows, and at the least.
const MOST_SAMPLES: usize = 200;
const LEAST_SAMPLES: usize = 3;
/// A sample is as many repetitions as take this long, so that submitting work and waiting for it cost little beside
/// them.
const SAMPLE_SECONDS: f64 = 0.005;
const MOST_REPETITIONS: usize = 256;
/// From this difference on, the two clocks are said to disagree.
const DISAGREEMENT: f64 = 0.2;

/// Seconds of one repetition, medians over the samples.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// By the host's clock, from handing the work over to its end.
    pub wall_s: f64,
    /// By the device's clock, where it has one that says anything.
    pub device_s: Option<f64>,
    /// The fastest sample, by whichever clock is trusted.
    pub best_s: f64,
}

impl Timing {
    /// The time to report: the device's own, where it has one.
    pub fn seconds(&self) -> f64 {
        self.device_s.unwrap_or(self.wall_s)
    }

    /// How far the host's clock is from the device's, in words, where that is much.
    pub fn disagreement(&self) -> Option<String> {
        let apart = self.wall_s / self.device_s? - 1.0;
        (apart.abs() > DISAGREEMENT).then(|| format!("wall time {:+.0} % off the time stamps", 100.0 * apart))
    }
}

/// The middle of `samples`, which get sorted.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// One run of `program` to its end, in seconds.
pub fn run_once(device: &Device, program: &mut Program) -> Result<f64> {
    let start = Instant::now();
    program.run()?;
    device.finish()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds of each of `programs`, which run in turn for about `seconds`, in a number of rounds within `rounds`. The
/// first run of each warms up and is not counted.
pub fn in_turn(
    device: &Device,
    programs: &mut [Program],
    seconds: f64,
    rounds: RangeInclusive<usize>,
) -> Result<Vec<Vec<f64>>> {
    for program in &mut *programs {
        run_once(device, program)?;
    }
    let mut times = vec![Vec::new(); programs.len()];
    let (started, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    for round in 0..*rounds.end() {
        if round >= *rounds.start() && started.elapsed() >= limit {
            break;
        }
        for (program, times) in programs.iter_mut().zip(&mut times) {
            times.push(run_once(device, program)?);
        }
    }
    Ok(times)
}

/// Times `program`, which holds `repetitions` of what is measured, for about `seconds`.
pub fn time_program(
    device: &Device,
    program: &mut Program,
    repetitions: usize,
    seconds: f64,
) -> Result<Timing> {
    let samples = |next: &mut dyn FnMut() -> Result<Option<f64>>| -> Result<Vec<f64>> {
        let (start, mut samples) = (Instant::now(), Vec::new());
        let limit = Duration::from_secs_f64(seconds);
        while samples.len() < LEAST_SAMPLES || samples.len() < MOST_SAMPLES && start.elapsed() < limit {
            match next()? {
                Some(s) => samples.push(s / repetitions as f64),
                None => break,
            }
        }
        Ok(samples)
    };
    let mut wall = samples(&mut || run_once(device, program).map(Some))?;
    // Some drivers return zeros for time stamps.
    let mut own = samples(&mut || program.run_timed())?;
    let device_s = (!own.is_empty()).then(|| median(&mut own)).filter(|&s| s > 0.0);
    let wall_s = median(&mut wall);
    Ok(Timing { wall_s, device_s, best_s: if device_s.is_some() { own[0] } else { wall[0] } })
}

/// A program of `call`, run `repetitions` times in a row, over `buffers`, numbered as in the
/// recording that the call is from.
pub fn program_of(device: &Device, call: &Call, repetitions: usize, buffers: &[Buffer]) -> Result<Program> {
    let steps = match device {
        // Not a loop, which the CPU would cut by rows: every row would find its data in the cache.
        Device::Cpu(_) => vec![Step::Call(call.clone()); repetitions],
        Device::Gpu(_) => vec![Step::Repeat { times: repetitions, body: vec![call.clone()] }],
    };
    let specs = buffers.iter().map(|b| BufferSpec::scratch(b.words()));
    let bound: Vec<_> = (0..).map(BufferId).zip(buffers.iter().cloned()).collect();
    device.compile(Recording { buffers: specs.collect(), steps }, &bound)
}

/// Times one call for about `seconds`. It is run again and again over what it wrote itself.
pub fn time_call(device: &Device, call: &Call, buffers: &[Buffer], seconds: f64) -> Result<Timing> {
    let mut single = program_of(device, call, 1, buffers)?;
    run_once(device, &mut single)?;
    let estimate = run_once(device, &mut single)?.max(1e-9);
    let repetitions = ((SAMPLE_SECONDS / estimate) as usize).clamp(1, MOST_REPETITIONS);
    let mut program = program_of(device, call, repetitions, buffers)?;
    time_program(device, &mut program, repetitions, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_disagree_are_reported() {
        let timing = |wall_s, device_s| Timing { wall_s, device_s, best_s: wall_s };
        assert_eq!(timing(1.0, None).disagreement(), None);
        assert_eq!(timing(1.1, Some(1.0)).disagreement(), None);
        assert!(timing(1.3, Some(1.0)).disagreement().is_some_and(|text| text.contains("+30 %")));
        assert!(timing(0.7, Some(1.0)).disagreement().is_some_and(|text| text.contains("-30 %")));
        assert_eq!((timing(2.0, Some(1.0)).seconds(), timing(2.0, None).seconds()), (1.0, 2.0));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
