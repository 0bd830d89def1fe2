//! Matrix product with an optional bias and ReLU; `shaders/matmul.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::graph::{Graph, Io, Node, Op, Tensor};
use crate::ops::{elementwise, reduce};
use crate::recording::Access::{Read, Write};
use crate::recording::{Call, CpuCall, Kernel, NONE};
use crate::tensor::{DType, Shape};

pub static MATMUL: Kernel = Kernel {
    name: "matmul",
    wgsl: &[include_str!("../../shaders/matmul.wgsl")],
    bindings: &[Read, Read, Read, Write],
    cpu: matmul_cpu,
};

/// `C = act(op(A) op(B) + bias)`; inputs A, B and, with `bias`, the bias.
#[derive(Debug, Clone, Copy)]
struct Matmul {
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    relu: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
}

/// A dense layer `act(x Wᵀ + b)`: x `[rows, in]`, W `[out, in]` as PyTorch stores it, b `[out]`.
pub fn linear(g: &mut Graph, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Result<Tensor> {
    g.apply_one(Matmul { transpose_a: false, transpose_b: true, bias: true, relu }, &[x, weight, bias])
}

/// The plain product `op(A) op(B)`, either side transposed or not.
pub fn matmul(g: &mut Graph, a: Tensor, transpose_a: bool, b: Tensor, transpose_b: bool) -> Result<Tensor> {
    g.apply_one(Matmul { transpose_a, transpose_b, bias: false, relu: false }, &[a, b])
}

impl Matmul {
    /// m, n, k of the product, or `None` where the sides do not fit.
    fn sizes(&self, a: &Shape, b: &Shape) -> Option<(usize, usize, usize)> {
        let ([a0, a1], [b0, b1]) = ([a.rows(), a.cols()], [b.rows(), b.cols()]);
        let (m, k) = if self.transpose_a { (a1, a0) } else { (a0, a1) };
        let (kb, n) = if self.transpose_b { (b1, b0) } else { (b0, b1) };
        (k == kb).then_some((m, n, k))
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        MATMUL.name
    }

    fn outputs(&self, inputs: &[(&Shape, DType)]) -> std::result::Result<Vec<(Shape, DType)>, String> {
        if inputs.iter().any(|(_, dtype)| *dtype != DType::F32) {
            return Err(format!("{inputs:?}: needs floats"));
        }
        let (a, b) = (inputs[0].0, inputs[1].0);
        let (m, n, _) = self.sizes(a, b).ok_or_else(|| format!("{a} and {b} do not fit: {self:?}"))?;
        if self.bias && inputs[2].0.len() != n {
            return Err(format!("a bias of {} for {n} columns", inputs[2].0));
        }
        Ok(vec![([m, n].into(), DType::F32)])
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let Some(mut dc) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        if self.relu {
            dc = elementwise::relu_grad(g, dc, node.outputs[0])?;
        }
        // With C = op(A) op(B): d op(A) = dC op(B)ᵀ and d op(B) = op(A)ᵀ dC, transposed back.
        let da = match (wanted[0], self.transpose_a) {
            (false, _) => None,
            (true, false) => Some(matmul(g, dc, false, b, !self.transpose_b)?),
            (true, true) => Some(matmul(g, b, self.transpose_b, dc, true)?),
        };
        let db = match (wanted[1], self.transpose_b) {
            (false, _) => None,
            (true, false) => Some(matmul(g, a, !self.transpose_a, dc, false)?),
            (true, true) => Some(matmul(g, dc, true, a, self.transpose_a)?),
        };
        let mut gradients = vec![da, db];
        if self.bias {
            gradients.push(if wanted[2] { Some(reduce::column_sums(g, dc)?) } else { None });
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let Some((m, n, k)) = self.sizes(&io.inputs[0].0, &io.inputs[1].0) else {
            unreachable!("the shape rule has checked the sides")
        };
        let call = Call::new(&MATMUL, &Params { m: m as u32, n: n as u32, k: k as u32 })
            .constant("TRANSPOSE_A", self.transpose_a.into())
            .constant("TRANSPOSE_B", self.transpose_b.into())
            .constant("BIAS", self.bias.into())
            .constant("RELU", self.relu.into());
        // Row r of C needs row r of A, or, where A is transposed, a column of it.
        let call = if self.transpose_a { call.whole(io.input(0)) } else { call.row(io.input(0)) };
        call.whole(io.input(1))
            .whole(if self.bias { io.input(2) } else { NONE })
            .row(io.output(0))
            .grid(m, CPU_TILE, [n.div_ceil(32) as u32, m.div_ceil(32) as u32, 1])
            .flops(2 * m * n * k)
    }
}

/// Rows of C that one thread computes at a time.
const CPU_TILE: usize = 32;

fn matmul_cpu(call: &CpuCall, rows: Range<usize>) {
    let p: Params = call.params();
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let c = call.rows_mut::<f32>(3, &rows, n);
    // Strides of op(A)[row, l] and op(B)[l, column], and A from its first row of this tile on.
    let (a, a_row, a_l) = match call.constant("TRANSPOSE_A") {
        0 => (call.rows::<f32>(0, &rows, k), k, 1),
        _ => (&call.whole::<f32>(0)[rows.start..], 1, m),
    };
    let b = call.whole::<f32>(1);
    let (b_l, b_column) = if call.constant("TRANSPOSE_B") == 0 { (n, 1) } else { (1, k) };
    // gemm writes column-major results fastest, and row-major C is column-major Cᵀ = op(B)ᵀ op(A)ᵀ.
    // SAFETY: pointers and strides stay inside the slices, by the sizes the shape rule checked.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            rows.len(),
            k,
            c.as_mut_ptr(),
            n as isize,
            1,
            false,
            b.as_ptr(),
            b_l as isize,
            b_column as isize,
            a.as_ptr(),
            a_row as isize,
            a_l as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
    let relu = call.constant("RELU") == 1;
    if call.constant("BIAS") == 1 {
        let bias = call.whole::<f32>(2);
        for row in c.chunks_exact_mut(n) {
            for (value, bias) in row.iter_mut().zip(bias) {
                let sum = *value + bias;
                // Not `max`, which would turn a NaN into 0.
                *value = if relu && sum < 0.0 { 0.0 } else { sum };
            }
        }
    }
}
