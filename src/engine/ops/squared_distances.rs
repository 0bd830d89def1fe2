//! Squared distances between the rows of two matrices; `shaders/squared_distances.wgsl`.

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::ops::elementwise::{scale, subtract};
use crate::engine::ops::{broadcast, lanes, matmul, reduce};
use crate::engine::recording::{Call, flat_grid, flat_tile};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static SQUARED_DISTANCES: "squared_distances" {
        shaders: ["common/flat.wgsl", "squared_distances.wgsl"],
        params: { n: u32, m: u32, dims: u32 },
        constants: {},
        bindings: { x: read f32, y: read f32, out: write f32 },
        cpu: squared_distances_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct SquaredDistances;

/// `|x_i - y_j|^2` `[n, m]` between the rows of `x` `[n, dims]` and `y` `[m, dims]`.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::squared_distances;
///
/// let inputs = [floats([1, 2], &[0.0, 0.0]), floats([2, 2], &[3.0, 4.0, 1.0, 0.0])];
/// let y: Vec<f32> = evaluate(inputs, |g, [x, y]| squared_distances(g, x, y))?;
/// assert_eq!(y, [25.0, 1.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn squared_distances(g: &mut Graph, x: Tensor, y: Tensor) -> Result<Tensor> {
    g.apply_one(SquaredDistances, &[x, y])
}

impl Op for SquaredDistances {
    fn name(&self) -> &'static str {
        SQUARED_DISTANCES.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(x, DType::F32), (y, DType::F32)] if x.cols() == y.cols() => {
                Ok(vec![([x.rows(), y.rows()].into(), DType::F32)])
            }
            _ => Err(format!("{inputs:?}: needs float points [n, dims] and [m, dims]")),
        }
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        let Some(d) = upstream[0] else { return Ok(vec![None; 2]) };
        let (x, y) = (node.inputs[0], node.inputs[1]);
        // dx_i = 2 sum over j of d_ij (x_i - y_j), and dy_j = 2 sum over i of d_ij (y_j - x_i).
        let mut towards = |points, others, transpose: bool| {
            let weights = if transpose { reduce::column_sums(g, d)? } else { reduce::row_sums(g, d)? };
            let own = broadcast::scale_rows(g, weights, points)?;
            let drawn = matmul::matmul(g, d, transpose, others, false)?;
            let difference = subtract(g, own, drawn)?;
            scale(g, difference, 2.0).map(Some)
        };
        Ok(vec![
            if wanted[0] { towards(x, y, false)? } else { None },
            if wanted[1] { towards(y, x, true)? } else { None },
        ])
    }

    fn call(&self, io: &Io) -> Call {
        let ((x, _), (y, _)) = (&io.inputs[0], &io.inputs[1]);
        let (n, m, dims) = (x.rows(), y.rows(), x.cols());
        Args { x: io.input(0).by_row(), y: io.input(1).whole(), out: io.output(0).by_row() }
            .call(Params { n: n as u32, m: m as u32, dims: dims as u32 }, Constants {})
            .grid(n, flat_tile(m * dims), flat_grid(n * m))
            .flops(3 * n * m * dims)
    }
}

fn squared_distances_cpu(Tile { p, x, y, out, .. }: Tile) {
    let (m, dims) = (p.m as usize, p.dims as usize);
    for (x, out) in x.chunks_exact(dims).zip(out.chunks_exact_mut(m)) {
        for (y, out) in y.chunks_exact(dims).zip(out) {
            *out = lanes::sum_of(x, y, |x, y| (x - y) * (x - y));
        }
    }
}
