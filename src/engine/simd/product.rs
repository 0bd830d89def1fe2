//! Products of a matrix of weights and a panel. Sums stay in registers during the loop over the inputs. Weights are
//! read in place, in the forward and in the backward pass, so nothing is packed.

use super::multiply_add;
use super::panel::{Column, LANES, words};

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
    /// Finds the columns of `panel` that are not zero in every example. Leaving out the others changes no bit of a sum.
    /// After a ReLU many are left out, the more the more alike the examples are.
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

    /// Takes all of `count` columns.
    pub fn all(&mut self, count: usize) {
        self.0.clear();
        self.0.extend(0..count as u32);
    }
}

/// The outputs or inputs of a matrix that a product takes, in rising order.
trait Indices: Copy {
    /// Whether they are `0..len`.
    const ALL: bool;
    fn len(self) -> usize;
    /// Index number `i`, `i < len`.
    fn at(self, i: usize) -> usize;
}

/// All of so many.
impl Indices for usize {
    const ALL: bool = true;
    #[inline(always)]
    fn len(self) -> usize {
        self
    }
    #[inline(always)]
    fn at(self, i: usize) -> usize {
        i
    }
}

impl Indices for &Active {
    const ALL: bool = false;
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn at(self, i: usize) -> usize {
        self.0[i] as usize
    }
}

/// Calls `finish(n, sum over k of matrix[n, k] x_k)` for every output n. Column x_k is the 16 words from `x[k *
/// stride]` on. `FMA` and `COLUMNS` are as in [`Work::run`](super::Work::run).
#[inline(always)]
pub fn product<const FMA: bool, const COLUMNS: usize>(
    matrix: Matrix,
    x: &[f32],
    stride: usize,
    finish: impl FnMut(usize, Column),
) {
    sums_of::<FMA, COLUMNS>(matrix, matrix.outputs, matrix.inputs, x, stride, finish);
}

/// [`product`] with a panel of which only the columns `inputs` are not zero.
#[inline(always)]
pub fn sparse_product<const FMA: bool, const COLUMNS: usize>(
    matrix: Matrix,
    inputs: &Active,
    panel: &[Column],
    finish: impl FnMut(usize, Column),
) {
    sums_of::<FMA, COLUMNS>(matrix, matrix.outputs, inputs, words(panel), LANES, finish);
}

/// [`sparse_product`] for the outputs `outputs` only.
#[inline(always)]
pub fn masked_product<const FMA: bool, const COLUMNS: usize>(
    matrix: Matrix,
    outputs: &Active,
    inputs: &Active,
    panel: &[Column],
    finish: impl FnMut(usize, Column),
) {
    sums_of::<FMA, COLUMNS>(matrix, outputs, inputs, words(panel), LANES, finish);
}

#[inline(always)]
fn sums_of<const FMA: bool, const COLUMNS: usize>(
    matrix: Matrix,
    outputs: impl Indices,
    inputs: impl Indices,
    x: &[f32],
    stride: usize,
    mut finish: impl FnMut(usize, Column),
) {
    let mut done = 0;
    if COLUMNS == MOST_COLUMNS && matrix.output == 1 && all(outputs) {
        done = outputs.len() - outputs.len() % ADJACENT;
        for first in (0..done).step_by(ADJACENT) {
            let sums = adjacent_tile::<FMA>(matrix, first, inputs, x, stride);
            sums.into_iter().zip(first..).for_each(|(sum, n)| finish(n, sum));
        }
    }
    let whole = outputs.len() - (outputs.len() - done) % COLUMNS;
    for first in (done..whole).step_by(COLUMNS) {
        let rows: [usize; COLUMNS] = std::array::from_fn(|r| outputs.at(first + r));
        for (n, sum) in rows.into_iter().zip(tile::<FMA, COLUMNS>(matrix, rows, inputs, x, stride)) {
            finish(n, sum);
        }
    }
    // The rest in one tile: a single sum would wait for each of its additions.
    macro_rules! rest {
        ($($count:literal)*) => {
            match outputs.len() - whole {
                $($count => {
                    let rows: [usize; $count] = std::array::from_fn(|r| outputs.at(whole + r));
                    let sums = tile::<FMA, $count>(matrix, rows, inputs, x, stride);
                    rows.into_iter().zip(sums).for_each(|(n, sum)| finish(n, sum));
                })*
                _ => {}
            }
        };
    }
    rest!(1 2 3 4 5);
}

fn all<C: Indices>(_: C) -> bool {
    C::ALL
}

/// Columns of the largest register tile, that of the instruction set with the most registers.
const MOST_COLUMNS: usize = 6;

/// Outputs of a tile whose weights for an input are adjacent. They need one address, which leaves registers for twice
/// as many sums.
const ADJACENT: usize = 2 * MOST_COLUMNS;

/// The sums of [`ADJACENT`] outputs from `first` on; `matrix.output` is 1.
#[inline(always)]
fn adjacent_tile<const FMA: bool>(
    matrix: Matrix,
    first: usize,
    inputs: impl Indices,
    x: &[f32],
    stride: usize,
) -> [Column; ADJACENT] {
    let mut sums = [[0.0f32; LANES]; ADJACENT];
    let count = inputs.len();
    if count == 0 {
        return sums.map(Column);
    }
    let last = inputs.at(count - 1);
    assert!(first + ADJACENT + last * matrix.input <= matrix.data.len() && last * stride + LANES <= x.len());
    for i in 0..count {
        let k = inputs.at(i);
        // SAFETY: k <= `last`, so the words are within what the assertion covers.
        let (weights, x): (&[f32; ADJACENT], &[f32; LANES]) = unsafe {
            let weights = matrix.data.as_ptr().add(first + k * matrix.input);
            (&*weights.cast(), &*x.as_ptr().add(k * stride).cast())
        };
        // Unrolled, as below.
        macro_rules! add_to_row {
            ($($r:literal)*) => {$(
                for e in 0..LANES {
                    sums[$r][e] = multiply_add::<FMA>(weights[$r], x[e], sums[$r][e]);
                }
            )*};
        }
        add_to_row!(0 1 2 3 4 5 6 7 8 9 10 11);
    }
    sums.map(Column)
}

/// The sums of the outputs `rows`, one column each, held in registers during the loop over the inputs.
#[inline(always)]
fn tile<const FMA: bool, const COLUMNS: usize>(
    matrix: Matrix,
    rows: [usize; COLUMNS],
    inputs: impl Indices,
    x: &[f32],
    stride: usize,
) -> [Column; COLUMNS] {
    const { assert!(COLUMNS <= MOST_COLUMNS, "the sums are unrolled below") };
    let Matrix { data, output, input, .. } = matrix;
    let mut sums = [[0.0f32; LANES]; COLUMNS];
    let count = inputs.len();
    if count == 0 {
        return sums.map(Column);
    }
    // Indices rise, so the last is the largest.
    let last = inputs.at(count - 1);
    let top = rows.into_iter().fold(0, usize::max);
    assert!(top * output + last * input < data.len() && last * stride + LANES <= x.len());
    // SAFETY: within what the assertion covers.
    let rows: [*const f32; COLUMNS] = rows.map(|row| unsafe { data.as_ptr().add(row * output) });
    for i in 0..count {
        let k = inputs.at(i);
        // SAFETY: k <= `last`, so the words are within what the assertion covers.
        let x: &[f32; LANES] = unsafe { &*x.as_ptr().add(k * stride).cast() };
        // Unrolled: compilers turn a loop over rows into vectors across the rows, forty times slower.
        macro_rules! add_to_row {
            ($($r:literal)*) => {$(
                if $r < COLUMNS {
                    // SAFETY: as above.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::simd::{InstructionSet, Work, instruction_set, run_on};

    struct Product<'a>(Matrix<'a>, &'a [Column], &'a mut Vec<Column>);

    impl Work for Product<'_> {
        #[inline(always)]
        fn run<const FMA: bool, const COLUMNS: usize>(self) {
            product::<FMA, COLUMNS>(self.0, words(self.1), LANES, |_, sum| self.2.push(sum));
        }
    }

    fn sets() -> Vec<InstructionSet> {
        let mut sets = vec![InstructionSet::Portable];
        match instruction_set() {
            InstructionSet::Avx512 => sets.extend([InstructionSet::Avx2Fma, InstructionSet::Avx512]),
            InstructionSet::Portable => {}
            other => sets.push(other),
        }
        sets
    }

    #[test]
    fn products_of_every_instruction_set_agree_with_the_definition() {
        for (outputs, inputs) in [(1, 1), (7, 5), (8, 16), (21, 30)] {
            let value = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
            let weights: Vec<f32> = (0..outputs * inputs).map(value).collect();
            for transposed in [false, true] {
                let matrix = Matrix::new(&weights, outputs, inputs);
                let matrix = if transposed { matrix.transposed() } else { matrix };
                let x: Vec<Column> = (0..matrix.inputs)
                    .map(|k| Column(std::array::from_fn(|e| value(k * LANES + e + 11))))
                    .collect();
                for set in sets() {
                    let mut sums = Vec::new();
                    run_on(set, Product(matrix, &x, &mut sums));
                    assert_eq!(sums.len(), matrix.outputs);
                    for (n, sum) in sums.iter().enumerate() {
                        for e in 0..LANES {
                            let weight = |k| f64::from(weights[n * matrix.output + k * matrix.input]);
                            let exact: f64 = (0..x.len()).map(|k| weight(k) * f64::from(x[k][e])).sum();
                            let error = (f64::from(sum[e]) - exact).abs();
                            assert!(error <= 1e-5, "{set:?}: output {n}, example {e}: {error}");
                        }
                    }
                }
            }
        }
    }

    struct Sparse<'a>(Matrix<'a>, &'a Active, &'a [Column], &'a mut Vec<(usize, Column)>);

    impl Work for Sparse<'_> {
        #[inline(always)]
        fn run<const FMA: bool, const COLUMNS: usize>(self) {
            let mut inputs = Active::default();
            inputs.find(self.2);
            masked_product::<FMA, COLUMNS>(self.0, self.1, &inputs, self.2, |n, sum| self.3.push((n, sum)));
        }
    }

    #[test]
    fn sums_without_the_zeros_are_the_same_to_the_bit() {
        let value = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
        let weights: Vec<f32> = (0..30 * 21).map(value).collect();
        for (every, outputs) in [(1, 1), (3, 2), (100, 7)] {
            // All columns are zero but for each `every`-th, in which one example is not.
            let one = |k: usize| std::array::from_fn(|e| if e == k % LANES { value(k) } else { 0.0 });
            let mut panel: Vec<Column> =
                (0..30).map(|k| if k % every == 0 { Column(one(k)) } else { Column::ZERO }).collect();
            panel[29] = Column([f32::NAN; LANES]);
            let chosen = Active((0..21).filter(|n| n % outputs == 0).collect());
            for matrix in [Matrix::new(&weights, 21, 30), Matrix::new(&weights, 30, 21).transposed()] {
                let zeros = [Column::ZERO; 30];
                let both = [&panel[..], &zeros];
                for (set, panel) in sets().into_iter().flat_map(|set| both.map(|panel| (set, panel))) {
                    let (mut all, mut some) = (Vec::new(), Vec::new());
                    run_on(set, Product(matrix, panel, &mut all));
                    run_on(set, Sparse(matrix, &chosen, panel, &mut some));
                    let numbers: Vec<u32> = some.iter().map(|(n, _)| *n as u32).collect();
                    assert_eq!(numbers, chosen.0, "{set:?}");
                    for (n, sum) in some {
                        assert_eq!(sum.map(f32::to_bits), all[n].map(f32::to_bits), "{set:?}: output {n}");
                    }
                }
            }
        }
    }
}
