//! Misuse of a graph or a session is an error that says so, and computes nothing.

#[path = "common/graphs.rs"]
mod graphs;

use graphs::cpu;
use smoothenc::engine::autodiff::{gradients, gradients_from};
use smoothenc::engine::device;
use smoothenc::engine::graph::{Graph, plan};
use smoothenc::engine::kernel::{Arg, BufferId, View};
use smoothenc::engine::ops::elementwise::{add, scale};
use smoothenc::engine::ops::{fill, gather_bytes, store};
use smoothenc::engine::recording::{BufferSpec, Call, Recording, Step, Target};
use smoothenc::engine::tensor::DType::{F32, U32};
use smoothenc::error::Result;

/// The error's text must have these parts.
#[track_caller]
fn refused<T>(outcome: Result<T>, parts: &[&str]) {
    let text = outcome.err().expect("an error").to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn tensors_of_another_graph() {
    let (mut g, mut other) = (Graph::new(), Graph::new());
    let ours = g.variable("x", [4], F32).unwrap();
    let theirs = other.variable("x", [4], F32).unwrap();
    let another = "another graph";
    refused(add(&mut g, ours, theirs), &["elementwise", another]);
    refused(store(&mut g, ours, theirs), &["copy", another]);
    refused(store(&mut g, theirs, ours), &["copy", another]);
    refused(g.view(theirs, 0, [4]), &[another]);
    refused(g.shape(theirs).cloned(), &[another]);
    refused(g.dtype(theirs), &[another]);
    let y = scale(&mut g, ours, 2.0).unwrap();
    refused(gradients(&mut g, y, &[theirs]), &[another]);
    refused(gradients(&mut g, theirs, &[ours]), &[another]);
    refused(gradients_from(&mut g, &[(y, theirs)], &[ours]), &[another]);
}

#[test]
fn shapes_with_as_many_elements() {
    let mut g = Graph::new();
    let wide = g.variable("wide", [2, 6], F32).unwrap();
    let square = g.variable("square", [3, 4], F32).unwrap();
    refused(add(&mut g, wide, square), &["[2, 6]", "[3, 4]"]);
    refused(store(&mut g, wide, square), &["[2, 6]", "[3, 4]"]);
    let y = scale(&mut g, wide, 2.0).unwrap();
    refused(gradients_from(&mut g, &[(y, square)], &[wide]), &["[2, 6]", "[3, 4]"]);
}

#[test]
fn tensors_without_elements_and_with_too_many() {
    let mut g = Graph::new();
    refused(g.variable("x", [3, 0], F32), &["[3, 0]", "no elements"]);
    refused(fill(&mut g, [0], 1.0), &["fill", "[0]", "no elements"]);
    let x = g.variable("x", [4], U32).unwrap();
    refused(g.view(x, 0, [0]), &["no elements"]);
    refused(gather_bytes(&mut g, x, x, 0), &["gather", "no elements"]);
    for sides in [[1 << 20, 1 << 20], [usize::MAX, 2], [usize::MAX / 2, 4]] {
        refused(g.variable("large", sides, F32), &["2^32"]);
        refused(fill(&mut g, sides, 1.0), &["fill", "2^32"]);
        refused(g.view(x, 0, sides), &["2^32"]);
    }
    refused(g.view(x, usize::MAX - 63, [100]), &["out of range"]);
}

#[test]
fn variables_of_another_type_or_size() {
    let mut g = Graph::new();
    let x = g.variable("x", [4], F32).unwrap();
    refused(g.variable("x", [2, 2], F32), &["x", "[4]", "[2, 2]"]);
    refused(g.variable("x", [4], U32), &["x", "F32", "U32"]);
    let y = g.variable("y", [4], F32).unwrap();
    store(&mut g, x, y).unwrap();
    let mut session = cpu();
    session.set("x", &[1_u32; 4]).unwrap();
    refused(session.compile(&g), &["x", "F32", "U32"]);
    session.forget("x");
    session.set("x", &[1.0_f32; 3]).unwrap();
    refused(session.compile(&g), &["x", "3", "4"]);
    session.forget("x");
    session.set("x", &[1.0_f32; 4]).unwrap();
    refused(session.set("x", &[1_u32; 4]), &["x", "F32", "U32"]);
    refused(session.write("x", 0, &[1_u32]), &["x", "F32", "U32"]);
    refused(session.get::<u32>("x"), &["x", "F32", "U32"]);
    refused(session.write("x", 3, &[1.0_f32; 2]), &["2 words from 3"]);
    refused(session.write("x", usize::MAX, &[1.0_f32; 2]), &["of a buffer of 4"]);
    refused(session.get::<f32>("z"), &["z"]);
    assert_eq!(session.get::<f32>("x").unwrap(), [1.0; 4]);
}

#[test]
fn variables_that_nobody_has_written() {
    let mut g = Graph::new();
    let x = g.variable("x", [4], F32).unwrap();
    let [y, z] = ["y", "z"].map(|name| g.variable(name, [4], F32).unwrap());
    let doubled = scale(&mut g, x, 2.0).unwrap();
    store(&mut g, doubled, y).unwrap();
    let mut session = cpu();
    let mut program = session.compile(&g).unwrap();
    for _ in 0..2 {
        refused(program.run(), &["variable x", "nothing has been written"]);
    }
    // Another program reads what this one writes.
    let mut g = Graph::new();
    let [from, to] = ["y", "z"].map(|name| g.variable(name, [4], F32).unwrap());
    store(&mut g, from, to).unwrap();
    let mut second = session.compile(&g).unwrap();
    refused(second.run(), &["variable y"]);
    session.set("x", &[1.5_f32; 4]).unwrap();
    program.run().unwrap();
    second.run().unwrap();
    assert_eq!(session.get::<f32>("z").unwrap(), [3.0; 4]);
    _ = (y, z);
}

#[test]
fn variables_without_a_buffer() {
    let mut g = Graph::new();
    let [x, y] = ["x", "y"].map(|name| g.variable(name, [4], F32).unwrap());
    store(&mut g, x, y).unwrap();
    let device = device::open("cpu", false).unwrap();
    let (recording, small) = (plan(&g).recording, device.buffer("small", 2).unwrap());
    let large = device.buffer("large", 4).unwrap();
    refused(device.compile(recording.clone(), &[(BufferId(1), large.clone())]), &["variable y"]);
    let both = [(BufferId(1), large), (BufferId(2), small)];
    refused(device.compile(recording, &both), &["y has 2 words", "4"]);
}

smoothenc::kernel! {
    /// Of the CPU alone: `y = x`.
    static COPY: "copy" {
        wgsl: [],
        params: { n: u32 },
        constants: { UNUSED },
        bindings: { x: read f32, y: write f32 },
        cpu: copy_cpu,
    }
}

fn copy_cpu(Tile { x, y, .. }: Tile) {
    y.copy_from_slice(x);
}

/// Slices of a CPU kernel never overlap, and lie inside their buffers: a call where they would is refused.
#[test]
fn calls_that_do_not_fit_their_kernel_or_their_memory() {
    let view = |buffer: u32, words: usize| View { buffer: BufferId(buffer), offset: 0, words };
    let call =
        |x: Arg, y: Arg| Args { x, y }.call(Params { n: 64 }, Constants { UNUSED: 0 }).grid(64, 16, [1; 3]);
    let compiled = |call: Call| {
        let buffers = vec![BufferSpec::scratch(64), BufferSpec::scratch(128), BufferSpec::scratch(128)];
        device::open("cpu", false).unwrap().compile(Recording { buffers, steps: vec![Step::Call(call)] }, &[])
    };
    let (x, y) = (view(1, 128), view(2, 128));
    compiled(call(x.by_row(), y.by_row())).unwrap().run().unwrap();
    compiled(call(x.whole(), y.whole()).grid(1, 1, [1; 3])).unwrap().run().unwrap();
    refused(compiled(call(x.whole(), y.whole())), &["copy", "y", "Whole", "64 rows"]);
    refused(compiled(call(view(1, 100).by_row(), y.by_row())), &["x of 100 words", "Row"]);
    refused(compiled(call(view(1, 64).by_pair(), y.by_pair())), &["x of 64 words", "Pair"]);
    refused(compiled(call(view(1, 129).whole(), y.by_row())), &["x ends beyond"]);
    refused(compiled(call(y.by_row(), y.by_row())), &["reads and writes"]);
    let good = || call(x.by_row(), y.by_row());
    refused(compiled(Call { args: vec![x.by_row()], ..good() }), &["1 arguments for 2 bindings"]);
    refused(compiled(Call { params: vec![1, 2], ..good() }), &["a uniform block of 2 words for 1"]);
    refused(compiled(Call { constants: vec![("OTHER", 0)], ..good() }), &["OTHER", "UNUSED"]);
    let target = Target::CooperativeMatrix { side: 16 };
    refused(compiled(Call { target, ..good() }), &["cooperative"]);
}
