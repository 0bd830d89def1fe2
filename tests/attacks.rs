//! The attacks on classifiers whose robustness is known exactly, and by both ways of running their steps.

use smoothenc::engine::device;
use smoothenc::engine::nn::{Init, NamedTensor, TensorData, initialise, load_weights};
use smoothenc::engine::rng::{Key, Purpose, uniform};
use smoothenc::engine::session::Session;
use smoothenc::method::ops::Norm;
use smoothenc::method::robustness::{Attack, AttackReport, Method, Probe, Target, attack};
use smoothenc::method::vae::Vae;

const SHAPE: [usize; 3] = [2, 3, 4];
const INPUTS: usize = 24;
const CLASSES: usize = 5;
/// More than the rows of the device.
const IMAGES: usize = 300;
const RADII: [f32; 3] = [0.02, 0.05, 0.1];

/// A draw from [-1, 1].
fn draw(what: u32, i: usize) -> f32 {
    2.0 * uniform(Key::new(7, Purpose::Init), what, i as u32) - 1.0
}

fn images() -> Vec<f32> {
    (0..IMAGES * INPUTS).map(|i| draw(0, i).max(0.0)).collect()
}

/// The probe's weights, `[CLASSES, INPUTS]`.
fn probe_weights() -> Vec<f32> {
    (0..CLASSES * INPUTS).map(|i| draw(1, i)).collect()
}

fn logits(x: &[f32]) -> Vec<f64> {
    let weights = probe_weights();
    let product = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
    weights.chunks(INPUTS).map(product).collect()
}

/// The class of an image: the one that the probe says, so that all are right without an attack.
fn label(x: &[f32]) -> u32 {
    let logits = logits(x);
    (0..CLASSES).reduce(|best, c| if logits[c] > logits[best] { c } else { best }).unwrap() as u32
}

/// How far class `c` can come above the label in the L-infinity ball and the box, for logits that are linear in x.
fn most_margin(x: &[f32], label: usize, c: usize, radius: f32) -> f64 {
    let weights = probe_weights();
    let term = |i: usize| {
        let slope = f64::from(weights[c * INPUTS + i]) - f64::from(weights[label * INPUTS + i]);
        let end = if slope > 0.0 { (x[i] + radius).min(1.0) } else { (x[i] - radius).max(0.0) };
        slope * f64::from(end)
    };
    (0..INPUTS).map(term).sum()
}

/// Attacks an encoder whose code is the image itself: a bias of 1 keeps pixels above 0, where a ReLU changes nothing.
fn attack_identity(methods: Vec<Method>, restarts: usize, fused: bool) -> AttackReport {
    let vae = Vae::mlp(INPUTS, &[INPUTS], INPUTS, 1.0, true);
    let identity = |rows: usize| -> Vec<f32> {
        (0..rows * INPUTS).map(|i| if i / INPUTS == i % INPUTS { 1.0 } else { 0.0 }).collect()
    };
    let tensor = |entry: &smoothenc::engine::nn::Entry| {
        let data = match entry.name.as_str() {
            "encoder.0.weight" => identity(INPUTS),
            "encoder.2.weight" => identity(2 * INPUTS),
            "encoder.0.bias" => vec![1.0; INPUTS],
            "encoder.2.bias" => vec![-1.0; 2 * INPUTS],
            _ => vec![0.0; entry.shape.len()],
        };
        NamedTensor {
            name: entry.name.clone(),
            shape: entry.shape.dims().to_vec(),
            data: TensorData::F32(data),
        }
    };
    let model: Vec<NamedTensor> = vae.layout.entries().iter().map(tensor).collect();
    assert_eq!(
        model.iter().filter(|t| t.name.starts_with("encoder") && t.name.ends_with("weight")).count(),
        2
    );
    let probe = Probe::new(INPUTS, CLASSES);
    let mut session = Session::new(device::open("cpu", false).unwrap());
    load_weights(&mut session, "model", &vae.layout, &model).unwrap();
    let mut arena = vec![0.0; probe.layout.words()];
    probe.layout.slice_mut(&mut arena, 0).copy_from_slice(&probe_weights());
    session.set("probe", &arena).unwrap();
    let x = images();
    let labels: Vec<u32> = x.chunks(INPUTS).map(label).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let settings =
        Attack { methods, norm: Norm::Linf, radii: RADII.to_vec(), steps: 20, restarts, seed: 3, fused };
    attack(&mut session, &target, &settings, &|_, _| ()).unwrap()
}

/// Of a linear classifier the margin's slope never changes, so its ascent ends at the best point of the ball, and one
/// restart for each other class breaks every image that can be broken. Those within rounding of it may go either way.
#[test]
fn margins_break_exactly_what_can_be_broken_of_a_linear_classifier() {
    let x = images();
    for fused in [true, false] {
        let report = attack_identity(vec![Method::Margin], CLASSES - 1, fused);
        assert_eq!(report.nominal.plain, 100.0);
        let mut broken = [0; RADII.len()];
        for (x, outcome) in x.chunks(INPUTS).zip(&report.outcomes) {
            let label = outcome.label as usize;
            let others = || (0..CLASSES).filter(|&c| c != label);
            let reach = |radius| others().map(|c| most_margin(x, label, c, radius)).fold(f64::MIN, f64::max);
            for (count, radius) in broken.iter_mut().zip(RADII) {
                let found = outcome.broken.is_some_and(|(at, _)| at <= radius);
                *count += usize::from(found);
                if reach(radius).abs() > 1e-4 {
                    assert_eq!(
                        found,
                        reach(radius) > 0.0,
                        "fused {fused}, radius {radius}: {}",
                        reach(radius)
                    );
                }
            }
        }
        assert!(broken[0] > 0 && broken[0] < broken[1] && broken[1] < broken[2] && broken[2] < IMAGES);
    }
}

/// Every method finds only what can be broken, the weaker less, and the report says who found it first.
#[test]
fn weaker_attacks_break_less_and_what_comes_first_is_named() {
    let alone = |method| attack_identity(vec![method], CLASSES - 1, true);
    let broken = |report: &AttackReport| report.outcomes.iter().filter(|o| o.broken.is_some()).count();
    let order = [Method::Noise, Method::Square, Method::Margin];
    let counts = order.map(|method| broken(&alone(method)));
    assert!(counts[0] < counts[1] && counts[1] <= counts[2], "{counts:?}");
    // A thousand queries find all but a few of what there is.
    assert!(counts[2] - counts[1] <= counts[2] / 20, "{counts:?}");
    let fgsm = broken(&alone(Method::Fgsm));
    assert!(counts[0] < fgsm && fgsm < counts[2], "{fgsm}");
    let all = attack_identity(vec![Method::Noise, Method::Fgsm, Method::Margin], CLASSES - 1, true);
    assert_eq!(broken(&all), counts[2], "together they break what the strongest does");
    let by = |method| all.outcomes.iter().filter(|o| o.broken.is_some_and(|(_, by)| by == method)).count();
    let first = by(Method::Noise);
    assert!(first > 0 && first <= counts[0] && by(Method::Fgsm) > 0 && by(Method::Margin) > 0);
    assert!(by(Method::Pgd) == 0 && first + by(Method::Fgsm) + by(Method::Margin) == counts[2]);
}

/// Of a classifier of one class every answer is right, and no method has anywhere to go.
#[test]
fn one_class_cannot_be_broken() {
    let (vae, probe) = (Vae::mlp(INPUTS, &[10], 4, 1.0, true), Probe::new(4, 1));
    for method in [Method::Noise, Method::Fgsm, Method::Pgd, Method::Margin, Method::Square] {
        for fused in [true, false] {
            let mut session = Session::new(device::open("cpu", false).unwrap());
            let start = |layout, seed| initialise(layout, Init::He, Key::new(seed, Purpose::Init)).unwrap();
            session.set("model", &start(&vae.layout, 5)).unwrap();
            session.set("probe", &start(&probe.layout, 6)).unwrap();
            let (x, labels) = (images(), vec![0; IMAGES]);
            let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
            let (methods, radii) = (vec![method], vec![0.1]);
            let settings = Attack { methods, norm: Norm::Linf, radii, steps: 2, restarts: 2, seed: 3, fused };
            let report = attack(&mut session, &target, &settings, &|_, _| ()).unwrap();
            assert_eq!(report.adversarial[0].plain, 100.0, "{method:?}, fused {fused}");
            let in_l2 = attack(&mut session, &target, &Attack { norm: Norm::L2, ..settings }, &|_, _| ());
            assert_eq!(in_l2.is_err(), method == Method::Square, "{method:?}");
        }
    }
}

/// A random network, attacked in one kernel call and op by op.
fn attack_network(method: Method, norm: Norm, fused: bool) -> AttackReport {
    let vae = Vae::mlp(INPUTS, &[40, 30], 8, 1.0, true);
    let probe = Probe::new(8, CLASSES);
    let mut session = Session::new(device::open("cpu", false).unwrap());
    let start = |layout, seed| initialise(layout, Init::He, Key::new(seed, Purpose::Init)).unwrap();
    session.set("model", &start(&vae.layout, 5)).unwrap();
    session.set("probe", &start(&probe.layout, 6)).unwrap();
    let x = images();
    let labels: Vec<u32> = (0..IMAGES as u32).map(|i| i % CLASSES as u32).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let radii = if norm == Norm::Linf { RADII.to_vec() } else { vec![0.1, 0.3, 0.6] };
    let settings = Attack { methods: vec![method], norm, radii, steps: 30, restarts: 4, seed: 3, fused };
    attack(&mut session, &target, &settings, &|_, _| ()).unwrap()
}

/// Rounding can change the sign of a gradient that nearly cancels, so a few images may come out differently.
#[test]
fn both_ways_of_making_steps_break_the_same_images() {
    for norm in [Norm::Linf, Norm::L2] {
        for method in [Method::Noise, Method::Fgsm, Method::Pgd, Method::Margin] {
            let [fused, slow] = [true, false].map(|fused| attack_network(method, norm, fused).outcomes);
            let clean = fused.iter().filter(|o| o.clean).count();
            let broken = fused.iter().filter(|o| o.broken.is_some()).count();
            assert!(clean > 20 && broken > 0 && broken < clean, "{norm:?} {method:?}: {broken} of {clean}");
            let differ = fused.iter().zip(&slow).filter(|(a, b)| a != b).count();
            assert!(differ <= 2, "{norm:?} {method:?}: {differ} of {IMAGES} images differ");
        }
    }
}
