//! The selection's two forms: all steps in one kernel call, and op by op.

use smoothenc::engine::device;
use smoothenc::engine::graph::{Graph, plan};
use smoothenc::engine::nn::{Init, Weights, initialise};
use smoothenc::engine::ops::store;
use smoothenc::engine::rng::{Key, Purpose, uniform};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::{F32, U32};
use smoothenc::method::ops::{Norm, wasserstein2};
use smoothenc::method::selection::{Metric, Selection, Start};
use smoothenc::method::vae::Vae;

/// More than a vector of the CPU's, and no whole number of them.
const ROWS: usize = 21;
const INPUTS: usize = 300;

/// The result of a selection.
struct Found {
    points: Vec<f32>,
    /// `W2^2` of each from its x.
    divergences: Vec<f32>,
    kernels: Vec<&'static str>,
}

fn select(hidden: &[usize], norm: Norm, metric: Metric, fused: bool) -> Found {
    select_with(hidden, Selection { fused, ..selection(norm, metric) }, false)
}

fn selection(norm: Norm, metric: Metric) -> Selection {
    let eps = if norm == Norm::Linf { 0.1 } else { 1.5 };
    Selection { norm, eps, steps: 10, step_size: 0.25 * eps, metric, fused: true }
}

/// Two selections in one graph: neither has the other's points, nor its room for points as halves.
#[test]
fn two_selections_in_one_graph_are_two() {
    for (half, fused) in [(false, true), (true, true), (false, false)] {
        let vae = Vae::mlp(INPUTS, &[40, 20], 8, 1.0, true);
        let vae = if half { vae.in_half() } else { vae };
        let norm = Norm::Linf;
        let selections = [0.1, 0.3].map(|eps| Selection { eps, fused, ..selection(norm, Metric::W2) });
        let run = |selections: &[Selection]| {
            let (mut g, mut session) = (Graph::new(), Session::new(device::open("cpu", false).unwrap()));
            let weights = Weights::new(&mut g, &vae.layout, "model").unwrap();
            let x = g.variable("x", [ROWS, INPUTS], F32).unwrap();
            let clock = g.variable("clock", [1], U32).unwrap();
            let start = Start::Drawn { clock, seed: 3 };
            for (i, selection) in selections.iter().enumerate() {
                let selected = selection.select(&mut g, &vae, &weights, x, start).unwrap();
                let kept = g.variable(&format!("kept {i}"), [ROWS, INPUTS], F32).unwrap();
                store(&mut g, selected, kept).unwrap();
            }
            session
                .set("model", &initialise(&vae.layout, Init::He, Key::new(5, Purpose::Init)).unwrap())
                .unwrap();
            session.set("x", &vec![0.5_f32; ROWS * INPUTS]).unwrap();
            session.set("clock", &[7_u32]).unwrap();
            session.compile(&g).unwrap().run().unwrap();
            let rooms = plan(&g).recording.buffers;
            let rooms = rooms.iter().filter(|spec| spec.name().starts_with("points ")).count();
            assert_eq!(rooms, if half { selections.len() } else { 0 });
            (0..selections.len())
                .map(|i| session.get(&format!("kept {i}")).unwrap())
                .collect::<Vec<Vec<f32>>>()
        };
        let both = run(&selections);
        assert_eq!(
            both,
            [run(&selections[..1]), run(&selections[1..])].concat(),
            "half {half}, fused {fused}"
        );
        assert_ne!(both[0], both[1]);
    }
}

fn select_with(hidden: &[usize], selection: Selection, half: bool) -> Found {
    let vae = Vae::mlp(INPUTS, hidden, 8, 1.0, true);
    let single = vae.clone();
    let vae = if half { vae.in_half() } else { vae };
    let (mut g, mut session) = (Graph::new(), Session::new(device::open("cpu", false).unwrap()));
    let weights = Weights::new(&mut g, &vae.layout, "model").unwrap();
    let x = g.variable("x", [ROWS, INPUTS], F32).unwrap();
    let clock = g.variable("clock", [1], U32).unwrap();
    let start = Start::Drawn { clock, seed: 3 };
    let selected = selection.select(&mut g, &vae, &weights, x, start).unwrap();
    let here = single.encode(&mut g, &weights.views, x).unwrap();
    let there = single.encode(&mut g, &weights.views, selected).unwrap();
    let distance = wasserstein2(&mut g, here, there).unwrap().value;
    let kept = g.variable("kept", [ROWS], F32).unwrap();
    store(&mut g, distance, kept).unwrap();

    let key = Key::new(5, Purpose::Init);
    session.set("model", &initialise(&vae.layout, Init::He, key).unwrap()).unwrap();
    // Half the pixels at 0, like MNIST's.
    let pixel = |i| (2.0 * uniform(key, 1000, i) - 1.0).max(0.0);
    session.set("x", &(0..(ROWS * INPUTS) as u32).map(pixel).collect::<Vec<f32>>()).unwrap();
    session.set("clock", &[7_u32]).unwrap();
    let kernels = plan(&g).recording.calls().map(|(call, _)| call.kernel.name).collect();
    session.compile(&g).unwrap().run().unwrap();
    let points = session.get("selected").unwrap();
    Found { points, divergences: session.get("kept").unwrap(), kernels }
}

/// In the L2 norm the points differ by rounding. Rounding can change the sign of a gradient that nearly cancels, so in
/// L-infinity a pixel in 1000 may differ; the distance reached may not.
#[test]
fn both_ways_find_the_same_points() {
    for norm in [Norm::Linf, Norm::L2] {
        for metric in [Metric::W2, Metric::Entropic { gamma: 2.0 }] {
            let what = format!("{norm:?} {metric:?}");
            let fused = select(&[40, 30], norm, metric, true);
            let slow = select(&[40, 30], norm, metric, false);
            assert!(fused.kernels.contains(&"pgd_mlp") && !fused.kernels.contains(&"pgd_step"), "{what}");
            // L-infinity's starts are drawn in the same call.
            assert_eq!(fused.kernels.contains(&"pgd_start"), norm == Norm::L2, "{what}");
            assert!(slow.kernels.contains(&"pgd_step") && !slow.kernels.contains(&"pgd_mlp"), "{what}");
            let apart = fused.points.iter().zip(&slow.points).map(|(a, b)| (a - b).abs());
            let differ = apart.filter(|&d| d.is_nan() || d > 1e-4).count();
            let allowed = if norm == Norm::Linf { fused.points.len() / 1000 } else { 0 };
            assert!(differ <= allowed, "{what}: {differ} pixels of {} differ", fused.points.len());
            for (a, b) in fused.divergences.iter().zip(&slow.divergences) {
                assert!(*b > 0.0 && (a - b).abs() <= 1e-3 * b, "{what}: reached {a} instead of {b}");
            }
        }
    }
}

/// Rounded weights change many signs, so the points differ; the distance reached must be as large.
#[test]
fn half_precision_reaches_as_far() {
    for norm in [Norm::Linf, Norm::L2] {
        let [half, single] =
            [true, false].map(|half| select_with(&[40, 30], selection(norm, Metric::W2), half));
        assert!(half.kernels.contains(&"half") && !single.kernels.contains(&"half"));
        assert_ne!(half.points, single.points);
        for (a, b) in half.divergences.iter().zip(&single.divergences) {
            assert!((a - b).abs() <= 0.02 * b, "{norm:?}: reached {a} instead of {b}");
        }
    }
}

/// Nine layers, or one of 513 units, are more than the kernel takes.
#[test]
fn other_models_go_op_by_op() {
    for hidden in [&[10; 8][..], &[513]] {
        let [fused, slow] = [true, false].map(|fused| select(hidden, Norm::L2, Metric::W2, fused));
        assert!(!fused.kernels.contains(&"pgd_mlp"), "{hidden:?}");
        assert_eq!(fused.points, slow.points, "{hidden:?}");
    }
    assert!(select(&[512; 7], Norm::L2, Metric::W2, true).kernels.contains(&"pgd_mlp"));
}
