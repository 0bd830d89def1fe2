//! Programs made at random, as the graph runs them and as a naive interpreter does, in which every
//! value has memory of its own: what guards the plan's sharing of memory.

#[path = "common/graphs.rs"]
mod graphs;

use graphs::{cpu, keep};
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::broadcast;
use smoothenc::engine::ops::elementwise::{add, relu, scale, sigmoid, subtract};
use smoothenc::engine::ops::matmul::matmul;
use smoothenc::engine::ops::reduce::row_sums;
use smoothenc::engine::ops::store;
use smoothenc::engine::tensor::DType::F32;
use smoothenc::error::Result;

const ROWS: usize = 100;
const WIDTHS: [usize; 3] = [3, 17, 40];

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = (self.0 >> 33) ^ self.0;
        ((x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize) % n
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(2001) as f32 / 1000.0 - 1.0).collect()
    }
}

/// Values are numbered in the order in which they are made; the first are the states.
#[derive(Debug, Clone)]
enum Step {
    Add(usize, usize),
    Subtract(usize, usize),
    Halve(usize),
    Relu(usize),
    Sigmoid(usize),
    /// By the weights from one width to another.
    Product(usize, usize),
    /// Row sums over the width, spread over another.
    Spread(usize, usize),
    /// The sigmoid of the value, which the state of this width becomes too.
    Assign(usize, usize),
    /// The state of this width becomes the value, which may be old; makes no value.
    Store(usize, usize),
    Repeat(usize, Vec<Step>),
}
use Step::*;

/// What a program under construction knows: widths (indices into [`WIDTHS`]) of the values.
struct Program {
    widths: Vec<usize>,
    readable: Vec<usize>,
}

impl Program {
    fn some(&self, rng: &mut Rng) -> usize {
        // Young values more often, but old ones too.
        let n = self.readable.len();
        let back = if rng.below(3) == 0 { n } else { n.min(4) };
        self.readable[n - 1 - rng.below(back)]
    }

    fn steps(&mut self, rng: &mut Rng, length: usize, loops: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..length {
            if loops && rng.below(6) == 0 {
                let length = 1 + rng.below(12);
                steps.push(Repeat(1 + rng.below(3), self.steps(rng, length, false)));
                continue;
            }
            let a = self.some(rng);
            let like = |b: &&usize| self.widths[**b] == self.widths[a];
            let same: Vec<_> = self.readable.iter().filter(like).copied().collect();
            let (b, other) = (same[rng.below(same.len())], rng.below(WIDTHS.len()));
            let (step, width) = match rng.below(10) {
                0 => (Add(a, b), self.widths[a]),
                1 => (Subtract(a, b), self.widths[a]),
                2 => (Halve(a), self.widths[a]),
                3 => (Relu(a), self.widths[a]),
                4 => (Sigmoid(a), self.widths[a]),
                5 | 6 => (Product(a, other), other),
                7 => (Spread(a, other), other),
                8 => (Assign(self.widths[a], a), self.widths[a]),
                _ => {
                    // A state is no copy of itself.
                    if a != self.widths[a] {
                        steps.push(Store(self.widths[a], a));
                    }
                    continue;
                }
            };
            self.widths.push(width);
            self.readable.push(self.widths.len() - 1);
            steps.push(step);
        }
        steps
    }
}

fn weights_name(from: usize, to: usize) -> String {
    format!("w{from}{to}")
}

/// The program as a graph; returns the tensors of the values.
fn build(g: &mut Graph, steps: &[Step], widths: &[usize], values: &mut Vec<Tensor>) -> Result<()> {
    for step in steps {
        let value = match step {
            Add(a, b) => add(g, values[*a], values[*b])?,
            Subtract(a, b) => subtract(g, values[*a], values[*b]).unwrap(),
            Halve(a) => scale(g, values[*a], 0.5)?,
            Relu(a) => relu(g, values[*a]).unwrap(),
            Sigmoid(a) => sigmoid(g, values[*a])?,
            Product(a, to) => {
                let from = widths[*a];
                let shape = [WIDTHS[*to], WIDTHS[from]];
                let w = g.variable(&weights_name(from, *to), shape, F32)?;
                matmul(g, values[*a], false, w, true)?
            }
            Spread(a, to) => {
                let sums = row_sums(g, values[*a])?;
                broadcast::columns(g, sums, [ROWS, WIDTHS[*to]].into())?
            }
            Assign(state, a) => {
                let value = sigmoid(g, values[*a])?;
                store(g, value, values[*state])?;
                value
            }
            Store(state, a) => {
                store(g, values[*a], values[*state])?;
                continue;
            }
            Repeat(times, body) => {
                g.repeat(*times, |g| build(g, body, widths, values))?;
                continue;
            }
        };
        values.push(value);
    }
    Ok(())
}

/// The same by hand: `values` by number, overwritten in every turn of a loop.
struct Naive<'a> {
    widths: &'a [usize],
    weights: &'a [Vec<Vec<f32>>],
    values: Vec<Vec<f64>>,
}

impl Naive<'_> {
    /// Runs the steps, whose first makes value number `next`.
    fn run(&mut self, steps: &[Step], mut next: usize) -> usize {
        for step in steps {
            let of = |i: &usize| self.values[*i].iter().copied();
            let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
            let value: Vec<f64> = match step {
                Add(a, b) => of(a).zip(of(b)).map(|(a, b)| a + b).collect(),
                Subtract(a, b) => of(a).zip(of(b)).map(|(a, b)| a - b).collect(),
                Halve(a) => of(a).map(|a| 0.5 * a).collect(),
                Relu(a) => of(a).map(|a| a.max(0.0)).collect(),
                Sigmoid(a) | Assign(_, a) => of(a).map(logistic).collect(),
                Product(a, to) => {
                    let from = self.widths[*a];
                    let weights = &self.weights[from][*to];
                    let dot = |row: &[f64], out: usize| -> f64 {
                        let weights = &weights[out * WIDTHS[from]..][..WIDTHS[from]];
                        row.iter().zip(weights).map(|(x, w)| x * f64::from(*w)).sum()
                    };
                    let rows = self.values[*a].chunks(WIDTHS[from]);
                    rows.flat_map(|row| (0..WIDTHS[*to]).map(move |out| dot(row, out))).collect()
                }
                Spread(a, to) => {
                    let rows = self.values[*a].chunks(WIDTHS[self.widths[*a]]);
                    rows.flat_map(|row| vec![row.iter().sum(); WIDTHS[*to]]).collect()
                }
                Store(state, a) => {
                    let value = self.values[*a].clone();
                    self.values[*state] = value;
                    continue;
                }
                Repeat(times, body) => {
                    let mut end = next;
                    for _ in 0..*times {
                        end = self.run(body, next);
                    }
                    next = end;
                    continue;
                }
            };
            if let Assign(state, _) = step {
                self.values[*state].clone_from(&value);
            }
            self.values.resize(self.values.len().max(next + 1), Vec::new());
            self.values[next] = value;
            next += 1;
        }
        next
    }
}

fn check(seed: u64) {
    let mut rng = Rng(seed);
    let mut program = Program { widths: vec![0, 1, 2], readable: vec![0, 1, 2] };
    let length = 4 + rng.below(25);
    let steps = program.steps(&mut rng, length, true);
    let widths = program.widths;

    let (mut g, mut session) = (Graph::new(), cpu());
    let mut values = Vec::new();
    let mut naive = Naive { widths: &widths, weights: &[], values: Vec::new() };
    for (i, width) in WIDTHS.into_iter().enumerate() {
        let start = rng.floats(ROWS * width);
        session.set(&format!("state{i}"), &start).unwrap();
        values.push(g.variable(&format!("state{i}"), [ROWS, width], F32).unwrap());
        naive.values.push(start.into_iter().map(f64::from).collect());
    }
    let mut weights = vec![vec![Vec::new(); 3]; 3];
    for (from, to) in (0..9).map(|i| (i / 3, i % 3)) {
        // Small, so that nothing grows beyond comparison.
        let n = WIDTHS[from] * WIDTHS[to];
        weights[from][to] = rng.floats(n).iter().map(|w| w / WIDTHS[from] as f32).collect();
        session.set(&weights_name(from, to), &weights[from][to]).unwrap();
    }
    naive.weights = &weights;
    build(&mut g, &steps, &widths, &mut values).unwrap();
    // Some of the values are kept; the others are free to be shared or dropped.
    let kept: Vec<usize> = (0..widths.len()).filter(|&i| i < 3 || rng.below(3) == 0).collect();
    for &i in &kept {
        keep(&mut g, &format!("kept{i}"), values[i]);
    }
    session.compile(&g).unwrap().run().unwrap();
    naive.run(&steps, 3);
    for i in kept {
        let got: Vec<f32> = session.get(&format!("kept{i}")).unwrap();
        // Differences of values near 1 have the rounding of those.
        let largest = naive.values[i].iter().fold(1e-2, |m: f64, v| m.max(v.abs()));
        for (at, (got, want)) in got.iter().zip(&naive.values[i]).enumerate() {
            let right = (f64::from(*got) - want).abs() <= 1e-4 * largest;
            assert!(right, "program {seed}, value {i} at {at}: {got} instead of {want}\n{steps:#?}");
        }
    }
}

#[test]
fn random_programs_run_as_a_naive_interpreter_does() {
    for seed in 0..2000 {
        check(seed);
    }
}
