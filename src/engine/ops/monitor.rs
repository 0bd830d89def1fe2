//! The end of a training step; `shaders/monitor.wgsl`.

use std::ops::Range;

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::ops::weighted_mean::TERMS;
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static MONITOR: Kernel = Kernel {
    name: "monitor",
    wgsl: &[include_str!("../../../shaders/monitor.wgsl")],
    bindings: &[Read, Read, Write, Write, Write],
    cpu: monitor_cpu,
    trusted: true,
};

/// Words of the running sums: total, [`TERMS`] means, number of steps, and two spare.
pub const SUMS: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Monitor;

/// Advances `clock` `[2]`, adds the objective to `sums` `[SUMS]`, and notes in `fault` `[2]` the
/// first step whose `total` `[1]` or `means` `[4]` are not finite.
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

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        let floats = inputs.iter().all(|(_, dtype)| *dtype == DType::F32);
        if !floats || inputs[0].0.len() != 1 || inputs[1].0.len() != TERMS {
            return Err(format!("{inputs:?}: needs a float total [1] and means [{TERMS}]"));
        }
        Ok(vec![([2].into(), DType::U32), ([SUMS].into(), DType::F32), ([2].into(), DType::U32)])
    }

    fn call(&self, io: &Io) -> Call {
        let views = io.inputs.iter().chain(&io.outputs);
        views.fold(Call::new(&MONITOR, &0_u32), |call, (_, view)| call.whole(*view))
    }
}

fn monitor_cpu(call: &CpuCall, _: Range<usize>) {
    let (total, means) = (call.whole::<f32>(0)[0], call.whole::<f32>(1));
    let clock = call.rows_mut::<u32>(2, &(0..2), 1);
    let sums = call.rows_mut::<f32>(3, &(0..SUMS), 1);
    let fault = call.rows_mut::<u32>(4, &(0..2), 1);
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
