//! Vector arithmetic for CPU kernels: plain Rust over arrays of lanes, compiled once for each
//! instruction set and chosen when the program runs.
//!
//! Sixteen examples stand side by side: a *panel* is a list of [`Column`]s, one a feature, each with
//! that feature of the 16 examples. A layer is then a sum of columns, each times one weight: every
//! vector is full whatever the layer's width, a weight is read where it lies, forwards and
//! backwards alike, and no packing is needed. Each example's sums run in the order of the
//! features, so no result depends on which examples share a panel.

#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::{Deref, DerefMut};

/// Examples of a panel: one vector of AVX-512, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// One feature of the examples of a panel.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Column(pub [f32; LANES]);

impl Column {
    pub const ZERO: Column = Column([0.0; LANES]);

    /// Up to 16 values, the rest zeros.
    #[inline(always)]
    pub fn from_slice(values: &[f32]) -> Self {
        let mut column = Column::ZERO;
        match values.first_chunk() {
            Some(all) => column.0 = *all,
            None => copy_few(values, &mut column.0),
        }
        column
    }
}

/// The words of a panel, column after column.
#[inline(always)]
pub fn words(panel: &[Column]) -> &[f32] {
    bytemuck::cast_slice(panel)
}

/// The first values of `column`, as many as `out` holds.
#[inline(always)]
pub fn copy_lanes(column: &[f32; LANES], out: &mut [f32]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *column,
        None => copy_few(column, out),
    }
}

/// Copies fewer than 16 values in pieces of a fixed size, each a move and not a call.
#[inline(always)]
fn copy_few(from: &[f32], to: &mut [f32]) {
    let count = from.len().min(to.len());
    let mut at = 0;
    if count & 8 != 0 {
        to[..8].copy_from_slice(&from[..8]);
        at = 8;
    }
    if count & 4 != 0 {
        to[at..at + 4].copy_from_slice(&from[at..at + 4]);
        at += 4;
    }
    if count & 2 != 0 {
        to[at..at + 2].copy_from_slice(&from[at..at + 2]);
        at += 2;
    }
    if count & 1 != 0 {
        to[at] = from[at];
    }
}

/// Turns up to 16 rows of `width` values into as many columns as a row has values.
#[inline(always)]
pub fn transpose<const ROWS: usize>(rows: &[f32], width: usize, columns: &mut Vec<Column>) {
    columns.clear();
    columns.resize(width, Column::ZERO);
    for (first, columns) in (0..width).step_by(LANES).zip(columns.chunks_mut(LANES)) {
        let mut block = [Column::ZERO; LANES];
        for (row, block) in rows.chunks_exact(width).zip(&mut block) {
            *block = Column::from_slice(&row[first..first + columns.len()]);
        }
        transpose_block::<ROWS>(&mut block);
        columns.copy_from_slice(&block[..columns.len()]);
    }
}

/// Exchanges rows and columns of 16 x 16 values. `ROWS` as in [`Work::run`].
#[inline(always)]
pub fn transpose_block<const ROWS: usize>(block: &mut [Column; LANES]) {
    #[cfg(target_arch = "x86_64")]
    if ROWS == AVX512_ROWS {
        // SAFETY: only `avx512` runs with this many rows.
        return unsafe { x86::transpose_block(block) };
    }
    let rows = *block;
    for (i, column) in block.iter_mut().enumerate() {
        *column = Column(std::array::from_fn(|e| rows[e][i]));
    }
}

/// `sum += weight x` in every lane. `FMA` and `ROWS` as in [`Work::run`].
///
/// Where a register tile is larger than a few columns a compiler may take plain loops over lanes apart again, into
/// scalars or into vectors across the columns; so on x86 the instructions are named.
#[inline(always)]
pub fn add_scaled<const FMA: bool, const ROWS: usize>(sum: &mut Column, weight: f32, x: &Column) {
    #[cfg(target_arch = "x86_64")]
    match ROWS {
        // SAFETY: only `avx512` and `avx2` run with this many rows.
        AVX512_ROWS => return unsafe { x86::add_scaled_512(sum, weight, x) },
        AVX2_ROWS => return unsafe { x86::add_scaled_256(sum, weight, x) },
        _ => {}
    }
    for e in 0..LANES {
        sum[e] = multiply_add::<FMA>(weight, x[e], sum[e]);
    }
}

/// The rows of a register tile for each instruction set of x86, by which it is known.
#[cfg(target_arch = "x86_64")]
const AVX512_ROWS: usize = 6;
#[cfg(target_arch = "x86_64")]
const AVX2_ROWS: usize = 4;

impl Deref for Column {
    type Target = [f32; LANES];
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Column {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// An instruction set that [`run`] has a version for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    Avx512,
    Avx2Fma,
    Neon,
    Portable,
}

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Path::Avx512 => "AVX-512",
            Path::Avx2Fma => "AVX2+FMA",
            Path::Neon => "NEON",
            Path::Portable => "portable",
        }
    }
}

/// The widest instruction set of this machine; part of what fixes a run's bits.
pub fn path() -> Path {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return Path::Avx512;
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Path::Avx2Fma;
        }
    }
    if cfg!(target_arch = "aarch64") { Path::Neon } else { Path::Portable }
}

/// Work that [`run`] compiles for every instruction set.
///
/// `run` must be `#[inline(always)]`, and so must what it calls in its inner loops: code is compiled
/// for the instruction set of the function that it is inlined into.
pub trait Work {
    /// `FMA`: multiply and add in one instruction. `ROWS`: columns that a register tile sums at once,
    /// at most 6.
    fn run<const FMA: bool, const ROWS: usize>(self);
}

/// Runs `work` with the widest instruction set of this machine.
pub fn run(work: impl Work) {
    run_on(path(), work);
}

/// Runs `work` with the instruction set `path`, which this machine must have.
fn run_on(path: Path, work: impl Work) {
    match path {
        // SAFETY: `path` is one that this machine was found to have.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { avx512(work) },
        #[cfg(target_arch = "x86_64")]
        Path::Avx2Fma => unsafe { avx2(work) },
        // Part of every 64-bit ARM processor, so nothing needs to be switched on.
        Path::Neon => work.run::<true, 4>(),
        _ => work.run::<false, 2>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(work: impl Work) {
    work.run::<true, AVX512_ROWS>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run::<true, AVX2_ROWS>();
}

/// A matrix of weights as a sum reads it: the weight of output `n` for input `k` is
/// `data[n * output + k * input]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub outputs: usize,
    pub inputs: usize,
    /// Words from one output to the next, and from one input to the next.
    pub output: usize,
    pub input: usize,
}

impl<'a> Matrix<'a> {
    /// `[outputs, inputs]`, row after row.
    pub fn new(data: &'a [f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(data.len(), outputs * inputs);
        Matrix { data, outputs, inputs, output: inputs, input: 1 }
    }

    /// The same words, read the other way.
    pub fn transposed(self) -> Self {
        let Matrix { data, outputs, inputs, output, input } = self;
        Matrix { data, outputs: inputs, inputs: outputs, output: input, input: output }
    }
}

/// Some of the columns of a panel, by number in rising order: those that a sum has to look at.
#[derive(Debug, Default, Clone)]
pub struct Active(Vec<u32>);

impl Active {
    /// Those of `panel` that are not zero in every example. A sum without the others is the same,
    /// to the bit. Behind a ReLU that is a part only, the smaller the more alike the examples are.
    #[inline(always)]
    pub fn find(&mut self, panel: &[Column]) {
        self.0.clear();
        for (k, column) in panel.iter().enumerate() {
            let mut any = false;
            for e in 0..LANES {
                // True of a NaN.
                any |= column[e] != 0.0;
            }
            if any {
                self.0.push(k as u32);
            }
        }
    }

    /// All of `count` columns.
    pub fn all(&mut self, count: usize) {
        self.0.clear();
        self.0.extend(0..count as u32);
    }
}

/// Which outputs or inputs of a matrix a product takes, in rising order.
trait Choice: Copy {
    fn len(self) -> usize;
    /// The number of the `i`-th, `i < len`.
    fn at(self, i: usize) -> usize;
}

/// The first so many: all of them.
impl Choice for usize {
    #[inline(always)]
    fn len(self) -> usize {
        self
    }
    #[inline(always)]
    fn at(self, i: usize) -> usize {
        i
    }
}

impl Choice for &Active {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn at(self, i: usize) -> usize {
        self.0[i] as usize
    }
}

/// For every output n: `finish(n, sum over k of matrix[n, k] x_k)`, the column x_k being the 16 words
/// from `x[k * stride]` on.
#[inline(always)]
pub fn product<const FMA: bool, const ROWS: usize>(
    matrix: Matrix,
    x: &[f32],
    stride: usize,
    finish: impl FnMut(usize, Column),
) {
    chosen::<FMA, ROWS>(matrix, matrix.outputs, matrix.inputs, x, stride, finish);
}

/// The same of a panel of which only the columns `inputs` are not zero.
#[inline(always)]
pub fn sparse_product<const FMA: bool, const ROWS: usize>(
    matrix: Matrix,
    inputs: &Active,
    panel: &[Column],
    finish: impl FnMut(usize, Column),
) {
    chosen::<FMA, ROWS>(matrix, matrix.outputs, inputs, words(panel), LANES, finish);
}

/// The same for some of the outputs only.
#[inline(always)]
pub fn masked_product<const FMA: bool, const ROWS: usize>(
    matrix: Matrix,
    outputs: &Active,
    inputs: &Active,
    panel: &[Column],
    finish: impl FnMut(usize, Column),
) {
    chosen::<FMA, ROWS>(matrix, outputs, inputs, words(panel), LANES, finish);
}

#[inline(always)]
fn chosen<const FMA: bool, const ROWS: usize>(
    matrix: Matrix,
    outputs: impl Choice,
    inputs: impl Choice,
    x: &[f32],
    stride: usize,
    mut finish: impl FnMut(usize, Column),
) {
    let whole = outputs.len() - outputs.len() % ROWS;
    for first in (0..whole).step_by(ROWS) {
        let rows: [usize; ROWS] = std::array::from_fn(|r| outputs.at(first + r));
        for (n, sum) in rows.into_iter().zip(tile::<FMA, ROWS>(matrix, rows, inputs, x, stride)) {
            finish(n, sum);
        }
    }
    for i in whole..outputs.len() {
        let [sum] = tile::<FMA, 1>(matrix, [outputs.at(i)], inputs, x, stride);
        finish(outputs.at(i), sum);
    }
}

/// The sums of the outputs `rows`, held in registers while the inputs go by.
#[inline(always)]
fn tile<const FMA: bool, const ROWS: usize>(
    matrix: Matrix,
    rows: [usize; ROWS],
    inputs: impl Choice,
    x: &[f32],
    stride: usize,
) -> [Column; ROWS] {
    const { assert!(ROWS <= 6, "the rows are written out below") };
    let Matrix { data, output, input, .. } = matrix;
    let mut sums = [[0.0f32; LANES]; ROWS];
    let count = inputs.len();
    if count == 0 {
        return sums.map(Column);
    }
    // Choices rise, so the last is the largest.
    let last = inputs.at(count - 1);
    let top = rows.into_iter().fold(0, usize::max);
    assert!(top * output + last * input < data.len() && last * stride + LANES <= x.len());
    // SAFETY: within what was checked.
    let rows: [*const f32; ROWS] = rows.map(|row| unsafe { data.as_ptr().add(row * output) });
    for i in 0..count {
        let k = inputs.at(i);
        // SAFETY: k is at most `last`: within what was checked.
        let x: &[f32; LANES] = unsafe { &*x.as_ptr().add(k * stride).cast() };
        // Written out, since a loop over rows whose weights lie anywhere would be turned into vectors of
        // rows, forty times slower.
        macro_rules! add_to_row {
            ($($r:literal)*) => {$(
                if $r < ROWS {
                    let weight = unsafe { *rows[$r].add(k * input) };
                    for e in 0..LANES {
                        sums[$r][e] = multiply_add::<FMA>(weight, x[e], sums[$r][e]);
                    }
                }
            )*};
        }
        add_to_row!(0 1 2 3 4 5);
    }
    sums.map(Column)
}

/// `a b + c`, rounded once where the processor can.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `mul_add` is a slow call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x` and `e^x - 1` in a few operations that a compiler turns into vector code, each within 2
/// units in the last place; NaN stays NaN.
///
/// x = n log 2 + r with |r| <= log(2) / 2, so that e^x - 1 = 2^n (e^r - 1) + (2^n - 1), and the
/// polynomial for e^r - 1 loses nothing near 0.
#[inline(always)]
pub fn exp_and_exp_m1(x: f32) -> (f32, f32) {
    // Added and taken away, it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these, both results are those at the ends: 0 and -1, or infinity.
    let x = x.clamp(-104.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor to r^7 / 7!; the next term is below 2^-26 of the sum.
    let p = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let p = 1.0 / 24.0 + r * (1.0 / 120.0 + r * p);
    let p = r + r * r * (0.5 + r * (1.0 / 6.0 + r * p));
    // 2^n in two factors, each a normal number, so that results may be subnormal or infinite.
    let n = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
    let half = n >> 1;
    let (a, b) = (power_of_two(half), power_of_two(n - half));
    let exp = (1.0 + p) * a * b;
    let exp_m1 = (p * a + (a - power_of_two(half - n))) * b;
    (exp, exp_m1)
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[cfg(test)]
mod tests;
