//! A constant; `shaders/fill.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::Write;
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid, flat_tile};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static FILL: Kernel = Kernel {
    name: "fill",
    wgsl: &[include_str!("../../../shaders/common/flat.wgsl"), include_str!("../../../shaders/fill.wgsl")],
    bindings: &[Write],
    cpu: fill_cpu,
    trusted: true,
};

#[derive(Debug, Clone)]
struct Fill {
    shape: Shape,
    value: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    n: u32,
    value: f32,
}

/// A tensor of `shape` with every element `value`.
pub fn fill(g: &mut Graph, shape: impl Into<Shape>, value: f32) -> Result<Tensor> {
    g.apply_one(Fill { shape: shape.into(), value }, &[])
}

/// Sets every element of the variable `target`.
pub fn fill_to(g: &mut Graph, target: Tensor, value: f32) -> Result<()> {
    let shape = g.shape(target)?.clone();
    g.apply_to(Fill { shape, value }, &[], &[target])
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        FILL.name
    }

    fn outputs(&self, _: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        Ok(vec![(self.shape.clone(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let (shape, out) = &io.outputs[0];
        let n = shape.len();
        Call::new(&FILL, &Params { n: n as u32, value: self.value }).row(*out).grid(
            shape.rows(),
            flat_tile(shape.cols()),
            flat_grid(n),
        )
    }
}

fn fill_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    call.rows_mut::<f32>(0, &rows, call.row_width(0)).fill(p.value);
}
