//! Bookkeeping at the end of a training step; `shaders/monitor.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::ops::weighted_mean::TERMS;
use crate::engine::recording::Call;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static MONITOR: "monitor" {
        shaders: ["monitor.wgsl"],
        params: { unused: u32 },
        constants: {},
        bindings: { total: read f32, means: read f32, clock: write u32, sums: write f32, fault: write u32 },
        cpu: monitor_cpu,
    }
}

/// Words of the running sums: the total, [`TERMS`] means, the number of steps, and two unused.
pub const SUMS: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Monitor;

/// Advances `clock` `[2]` (u32) by one, adds `total` `[1]` and `means` `[4]` to `sums` `[SUMS]`, and writes to `fault`
/// `[2]` (u32) the first step at which one of them was not finite, counted from 1, and a mask of which.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats, words};
/// use smoothenc::engine::ops::monitor;
///
/// let (total, means) = (floats([1], &[2.0]), floats([4], &[f32::NAN, 0.0, 0.0, 0.0]));
/// let (clock, sums, fault) = (words([2], &[6, 0]), floats([8], &[0.0; 8]), words([2], &[0, 0]));
/// let fault: Vec<u32> = evaluate([total, means, clock, sums, fault], |g, x| {
///     monitor(g, x[0], x[1], x[2], x[3], x[4])?;
///     Ok(x[4])
/// })?;
/// assert_eq!(fault, [7, 0b10]); // in the seventh step, the first mean
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn monitor(
    g: &mut Graph,
    total: Tensor,
    means: Tensor,
    clock: Tensor,
    sums: Tensor,
    fault: Tensor,
) -> Result<()> {
    g.apply_to(Monitor, &[total, means], &[clock, sums, fault])
}

impl Op for Monitor {
    fn name(&self) -> &'static str {
        MONITOR.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let floats = inputs.iter().all(|(_, dtype)| *dtype == DType::F32);
        if !floats || inputs[0].0.len() != 1 || inputs[1].0.len() != TERMS {
            return Err(format!("{inputs:?}: needs a float total [1] and means [{TERMS}]"));
        }
        Ok(vec![([2].into(), DType::U32), ([SUMS].into(), DType::F32), ([2].into(), DType::U32)])
    }

    fn call(&self, io: &Io) -> Call {
        Args {
            total: io.input(0).whole(),
            means: io.input(1).whole(),
            clock: io.output(0).whole(),
            sums: io.output(1).whole(),
            fault: io.output(2).whole(),
        }
        .call(Params { unused: 0 }, Constants {})
    }
}

fn monitor_cpu(Tile { total, means, clock, sums, fault, .. }: Tile) {
    let total = total[0];
    let mut mask = u32::from(!total.is_finite());
    sums[0] += total;
    for (k, mean) in means.iter().enumerate().take(TERMS) {
        sums[1 + k] += mean;
        mask |= u32::from(!mean.is_finite()) << (1 + k);
    }
    sums[1 + TERMS] += 1.0;
    clock[0] += 1;
    if mask != 0 && fault[0] == 0 {
        fault[0] = clock[0];
        fault[1] = mask;
    }
}
