//! Matrix product with an optional bias and ReLU; `shaders/matmul.wgsl`.

use std::cell::RefCell;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::graph::{Graph, Io, Node, Op, Tensor};
use crate::ops::{elementwise, reduce};
use crate::recording::Access::{Read, Write};
use crate::recording::{Call, CpuCall, Kernel, NONE};
use crate::simd::{self, Column, LANES, Matrix, Work, copy_lanes, product, transpose, words};
use crate::tensor::{DType, Shape};

pub static MATMUL: Kernel = Kernel {
    name: "matmul",
    wgsl: &[include_str!("../../shaders/matmul.wgsl")],
    bindings: &[Read, Read, Read, Write],
    cpu: matmul_cpu,
};

/// `C = act(op(A) op(B) + bias)`; inputs A, B and, with `bias`, the bias.
#[derive(Debug, Clone, Copy)]
struct Matmul {
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    relu: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
}

/// A dense layer `act(x Wᵀ + b)`: x `[rows, in]`, W `[out, in]` as PyTorch stores it, b `[out]`.
pub fn linear(g: &mut Graph, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Result<Tensor> {
    g.apply_one(Matmul { transpose_a: false, transpose_b: true, bias: true, relu }, &[x, weight, bias])
}

/// The plain product `op(A) op(B)`, either side transposed or not.
pub fn matmul(g: &mut Graph, a: Tensor, transpose_a: bool, b: Tensor, transpose_b: bool) -> Result<Tensor> {
    g.apply_one(Matmul { transpose_a, transpose_b, bias: false, relu: false }, &[a, b])
}

impl Matmul {
    /// m, n, k of the product, or `None` where the sides do not fit.
    fn sizes(&self, a: &Shape, b: &Shape) -> Option<(usize, usize, usize)> {
        let ([a0, a1], [b0, b1]) = ([a.rows(), a.cols()], [b.rows(), b.cols()]);
        let (m, k) = if self.transpose_a { (a1, a0) } else { (a0, a1) };
        let (kb, n) = if self.transpose_b { (b1, b0) } else { (b0, b1) };
        (k == kb).then_some((m, n, k))
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        MATMUL.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        if inputs.iter().any(|(_, dtype)| *dtype != DType::F32) {
            return Err(format!("{inputs:?}: needs floats"));
        }
        let (a, b) = (inputs[0].0, inputs[1].0);
        let (m, n, _) = self.sizes(a, b).ok_or_else(|| format!("{a} and {b} do not fit: {self:?}"))?;
        if self.bias && inputs[2].0.len() != n {
            return Err(format!("a bias of {} for {n} columns", inputs[2].0));
        }
        Ok(vec![([m, n].into(), DType::F32)])
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let Some(mut dc) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        if self.relu {
            dc = elementwise::relu_grad(g, dc, node.outputs[0])?;
        }
        // With C = op(A) op(B): d op(A) = dC op(B)ᵀ and d op(B) = op(A)ᵀ dC, transposed back.
        let da = match (wanted[0], self.transpose_a) {
            (false, _) => None,
            (true, false) => Some(matmul(g, dc, false, b, !self.transpose_b)?),
            (true, true) => Some(matmul(g, b, self.transpose_b, dc, true)?),
        };
        let db = match (wanted[1], self.transpose_b) {
            (false, _) => None,
            (true, false) => Some(matmul(g, a, !self.transpose_a, dc, false)?),
            (true, true) => Some(matmul(g, dc, true, a, self.transpose_a)?),
        };
        let mut gradients = vec![da, db];
        if self.bias {
            gradients.push(if wanted[2] { Some(reduce::column_sums(g, dc)?) } else { None });
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let Some((m, n, k)) = self.sizes(&io.inputs[0].0, &io.inputs[1].0) else {
            unreachable!("the shape rule has checked the sides")
        };
        // Rows of whole vectors, as they are stored. Views start where vectors do.
        let vectors = |shape: &Shape| u32::from(shape.cols().is_multiple_of(4));
        let call = Call::new(&MATMUL, &Params { m: m as u32, n: n as u32, k: k as u32 })
            .constant("TRANSPOSE_A", self.transpose_a.into())
            .constant("TRANSPOSE_B", self.transpose_b.into())
            .constant("BIAS", self.bias.into())
            .constant("RELU", self.relu.into())
            .constant("VECTORS_A", vectors(&io.inputs[0].0))
            .constant("VECTORS_B", vectors(&io.inputs[1].0));
        // Row r of C needs row r of A, or, where A is transposed, a column of it.
        let call = if self.transpose_a { call.whole(io.input(0)) } else { call.row(io.input(0)) };
        let call = call
            .whole(io.input(1))
            .whole(if self.bias { io.input(2) } else { NONE })
            .row(io.output(0))
            .grid(m, if self.transpose_b { CPU_TILE_PACKED } else { CPU_TILE }, [1, 1, 1])
            .flops(2 * m * n * k);
        // The usual one first.
        let first = usual(m, n);
        let others = (0..TILINGS).filter(|&i| i != first);
        let tilings = std::iter::once(first).chain(others).map(|i| &TILES[i]);
        tilings.fold(call, |call, tile| call.variant(&tile.constants(), tile.workgroups(m, n)))
    }
}

/// How the shader tiles a product, its constants in lower case; `shaders/matmul.wgsl` explains them. A tile of C is
/// `4 high rows` x `4 wide columns`. Where it is shared (`split`), the slice of A must have room for a tile.
#[derive(Debug, Clone, Copy)]
struct Tile {
    high: u32,
    wide: u32,
    rows: u32,
    columns: u32,
    split: u32,
    depth: u32,
}

/// Ways that a GPU can choose from to tile a product.
pub const TILINGS: usize = TILES.len();

/// Up to 256 invocations, and 16 KiB for a slice of A and one of B. The last, which has the largest tile, must
/// stay there: software devices take it.
const TILES: [Tile; 7] = [
    Tile { high: 1, wide: 1, rows: 8, columns: 8, split: 1, depth: 16 },
    Tile { high: 1, wide: 1, rows: 8, columns: 8, split: 4, depth: 32 },
    Tile { high: 1, wide: 1, rows: 4, columns: 4, split: 8, depth: 32 },
    Tile { high: 1, wide: 1, rows: 16, columns: 16, split: 1, depth: 16 },
    Tile { high: 2, wide: 2, rows: 8, columns: 8, split: 1, depth: 16 },
    Tile { high: 4, wide: 2, rows: 8, columns: 8, split: 1, depth: 16 },
    Tile { high: 4, wide: 2, rows: 8, columns: 16, split: 1, depth: 16 },
];

/// The tiling for a GPU that is not measured: large tiles read less, but only many tiles keep it busy. Measured on
/// none yet.
fn usual(m: usize, n: usize) -> usize {
    let tiles = |side: usize| m.div_ceil(side) * n.div_ceil(side);
    if tiles(64) >= 128 {
        4
    } else if tiles(32) >= 128 {
        0
    } else {
        1
    }
}

impl Tile {
    fn constants(&self) -> [(&'static str, u32); 6] {
        [
            ("HIGH", self.high),
            ("WIDE", self.wide),
            ("ROWS", self.rows),
            ("COLUMNS", self.columns),
            ("SPLIT", self.split),
            ("DEPTH", self.depth),
        ]
    }

    /// One for each tile of C `[m, n]`.
    fn workgroups(&self, m: usize, n: usize) -> [u32; 3] {
        let (height, width) = (4 * self.high * self.rows, 4 * self.wide * self.columns);
        [(n as u32).div_ceil(width), (m as u32).div_ceil(height), 1]
    }
}

/// Rows of C that one thread computes at a time.
const CPU_TILE: usize = 32;
/// The same where each tile must first transpose B.
const CPU_TILE_PACKED: usize = 64;

fn matmul_cpu(call: &CpuCall, rows: Range<usize>) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static PANEL: RefCell<Vec<Column>> = const { RefCell::new(Vec::new()) };
    }
    PANEL.with_borrow_mut(|panel| simd::run(Rows { call, rows, panel }));
}

/// Rows of C: 16 columns of op(B) at a time, times the rows of op(A).
struct Rows<'a> {
    call: &'a CpuCall<'a>,
    rows: Range<usize>,
    /// 16 columns of op(B), where they do not lie in memory as vectors.
    panel: &'a mut Vec<Column>,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const ROWS: usize>(self) {
        let Rows { call, rows, panel } = self;
        let p: Params = call.params();
        let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
        let c = call.rows_mut::<f32>(3, &rows, n);
        let a = match call.constant("TRANSPOSE_A") {
            0 => Matrix::new(call.rows(0, &rows, k), rows.len(), k),
            _ => Matrix {
                data: &call.whole(0)[rows.start..],
                outputs: rows.len(),
                inputs: k,
                output: 1,
                input: m,
            },
        };
        let b = call.whole::<f32>(1);
        let transpose_b = call.constant("TRANSPOSE_B") == 1;
        let bias = if call.constant("BIAS") == 1 { call.whole::<f32>(2) } else { &[] };
        let relu = call.constant("RELU") == 1;
        for first in (0..n).step_by(LANES) {
            let width = LANES.min(n - first);
            let shift = Column::from_slice(if bias.is_empty() { bias } else { &bias[first..first + width] });
            let (x, stride) = if width == LANES && !transpose_b {
                (&b[first..], n)
            } else {
                pack::<ROWS>(b, transpose_b, [n, k], first, panel);
                (words(panel), LANES)
            };
            product::<FMA, ROWS>(a, x, stride, |r, sum| {
                let sum: [f32; LANES] = std::array::from_fn(|e| sum[e] + shift[e]);
                // Not `max`, which would turn a NaN into 0.
                let positive = sum.map(|sum| if sum < 0.0 { 0.0 } else { sum });
                copy_lanes(if relu { &positive } else { &sum }, &mut c[r * n + first..][..width]);
            });
        }
    }
}

/// Columns `first .. first + 16` of op(B) `[k, n]`, those beyond n as zeros.
#[inline(always)]
fn pack<const ROWS: usize>(
    b: &[f32],
    transpose_b: bool,
    [n, k]: [usize; 2],
    first: usize,
    panel: &mut Vec<Column>,
) {
    let width = LANES.min(n - first);
    if transpose_b {
        transpose::<ROWS>(&b[first * k..(first + width) * k], k, panel);
    } else {
        panel.clear();
        panel.extend(b.chunks_exact(n).map(|row| Column::from_slice(&row[first..first + width])));
    }
}
