//! The attacks on classifiers whose robustness is known exactly, and by both ways of running their steps.

use std::cell::RefCell;

use smoothenc::engine::device;
use smoothenc::engine::nn::{Init, NamedTensor, TensorData, initialise, load_weights};
use smoothenc::engine::rng::{Key, Purpose, uniform};
use smoothenc::engine::session::Session;
use smoothenc::method::ops::Norm;
use smoothenc::method::robustness::{
    Attack, AttackReport, Method, Outcome, Probe, Target, Thresholded, answers, attack, distance, perturbed,
    reach,
};
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

/// The probe's weights, `[classes, INPUTS]`.
fn probe_weights(classes: usize) -> Vec<f32> {
    (0..classes * INPUTS).map(|i| draw(1, i)).collect()
}

/// The class of an image: the one that the probe says, so that all are right without an attack.
fn label(x: &[f32], classes: usize) -> u32 {
    let weights = probe_weights(classes);
    let product = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
    let logits: Vec<f64> = weights.chunks(INPUTS).map(product).collect();
    (0..classes).reduce(|best, c| if logits[c] > logits[best] { c } else { best }).unwrap() as u32
}

/// How far any other class can come above the label in ball and box, for logits that are linear in x.
fn most_margin(x: &[f32], label: usize, classes: usize, norm: Norm, radius: f32) -> f64 {
    let weights = probe_weights(classes);
    let slope =
        |c: usize, i: usize| f64::from(weights[c * INPUTS + i]) - f64::from(weights[label * INPUTS + i]);
    let of_class = |c: usize| match norm {
        Norm::Linf => most_on_line(x, &|i| f64::from(radius) * slope(c, i).signum(), &|i| slope(c, i)),
        Norm::L2 => {
            // The best point is x + t slope, clipped to the box, where t makes it as long as the radius.
            let (mut low, mut high) = (0.0, 1e6);
            for _ in 0..200 {
                let t = (low + high) / 2.0;
                let moves = (0..INPUTS).map(|i| end(x[i], t * slope(c, i)) - f64::from(x[i]));
                let long = moves.map(|m| m * m).sum::<f64>().sqrt() > f64::from(radius);
                if long { high = t } else { low = t }
            }
            most_on_line(x, &|i| low * slope(c, i), &|i| slope(c, i))
        }
    };
    (0..classes).filter(|&c| c != label).map(of_class).fold(f64::MIN, f64::max)
}

fn end(x: f32, moved: f64) -> f64 {
    (f64::from(x) + moved).clamp(0.0, 1.0)
}

fn most_on_line(x: &[f32], moved: &dyn Fn(usize) -> f64, slope: &dyn Fn(usize) -> f64) -> f64 {
    (0..INPUTS).map(|i| slope(i) * end(x[i], moved(i))).sum()
}

/// What is attacked, and how.
#[derive(Debug, Clone)]
struct Case {
    methods: Vec<Method>,
    norm: Norm,
    classes: usize,
    fused: bool,
}

impl Case {
    fn of(methods: &[Method]) -> Case {
        Case { methods: methods.to_vec(), norm: Norm::Linf, classes: CLASSES, fused: true }
    }

    fn radii(&self) -> [f32; 3] {
        if self.norm == Norm::Linf { RADII } else { RADII.map(|radius| 4.0 * radius) }
    }
}

/// Attacks an encoder whose code is the image itself: a bias of 1 keeps pixels above 0, where a ReLU changes nothing.
fn attack_identity(case: &Case) -> AttackReport {
    let Case { ref methods, norm, classes, fused } = *case;
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
    let probe = Probe::new(INPUTS, classes);
    let mut session = Session::new(device::open("cpu", false).unwrap());
    load_weights(&mut session, "model", &vae.layout, &model).unwrap();
    let mut arena = vec![0.0; probe.layout.words()];
    probe.layout.slice_mut(&mut arena, 0).copy_from_slice(&probe_weights(classes));
    session.set("probe", &arena).unwrap();
    let x = images();
    let labels: Vec<u32> = x.chunks(INPUTS).map(|x| label(x, classes)).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let (methods, radii) = (methods.clone(), case.radii().to_vec());
    let settings = Attack { steps: 20, restarts: CLASSES - 1, seed: 3, fused, ..plain(methods, norm, radii) };
    attack(&mut session, &target, &settings, &|_, _| ()).unwrap()
}

/// Settings to change.
fn plain(methods: Vec<Method>, norm: Norm, radii: Vec<f32>) -> Attack {
    let (steps, restarts, seed, fused, keep_points) = (1, 1, 3, true, false);
    Attack { methods, norm, radii, steps, restarts, seed, fused, keep_points, transferred: vec![] }
}

fn broken_at(outcome: &Outcome, radius: f32) -> bool {
    outcome.broken.is_some_and(|broken| broken.radius <= radius)
}

/// Of a linear classifier the margin's slope never changes, so its ascent ends at the best point of the ball, and one
/// restart for each other class breaks every image that can be broken. Those within rounding of it may go either way;
/// in L2, where the projection onto ball and box ends just inside, those within a hundredth of the radius.
#[test]
fn what_can_be_broken_of_a_linear_classifier_is_found() {
    let x = images();
    for norm in [Norm::Linf, Norm::L2] {
        for (method, classes, both) in [
            (Method::Margin, CLASSES, true),
            (Method::Margin, 2, true),
            // With two classes these climb the margin.
            (Method::ApgdDlr, 2, false),
            (Method::ApgdT, 2, false),
            (Method::ApgdT, 3, false),
        ] {
            for fused in if both { vec![true, false] } else { vec![true] } {
                let case = Case { methods: vec![method], norm, classes, fused };
                let report = attack_identity(&case);
                assert_eq!(report.nominal().plain, 100.0);
                let mut broken = [0; RADII.len()];
                for (x, outcome) in x.chunks(INPUTS).zip(&report.outcomes) {
                    let reach = |radius| most_margin(x, outcome.label as usize, classes, norm, radius);
                    for (count, radius) in broken.iter_mut().zip(case.radii()) {
                        let found = broken_at(outcome, radius);
                        *count += usize::from(found);
                        let surely = reach(if norm == Norm::L2 { 0.99 * radius } else { radius }) > 1e-4;
                        let never = reach(radius) < -1e-4;
                        assert!(
                            (found || !surely) && !(found && never),
                            "{case:?} {radius}: {}",
                            reach(radius)
                        );
                    }
                }
                assert!(
                    broken[0] > 0 && broken[0] < broken[1] && broken[1] < broken[2],
                    "{case:?} {broken:?}"
                );
                assert!(broken[2] < IMAGES, "{case:?} {broken:?}");
            }
        }
    }
}

/// The ascents on other losses find no more than there is. Those from one random point find most of it, the one from a
/// point for each class all of it.
#[test]
fn auto_pgd_breaks_most_of_what_can_be_broken_of_a_linear_classifier() {
    let x = images();
    for norm in [Norm::Linf, Norm::L2] {
        for (method, percent) in [(Method::ApgdCe, 90), (Method::ApgdDlr, 95), (Method::ApgdT, 100)] {
            let case = Case { norm, ..Case::of(&[method]) };
            let report = attack_identity(&case);
            for radius in case.radii() {
                let (mut found, mut there) = (0, 0);
                for (x, outcome) in x.chunks(INPUTS).zip(&report.outcomes) {
                    let reach = most_margin(x, outcome.label as usize, CLASSES, norm, radius);
                    let broken = broken_at(outcome, radius);
                    assert!(!broken || reach > -1e-4, "{case:?} {radius}: {reach}");
                    found += usize::from(broken);
                    there += usize::from(reach > 1e-4);
                }
                assert!(
                    there > 10 && 100 * found >= percent * there,
                    "{case:?} {radius}: {found} of {there}"
                );
            }
        }
    }
}

/// Each restart of the targeted one aims at another class; the outcome tells which broke the image.
#[test]
fn an_outcome_names_the_restart() {
    let report = attack_identity(&Case::of(&[Method::ApgdT]));
    let of = |restart| {
        report.outcomes.iter().filter(|o| o.broken.is_some_and(|broken| broken.restart == restart)).count()
    };
    let counts: Vec<usize> = (0..CLASSES - 1).map(of).collect();
    let broken = report.outcomes.iter().filter(|o| o.broken.is_some()).count();
    assert!(counts[0] > counts[1] && counts[1] > 0 && counts.iter().sum::<usize>() == broken, "{counts:?}");
    let single = attack_identity(&Case::of(&[Method::Fgsm, Method::ApgdCe, Method::Square]));
    assert!(single.outcomes.iter().all(|o| o.broken.is_none_or(|broken| broken.restart == 0)));
}

/// What is reported as done rises from nothing to all, in steps that are small beside it.
#[test]
fn progress_moves_within_a_method() {
    let x = images();
    let labels: Vec<u32> = x.chunks(INPUTS).map(|x| label(x, 1)).collect();
    let (vae, probe) = (Vae::mlp(INPUTS, &[10], 4, 1.0, true), Probe::new(4, 1));
    for method in [Method::Square, Method::ApgdCe, Method::Pgd] {
        let mut session = random_session(&vae, &probe);
        let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
        let (methods, norm) = (vec![method], Norm::Linf);
        let settings = Attack { steps: 75, restarts: 2, ..plain(methods, norm, vec![0.1]) };
        let told = RefCell::new(vec![]);
        attack(&mut session, &target, &settings, &|done, all| told.borrow_mut().push((done, all))).unwrap();
        let told = told.into_inner();
        let all = told[0].1;
        assert!(told.iter().all(|&(_, of)| of == all) && told.is_sorted(), "{method:?}: {told:?}");
        let largest = told.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
        assert!(largest * 2 < all && told.last().unwrap().0 == all, "{method:?}: {largest} of {told:?}");
    }
}

/// Every method finds only what can be broken, the weaker less, and the report says who found it first.
#[test]
fn weaker_attacks_break_less_and_what_comes_first_is_named() {
    let alone = |method| attack_identity(&Case::of(&[method]));
    let broken = |report: &AttackReport| report.outcomes.iter().filter(|o| o.broken.is_some()).count();
    let order = [Method::Noise, Method::Square, Method::Margin];
    let counts = order.map(|method| broken(&alone(method)));
    let in_l2 = |method| broken(&attack_identity(&Case { norm: Norm::L2, ..Case::of(&[method]) }));
    let [noise, squares, margin] = order.map(in_l2);
    assert!(noise < squares && squares <= margin && squares > margin * 3 / 4, "{noise} {squares} {margin}");
    assert!(counts[0] < counts[1] && counts[1] <= counts[2], "{counts:?}");
    // A thousand queries find all but a few of what there is.
    assert!(counts[2] - counts[1] <= counts[2] / 20, "{counts:?}");
    let fgsm = broken(&alone(Method::Fgsm));
    assert!(counts[0] < fgsm && fgsm < counts[2], "{fgsm}");
    let all = attack_identity(&Case::of(&[Method::Noise, Method::Fgsm, Method::Margin]));
    assert_eq!(broken(&all), counts[2], "together they break what the strongest does");
    let by = |method| {
        all.outcomes.iter().filter(|o| o.broken.is_some_and(|broken| broken.method == method)).count()
    };
    let first = by(Method::Noise);
    assert!(first > 0 && first <= counts[0] && by(Method::Fgsm) > 0 && by(Method::Margin) > 0);
    assert!(by(Method::Pgd) == 0 && first + by(Method::Fgsm) + by(Method::Margin) == counts[2]);
}

/// Of a classifier of one class every answer is right, and no method has anywhere to go.
#[test]
fn one_class_cannot_be_broken() {
    let (vae, probe) = (Vae::mlp(INPUTS, &[10], 4, 1.0, true), Probe::new(4, 1));
    let methods = [
        Method::Noise,
        Method::Fgsm,
        Method::Pgd,
        Method::Margin,
        Method::ApgdCe,
        Method::ApgdDlr,
        Method::ApgdT,
        Method::Square,
        Method::Latent,
    ];
    for method in methods {
        for fused in [true, false] {
            let mut session = random_session(&vae, &probe);
            let (x, labels) = (images(), vec![0; IMAGES]);
            let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
            let (methods, radii) = (vec![method], vec![0.1]);
            let settings = Attack { steps: 2, restarts: 2, fused, ..plain(methods, Norm::Linf, radii) };
            let report = attack(&mut session, &target, &settings, &|_, _| ()).unwrap();
            assert_eq!(report.adversarial(0.1).plain, 100.0, "{method:?}, fused {fused}");
            let in_l2 = attack(&mut session, &target, &Attack { norm: Norm::L2, ..settings }, &|_, _| ());
            assert_eq!(in_l2.unwrap().adversarial(0.1).plain, 100.0, "{method:?}");
        }
    }
}

/// A device with random weights.
fn random_session(vae: &Vae, probe: &Probe) -> Session {
    let mut session = Session::new(device::open("cpu", false).unwrap());
    let start = |layout, seed| initialise(layout, Init::He, Key::new(seed, Purpose::Init)).unwrap();
    session.set("model", &start(&vae.layout, 5)).unwrap();
    session.set("probe", &start(&probe.layout, 6)).unwrap();
    session
}

/// A random network, attacked in one kernel call and op by op.
fn attack_network(method: Method, norm: Norm, fused: bool) -> AttackReport {
    attack_network_and_keep(method, norm, fused, false).0
}

/// The same with the points kept, and what the classifier answers there.
fn attack_network_and_keep(
    method: Method,
    norm: Norm,
    fused: bool,
    keep_points: bool,
) -> (AttackReport, Vec<Option<u32>>) {
    let vae = Vae::mlp(INPUTS, &[40, 30], 8, 1.0, true);
    let probe = Probe::new(8, CLASSES);
    let mut session = random_session(&vae, &probe);
    let x = images();
    let labels: Vec<u32> = (0..IMAGES as u32).map(|i| i % CLASSES as u32).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let radii = if norm == Norm::Linf { RADII.to_vec() } else { vec![0.1, 0.3, 0.6] };
    let settings = Attack { steps: 30, restarts: 4, fused, keep_points, ..plain(vec![method], norm, radii) };
    let report = attack(&mut session, &target, &settings, &|_, _| ()).unwrap();
    let points: Vec<f32> = report.points.values().flatten().copied().collect();
    let answers = answers(&mut session, &vae, &probe, &points).unwrap();
    (report, answers)
}

/// Points that are kept are those that broke the images: in ball and box, and answered wrong. Keeping them changes
/// nothing.
#[test]
fn points_that_are_kept_are_what_broke_the_images() {
    let x = images();
    for (method, norm, fused) in [
        (Method::Noise, Norm::Linf, true),
        (Method::Fgsm, Norm::Linf, true),
        (Method::Pgd, Norm::Linf, true),
        (Method::Pgd, Norm::L2, false),
        (Method::Margin, Norm::Linf, false),
        (Method::Margin, Norm::L2, true),
        (Method::ApgdT, Norm::Linf, true),
        (Method::ApgdCe, Norm::L2, true),
        (Method::Square, Norm::Linf, true),
        (Method::Square, Norm::L2, true),
        (Method::Latent, Norm::Linf, true),
        (Method::Latent, Norm::L2, false),
    ] {
        let (kept, answers) = attack_network_and_keep(method, norm, fused, true);
        let report = attack_network(method, norm, fused);
        // Of several restarts that break an image, another may be the first.
        let found = |report: &AttackReport| {
            report.outcomes.iter().map(|o| o.broken.map(|b| (b.radius, b.method))).collect::<Vec<_>>()
        };
        assert!(found(&kept) == found(&report), "{method:?} {norm:?} {fused}");
        // The same restart comes there at the same step, whether its steps are runs of their own or not.
        let broken = |report: &AttackReport| report.outcomes.iter().map(|o| o.broken).collect::<Vec<_>>();
        let pairs = broken(&kept).into_iter().flatten().zip(broken(&report).into_iter().flatten());
        let same: Vec<_> = pairs.filter(|(a, b)| a.restart == b.restart).collect();
        assert!(!same.is_empty() && same.iter().all(|(a, b)| a == b), "{method:?} {norm:?}: {same:?}");
        let iterations = same.iter().map(|(a, _)| a.iteration);
        match method {
            Method::Noise => assert!(iterations.max() == Some(0)),
            // Its start is right, being the image.
            Method::Fgsm => {
                assert!(iterations.min() == Some(1) && same.iter().all(|(a, _)| a.iteration == 1))
            }
            Method::Latent => assert!(same.iter().all(|(a, _)| a.iteration == 30)),
            Method::Square => assert!(same.iter().any(|(a, _)| a.iteration > 30)),
            _ => assert!(
                same.iter().all(|(a, _)| a.iteration <= 30) && same.iter().any(|(a, _)| a.iteration > 0)
            ),
        }
        assert!(report.points.is_empty() && kept.points.len() > 2, "{method:?} {norm:?}");
        assert_eq!(kept.points.len(), kept.outcomes.iter().filter(|o| o.broken.is_some()).count());
        for ((&image, point), answer) in kept.points.iter().zip(answers) {
            let Outcome { label, broken, .. } = kept.outcomes[image];
            let away = distance(norm, &x[image * INPUTS..][..INPUTS], point);
            assert!(away <= reach(norm, broken.unwrap().radius), "{method:?} {norm:?}: {away} {broken:?}");
            assert!(point.iter().all(|value| (0.0..=1.0).contains(value)));
            assert!(answer.is_some_and(|answer| answer != label), "{method:?} {norm:?}: {answer:?} {label}");
        }
    }
}

/// What is transferred is tried as it is: it breaks the images that the classifier answers wrong there, at the radius
/// at which it was given.
#[test]
fn what_is_transferred_is_classified() {
    let (vae, probe) = (Vae::mlp(INPUTS, &[40, 30], 8, 1.0, true), Probe::new(8, CLASSES));
    let mut session = random_session(&vae, &probe);
    let x = images();
    let labels: Vec<u32> =
        answers(&mut session, &vae, &probe, &x).unwrap().into_iter().map(Option::unwrap).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let mut settings = Attack { steps: 10, ..plain(vec![Method::Transfer], Norm::Linf, RADII[..2].to_vec()) };
    let refused = attack(&mut session, &target, &settings, &|_, _| ()).unwrap_err();
    assert!(refused.is_request() && refused.to_string().contains("transfer"), "{refused}");
    let points = |session: &mut Session, radius| perturbed(session, &target, &settings, radius).unwrap();
    let transferred = [0.0, RADII[1]].map(|radius| points(&mut session, radius)).to_vec();
    let right = |session: &mut Session, points: &[f32]| {
        let answers = answers(session, &vae, &probe, points).unwrap();
        answers.iter().zip(&labels).filter(|(answer, label)| **answer == Some(**label)).count()
    };
    assert!(
        transferred[0] == x && transferred[1].iter().zip(&x).all(|(a, b)| (a - b).abs() <= RADII[1] + 1e-7)
    );
    let stands = right(&mut session, &transferred[1]);
    assert!(stands > 0 && stands < IMAGES);
    settings.transferred = transferred;
    let report = attack(&mut session, &target, &settings, &|_, _| ()).unwrap();
    let standing = |radius| report.outcomes.iter().filter(|o| !broken_at(o, radius)).count();
    assert_eq!([standing(RADII[0]), standing(RADII[1])], [IMAGES, stands]);
}

/// Images near black and white lose nothing by rounding, and a radius too small to turn a pixel breaks none of them.
#[test]
fn thresholded_images_break_where_pixels_turn() {
    let (vae, probe) = (Vae::mlp(INPUTS, &[40, 30], 8, 1.0, true), Probe::new(8, CLASSES));
    let mut session = random_session(&vae, &probe);
    // Pixels of 0.2 or 0.8, and labels that are right on the rounded images, but for every third image.
    let x: Vec<f32> = (0..IMAGES * INPUTS).map(|i| if draw(0, i) > 0.0 { 0.8 } else { 0.2 }).collect();
    let rounded: Vec<f32> = x.iter().map(|x| x.round()).collect();
    let answers = answers(&mut session, &vae, &probe, &rounded).unwrap();
    let label =
        |(i, answer): (usize, Option<u32>)| (answer.unwrap() + u32::from(i % 3 == 0)) % CLASSES as u32;
    let labels: Vec<u32> = answers.into_iter().enumerate().map(label).collect();
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: SHAPE };
    let attack = Thresholded { steps: 10, restarts: 2, seed: 1 };
    let broken = attack.broken_at(&mut session, &target, &[0.1, 0.29, 0.31]).unwrap();
    let at = |radius: f32| broken.iter().filter(|broken| **broken == radius).count();
    assert_eq!([at(0.0), at(0.1), at(0.29)], [IMAGES / 3, 0, 0]);
    // Every pixel can be turned, and a classifier that is not constant breaks.
    assert!(at(0.31) > IMAGES / 2, "{}", at(0.31));
    assert_eq!(broken, attack.broken_at(&mut session, &target, &[0.1, 0.29, 0.31]).unwrap());
}

/// Rounding can change the sign of a gradient that nearly cancels, so a few images may come out differently.
#[test]
fn both_ways_of_making_steps_break_the_same_images() {
    for norm in [Norm::Linf, Norm::L2] {
        for method in [Method::Noise, Method::Fgsm, Method::Pgd, Method::Margin, Method::Latent] {
            let [fused, slow] = [true, false].map(|fused| attack_network(method, norm, fused).outcomes);
            let clean = fused.iter().filter(|o| o.clean).count();
            let broken = fused.iter().filter(|o| o.broken.is_some()).count();
            assert!(clean > 20 && broken > 0 && broken < clean, "{norm:?} {method:?}: {broken} of {clean}");
            let differ = fused.iter().zip(&slow).filter(|(a, b)| a != b).count();
            assert!(differ <= 2, "{norm:?} {method:?}: {differ} of {IMAGES} images differ");
        }
    }
}
