//! Uniform and standard normal draws; `shaders/random.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid};
use crate::engine::rng::{self, Key};
use crate::engine::simd::{self, Vector, Work};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static RANDOM: "random" {
        shaders: ["common/flat.wgsl", "common/rng.wgsl", "common/precise.wgsl", "random.wgsl"],
        params: { n: u32, key0: u32, key1: u32 },
        constants: { NORMAL },
        bindings: { clock: read u32, out: write f32 },
        cpu: random_cpu,
    }
}

#[derive(Debug, Clone)]
struct Random {
    shape: Shape,
    key: Key,
    normal: bool,
}

/// Uniform draws in (0, 1), functions of the key, the step in `clock` (u32, its first word) and their index.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, words};
/// use smoothenc::engine::ops::uniform;
/// use smoothenc::engine::rng::{Key, Purpose};
///
/// let key = Key::new(7, Purpose::Selection);
/// let draws = |step| evaluate([words([1], &[step])], |g, [clock]| uniform(g, clock, [100], key));
/// let (first, second): (Vec<f32>, Vec<f32>) = (draws(0)?, draws(1)?);
/// assert!(first != second && first.iter().all(|u| 0.0 < *u && *u < 1.0));
/// assert_eq!(first, draws(0)?);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a clock of floats.
pub fn uniform(g: &mut Graph, clock: Tensor, shape: impl Into<Shape>, key: Key) -> Result<Tensor> {
    g.apply_one(Random { shape: shape.into(), key, normal: false }, &[clock])
}

/// Standard normal draws; else as [`uniform`].
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, words};
/// use smoothenc::engine::ops::normal;
/// use smoothenc::engine::rng::{Key, Purpose};
///
/// let key = Key::new(7, Purpose::Selection);
/// let draws = |step| evaluate([words([1], &[step])], |g, [clock]| normal(g, clock, [100], key));
/// let (first, second): (Vec<f32>, Vec<f32>) = (draws(0)?, draws(1)?);
/// assert!(first != second && first.iter().all(|u| u.abs() < 6.0));
/// assert_eq!(first, draws(0)?);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// As [`uniform`].
pub fn normal(g: &mut Graph, clock: Tensor, shape: impl Into<Shape>, key: Key) -> Result<Tensor> {
    g.apply_one(Random { shape: shape.into(), key, normal: true }, &[clock])
}

impl Op for Random {
    fn name(&self) -> &'static str {
        RANDOM.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs[0].1 {
            DType::U32 => Ok(vec![(self.shape.clone(), DType::F32)]),
            DType::F32 => Err("the clock counts in integers".into()),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let n = self.shape.len();
        let params = Params { n: n as u32, key0: self.key.0[0], key1: self.key.0[1] };
        Args { clock: io.input(0).whole(), out: io.output(0).by_row() }
            .call(params, Constants { NORMAL: self.normal.into() })
            .grid(n, CPU_TILE, flat_grid(n.div_ceil(2)))
    }
}

/// Draws that one thread makes at a time; even, so that no block of two is split.
const CPU_TILE: usize = 8192;

fn random_cpu(tile: Tile) {
    simd::run(tile);
}

impl Work for Tile<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Tile { p, constants, rows, clock, out } = self;
        let key = Key([p.key0, p.key1]);
        rng::fill(key, clock[0], (rows.start / 2) as u32, constants.NORMAL == 1, out);
    }
}
