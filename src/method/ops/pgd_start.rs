//! The random start of projected gradient ascent; `shaders/pgd_start.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::ops::lanes::sum_of;
use crate::engine::recording::Call;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;
use crate::method::ops::pgd_step::{Norm, clip, image_grid};

kernel! {
    pub static PGD_START: "pgd_start" {
        shaders: [
            "common/flat.wgsl",
            "common/reduce.wgsl",
            "common/bits.wgsl",
            "common/box.wgsl",
            "common/ball.wgsl",
            "pgd_start.wgsl",
        ],
        params: { rows: u32, cols: u32, eps: f32 },
        constants: { NORM },
        bindings: { x: read f32, noise: read f32, radius: read f32, x_adv: write f32 },
        cpu: pgd_start_cpu,
    }
}

/// Inputs: the centres, the noise and, for L2, the radii. Writes: the points.
#[derive(Debug, Clone, Copy)]
struct PgdStart {
    norm: Norm,
    eps: f32,
}

/// The noise that random starts are computed from.
#[derive(Debug, Clone, Copy)]
pub enum StartNoise {
    /// L-infinity: uniform in (0, 1), `[rows, cols]`.
    Linf(Tensor),
    /// L2: standard normals `[rows, cols]` for the direction, uniforms `[rows]` for the radius.
    L2 {
        /// `[rows, cols]`.
        normals: Tensor,
        /// `[rows]`.
        radius: Tensor,
    },
}

/// Sets the variable `x_adv` `[rows, cols]` to random points of the balls of radius `eps` around `x` `[rows, cols]`,
/// clipped to the box [0, 1].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn pgd_start(g: &mut Graph, x_adv: Tensor, x: Tensor, noise: StartNoise, eps: f32) -> Result<()> {
    match noise {
        StartNoise::Linf(uniforms) => {
            g.apply_to(PgdStart { norm: Norm::Linf, eps }, &[x, uniforms], &[x_adv])
        }
        StartNoise::L2 { normals, radius } => {
            g.apply_to(PgdStart { norm: Norm::L2, eps }, &[x, normals, radius], &[x_adv])
        }
    }
}

impl Op for PgdStart {
    fn name(&self) -> &'static str {
        PGD_START.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let (x, noise) = (inputs[0].0, inputs[1].0);
        let fits = x.rows() == noise.rows()
            && x.cols() == noise.cols()
            && inputs[2..].iter().all(|(radius, _)| radius.len() == x.rows())
            && inputs.iter().all(|(_, dtype)| *dtype == DType::F32);
        match fits {
            true => Ok(vec![(x.clone(), DType::F32)]),
            false => Err(format!("{inputs:?}: needs float x, noise of its size, radius [rows]")),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        let (rows, cols) = (shape.rows(), shape.cols());
        let params = Params { rows: rows as u32, cols: cols as u32, eps: self.eps };
        let radius = if self.norm == Norm::L2 { io.input(2).by_row() } else { UNUSED };
        let args = Args {
            x: io.input(0).by_row(),
            noise: io.input(1).by_row(),
            radius,
            x_adv: io.output(0).by_row(),
        };
        let call = args.call(params, Constants { NORM: self.norm as u32 });
        image_grid(self.norm, call, rows, cols).flops(rows * cols * 5)
    }
}

fn pgd_start_cpu(Tile { p, constants, x, noise, radius, x_adv, .. }: Tile) {
    let cols = p.cols as usize;
    if constants.NORM == Norm::Linf as u32 {
        for ((x_adv, x), noise) in x_adv.iter_mut().zip(x).zip(noise) {
            *x_adv = start_linf(*x, *noise, p.eps);
        }
        return;
    }
    let points = x_adv.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
    for (((x_adv, x), noise), radius) in points.zip(noise.chunks_exact(cols)).zip(radius) {
        let norm = sum_of(noise, noise, |n, _| n * n).sqrt();
        let length = p.eps * radius.powf(1.0 / cols as f32);
        let factor = if norm == 0.0 { 0.0 } else { length / norm };
        for ((x_adv, x), noise) in x_adv.iter_mut().zip(x).zip(noise) {
            *x_adv = clip(x + factor * noise, 0.0, 1.0);
        }
    }
}

/// A random point of the L-infinity ball around `x`, by a uniform draw, clipped to the box.
#[inline(always)]
pub(crate) fn start_linf(x: f32, draw: f32, eps: f32) -> f32 {
    clip(x + eps * (2.0 * draw - 1.0), 0.0, 1.0)
}
