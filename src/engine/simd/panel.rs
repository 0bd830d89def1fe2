//! Sixteen examples side by side.
//!
//! A *panel* is a list of [`Column`]s, one for each feature, with that feature of 16 examples. A layer is then a sum of
//! columns, each times one weight, so vectors are full whatever the layer's width. Each example's sums run in the order
//! of the features, so results do not depend on which examples share a panel.

use std::ops::{Deref, DerefMut};

/// Examples of a panel: one vector of AVX-512, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// One feature of the examples of a panel.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Column(pub [f32; LANES]);

impl Column {
    /// Zeros.
    pub const ZERO: Column = Column([0.0; LANES]);

    /// The first 16 of `values`, followed by zeros where there are fewer.
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

/// Transposes up to 16 rows of `width` values into `width` columns. Lanes without a row are 0.
#[inline(always)]
pub fn transpose(rows: &[f32], width: usize, columns: &mut Vec<Column>) {
    columns.resize(width, Column::ZERO);
    if rows.len() < LANES * width {
        columns.fill(Column::ZERO);
        for (e, row) in rows.chunks_exact(width).enumerate() {
            columns.iter_mut().zip(row).for_each(|(column, value)| column[e] = *value);
        }
        return;
    }
    // In blocks of 4 x 4, so that words are read and written four at a time.
    for e in (0..LANES).step_by(4) {
        let rows: [&[f32]; 4] = std::array::from_fn(|r| &rows[(e + r) * width..][..width]);
        let [a, b, c, d] = rows.map(|row| row.as_chunks::<4>().0);
        let (blocks, rest) = columns.as_chunks_mut::<4>();
        for ((((block, a), b), c), d) in blocks.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            for (column, values) in block.iter_mut().zip(transpose4x4([*a, *b, *c, *d])) {
                column.as_chunks_mut().0[e / 4] = values;
            }
        }
        for (column, at) in rest.iter_mut().zip(width / 4 * 4..) {
            column.as_chunks_mut().0[e / 4] = rows.map(|row| row[at]);
        }
    }
}

/// Transposes `width` columns back into up to 16 rows: the inverse of [`transpose`].
///
/// # Panics
/// Where there are not `width` columns.
#[inline(always)]
pub fn transpose_back(columns: &[Column], width: usize, rows: &mut [f32]) {
    assert_eq!(columns.len(), width);
    if rows.len() < LANES * width {
        for (e, row) in rows.chunks_exact_mut(width).enumerate() {
            columns.iter().zip(row).for_each(|(column, value)| *value = column[e]);
        }
        return;
    }
    for (e, rows) in (0..4).zip(rows.chunks_exact_mut(4 * width)) {
        let (blocks, rest) = columns.as_chunks::<4>();
        let (a, others) = rows.split_at_mut(width);
        let (b, others) = others.split_at_mut(width);
        let (c, d) = others.split_at_mut(width);
        for (column, at) in rest.iter().zip(width / 4 * 4..) {
            [a[at], b[at], c[at], d[at]] = column.as_chunks().0[e];
        }
        let [a, b, c, d] = [a, b, c, d].map(|row| row.as_chunks_mut::<4>().0);
        for ((((block, a), b), c), d) in blocks.iter().zip(a).zip(b).zip(c).zip(d) {
            [*a, *b, *c, *d] = transpose4x4(block.map(|column| column.as_chunks().0[e]));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_panel_turned_back_is_itself() {
        for (rows, width) in [(16, 1), (16, 4), (16, 23), (5, 7)] {
            let values: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
            let mut columns = vec![Column([f32::NAN; LANES]); 3];
            transpose(&values, width, &mut columns);
            for (k, column) in columns.iter().enumerate() {
                let expected = |e: usize| if e < rows { values[e * width + k] } else { 0.0 };
                assert_eq!(column.0, std::array::from_fn(expected), "{rows}x{width}: column {k}");
            }
            let mut back = vec![f32::NAN; rows * width];
            transpose_back(&columns, width, &mut back);
            assert_eq!(back, values, "{rows}x{width}");
        }
    }
}
