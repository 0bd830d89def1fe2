//! The engine between the ops and the back ends: shape errors, dead nodes, memory, loops,
//! gradients, and variables.

#[path = "common/graphs.rs"]
mod graphs;

use graphs::{cpu, keep};
use smoothenc::engine::autodiff::{gradients, gradients_from};
use smoothenc::engine::device::Device;
use smoothenc::engine::graph::{Graph, Tensor, plan};
use smoothenc::engine::nn::{Layout, Stack, Weights};
use smoothenc::engine::ops::elementwise::{Function, add, multiply, relu, scale, sigmoid};
use smoothenc::engine::ops::matmul::matmul;
use smoothenc::engine::ops::reduce::row_sums;
use smoothenc::engine::ops::{self, Term, broadcast, concat, linear, weighted_mean};
use smoothenc::engine::ops::{fill_to, store};
use smoothenc::engine::tensor::DType::{F32, U32};
use smoothenc::error::{Error, Result};
use smoothenc::method::ops::{reparameterise, wasserstein2};

/// Names of the kernels that a run calls, a loop's once, each with its number of repetitions.
fn kernels(g: &Graph) -> Vec<(&'static str, usize)> {
    plan(g).recording.calls().map(|(call, times)| (call.kernel.name, times)).collect()
}

fn count(g: &Graph, kernel: &str) -> usize {
    kernels(g).iter().filter(|(name, _)| *name == kernel).count()
}

#[test]
fn shape_errors_name_the_op_and_the_shapes() {
    let mut g = Graph::new();
    let a = g.variable("a", [3, 4], F32).unwrap();
    let b = g.variable("b", [5, 6], F32).unwrap();
    let words = g.variable("words", [3, 4], U32).unwrap();
    let bias = g.variable("bias", [7], F32).unwrap();
    let before = g.nodes().len();
    let refused = |result: Result<Tensor>, parts: &[&str]| match result {
        Ok(t) => panic!("{parts:?}: no error but a tensor {t:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, Error::Shape { .. }), "{text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{text}: does not name {parts:?}");
        }
    };
    refused(matmul(&mut g, a, false, b, false), &["matmul", "[3, 4]", "[5, 6]"]);
    refused(matmul(&mut g, a, true, words, false), &["matmul", "U32"]);
    refused(linear(&mut g, a, a, bias, true), &["matmul", "[7]", "3"]);
    refused(add(&mut g, a, b), &["elementwise", "[3, 4]", "[5, 6]"]);
    refused(scale(&mut g, words, 2.0), &["elementwise"]);
    refused(concat(&mut g, a, b), &["concat", "[3, 4]", "[5, 6]"]);
    refused(row_sums(&mut g, words), &["reduce", "[3, 4]"]);
    refused(broadcast::rows(&mut g, bias, [3, 4].into()), &["broadcast", "[7]", "[3, 4]"]);
    refused(broadcast::scalar(&mut g, bias, [3, 4].into(), 1.0, 0..3), &["broadcast", "[7]"]);
    refused(wasserstein2(&mut g, a, b).map(|d| d.value), &["wasserstein2", "3, 4", "5, 6"]);
    refused(reparameterise(&mut g, a, b).map(|s| s.z), &["reparameterise", "3, 4", "5, 6"]);
    let term = [Term { values: bias, rows: 0..8, weight: 1.0 }];
    refused(weighted_mean(&mut g, &term, 8).map(|m| m.0), &["weighted_mean", "7", "0..8"]);
    refused(ops::gather(&mut g, a, b), &["gather"]);
    refused(g.view(a, 64, [3]), &["view", "[3]", "[3, 4]"]);
    refused(g.view(a, 1, [3]), &["view", "aligned"]);
    refused(g.variable("a", [4, 3], F32), &["variable", "a", "[3, 4]", "[4, 3]"]);
    refused(g.variable("a", [3, 4], U32), &["variable", "a"]);
    let value = scale(&mut g, a, 1.0).unwrap();
    let stored = store(&mut g, value, b).map(|()| value);
    refused(stored, &["copy", "[3, 4]", "[5, 6]"]);
    let stored = store(&mut g, value, value).map(|()| value);
    refused(stored, &["copy", "variables"]);
    let nested = g.repeat(2, |g| g.repeat(3, |_| Ok(()))).map(|()| value);
    refused(nested, &["repeat"]);
    // A refused op leaves nothing behind.
    assert_eq!(g.nodes().len(), before + 1);
}

#[test]
fn dead_nodes_are_dropped() {
    let mut g = Graph::new();
    let x = g.variable("x", [5, 7], F32).unwrap();
    let used = sigmoid(&mut g, x).unwrap();
    let dead = scale(&mut g, used, 3.0).unwrap();
    let dead = matmul(&mut g, dead, false, x, true).unwrap();
    g.repeat(4, |g| sigmoid(g, dead).map(drop)).unwrap();
    assert_eq!(kernels(&g), []);
    keep(&mut g, "y", used);
    assert_eq!(kernels(&g), [("elementwise", 1), ("elementwise", 1)]);
    // An update of a variable lives, with all it needs.
    g.repeat(4, |g| {
        let unused = sigmoid(g, used)?;
        let moved = sigmoid(g, used)?;
        scale(g, unused, 2.0)?;
        let target = g.variable("z", [5, 7], F32)?;
        store(g, moved, target)
    })
    .unwrap();
    assert_eq!(kernels(&g), [("elementwise", 1), ("elementwise", 1), ("elementwise", 4)]);
}

#[test]
fn memory_is_shared() {
    let mut g = Graph::new();
    let mut x = g.variable("x", [64, 100], F32).unwrap();
    let w = g.variable("w", [100, 100], F32).unwrap();
    for _ in 0..10 {
        x = matmul(&mut g, x, false, w, false).unwrap();
    }
    let sum = row_sums(&mut g, x).unwrap();
    keep(&mut g, "y", sum);
    let plan = plan(&g);
    assert_eq!(plan.unshared_words, 10 * 6400 + 64);
    assert_eq!(plan.scratch_words, 2 * 6400, "a chain of products needs two places");
}

/// Whether the last call of this function in the plan works in place.
fn in_place(g: &Graph, f: Function) -> bool {
    let plan = plan(g);
    let constant = |call: &smoothenc::engine::recording::Call, name| {
        call.constants.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    };
    let calls: Vec<_> = plan.recording.calls().map(|(call, _)| call).collect();
    let call = calls.iter().rev().find(|call| constant(call, "FUNCTION") == Some(f as u32)).unwrap();
    constant(call, "IN_PLACE") == Some(1)
}

#[test]
fn memory_is_taken_over_only_where_nobody_reads_it_again() {
    let graph = || {
        let mut g = Graph::new();
        let x = g.variable("x", [2, 3], F32).unwrap();
        let a = scale(&mut g, x, 2.0).unwrap();
        (g, x, a)
    };
    let (mut g, _, a) = graph();
    let y = relu(&mut g, a).unwrap();
    keep(&mut g, "y", y);
    assert!(in_place(&g, Function::Relu), "the only reader");

    let (mut g, _, a) = graph();
    let y = relu(&mut g, a).unwrap();
    let z = add(&mut g, y, a).unwrap();
    keep(&mut g, "y", z);
    assert!(!in_place(&g, Function::Relu), "read again by the sum");

    let (mut g, _, a) = graph();
    let y = multiply(&mut g, a, a).unwrap();
    keep(&mut g, "y", y);
    assert!(!in_place(&g, Function::Multiply), "both arguments");

    let (mut g, x, _) = graph();
    let y = relu(&mut g, x).unwrap();
    keep(&mut g, "y", y);
    assert!(!in_place(&g, Function::Relu), "a variable keeps its content");

    let (mut g, _, a) = graph();
    let part = g.view(a, 0, [3]).unwrap();
    let y = relu(&mut g, part).unwrap();
    keep(&mut g, "y", y);
    assert!(!in_place(&g, Function::Relu), "a part");

    // The next iteration reads it again, whether or not its reader is the loop's last node.
    for last in [true, false] {
        let (mut g, x, a) = graph();
        let mut y = x;
        g.repeat(3, |g| {
            y = relu(g, a).unwrap();
            if !last {
                keep(g, "in the loop", x);
            }
            Ok(())
        })
        .unwrap();
        keep(&mut g, "y", y);
        assert!(!in_place(&g, Function::Relu), "read in a loop, last node: {last}");
    }
}

/// `values` through the graph that `build` makes; the variable `y` at the end.
fn run(values: &[f32], build: impl FnOnce(&mut Graph, Tensor)) -> Vec<f32> {
    let (mut g, mut session) = (Graph::new(), cpu());
    let x = g.variable("x", [values.len()], F32).unwrap();
    build(&mut g, x);
    session.set("x", values).unwrap();
    session.compile(&g).unwrap().run().unwrap();
    session.get("y").unwrap()
}

#[test]
fn values_from_before_a_loop_survive_it() {
    // a is read by the loop's last node alone, in the place where it could be overwritten.
    let y = run(&[1.0, -2.0], |g, x| {
        let a = scale(g, x, 3.0).unwrap();
        let total = g.variable("y", [2], F32).unwrap();
        fill_to(g, total, 0.0).unwrap();
        let mut b = a;
        g.repeat(4, |g| {
            let sum = add(g, total, a)?;
            let copy = scale(g, sum, 1.0)?;
            let kept = g.variable("sum", [2], F32)?;
            store(g, copy, kept)?;
            let back = scale(g, kept, 1.0)?;
            store(g, back, total)?;
            b = scale(g, a, 10.0)?;
            Ok(())
        })
        .unwrap();
        keep(g, "b", b);
    });
    assert_eq!(y, [12.0, -24.0]);
}

#[test]
fn the_last_turn_of_a_loop_can_be_read() {
    let y = run(&[1.0, -2.0], |g, x| {
        let mut last = x;
        let state = g.variable("state", [2], F32).unwrap();
        fill_to(g, state, 0.0).unwrap();
        g.repeat(5, |g| {
            let next = add(g, state, x)?;
            last = scale(g, next, 100.0)?;
            let copy = scale(g, next, 1.0)?;
            let kept = g.variable("next", [2], F32)?;
            store(g, copy, kept)?;
            let back = scale(g, kept, 1.0)?;
            store(g, back, state)
        })
        .unwrap();
        keep(g, "y", last);
    });
    assert_eq!(y, [500.0, -1000.0]);
}

#[test]
fn a_loop_of_no_turns_does_nothing() {
    let y = run(&[1.0], |g, x| {
        keep(g, "y", x);
        g.repeat(0, |g| {
            keep(g, "y", x);
            ops::fill_to(g, x, 5.0)
        })
        .unwrap();
    });
    assert_eq!(y, [1.0]);
}

/// A four-layer perceptron, its weights, and a loss.
fn perceptron(g: &mut Graph) -> (Tensor, Weights, Tensor) {
    let mut layout = Layout::default();
    let mlp = Stack::mlp(&mut layout, "net", &[9, 8, 7, 6, 5]);
    let weights = Weights::new(g, &layout, "net").unwrap();
    let x = g.variable("x", [4, 9], F32).unwrap();
    let y = mlp.forward(g, &weights.views, x).unwrap();
    let sums = row_sums(g, y).unwrap();
    let terms = [Term { values: sums, rows: 0..4, weight: 1.0 }];
    (x, weights, weighted_mean(g, &terms, 4).unwrap().0)
}

#[test]
fn the_gradient_of_the_input_needs_no_weight_gradients() {
    let mut g = Graph::new();
    let (x, _, loss) = perceptron(&mut g);
    let gradient = gradients(&mut g, loss, &[x]).unwrap()[0];
    keep(&mut g, "dx", gradient);
    // Three layers forward, since the last one's output is not needed for it, and four backward.
    assert_eq!(count(&g, "matmul"), 3 + 4);
    assert_eq!(count(&g, "reduce"), 0, "no bias's gradient");
    keep(&mut g, "loss", loss);
    assert_eq!(count(&g, "matmul"), 4 + 4);

    let mut g = Graph::new();
    let (_, weights, loss) = perceptron(&mut g);
    for (i, gradient) in gradients(&mut g, loss, &weights.views).unwrap().into_iter().enumerate() {
        keep(&mut g, &format!("d{i}"), gradient);
    }
    // Three layers forward, three backward (the input's gradient is not wanted), four weights.
    assert_eq!(count(&g, "matmul"), 3 + 3 + 4);
    assert_eq!(count(&g, "reduce"), 4, "a bias each");

    // One layer's weight alone: nothing for those below it.
    let mut g = Graph::new();
    let (_, weights, loss) = perceptron(&mut g);
    let gradient = gradients(&mut g, loss, &[weights.views[4]]).unwrap()[0];
    keep(&mut g, "dw", gradient);
    // Three layers forward, one backward, one weight.
    assert_eq!(count(&g, "matmul"), 3 + 1 + 1);
}

#[test]
fn gradients_add_up_where_a_tensor_is_used_twice() {
    // y = x^2 + 3 x + x sigmoid(x), of which x itself and x^2 are used more than once.
    let x = [0.5f32, -1.25, 2.0];
    let slope = run(&x, |g, x| {
        let square = multiply(g, x, x).unwrap();
        let triple = scale(g, x, 3.0).unwrap();
        let s = sigmoid(g, x).unwrap();
        let xs = multiply(g, x, s).unwrap();
        let sum = add(g, square, triple).unwrap();
        let sum = add(g, sum, xs).unwrap();
        let sum = add(g, sum, square).unwrap();
        let seed = ops::fill(g, [3], 1.0).unwrap();
        let gradient = gradients_from(g, &[(sum, seed)], &[x]).unwrap()[0];
        keep(g, "y", gradient);
    });
    for (got, x) in slope.into_iter().zip(x) {
        let s = 1.0 / (1.0 + (-x).exp());
        let expected = 4.0 * x + 3.0 + s + x * s * (1.0 - s);
        assert!((got - expected).abs() < 1e-5, "{got} instead of {expected}");
    }
}

#[test]
fn two_seeds_of_one_tensor_add_up() {
    let slope = run(&[2.0, 3.0], |g, x| {
        let y = scale(g, x, 10.0).unwrap();
        let [one, four] = [1.0, 4.0].map(|value| ops::fill(g, [2], value).unwrap());
        let gradient = gradients_from(g, &[(y, one), (y, four)], &[x]).unwrap()[0];
        keep(g, "y", gradient);
    });
    assert_eq!(slope, [50.0, 50.0]);
}

#[test]
fn gradients_that_would_be_wrong_are_errors() {
    let refused = |build: &dyn Fn(&mut Graph, Tensor) -> Result<Tensor>, part: &str| {
        let mut g = Graph::new();
        let x = g.variable("x", [128], F32).unwrap();
        let y = build(&mut g, x).unwrap();
        let error = gradients(&mut g, y, &[x]).expect_err(part).to_string();
        assert!(error.contains(part), "{error}: does not say {part:?}");
    };
    refused(&|g, _| ops::fill(g, [1], 1.0), "nothing flows back");
    refused(&|g, x| concat(g, x, x), "concat");
    // Through a view, beside a path without one.
    refused(
        &|g, x| {
            let (low, high) = (g.view(x, 0, [64])?, g.view(x, 64, [64])?);
            let product = multiply(g, low, high)?;
            let whole = scale(g, x, 1.0)?;
            let part = g.view(whole, 0, [64])?;
            add(g, product, part)
        },
        "view",
    );
    refused(
        &|g, x| {
            let y = scale(g, x, 1.0)?;
            let part = g.view(y, 64, [64])?;
            sigmoid(g, part)
        },
        "view",
    );
    let means = |g: &mut Graph, x| {
        let terms = [Term { values: x, rows: 0..128, weight: 1.0 }];
        Ok(weighted_mean(g, &terms, 128)?.1)
    };
    refused(&means, "means");
}

/// Cutting a loop by rows around it and by rows inside it agree on the CPU, and so do one thread and several.
#[test]
fn loops_cut_by_rows_give_the_same_bits() {
    let build = |crossing: bool| {
        let mut g = Graph::new();
        let x = g.variable("x", [300, 50], F32).unwrap();
        let wide = g.variable("wide", [70, 50], F32).unwrap();
        let narrow = g.variable("narrow", [50, 70], F32).unwrap();
        g.repeat(20, |g| {
            let up = matmul(g, x, false, wide, true)?;
            let up = relu(g, up).unwrap();
            let down = matmul(g, up, false, narrow, true)?;
            let next = sigmoid(g, down)?;
            if crossing {
                // Needs all rows at once, so that the loop cannot be cut around.
                let sums = ops::reduce::column_sums(g, next)?;
                keep(g, "sums", sums);
            }
            let copy = scale(g, next, 1.0)?;
            store(g, copy, x)
        })
        .unwrap();
        g
    };
    let run = |crossing: bool, threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut session = cpu();
            let value = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
            let values = |n: usize| (0..n).map(value).collect::<Vec<f32>>();
            session.set("x", &values(300 * 50)).unwrap();
            session.set("wide", &values(3500)).unwrap();
            session.set("narrow", &values(3500)[..].iter().map(|v| v / 8.0).collect::<Vec<_>>()).unwrap();
            session.compile(&build(crossing)).unwrap().run().unwrap();
            session.get::<f32>("x").unwrap().iter().map(|x| x.to_bits()).collect()
        })
    };
    let expected = run(true, 1);
    for _ in 0..5 {
        for threads in 1..=4 {
            assert_eq!(run(false, threads), expected, "cut around the loop, {threads} threads");
            assert_eq!(run(true, threads), expected, "cut inside the loop, {threads} threads");
        }
    }
}

#[test]
fn a_session_guards_its_variables() {
    let mut session = cpu();
    assert!(matches!(session.device(), Device::Cpu(_)));
    session.set("x", &[1f32; 3]).unwrap();
    assert!(session.set("x", &[1f32; 4]).is_err(), "another size");
    assert!(session.write("x", 2, &[1f32; 2]).is_err(), "beyond the end");
    assert!(session.get::<f32>("y").is_err(), "unknown");
    let mut g = Graph::new();
    let x = g.variable("x", [4], F32).unwrap();
    keep(&mut g, "y", x);
    let error = session.compile(&g).unwrap_err().to_string();
    assert!(error.contains('x') && error.contains('3') && error.contains('4'), "{error}");
}

/// A product's gradient by images is a matrix, an elementwise function's has the images' shape.
#[test]
fn gradients_of_other_shapes_are_summed() {
    let mut g = Graph::new();
    let images = g.variable("x", [2, 3, 2], F32).unwrap();
    let w = g.variable("w", [1, 6], F32).unwrap();
    let product = matmul(&mut g, images, false, w, true).unwrap();
    let tripled = scale(&mut g, images, 3.0).unwrap();
    let seeds = [(product, [2, 1].into()), (tripled, smoothenc::engine::tensor::Shape::from([2, 3, 2]))]
        .map(|(t, shape)| (t, ops::fill(&mut g, shape, 1.0).unwrap()));
    let gradient = gradients_from(&mut g, &seeds, &[images]).unwrap()[0];
    keep(&mut g, "gradient", gradient);
    let mut session = cpu();
    session.set("x", &[0.5_f32; 12]).unwrap();
    session.set("w", &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    session.compile(&g).unwrap().run().unwrap();
    let row = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    assert_eq!(session.get::<f32>("gradient").unwrap(), [row, row].concat());
}
