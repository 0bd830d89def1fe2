//! The words of a tensor, somewhere else; `shaders/copy.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid, flat_tile};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static COPY: Kernel = Kernel {
    name: "copy",
    wgsl: &[include_str!("../../../shaders/common/flat.wgsl"), include_str!("../../../shaders/copy.wgsl")],
    bindings: &[Read, Write],
    cpu: copy_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct Copy;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    n: u32,
}

/// Sets (a view of) a variable to `value`. Most such copies cost nothing: where no one could tell the difference, the
/// plan has the value's own node write there.
pub fn store(g: &mut Graph, value: Tensor, target: Tensor) -> Result<()> {
    g.apply_to(Copy, &[value], &[target])
}

impl Op for Copy {
    fn name(&self) -> &'static str {
        COPY.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        let (shape, kind) = inputs[0];
        Ok(vec![(shape.clone(), kind)])
    }

    fn is_copy(&self) -> bool {
        true
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let n = shape.len();
        Call::new(&COPY, &Params { n: n as u32 }).row(io.input(0)).row(io.output(0)).grid(
            shape.rows(),
            flat_tile(shape.cols()),
            flat_grid(n),
        )
    }
}

fn copy_cpu(call: &CpuCall, rows: Range<usize>) {
    let width = call.row_width(0);
    call.rows_mut::<u32>(1, &rows, width).copy_from_slice(call.rows::<u32>(0, &rows, width));
}
