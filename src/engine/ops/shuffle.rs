//! The examples of a training step; `shaders/shuffle.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid};
use crate::engine::rng::{Key, half_bits, permuted};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static SHUFFLE: "shuffle" {
        shaders: ["common/flat.wgsl", "common/rng.wgsl", "shuffle.wgsl"],
        params: { batch: u32, n: u32, half_bits: u32, key0: u32, key1: u32 },
        constants: {},
        bindings: { clock: read u32, out: write u32 },
        cpu: shuffle_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Shuffle {
    batch: usize,
    n: usize,
    key: Key,
}

/// The indices `[batch]` (u32) of the examples, of `n`, of the step in `clock` (u32, its first word). Every epoch
/// visits every example once, in its own order. Steps times `batch` must stay below 2^32.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, words};
/// use smoothenc::engine::ops::{examples_of, shuffle};
/// use smoothenc::engine::rng::{Key, Purpose};
///
/// let key = Key::new(7, Purpose::Shuffle);
/// let mut first: Vec<u32> = evaluate([words([1], &[0])], |g, [clock]| shuffle(g, clock, 5, 5, key))?;
/// assert!(examples_of(0, 5, 5, key).eq(first.iter().map(|&i| i as usize)));
/// first.sort();
/// assert_eq!(first, [0, 1, 2, 3, 4]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a clock of floats, and without examples.
pub fn shuffle(g: &mut Graph, clock: Tensor, batch: usize, n: usize, key: Key) -> Result<Tensor> {
    g.apply_one(Shuffle { batch, n, key }, &[clock])
}

/// The indices that [`shuffle`] gives in `step`, for a host that writes the examples itself.
pub fn examples_of(step: u32, batch: usize, n: usize, key: Key) -> impl Iterator<Item = usize> {
    let first = step.wrapping_mul(batch as u32);
    (0..batch as u32).map(move |i| example(key, n as u32, first.wrapping_add(i)) as usize)
}

/// The index of example number `number` of the run.
fn example(key: Key, n: u32, number: u32) -> u32 {
    permuted(key, number / n, n, number % n)
}

impl Op for Shuffle {
    fn name(&self) -> &'static str {
        SHUFFLE.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs[0].1 {
            DType::U32 if self.n > 0 => Ok(vec![([self.batch].into(), DType::U32)]),
            DType::U32 => Err("there are no examples".into()),
            DType::F32 => Err("the clock counts in integers".into()),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let n = self.n as u32;
        let [key0, key1] = self.key.0;
        let params = Params { batch: self.batch as u32, n, half_bits: half_bits(n), key0, key1 };
        Args { clock: io.input(0).whole(), out: io.output(0).by_row() }.call(params, Constants {}).grid(
            self.batch,
            self.batch,
            flat_grid(self.batch),
        )
    }
}

fn shuffle_cpu(Tile { p, rows, clock, out, .. }: Tile) {
    let first = clock[0].wrapping_mul(p.batch).wrapping_add(rows.start as u32);
    for (number, out) in (first..).zip(out) {
        *out = example(Key([p.key0, p.key1]), p.n, number);
    }
}
