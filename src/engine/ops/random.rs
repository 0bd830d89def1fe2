//! Uniform and standard normal draws; `shaders/random.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::graph::{Graph, Io, Op, Tensor};
use crate::engine::recording::Access::{Read, Write};
use crate::engine::recording::{Call, CpuCall, Kernel, flat_grid};
use crate::engine::rng::{self, Key};
use crate::engine::simd::{self, Work};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

pub static RANDOM: Kernel = Kernel {
    name: "random",
    wgsl: &[
        include_str!("../../../shaders/common/flat.wgsl"),
        include_str!("../../../shaders/common/rng.wgsl"),
        include_str!("../../../shaders/common/precise.wgsl"),
        include_str!("../../../shaders/random.wgsl"),
    ],
    bindings: &[Read, Write],
    cpu: random_cpu,
    trusted: true,
};

#[derive(Debug, Clone)]
struct Random {
    shape: Shape,
    key: Key,
    normal: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    n: u32,
    key0: u32,
    key1: u32,
}

/// Uniform draws in (0, 1): functions of the key, the step in `clock` and their index.
pub fn uniform(g: &mut Graph, clock: Tensor, shape: impl Into<Shape>, key: Key) -> Result<Tensor> {
    g.apply_one(Random { shape: shape.into(), key, normal: false }, &[clock])
}

/// Standard normal draws, likewise.
pub fn normal(g: &mut Graph, clock: Tensor, shape: impl Into<Shape>, key: Key) -> Result<Tensor> {
    g.apply_one(Random { shape: shape.into(), key, normal: true }, &[clock])
}

impl Op for Random {
    fn name(&self) -> &'static str {
        RANDOM.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        match inputs[0].1 {
            DType::U32 => Ok(vec![(self.shape.clone(), DType::F32)]),
            DType::F32 => Err("the clock counts in integers".into()),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let n = self.shape.len();
        let params = Params { n: n as u32, key0: self.key.0[0], key1: self.key.0[1] };
        Call::new(&RANDOM, &params)
            .constant("NORMAL", self.normal.into())
            .whole(io.input(0))
            .row(io.output(0))
            .grid(n, CPU_TILE, flat_grid(n.div_ceil(2)))
    }
}

/// Draws that one thread makes at a time; even, so that no block is cut.
const CPU_TILE: usize = 8192;

fn random_cpu(call: &CpuCall, range: Range<usize>) {
    simd::run(Draws { call, range });
}

struct Draws<'a> {
    call: &'a CpuCall<'a>,
    range: Range<usize>,
}

impl Work for Draws<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const ROWS: usize>(self) {
        let Draws { call, range } = self;
        let p: Params = call.params();
        let step = call.whole::<u32>(0)[0];
        let normal = call.constant("NORMAL") == 1;
        let out = call.rows_mut::<f32>(1, &range, 1);
        rng::fill(Key([p.key0, p.key1]), step, (range.start / 2) as u32, normal, out);
    }
}
