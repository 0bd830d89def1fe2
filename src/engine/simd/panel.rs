//! Examples side by side.
//!
//! A *panel* is a list of [`Column`]s, one for each feature, with that feature of 16, 32, 48 or 64 examples. A layer
//! is then a sum of columns, each times one weight, so vectors are full whatever the layer's width, and a weight that
//! is loaded serves all examples. Each example's sums run in the order of the features, so results depend neither on
//! the width of a panel nor on which examples share it, as long as weights are finite.

use std::ops::{Deref, DerefMut, Range};

use super::vector::Vector;

/// Examples of the narrowest panel: one vector of AVX-512, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// The most examples of a panel.
pub const WIDEST: usize = 64;

/// One feature of the examples of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Column<const N: usize = LANES>(pub [f32; N]);

impl<const N: usize> Column<N> {
    /// A column is whole vectors, so it has no padding.
    const WHOLE: () = assert!(N > 0 && N.is_multiple_of(LANES));

    /// Zeros.
    pub const ZERO: Self = Column([0.0; N]);

    /// The first of `values`, followed by zeros where there are fewer.
    #[inline(always)]
    pub fn from_slice(values: &[f32]) -> Self {
        let mut column = Self::ZERO;
        copy_lanes(values, &mut column.0);
        column
    }
}

impl Column {
    /// The lanes in registers.
    #[inline(always)]
    pub fn vector<V: Vector>(&self) -> V {
        // SAFETY: a column has the lanes of a vector.
        unsafe { V::load(self.0.as_ptr()) }
    }

    /// The lanes of `vector`.
    #[inline(always)]
    pub fn of<V: Vector>(vector: V) -> Self {
        let mut column = Column::ZERO;
        // SAFETY: as above.
        unsafe { vector.store(column.0.as_mut_ptr()) };
        column
    }
}

/// The words of a panel, column after column.
#[inline(always)]
pub fn words<const N: usize>(panel: &[Column<N>]) -> &[f32] {
    let () = Column::<N>::WHOLE;
    // SAFETY: columns are N floats each, without padding.
    unsafe { std::slice::from_raw_parts(panel.as_ptr().cast(), N * panel.len()) }
}

/// `count` columns in `memory`, which grows where it must. They hold whatever was there.
#[inline(always)]
pub fn columns<const N: usize>(memory: &mut Vec<Column>, count: usize) -> &mut [Column<N>] {
    let needed = count * N / LANES;
    if memory.len() < needed {
        memory.resize(needed, Column::ZERO);
    }
    let () = Column::<N>::WHOLE;
    // SAFETY: `needed` columns of 16 floats are `count` of N floats, aligned alike, without padding.
    unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), count) }
}

/// Work on many rows that goes panel by panel.
pub trait Panels {
    /// Takes N of `rows`, or all where there are fewer, and returns the rest. Must be `#[inline(always)]`, as
    /// [`Work::run`](super::Work::run).
    fn panel_of<V: Vector, const N: usize>(&mut self, rows: Range<usize>) -> Range<usize>;
}

/// Runs `work` on all of `rows`, in panels as wide as the instruction set has registers for.
#[inline(always)]
pub fn for_panels<V: Vector>(rows: Range<usize>, work: &mut impl Panels) {
    let mut rest = rows;
    while !rest.is_empty() {
        rest = V::panel(work, rest);
    }
}

/// The first N of `rows`, or all where there are fewer, and the rest.
#[inline(always)]
pub fn first(rows: Range<usize>, count: usize) -> (Range<usize>, Range<usize>) {
    let middle = rows.end.min(rows.start + count);
    (rows.start..middle, middle..rows.end)
}

/// Copies as many values as both have, in pieces of a fixed size, each a move and not a call.
#[inline(always)]
pub fn copy_lanes(from: &[f32], to: &mut [f32]) {
    let count = from.len().min(to.len());
    let (from, from_rest) = from[..count].as_chunks::<LANES>();
    let (to, to_rest) = to[..count].as_chunks_mut::<LANES>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    copy_few(from_rest, to_rest);
}

/// Copies fewer than 16 values, as many in one as in the other.
#[inline(always)]
fn copy_few(from: &[f32], to: &mut [f32]) {
    let count = from.len();
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

/// Features whose columns are turned together, so that rows and columns stay in the first-level cache.
const TURNED: usize = 32;

/// Transposes up to N rows of `width` values into the first `width` columns of `memory`. Lanes without a row are 0.
#[inline(always)]
pub fn transpose<'a, const N: usize>(
    rows: &[f32],
    width: usize,
    memory: &'a mut Vec<Column>,
) -> &'a mut [Column<N>] {
    let panel = columns(memory, width);
    let count = (rows.len() / width.max(1)).min(N);
    if count < N {
        panel.fill(Column::ZERO);
    }
    for (start, block) in (0..width).step_by(TURNED).zip(panel.chunks_mut(TURNED)) {
        let features = block.len();
        let part = |e: usize| &rows[e * width + start..][..features];
        let quads = count / 4;
        // In blocks of 4 x 4, so that words are read and written four at a time.
        for quad in 0..quads {
            let e = 4 * quad;
            let rows = [part(e), part(e + 1), part(e + 2), part(e + 3)];
            let [a, b, c, d] = rows.map(|row| row.as_chunks::<4>().0);
            let (blocks, rest) = block.as_chunks_mut::<4>();
            let done = 4 * blocks.len();
            for ((((block, a), b), c), d) in blocks.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                for (column, values) in block.iter_mut().zip(transpose4x4([*a, *b, *c, *d])) {
                    column.as_chunks_mut().0[quad] = values;
                }
            }
            for (column, at) in rest.iter_mut().zip(done..) {
                column.as_chunks_mut().0[quad] = rows.map(|row| row[at]);
            }
        }
        for e in 4 * quads..count {
            block.iter_mut().zip(part(e)).for_each(|(column, value)| column[e] = *value);
        }
    }
    panel
}

/// Transposes columns back into up to N rows: the inverse of [`transpose`].
#[inline(always)]
pub fn transpose_back<const N: usize>(panel: &[Column<N>], rows: &mut [f32]) {
    let width = panel.len();
    let count = (rows.len() / width.max(1)).min(N);
    for (start, block) in (0..width).step_by(TURNED).zip(panel.chunks(TURNED)) {
        let quads = count / 4;
        for (quad, rows) in (0..quads).zip(rows.chunks_exact_mut(4 * width)) {
            let (blocks, rest) = block.as_chunks::<4>();
            let (a, others) = rows.split_at_mut(width);
            let (b, others) = others.split_at_mut(width);
            let (c, d) = others.split_at_mut(width);
            let mut rows = [a, b, c, d].map(|row| &mut row[start..][..block.len()]);
            for (column, at) in rest.iter().zip(4 * blocks.len()..) {
                let values: [f32; 4] = column.as_chunks().0[quad];
                rows.iter_mut().zip(values).for_each(|(row, value)| row[at] = value);
            }
            let [a, b, c, d] = rows.map(|row| row.as_chunks_mut::<4>().0);
            for ((((block, a), b), c), d) in blocks.iter().zip(a).zip(b).zip(c).zip(d) {
                [*a, *b, *c, *d] = transpose4x4(block.each_ref().map(|column| column.as_chunks().0[quad]));
            }
        }
        for e in 4 * quads..count {
            let row = &mut rows[e * width + start..][..block.len()];
            block.iter().zip(row).for_each(|(column, value)| *value = column[e]);
        }
    }
}

/// The transpose of a 4 x 4 matrix.
#[inline(always)]
pub fn transpose4x4(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    // Intrinsics on x86-64, since compilers move the words of the plain form one by one.
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
        let mut columns = [[0.0; 4]; 4];
        // SAFETY: SSE is part of x86-64; each pointer is to four words.
        unsafe {
            let [mut a, mut b, mut c, mut d] = rows.each_ref().map(|row| _mm_loadu_ps(row.as_ptr()));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (column, values) in columns.iter_mut().zip([a, b, c, d]) {
                _mm_storeu_ps(column.as_mut_ptr(), values);
            }
        }
        columns
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|k| rows.map(|row| row[k]))
}

impl<const N: usize> Deref for Column<N> {
    type Target = [f32; N];
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<const N: usize> DerefMut for Column<N> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn_and_back<const N: usize>() {
        for (rows, width) in [(N, 1), (N, 4), (N, 23), (N, 70), (5, 7), (N - 1, 40)] {
            let values: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
            let mut memory = vec![Column([f32::NAN; LANES]); 3];
            let panel = transpose::<N>(&values, width, &mut memory);
            assert_eq!(panel.len(), width);
            for (k, column) in panel.iter().enumerate() {
                let expected = |e: usize| if e < rows { values[e * width + k] } else { 0.0 };
                assert_eq!(column.0, std::array::from_fn(expected), "{rows}x{width}: column {k}");
            }
            let mut back = vec![f32::NAN; rows * width];
            transpose_back(panel, &mut back);
            assert_eq!(back, values, "{rows}x{width}");
        }
    }

    #[test]
    fn a_transposed_panel_turned_back_is_itself() {
        turn_and_back::<16>();
        turn_and_back::<32>();
        turn_and_back::<64>();
    }
}
