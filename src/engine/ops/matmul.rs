//! Matrix product with an optional bias and ReLU; `shaders/matmul.wgsl`.

use std::cell::RefCell;
use std::ops::Range;

use ::half::f16;
use ::half::slice::HalfFloatSliceExt;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::ops::{elementwise, reduce};
use crate::engine::recording::{COOPERATIVE_SIDES, Call, Target};
use crate::engine::simd::{
    self, Active, Column, LANES, Matrix, Panels, Vector, WIDEST, Work, columns, copy_lanes, first,
    for_panels, product, transpose, transpose_back, words,
};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static MATMUL: "matmul" {
        shaders: ["common/halves.wgsl", "common/bits.wgsl", "common/factors.wgsl", "matmul.wgsl"],
        cooperative: ["common/bits.wgsl", "common/factors.wgsl", "cooperative/matmul.wgsl"],
        params: { m: u32, n: u32, k: u32 },
        constants: { TRANSPOSE_A, TRANSPOSE_B, BIAS, RELU, VECTORS_A, VECTORS_B, HALF },
        bindings: { a: read f32, b: read f32, bias: read f32, c: write f32 },
        cpu: matmul_cpu,
    }
}

/// `C = act(op(A) op(B) + bias)`; inputs A, B and, with `bias`, the bias.
#[derive(Debug, Clone, Copy)]
struct Matmul {
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    relu: bool,
    /// Whether factors are rounded to halves, also those of the gradients. Sums are floats.
    half: bool,
}

/// A dense layer `act(x Wᵀ + b)` `[rows, out]`: x `[rows, in]`, W `[out, in]` as PyTorch stores it, b `[out]`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::linear;
///
/// let x = floats([1, 2], &[1.0, 2.0]);
/// let (weight, bias) = (floats([2, 2], &[3.0, 4.0, -5.0, -6.0]), floats([2], &[0.5, 0.5]));
/// let y: Vec<f32> = evaluate([x, weight, bias], |g, [x, w, b]| linear(g, x, w, b, true))?;
/// assert_eq!(y, [11.5, 0.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn linear(g: &mut Graph, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Result<Tensor> {
    g.apply_one(Matmul { relu, ..LAYER }, &[x, weight, bias])
}

/// [`linear`] with the factors of its products rounded to halves, also those of its gradients; sums are floats. Devices
/// with cooperative matrices use them.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::half_linear;
///
/// // 2049 lies between two halves.
/// let (x, weight, bias) = (floats([1, 1], &[2049.0]), floats([1, 1], &[1.0]), floats([1], &[0.25]));
/// let y: Vec<f32> = evaluate([x, weight, bias], |g, [x, w, b]| half_linear(g, x, w, b, false))?;
/// assert_eq!(y, [2048.25]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// As [`linear`].
pub fn half_linear(g: &mut Graph, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Result<Tensor> {
    g.apply_one(Matmul { relu, half: true, ..LAYER }, &[x, weight, bias])
}

const LAYER: Matmul = Matmul { transpose_a: false, transpose_b: true, bias: true, relu: false, half: false };

/// The product `op(A) op(B)` of matrices, each transposed where asked for.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::matmul;
///
/// let inputs = [floats([2, 2], &[1.0, 2.0, 3.0, 4.0]), floats([1, 2], &[5.0, 6.0])];
/// let c: Vec<f32> = evaluate(inputs, |g, [a, b]| matmul(g, a, false, b, true))?;
/// assert_eq!(c, [17.0, 39.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn matmul(g: &mut Graph, a: Tensor, transpose_a: bool, b: Tensor, transpose_b: bool) -> Result<Tensor> {
    g.apply_one(Matmul { transpose_a, transpose_b, ..PRODUCT }, &[a, b])
}

const PRODUCT: Matmul =
    Matmul { transpose_a: false, transpose_b: false, bias: false, relu: false, half: false };

impl Matmul {
    /// Whether the CPU takes op(B)'s columns side by side, not op(A)'s rows: where these lie in memory as vectors, or
    /// those of op(A) are spread.
    fn by_columns(&self) -> bool {
        self.transpose_a || !self.transpose_b
    }

    /// The sides m, n and k of the product; `None` where the factors do not fit.
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

    fn outputs(&self, inputs: &Inputs) -> Outputs {
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
    ) -> Gradients {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let Some(mut dc) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        if self.relu {
            dc = elementwise::relu_grad(g, dc, node.outputs[0])?;
        }
        let half = self.half;
        let mut product = |a: Tensor, transpose_a: bool, b: Tensor, transpose_b: bool| {
            g.apply_one(Matmul { transpose_a, transpose_b, half, ..PRODUCT }, &[a, b])
        };
        // With C = op(A) op(B): d op(A) = dC op(B)ᵀ and d op(B) = op(A)ᵀ dC, transposed back.
        let da = match (wanted[0], self.transpose_a) {
            (false, _) => None,
            (true, false) => Some(product(dc, false, b, !self.transpose_b)?),
            (true, true) => Some(product(b, self.transpose_b, dc, true)?),
        };
        let db = match (wanted[1], self.transpose_b) {
            (false, _) => None,
            (true, false) => Some(product(a, !self.transpose_a, dc, false)?),
            (true, true) => Some(product(dc, true, a, self.transpose_a)?),
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
        // Whether stored rows are whole vectors of four; views start at multiples of them.
        let vectors = |shape: &Shape| u32::from(shape.cols().is_multiple_of(4));
        let constants = Constants {
            TRANSPOSE_A: self.transpose_a.into(),
            TRANSPOSE_B: self.transpose_b.into(),
            BIAS: self.bias.into(),
            RELU: self.relu.into(),
            VECTORS_A: vectors(&io.inputs[0].0),
            VECTORS_B: vectors(&io.inputs[1].0),
            HALF: self.half.into(),
        };
        // Row r of C needs row r of A, or column r where A is transposed.
        let a = if self.transpose_a { io.input(0).whole() } else { io.input(0).by_row() };
        let bias = if self.bias { io.input(2).whole() } else { UNUSED };
        let call = Args { a, b: io.input(1).whole(), bias, c: io.output(0).by_row() }
            .call(Params { m: m as u32, n: n as u32, k: k as u32 }, constants)
            .grid(m, if self.by_columns() { CPU_TILE } else { LANES }, [1, 1, 1])
            .up_to(if self.by_columns() { m } else { WIDEST })
            .flops(2 * m * n * k);
        // The usual tiling first; the last one stays last.
        let first = usual(m, n);
        let others = (0..TILINGS).filter(|&i| i != first);
        let tilings = std::iter::once(first).chain(others).map(|i| &TILES[i]);
        let call = tilings
            .fold(call, |call, tile| call.variant(Target::Any, &tile.constants(), tile.workgroups(m, n)));
        if !self.half {
            return call;
        }
        let tiles =
            COOPERATIVE_SIDES.iter().flat_map(|side| COOPERATIVE_TILES.iter().map(move |tile| (*side, tile)));
        tiles.fold(call, |call, (side, tile)| {
            let target = Target::CooperativeMatrix { side };
            call.variant(target, &tile.constants(), tile.workgroups(side, m, n))
        })
    }
}

/// How the shader tiles a product, its constants in lower case; `shaders/matmul.wgsl` explains them. A tile of C is
/// `4 high rows` x `4 wide columns`. Where it is shared (`split`), the slice of A must have room for a tile.
#[derive(Debug, Clone, Copy)]
struct Tiling {
    high: u32,
    wide: u32,
    rows: u32,
    columns: u32,
    split: u32,
    depth: u32,
    pad: u32,
}

/// The number of tilings of a product that a GPU can choose from.
pub const TILINGS: usize = TILES.len();

/// Each has up to 256 invocations, and 16 KiB for a slice of A and one of B. Smaller tiles give a GPU more workgroups;
/// deeper slices need fewer barriers. The last has the largest tile and must stay last: software devices take it.
const TILES: [Tiling; 6] = [
    Tiling { high: 1, wide: 1, rows: 4, columns: 4, split: 8, depth: 112, pad: 1 },
    Tiling { high: 1, wide: 1, rows: 4, columns: 4, split: 4, depth: 64, pad: 1 },
    Tiling { high: 1, wide: 1, rows: 4, columns: 8, split: 8, depth: 72, pad: 1 },
    Tiling { high: 1, wide: 1, rows: 8, columns: 8, split: 4, depth: 56, pad: 1 },
    Tiling { high: 2, wide: 2, rows: 8, columns: 8, split: 1, depth: 16, pad: 1 },
    Tiling { high: 4, wide: 2, rows: 8, columns: 16, split: 1, depth: 16, pad: 0 },
];

/// The tiling for a GPU that is not measured: the fastest on an H100 (docs/results.md), where large tiles need many
/// workgroups.
fn usual(m: usize, n: usize) -> usize {
    let tiles = |side: usize| m.div_ceil(side) * n.div_ceil(side);
    if tiles(128) >= 128 {
        5
    } else if tiles(64) >= 128 {
        4
    } else if tiles(32) >= 128 {
        3
    } else {
        0
    }
}

impl Tiling {
    fn constants(&self) -> [(&'static str, u32); 7] {
        [
            ("HIGH", self.high),
            ("WIDE", self.wide),
            ("ROWS", self.rows),
            ("COLUMNS", self.columns),
            ("SPLIT", self.split),
            ("DEPTH", self.depth),
            ("PAD", self.pad),
        ]
    }

    /// One workgroup for each tile of C `[m, n]`.
    fn workgroups(&self, m: usize, n: usize) -> [u32; 3] {
        let (height, width) = (4 * self.high * self.rows, 4 * self.wide * self.columns);
        [(n as u32).div_ceil(width), (m as u32).div_ceil(height), 1]
    }
}

/// How `shaders/cooperative/matmul.wgsl` tiles a product, its constants in lower case.
#[derive(Debug, Clone, Copy)]
struct CooperativeTiling {
    strips: u32,
    high: u32,
    wide: u32,
}

/// Ways that a GPU can choose from to tile a product on cooperative matrices.
pub const COOPERATIVE_TILINGS: usize = COOPERATIVE_TILES.len();

/// Up to 4 strips, so that a workgroup has at most 256 invocations. The usual one first.
const COOPERATIVE_TILES: [CooperativeTiling; 4] = [
    CooperativeTiling { strips: 2, high: 1, wide: 2 },
    CooperativeTiling { strips: 4, high: 1, wide: 1 },
    CooperativeTiling { strips: 4, high: 1, wide: 4 },
    CooperativeTiling { strips: 4, high: 2, wide: 4 },
];

impl CooperativeTiling {
    fn constants(&self) -> [(&'static str, u32); 3] {
        [("STRIPS", self.strips), ("HIGH", self.high), ("WIDE", self.wide)]
    }

    /// One workgroup for each tile of C `[m, n]`.
    fn workgroups(&self, side: u32, m: usize, n: usize) -> [u32; 3] {
        let (height, width) = (side * self.strips * self.high, side * self.wide);
        [(n as u32).div_ceil(width), (m as u32).div_ceil(height), 1]
    }
}

/// Rows of C of a register tile where columns of op(B) are side by side.
const CPU_TILE: usize = 6;

fn matmul_cpu(tile: Tile) {
    thread_local! {
        // Kept from call to call: a run allocates nothing.
        static MEMORY: RefCell<Memory> = RefCell::default();
        static HALVES: RefCell<[Halves; 2]> = RefCell::default();
    }
    HALVES.with_borrow_mut(|[a_halves, b_halves]| {
        let Tile { a, b, .. } = tile;
        let (a, b) = match tile.constants.HALF {
            0 => (a, b),
            _ => (a_halves.nearest(a), b_halves.nearest(b)),
        };
        MEMORY.with_borrow_mut(|memory| simd::run(Rows { tile: Tile { a, b, ..tile }, memory }));
    });
}

/// Factors as halves, and these as floats.
#[derive(Debug, Default)]
struct Halves(Vec<f16>, Vec<f32>);

impl Halves {
    /// The halves nearest to `words`, as floats.
    fn nearest(&mut self, words: &[f32]) -> &[f32] {
        self.0.resize(words.len(), f16::ZERO);
        self.1.resize(words.len(), 0.0);
        self.0.convert_from_f32_slice(words);
        self.0.convert_to_f32_slice(&mut self.1);
        &self.1
    }
}

/// The memory of a thread.
#[derive(Debug, Default)]
struct Memory {
    /// Columns of op(B), or rows of op(A), transposed.
    panel: Vec<Column>,
    /// Columns of C.
    product: Vec<Column>,
    active: Active,
}

/// The rows of C of a tile. `tile` has the same rows of A, or all of A where it is transposed, and B.
struct Rows<'a> {
    tile: Tile<'a>,
    memory: &'a mut Memory,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Rows { tile, memory } = self;
        match (tile.constants.TRANSPOSE_A, tile.constants.TRANSPOSE_B) {
            (0, 1) => for_panels::<V>(0..tile.rows.len(), &mut ByExamples(Rows { tile, memory })),
            _ => {
                memory.active.all(tile.p.k as usize);
                for_panels::<V>(0..tile.p.n as usize, &mut ByColumns(Rows { tile, memory }));
            }
        }
    }
}

/// Takes A's rows as the examples of panels, as in `pgd_mlp`. Columns that are zero for all of a panel, as many are
/// after a ReLU, are skipped.
struct ByExamples<'a>(Rows<'a>);

impl Panels for ByExamples<'_> {
    #[inline(always)]
    fn panel_of<V: Vector, const N: usize>(&mut self, rows: Range<usize>) -> Range<usize> {
        let Rows { tile, memory: Memory { panel, product: sums, active } } = &mut self.0;
        let (rows, rest) = first(rows, N);
        let [n, k] = [tile.p.n, tile.p.k].map(|side| side as usize);
        let epilogue = Epilogue::of(tile);
        let b = Matrix::new(tile.b, n, k);
        let a = &*transpose::<N>(&tile.a[rows.start * k..rows.end * k], k, panel);
        active.find(a);
        let sums = columns::<N>(sums, n);
        product::<V, N>(b, None, active, (words(a), N), |j, sum| {
            let bias = epilogue.bias.map_or(0.0, |bias| bias[j]);
            epilogue.finish(sum, &Column([bias; N]), &mut sums[j]);
        });
        transpose_back(sums, &mut tile.c[rows.start * n..rows.end * n]);
        rest
    }
}

/// Takes op(B)'s columns as the examples of panels, where they lie if they can stay there, and op(A)'s rows as outputs.
struct ByColumns<'a>(Rows<'a>);

impl Panels for ByColumns<'_> {
    #[inline(always)]
    fn panel_of<V: Vector, const N: usize>(&mut self, columns: Range<usize>) -> Range<usize> {
        let Rows { tile, memory: Memory { panel, active, .. } } = &mut self.0;
        let (columns, rest) = first(columns, N);
        let [m, n, k] = [tile.p.m, tile.p.n, tile.p.k].map(|side| side as usize);
        let epilogue = Epilogue::of(tile);
        let rows = &tile.rows;
        let a = match tile.constants.TRANSPOSE_A {
            0 => Matrix::new(tile.a, rows.len(), k),
            _ => Matrix { data: &tile.a[rows.start..], outputs: rows.len(), inputs: k, output: 1, input: m },
        };
        let bias = epilogue.bias.map_or(Column::ZERO, |bias| Column::<N>::from_slice(&bias[columns.clone()]));
        let in_place = columns.len() == N && tile.b.len() <= IN_PLACE;
        let x = match tile.constants.TRANSPOSE_B {
            0 if in_place => (&tile.b[columns.start..], n),
            0 => (words(pack::<N>(tile.b, n, &columns, panel)), N),
            _ => (words(transpose::<N>(&tile.b[columns.start * k..columns.end * k], k, panel)), N),
        };
        product::<V, N>(a, None, active, x, |r, sum| {
            let mut c = Column::ZERO;
            epilogue.finish(sum, &bias, &mut c);
            copy_lanes(&c.0, &mut tile.c[r * n..][columns.clone()]);
        });
        rest
    }
}

/// The most words of a B whose columns are taken where they lie; those of a larger one, often of the same few sets of a
/// cache, are copied together.
const IN_PLACE: usize = 1 << 18;

/// The bias and the ReLU, applied to a sum before it is stored.
struct Epilogue<'a> {
    bias: Option<&'a [f32]>,
    relu: bool,
}

impl<'a> Epilogue<'a> {
    #[inline(always)]
    fn of(tile: &Tile<'a>) -> Self {
        Epilogue { bias: (tile.constants.BIAS == 1).then_some(tile.bias), relu: tile.constants.RELU == 1 }
    }

    #[inline(always)]
    fn finish<const N: usize>(&self, sum: &Column<N>, bias: &Column<N>, c: &mut Column<N>) {
        for e in 0..N {
            let value = sum[e] + bias[e];
            // Not `max`, which makes a NaN 0.
            c[e] = if self.relu && value < 0.0 { 0.0 } else { value };
        }
    }
}

/// Copies some columns of B, `n` words a row, to a panel.
#[inline(always)]
fn pack<'a, const N: usize>(
    b: &[f32],
    n: usize,
    some: &Range<usize>,
    memory: &'a mut Vec<Column>,
) -> &'a [Column<N>] {
    let panel = columns(memory, b.len() / n);
    for (column, row) in panel.iter_mut().zip(b.chunks_exact(n)) {
        *column = Column::from_slice(&row[some.clone()]);
    }
    panel
}
