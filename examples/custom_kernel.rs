//! An op of your own, `softplus`: its kernel in WGSL, the CPU twin, and its gradient from another op.
//!
//!     cargo run --release --example custom_kernel [-- auto|cpu|gpu|gpu:N]

use smoothenc::Result;
use smoothenc::engine::autodiff::gradients;
use smoothenc::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use smoothenc::engine::ops::elementwise::{multiply, sigmoid};
use smoothenc::engine::ops::store;
use smoothenc::engine::recording::Call;
use smoothenc::engine::tensor::DType;
use smoothenc::engine::{device, session::Session};

smoothenc::kernel! {
    /// `y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)`: no power overflows.
    static SOFTPLUS: "softplus" {
        wgsl: ["
            struct Params { n: u32 }

            @group(0) @binding(0) var<uniform> p: Params;
            @group(0) @binding(1) var<storage, read> x: array<f32>;
            @group(0) @binding(2) var<storage, read_write> y: array<f32>;

            // One invocation an element; the grid is folded in two.
            @compute @workgroup_size(256)
            fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
                    @builtin(local_invocation_index) local: u32) {
                let i = (group.y * groups.x + group.x) * 256 + local;
                if i < p.n { y[i] = max(x[i], 0.0) + log(1.0 + exp(-abs(x[i]))); }
            }"],
        params: { n: u32 },
        constants: {},
        bindings: { x: read f32, y: write f32 },
        cpu: softplus_cpu,
    }
}

/// The twin: some rows of the call.
fn softplus_cpu(Tile { x, y, .. }: Tile) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0) + (-x.abs()).exp().ln_1p());
}

#[derive(Debug)]
struct Softplus;

impl Op for Softplus {
    fn name(&self) -> &'static str {
        SOFTPLUS.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(x, DType::F32)] => Ok(vec![((*x).clone(), DType::F32)]),
            _ => Err(format!("{inputs:?}: needs one float tensor")),
        }
    }

    /// `dL/dx = dL/dy sigmoid(x)`.
    fn gradient(&self, g: &mut Graph, node: &Node, upstream: &[Option<Tensor>], _: &[bool]) -> Gradients {
        let Some(upstream) = upstream[0] else { return Ok(vec![None]) };
        let slope = sigmoid(g, node.inputs[0])?;
        Ok(vec![Some(multiply(g, upstream, slope)?)])
    }

    fn call(&self, io: &Io) -> Call {
        let shape = &io.inputs[0].0;
        Args { x: io.input(0).by_row(), y: io.output(0).by_row() }
            .call(Params { n: shape.len() as u32 }, Constants {})
            .elementwise(shape)
    }
}

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "auto".into());
    let mut session = Session::new(device::open(&name, false)?);
    let mut g = Graph::new();
    let x = g.variable("x", [5], DType::F32)?;
    let y = g.apply_one(Softplus, &[x])?;
    let slope = gradients(&mut g, y, &[x])?[0];
    for (value, name) in [(y, "softplus"), (slope, "slope")] {
        let target = g.variable(name, [5], DType::F32)?;
        store(&mut g, value, target)?;
    }
    session.set("x", &[-100.0_f32, -1.0, 0.0, 1.0, 100.0])?;
    session.compile(&g)?.run()?;
    for name in ["x", "softplus", "slope"] {
        println!("{name:>8} {:?}", session.get::<f32>(name)?);
    }
    Ok(())
}
