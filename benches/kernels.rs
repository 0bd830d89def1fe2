//! The matrix product and a few elementwise kernels on the CPU device, under criterion:
//! `cargo bench --bench kernels`. Every call is the one that the graph's plan makes, so the times
//! are those of the program. `smoothenc bench` measures all kernels, on any device.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smoothenc::Result;
use smoothenc::engine::device::{self, Program};
use smoothenc::engine::graph;
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::elementwise;
use smoothenc::engine::ops::matmul;
use smoothenc::engine::ops::store;
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::F32;

/// A program of one op, on inputs of these shapes, and its floating-point operations (elements
/// where the kernel counts none).
fn single(
    inputs: &[[usize; 2]],
    op: impl Fn(&mut Graph, &[Tensor]) -> Result<Tensor>,
) -> Result<(Program, u64)> {
    let mut session = Session::new(device::open("cpu", false)?);
    let mut g = Graph::new();
    let mut tensors = Vec::new();
    for (i, &shape) in inputs.iter().enumerate() {
        let (name, words) = (format!("input {i}"), shape[0] * shape[1]);
        session.set(&name, &(0..words).map(|w| (w % 97) as f32 / 97.0 - 0.5).collect::<Vec<_>>())?;
        tensors.push(g.variable(&name, shape, F32)?);
    }
    let value = op(&mut g, &tensors)?;
    let shape = g.shape(value)?.clone();
    let out = g.variable("out", shape.clone(), F32)?;
    store(&mut g, value, out)?;
    let flops: u64 = graph::plan(&g).recording.calls().map(|(call, _)| call.flops).sum();
    Ok((session.compile(&g)?, flops.max(shape.len() as u64)))
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    // The encoder's layers forwards (W is [out, in]) and back to the input, then squares.
    let forwards = [[128, 784, 200], [128, 200, 200], [128, 200, 128], [2048, 784, 200]].map(|s| (s, true));
    let back = [[128, 200, 784], [128, 200, 200], [128, 128, 200]].map(|s| (s, false));
    let squares = [256, 512, 1024].map(|n| ([n; 3], false));
    for ([m, k, n], transposed) in [&forwards[..], &back, &squares].concat() {
        let right = if transposed { [n, k] } else { [k, n] };
        let made = single(&[[m, k], right], |g, t| matmul(g, t[0], false, t[1], transposed));
        let (mut program, flops) = made.expect("the product compiles");
        group.throughput(Throughput::Elements(flops));
        let id = BenchmarkId::new(if transposed { "A Wt" } else { "A B" }, format!("{m}x{n}x{k}"));
        group.bench_function(id, |b| b.iter(|| program.run()));
    }
    group.finish();
}

/// An elementwise op of two inputs.
type Elementwise = fn(&mut Graph, Tensor, Tensor) -> Result<Tensor>;

fn elementwise_kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let ops: [(&str, Elementwise); 3] = [
        ("add", elementwise::add),
        ("relu_grad", elementwise::relu_grad),
        ("scale", |g, a, _| elementwise::scale(g, a, 0.5)),
    ];
    for (name, op) in ops {
        for shape in [[128, 784], [2048, 784]] {
            let (mut program, flops) =
                single(&[shape, shape], |g, t| op(g, t[0], t[1])).expect("the op compiles");
            group.throughput(Throughput::Elements(flops));
            let id = BenchmarkId::new(name, format!("{}x{}", shape[0], shape[1]));
            group.bench_function(id, |b| b.iter(|| program.run()));
        }
    }
    group.finish();
}

criterion_group!(benches, products, elementwise_kernels);
criterion_main!(benches);
