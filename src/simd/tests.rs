use super::*;

struct Product<'a>(Matrix<'a>, &'a [Column], &'a mut Vec<Column>);

impl Work for Product<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const ROWS: usize>(self) {
        product::<FMA, ROWS>(self.0, words(self.1), LANES, |_, sum| self.2.push(sum));
    }
}

/// A block transposed, and one of its rows times 0.7 added to another.
struct Block<'a>(&'a mut [Column; LANES]);

impl Work for Block<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const ROWS: usize>(self) {
        transpose_block::<ROWS>(self.0);
        let x = self.0[3];
        add_scaled::<FMA, ROWS>(&mut self.0[5], 0.7, &x);
    }
}

#[test]
fn blocks_are_transposed_on_every_instruction_set() {
    let value = |i: usize, j: usize| (i * LANES + j) as f32;
    for path in paths() {
        let mut block: [Column; LANES] =
            std::array::from_fn(|i| Column(std::array::from_fn(|j| value(i, j))));
        run_on(path, Block(&mut block));
        for (i, j) in (0..LANES).flat_map(|i| (0..LANES).map(move |j| (i, j))) {
            let more = if i == 5 { 0.7 * value(j, 3) } else { 0.0 };
            assert!((block[i][j] - (value(j, i) + more)).abs() < 1e-3, "{path:?}: {i} {j}");
        }
    }
}

fn paths() -> Vec<Path> {
    let mut paths = vec![Path::Portable];
    match path() {
        Path::Avx512 => paths.extend([Path::Avx2Fma, Path::Avx512]),
        Path::Portable => {}
        other => paths.push(other),
    }
    paths
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
            for path in paths() {
                let mut sums = Vec::new();
                run_on(path, Product(matrix, &x, &mut sums));
                assert_eq!(sums.len(), matrix.outputs);
                for (n, sum) in sums.iter().enumerate() {
                    for e in 0..LANES {
                        let weight = |k| f64::from(weights[n * matrix.output + k * matrix.input]);
                        let exact: f64 = (0..x.len()).map(|k| weight(k) * f64::from(x[k][e])).sum();
                        let error = (f64::from(sum[e]) - exact).abs();
                        assert!(error <= 1e-5, "{path:?}: output {n}, example {e}: {error}");
                    }
                }
            }
        }
    }
}

struct Sparse<'a>(Matrix<'a>, &'a Active, &'a [Column], &'a mut Vec<(usize, Column)>);

impl Work for Sparse<'_> {
    #[inline(always)]
    fn run<const FMA: bool, const ROWS: usize>(self) {
        let mut inputs = Active::default();
        inputs.find(self.2);
        masked_product::<FMA, ROWS>(self.0, self.1, &inputs, self.2, |n, sum| self.3.push((n, sum)));
    }
}

#[test]
fn sums_without_the_zeros_are_the_same_to_the_bit() {
    let value = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
    let weights: Vec<f32> = (0..30 * 21).map(value).collect();
    for (every, outputs) in [(1, 1), (3, 2), (100, 7)] {
        // Columns of zeros but for each `every`-th, in which one example is not zero.
        let one = |k: usize| std::array::from_fn(|e| if e == k % LANES { value(k) } else { 0.0 });
        let mut panel: Vec<Column> =
            (0..30).map(|k| if k % every == 0 { Column(one(k)) } else { Column::ZERO }).collect();
        panel[29] = Column([f32::NAN; LANES]);
        let chosen = Active((0..21).filter(|n| n % outputs == 0).collect());
        for matrix in [Matrix::new(&weights, 21, 30), Matrix::new(&weights, 30, 21).transposed()] {
            let zeros = [Column::ZERO; 30];
            let both = [&panel[..], &zeros];
            for (path, panel) in paths().into_iter().flat_map(|path| both.map(|panel| (path, panel))) {
                let (mut all, mut some) = (Vec::new(), Vec::new());
                run_on(path, Product(matrix, panel, &mut all));
                run_on(path, Sparse(matrix, &chosen, panel, &mut some));
                let numbers: Vec<u32> = some.iter().map(|(n, _)| *n as u32).collect();
                assert_eq!(numbers, chosen.0, "{path:?}");
                for (n, sum) in some {
                    assert_eq!(sum.map(f32::to_bits), all[n].map(f32::to_bits), "{path:?}: output {n}");
                }
            }
        }
    }
}

#[test]
fn exponentials_are_right_to_the_last_places() {
    let close = |value: f32, exact: f64, x: f32| {
        let unit = f64::from((exact as f32).abs().next_up() - (exact as f32).abs());
        let error = (f64::from(value) - exact).abs();
        assert!(error <= 2.0 * unit || f64::from(value) == exact, "at {x}: {value} for {exact}");
    };
    for i in -20_000..18_000 {
        for x in [i as f32 / 200.0 + 1e-3 * (i % 7) as f32, i as f32 * 1e-6, i as f32 * 1e-12] {
            let (exp, exp_m1) = exp_and_exp_m1(x);
            let exact = f64::from(x);
            if exact.exp() < f64::from(f32::MAX) {
                close(exp, exact.exp(), x);
                close(exp_m1, exact.exp_m1(), x);
            }
        }
    }
    assert_eq!(exp_and_exp_m1(0.0), (1.0, 0.0));
    assert_eq!(exp_and_exp_m1(f32::INFINITY), (f32::INFINITY, f32::INFINITY));
    assert_eq!(exp_and_exp_m1(f32::NEG_INFINITY), (0.0, -1.0));
    let (exp, exp_m1) = exp_and_exp_m1(f32::NAN);
    assert!(exp.is_nan() && exp_m1.is_nan());
}
