//! Products of a matrix of weights and a panel, in register tiles: the sums of a few outputs stay in registers during
//! the loop over the inputs. Weights are read in place, in the forward and in the backward pass, so nothing is packed.

use super::panel::{Column, LANES};
use super::vector::Vector;

/// A matrix of weights with strides: the weight of output `n` for input `k` is `data[n * output + k * input]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The words.
    pub data: &'a [f32],
    /// The number of outputs.
    pub outputs: usize,
    /// The number of inputs.
    pub inputs: usize,
    /// Words from one output to the next.
    pub output: usize,
    /// Words from one input to the next.
    pub input: usize,
}

impl<'a> Matrix<'a> {
    /// The row-major matrix `[outputs, inputs]`.
    ///
    /// # Panics
    /// Where `data` has another length.
    pub fn new(data: &'a [f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(data.len(), outputs * inputs);
        Matrix { data, outputs, inputs, output: inputs, input: 1 }
    }

    /// The transpose, of the same words.
    pub fn transposed(self) -> Self {
        let Matrix { data, outputs, inputs, output, input } = self;
        Matrix { data, outputs: inputs, inputs: outputs, output: input, input: output }
    }
}

/// The indices, in rising order, of the columns of a panel that contribute to a sum.
#[derive(Debug, Default, Clone)]
pub struct Active(Vec<u32>);

impl Active {
    /// Finds the columns of `panel` that are not zero in every example. Leaving out the others changes no bit of a
    /// sum of finite weights; an infinite one times 0 would be a NaN. After a ReLU many are left out, the more the
    /// more alike the examples are.
    #[inline(always)]
    pub fn find<const N: usize>(&mut self, panel: &[Column<N>]) {
        self.0.clear();
        for (k, column) in panel.iter().enumerate() {
            let mut any = false;
            for e in 0..N {
                // True of a NaN.
                any |= column[e] != 0.0;
            }
            if any {
                self.0.push(k as u32);
            }
        }
    }

    /// Takes all of `count` columns.
    pub fn all(&mut self, count: usize) {
        self.0.clear();
        self.0.extend(0..count as u32);
    }
}

/// Calls `finish(n, sum over k of matrix[n, k] x_k)` for every output n, or for those in `outputs`. The sum runs over
/// the inputs in `inputs`, in their order, whatever the tile. Column x_k is the N words from `x[k * stride]` on.
#[inline(always)]
pub fn product<V: Vector, const N: usize>(
    matrix: Matrix,
    outputs: Option<&Active>,
    inputs: &Active,
    (x, stride): (&[f32], usize),
    mut finish: impl FnMut(usize, &Column<N>),
) {
    let count = outputs.map_or(matrix.outputs, |some| some.0.len());
    let output = |i: usize| outputs.map_or(i, |some| some.0[i] as usize);
    let mut sums = [Column::ZERO; MOST_OUTPUTS];
    for first in (0..count).step_by(V::outputs::<N>()) {
        let mut rows = [0; MOST_OUTPUTS];
        let rows = &mut rows[..V::outputs::<N>().min(count - first)];
        rows.iter_mut().zip(first..).for_each(|(row, i)| *row = output(i));
        let sums = &mut sums[..rows.len()];
        V::add_to(Tile { matrix, rows, inputs, x, stride, sums });
        rows.iter().zip(sums).for_each(|(row, sum)| finish(*row, sum));
    }
}

/// The most outputs of a register tile.
pub(super) const MOST_OUTPUTS: usize = 8;

/// A register tile: some outputs of a product, for all examples of a panel.
pub struct Tile<'a, const N: usize> {
    matrix: Matrix<'a>,
    /// The outputs, at most [`MOST_OUTPUTS`].
    rows: &'a [usize],
    inputs: &'a Active,
    x: &'a [f32],
    stride: usize,
    /// Where the sum of each output goes.
    sums: &'a mut [Column<N>],
}

/// Computes the sums of `tile`.
#[inline(always)]
pub(super) fn add_to<V: Vector, const N: usize>(tile: Tile<N>) {
    macro_rules! with_count {
        ($($count:literal)*) => {
            match tile.rows.len() {
                $($count => tile.compute::<V, $count>(),)*
                many => unreachable!("{many} outputs in a register tile"),
            }
        };
    }
    with_count!(0 1 2 3 4 5 6 7 8);
}

impl<const N: usize> Tile<'_, N> {
    /// The vectors of a column.
    const VECTORS: usize = N / LANES;

    #[inline(always)]
    fn compute<V: Vector, const OUTPUTS: usize>(self) {
        const {
            assert!(N.is_multiple_of(LANES) && Self::VECTORS <= 4, "the vectors of an input are four at most")
        };
        let Tile { matrix: Matrix { data, output, input, .. }, inputs: Active(inputs), x, stride, .. } = self;
        let rows: &[usize; OUTPUTS] = self.rows.try_into().expect("so many outputs");
        let mut sums = [[V::splat(0.0); 4]; OUTPUTS];
        let Some(&last) = inputs.last() else { return self.sums.fill(Column::ZERO) };
        // Indices rise, so the last is the largest. In 128 bits nothing overflows.
        let (last, top) = (last as usize, rows.iter().fold(0, |top, row| top.max(*row)));
        let end = |a: usize, b: usize, c: usize, d: usize| a as u128 * b as u128 + c as u128 * d as u128;
        assert!(end(top, output, last, input) < data.len() as u128);
        assert!(end(last, stride, N, 1) <= x.len() as u128);
        // SAFETY: within what the assertion covers, here and below, where k <= `last`.
        let rows = rows.map(|row| unsafe { data.as_ptr().add(row * output) });
        for &k in inputs {
            let k = k as usize;
            let mut values = [V::splat(0.0); 4];
            for (v, values) in values.iter_mut().enumerate().take(Self::VECTORS) {
                *values = unsafe { V::load(x.as_ptr().add(k * stride + v * LANES)) };
            }
            for (sums, row) in sums.iter_mut().zip(rows) {
                let weight = V::splat(unsafe { *row.add(k * input) });
                for v in 0..Self::VECTORS {
                    sums[v] = sums[v].add_product(weight, values[v]);
                }
            }
        }
        for (to, sums) in self.sums.iter_mut().zip(sums) {
            for (to, sum) in to.0.chunks_exact_mut(LANES).zip(sums) {
                // SAFETY: there is room for a vector.
                unsafe { sum.store(to.as_mut_ptr()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::engine::simd::{Panels, Work, first, for_panels, instruction_sets, run_on, transpose, words};

    /// The sums of every row of `x` and output; the zero columns of `x` are skipped where `sparse`.
    struct Products<'a> {
        matrix: Matrix<'a>,
        x: &'a [f32],
        outputs: Option<&'a Active>,
        sparse: bool,
        /// `[outputs, rows of x]`; as they were for outputs not asked for.
        sums: &'a mut [f32],
    }

    impl Work for Products<'_> {
        #[inline(always)]
        fn run<V: Vector>(mut self) {
            for_panels::<V>(0..self.x.len() / self.matrix.inputs, &mut self);
        }
    }

    impl Panels for Products<'_> {
        #[inline(always)]
        fn panel_of<V: Vector, const N: usize>(&mut self, rows: Range<usize>) -> Range<usize> {
            let (rows, rest) = first(rows, N);
            let (inputs, count) = (self.matrix.inputs, self.sums.len() / self.matrix.outputs);
            let mut memory = Vec::new();
            let panel = transpose::<N>(&self.x[rows.start * inputs..rows.end * inputs], inputs, &mut memory);
            let mut active = Active::default();
            match self.sparse {
                true => active.find(panel),
                false => active.all(inputs),
            }
            product::<V, N>(self.matrix, self.outputs, &active, (words(panel), N), |n, sum| {
                self.sums[n * count..][rows.clone()].copy_from_slice(&sum[..rows.len()]);
            });
            rest
        }
    }

    fn value(i: usize) -> f32 {
        (i * 37 % 101) as f32 / 50.0 - 1.0
    }

    /// Rows that take panels of every width, with and without idle lanes.
    const ROWS: [usize; 6] = [5, 16, 30, 41, 64, 150];

    #[test]
    fn products_of_every_instruction_set_agree_with_the_definition() {
        for (outputs, inputs) in [(1, 1), (7, 5), (8, 16), (21, 30)] {
            let weights: Vec<f32> = (0..outputs * inputs).map(value).collect();
            let matrix = Matrix::new(&weights, outputs, inputs);
            let turned = Matrix::new(&weights, inputs, outputs).transposed();
            for (matrix, rows) in [matrix, turned].into_iter().flat_map(|m| ROWS.map(|rows| (m, rows))) {
                let x: Vec<f32> = (0..rows * inputs).map(|i| value(i + 11)).collect();
                for set in instruction_sets() {
                    let mut sums = vec![f32::NAN; outputs * rows];
                    run_on(set, Products { matrix, x: &x, outputs: None, sparse: false, sums: &mut sums });
                    for (i, sum) in sums.into_iter().enumerate() {
                        let (n, e) = (i / rows, i % rows);
                        let weight = |k| f64::from(weights[n * matrix.output + k * matrix.input]);
                        let exact: f64 = (0..inputs).map(|k| weight(k) * f64::from(x[e * inputs + k])).sum();
                        let error = (f64::from(sum) - exact).abs();
                        assert!(error <= 1e-5, "{set:?}: output {n}, row {e} of {rows}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_sums_in_every_panel() {
        let weights: Vec<f32> = (0..20 * 9).map(value).collect();
        let matrix = Matrix::new(&weights, 20, 9);
        let x: Vec<f32> = (0..150 * 9).map(|i| 1.0 / value(i)).collect();
        for set in instruction_sets() {
            let of = |x: &[f32]| {
                let mut sums = vec![f32::NAN; 20 * x.len() / 9];
                run_on(set, Products { matrix, x, outputs: None, sparse: false, sums: &mut sums });
                sums
            };
            let together = of(&x);
            for rows in ROWS {
                let some = of(&x[..rows * 9]);
                for (n, sums) in some.chunks_exact(rows).enumerate() {
                    let bits = |sums: &[f32]| sums.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(
                        bits(sums),
                        bits(&together[n * 150..][..rows]),
                        "{set:?}: output {n}, {rows} rows"
                    );
                }
            }
        }
    }

    #[test]
    fn sums_without_the_zeros_are_the_same_to_the_bit() {
        let weights: Vec<f32> = (0..30 * 21).map(value).collect();
        for (every, outputs) in [(1, 1), (3, 2), (100, 7)] {
            // All columns are zero but for each `every`-th, in which few examples are not, and one of NaN.
            let one = |e: usize, k: usize| match k {
                29 => f32::NAN,
                _ if k.is_multiple_of(every) && e % 16 == k % 16 => value(k),
                _ => 0.0,
            };
            let chosen = Active((0..21).filter(|n| n % outputs == 0).collect());
            let matrices = [Matrix::new(&weights, 21, 30), Matrix::new(&weights, 30, 21).transposed()];
            for (matrix, rows) in matrices.into_iter().flat_map(|m| ROWS.map(|rows| (m, rows))) {
                let x: Vec<f32> = (0..rows * 30).map(|i| one(i / 30, i % 30)).collect();
                for (set, x) in instruction_sets()
                    .into_iter()
                    .flat_map(|set| [(set, x.clone()), (set, vec![0.0; rows * 30])])
                {
                    let mut all = vec![7.0; 21 * rows];
                    let mut some = all.clone();
                    run_on(set, Products { matrix, x: &x, outputs: None, sparse: false, sums: &mut all });
                    run_on(
                        set,
                        Products { matrix, x: &x, outputs: Some(&chosen), sparse: true, sums: &mut some },
                    );
                    for (i, (all, some)) in all.into_iter().zip(some).enumerate() {
                        let wanted = if chosen.0.contains(&((i / rows) as u32)) { all } else { 7.0 };
                        assert_eq!(
                            some.to_bits(),
                            wanted.to_bits(),
                            "{set:?}: output {}, {rows} rows",
                            i / rows
                        );
                    }
                }
            }
        }
    }
}
