//! What is stored in a variable, and when: stores keep their order, cost a copy only where somebody could tell, and no
//! gradient reads what was overwritten.

#[path = "common/graphs.rs"]
mod graphs;

use graphs::cpu;
use smoothenc::engine::autodiff::gradients;
use smoothenc::engine::graph::{Graph, Tensor, plan};
use smoothenc::engine::ops::elementwise::{add, multiply, scale, subtract};
use smoothenc::engine::ops::reduce::row_sums;
use smoothenc::engine::ops::{self, Term, store, weighted_mean};
use smoothenc::engine::tensor::DType::F32;
use smoothenc::error::Result;

/// The names of the kernels that a run calls.
fn kernels(g: &Graph) -> Vec<&'static str> {
    plan(g).recording.calls().map(|(call, _)| call.kernel.name).collect()
}

/// How many copies a run makes.
fn copies(g: &Graph) -> usize {
    kernels(g).iter().filter(|name| **name == "copy").count()
}

#[test]
fn a_stored_value_is_written_where_it_is_stored() {
    let mut g = Graph::new();
    let x = g.variable("x", [64], F32).unwrap();
    let pair = g.variable("pair", [192], F32).unwrap();
    for (offset, factor) in [(0, 2.0), (128, 3.0)] {
        let target = g.view(pair, offset, [64]).unwrap();
        let scaled = scale(&mut g, x, factor).unwrap();
        store(&mut g, scaled, target).unwrap();
    }
    // No copies, no scratch memory.
    assert_eq!((kernels(&g).len(), plan(&g).scratch_words), (2, 0));
    let mut session = cpu();
    session.set("x", &[1.5f32; 64]).unwrap();
    session.set("pair", &[7f32; 192]).unwrap();
    session.compile(&g).unwrap().run().unwrap();
    assert_eq!(session.get::<f32>("pair").unwrap(), [[3f32; 64], [7.0; 64], [4.5; 64]].concat());
}

/// Runs the program from x = (3, -1), w = (5, 5); its variables x, w and out, and how many copies were made.
#[track_caller]
fn after(build: impl FnOnce(&mut Graph, Tensor, Tensor, Tensor) -> Result<()>) -> ([Vec<f32>; 3], usize) {
    let mut g = Graph::new();
    let [x, w, out] = ["x", "w", "out"].map(|name| g.variable(name, [2], F32).unwrap());
    build(&mut g, x, w, out).unwrap();
    let mut session = cpu();
    for (name, values) in [("x", [3f32, -1.0]), ("w", [5.0; 2]), ("out", [0.0; 2])] {
        session.set(name, &values).unwrap();
    }
    session.compile(&g).unwrap().run().unwrap();
    (["x", "w", "out"].map(|name| session.get(name).unwrap()), copies(&g))
}

/// What is stored changes its target where the store stands, whoever else reads or writes that.
#[test]
fn stores_keep_their_order() {
    // z = y - x reads x before y takes its place.
    let ([x, _, out], copied) = after(|g, x, _, out| {
        let y = scale(g, x, 2.0)?;
        let z = subtract(g, y, x).unwrap();
        store(g, y, x)?;
        store(g, z, out)
    });
    assert_eq!((x, out, copied), (vec![6.0, -2.0], vec![3.0, -1.0], 1));
    // The value is read again after its target was overwritten.
    let ([x, _, out], copied) = after(|g, x, w, out| {
        let y = scale(g, w, 2.0)?;
        store(g, y, x)?;
        ops::fill_to(g, x, 1.0)?;
        let z = scale(g, y, 10.0)?;
        store(g, z, out)
    });
    assert_eq!((x, out, copied), (vec![1.0; 2], vec![100.0; 2], 1));
    // The target is overwritten between the value and its store.
    let ([x, _, out], copied) = after(|g, x, w, out| {
        let y = scale(g, w, 2.0)?;
        ops::fill_to(g, x, 1.0)?;
        store(g, y, x)?;
        let z = scale(g, x, 10.0)?;
        store(g, z, out)
    });
    assert_eq!((x, out, copied), (vec![10.0; 2], vec![100.0; 2], 1));
    // One value in two places, and a variable in another's.
    let ([x, w, out], copied) = after(|g, x, w, out| {
        let y = scale(g, w, 2.0)?;
        store(g, y, x)?;
        store(g, y, out)?;
        store(g, x, w)
    });
    assert_eq!((x, w, out, copied), (vec![10.0; 2], vec![10.0; 2], vec![10.0; 2], 2));
    // A value from before a loop is stored in each turn, which another part of it overwrites.
    let ([x, _, out], copied) = after(|g, x, w, out| {
        let y = scale(g, w, 2.0)?;
        g.repeat(3, |g| {
            store(g, y, x)?;
            let more = add(g, x, out)?;
            store(g, more, out)?;
            ops::fill_to(g, x, 0.0)
        })
    });
    assert_eq!((x, out), (vec![0.0; 2], vec![30.0; 2]));
    assert!(copied > 0);
}

/// Both back ends refuse what one of them would get wrong.
#[test]
fn a_call_may_not_read_and_write_one_variable() {
    let mut g = Graph::new();
    let pair = g.variable("pair", [192], F32).unwrap();
    let [low, high] = [0, 128].map(|offset| g.view(pair, offset, [64]).unwrap());
    store(&mut g, low, high).unwrap();
    let error = cpu().compile(&g).unwrap_err().to_string();
    assert!(error.contains("copy") && error.contains("pair"), "{error}");
    // In place is another thing: the first argument is the output.
    let mut g = Graph::new();
    let [x, a] = ["x", "a"].map(|name| g.variable(name, [3], F32).unwrap());
    let sum = add(&mut g, x, a).unwrap();
    store(&mut g, sum, x).unwrap();
    assert_eq!(copies(&g), 0);
    let mut session = cpu();
    session.set("x", &[1f32, 2.0, 3.0]).unwrap();
    session.set("a", &[10f32, 20.0, 30.0]).unwrap();
    session.compile(&g).unwrap().run().unwrap();
    assert_eq!(session.get::<f32>("x").unwrap(), [11.0, 22.0, 33.0]);
}

/// The gradient of a product needs its other factor, which was overwritten meanwhile.
#[test]
fn gradients_refuse_what_was_overwritten() {
    let build = |late: bool| {
        let mut g = Graph::new();
        let [w, x] = ["w", "x"].map(|name| g.variable(name, [2, 3], F32).unwrap());
        let y = multiply(&mut g, w, x).unwrap();
        let sum = row_sums(&mut g, y).unwrap();
        let loss = weighted_mean(&mut g, &[Term { values: sum, rows: 0..2, weight: 1.0 }], 2).unwrap().0;
        if !late {
            ops::fill_to(&mut g, w, 0.0).unwrap();
        }
        let found = gradients(&mut g, loss, &[x]);
        if late {
            ops::fill_to(&mut g, w, 0.0).unwrap();
        }
        found.map(|_| ())
    };
    build(true).unwrap();
    let error = build(false).unwrap_err().to_string();
    assert!(error.contains("variable w") && error.contains("fill"), "{error}");
}
