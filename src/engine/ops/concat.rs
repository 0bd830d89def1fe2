//! Two tensors stacked by rows; `shaders/concat.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static CONCAT: Kernel = Kernel {
    name: "concat",
    wgsl: &[include_str!("../../../shaders/common/flat.wgsl"), include_str!("../../../shaders/concat.wgsl")],
    bindings: &[Read, Read, Write],
    cpu: concat_cpu,
    trusted: true,
};

#[derive(Debug, Clone, Copy)]
struct Concat;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    na: u32,
    nb: u32,
}

/// `[ra, cols]` on top of `[rb, cols]`.
pub fn concat(g: &mut Graph, a: Tensor, b: Tensor) -> Result<Tensor> {
    g.apply_one(Concat, &[a, b])
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        CONCAT.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        let ((a, kind), (b, _)) = (inputs[0], inputs[1]);
        if a.cols() != b.cols() || inputs[1].1 != kind {
            return Err(format!("{a} and {b} do not stack"));
        }
        Ok(vec![([a.rows() + b.rows(), a.cols()].into(), kind)])
    }

    fn call(&self, io: &Io) -> Call {
        let (na, nb) = (io.inputs[0].0.len(), io.inputs[1].0.len());
        Call::new(&CONCAT, &Params { na: na as u32, nb: nb as u32 })
            .whole(io.input(0))
            .whole(io.input(1))
            .row(io.output(0))
            .grid(na + nb, 65536, flat_grid(na + nb))
    }
}

fn concat_cpu(call: &CpuCall, range: Range<usize>) {
    let (a, b) = (call.whole::<u32>(0), call.whole::<u32>(1));
    let out = call.rows_mut::<u32>(2, &range, 1);
    // Where this range of the output crosses from a to b.
    let border = a.len().clamp(range.start, range.end);
    let (top, bottom) = out.split_at_mut(border - range.start);
    if !top.is_empty() {
        top.copy_from_slice(&a[range.start..border]);
    }
    if !bottom.is_empty() {
        bottom.copy_from_slice(&b[border - a.len()..range.end - a.len()]);
    }
}
