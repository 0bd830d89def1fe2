//! Certificates: against exhaustive search in small networks, and against the same bounds in float64 over dense
//! matrices.

#[path = "common/gpu.rs"]
mod gpu;

use smoothenc::engine::device::{self, Device};
use smoothenc::engine::nn::{Init, Layer, Layout, initialise};
use smoothenc::engine::ops::Convolution;
use smoothenc::engine::rng::{Key, Purpose, Stream};
use smoothenc::engine::session::Session;
use smoothenc::method::ops::Norm;
use smoothenc::method::robustness::{
    Attack, Ball, Broken, Certifier, Method, Probe, Target, attack, certified_radii, code_reach,
};
use smoothenc::method::vae::Vae;

/// A layer in float64: weights row by row, biases, and whether a ReLU follows.
struct Dense {
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    relu: bool,
}

/// An encoder and a probe with random weights, some images and their answers.
struct Network {
    vae: Vae,
    probe: Probe,
    model: Vec<f32>,
    head: Vec<f32>,
    dense: Vec<Dense>,
    x: Vec<f32>,
    labels: Vec<u32>,
}

fn draws(seed: u64) -> Stream {
    Stream::new(Key::new(seed, Purpose::Init), 7)
}

/// The matrix of a convolution, `[small, large]`.
fn matrix(c: &Convolution, weight: &[f32]) -> Vec<Vec<f64>> {
    let ([large_c, large_h, large_w], [small_c, small_h, small_w]) = (c.large, c.small);
    let [kernel_h, kernel_w] = c.kernel;
    let mut rows = vec![vec![0.0; large_c * large_h * large_w]; small_c * small_h * small_w];
    for (out, row) in rows.iter_mut().enumerate() {
        let (o, y, x) = (out / (small_h * small_w), out / small_w % small_h, out % small_w);
        for i in 0..large_c * kernel_h * kernel_w {
            let (channel, dy, dx) = (i / (kernel_h * kernel_w), i / kernel_w % kernel_h, i % kernel_w);
            let (from_y, from_x) = (y * c.stride + dy, x * c.stride + dx);
            let inside = |at: usize, side| (c.padding..c.padding + side).contains(&at);
            if inside(from_y, large_h) && inside(from_x, large_w) {
                let pixel = (channel * large_h + from_y - c.padding) * large_w + from_x - c.padding;
                row[pixel] = f64::from(weight[o * large_c * kernel_h * kernel_w + i]);
            }
        }
    }
    rows
}

/// The layers of a stack, the last one cut to `outputs`.
fn dense(layers: &[Layer], layout: &Layout, arena: &[f32], first: usize, outputs: usize) -> Vec<Dense> {
    let mut made: Vec<Dense> = Vec::new();
    for layer in layers {
        let entry = first + 2 * made.len();
        match layer {
            Layer::Relu => made.last_mut().unwrap().relu = true,
            Layer::Conv2d(c) => {
                let bias = layout.slice(arena, entry + 1).iter();
                let pixels = c.small[1] * c.small[2];
                let bias = bias.flat_map(|b| vec![f64::from(*b); pixels]).collect();
                made.push(Dense { weight: matrix(c, layout.slice(arena, entry)), bias, relu: false });
            }
            Layer::Linear { inputs, .. } => {
                let rows = layout.slice(arena, entry).chunks(*inputs);
                let weight = rows.map(|row| row.iter().map(|w| f64::from(*w)).collect()).collect();
                let bias = layout.slice(arena, entry + 1).iter().map(|b| f64::from(*b)).collect();
                made.push(Dense { weight, bias, relu: false });
            }
            Layer::Flatten => {}
            other => panic!("{other:?} in an encoder"),
        }
    }
    let last = made.last_mut().unwrap();
    last.weight.truncate(outputs);
    last.bias.truncate(outputs);
    made
}

fn product(weight: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    weight.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn outputs(layers: &[Dense], x: &[f64]) -> Vec<f64> {
    layers.iter().fold(x.to_vec(), |x, layer| {
        let z = product(&layer.weight, &x).into_iter().zip(&layer.bias).map(|(z, b)| z + b);
        z.map(|z| if layer.relu { z.max(0.0) } else { z }).collect()
    })
}

impl Network {
    fn new(vae: Vae, classes: usize, seed: u64, images: usize) -> Self {
        let probe = Probe::new(vae.latent, classes);
        let key = |i: u64| Key::new(seed.wrapping_mul(2).wrapping_add(i), Purpose::Init);
        let model = initialise(&vae.layout, Init::Torch, key(0)).unwrap();
        // Larger than after training, so that ReLUs are decided neither way.
        let model: Vec<f32> = model.iter().map(|w| 2.0 * w).collect();
        let head = initialise(&probe.layout, Init::Torch, key(1)).unwrap();
        let mut dense_layers = dense(vae.encoder.layers(), &vae.layout, &model, 0, vae.latent);
        let linear = [Layer::Linear { inputs: vae.latent, outputs: classes }];
        dense_layers.extend(dense(&linear, &probe.layout, &head, 0, classes));
        let inputs = vae.encoder.inputs();
        let mut draws = draws(seed);
        let x: Vec<f32> = (0..images * inputs).map(|_| draws.uniform()).collect();
        let mut network = Network { vae, probe, model, head, dense: dense_layers, x, labels: vec![] };
        let answer = |x: &[f32]| {
            let logits = network.logits(&x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
            (0..classes).reduce(|best, c| if logits[c] > logits[best] { c } else { best }).unwrap() as u32
        };
        network.labels = network.x.chunks(inputs).map(answer).collect();
        network
    }

    fn logits(&self, x: &[f64]) -> Vec<f64> {
        outputs(&self.dense, x)
    }

    /// The code: what the last layer but the probe's has.
    fn code(&self, x: &[f64]) -> Vec<f64> {
        let encoder = &self.dense[..self.dense.len() - 1];
        outputs(encoder, x)
    }

    fn margin(&self, x: &[f64], label: usize) -> f64 {
        let logits = self.logits(x);
        let others = (0..logits.len()).filter(|c| *c != label).map(|c| logits[c]);
        logits[label] - others.fold(f64::NEG_INFINITY, f64::max)
    }

    fn image(&self, image: usize) -> Vec<f64> {
        let inputs = self.vae.encoder.inputs();
        self.x[image * inputs..][..inputs].iter().map(|x| f64::from(*x)).collect()
    }

    /// Does something with the network on a device.
    fn on<T>(&self, device: Device, work: impl FnOnce(&mut Session, &Target) -> T) -> T {
        let mut session = Session::new(device);
        session.set("model", &self.model).unwrap();
        session.set("probe", &self.head).unwrap();
        let shape = [1, 1, self.vae.encoder.inputs()];
        let target = Target { vae: &self.vae, probe: &self.probe, x: &self.x, labels: &self.labels, shape };
        work(&mut session, &target)
    }

    fn margins(&self, device: Device, norm: Norm, balls: &[Ball]) -> Vec<f64> {
        self.on(device, |session, target| {
            let mut certifier = Certifier::new(session, target, norm).unwrap();
            let margins = certifier.margins(session, balls).unwrap();
            certifier.forget(session);
            margins
        })
    }

    /// CROWN's bound in float64.
    fn crown(&self, norm: Norm, image: usize, radius: f64) -> f64 {
        let x = self.image(image);
        let mut intervals: Vec<Vec<(f64, f64)>> = Vec::new();
        for l in 0..self.dense.len() {
            let unit = |j: usize, sign: f64| {
                let outputs = self.dense[l].bias.len();
                let row = (0..outputs).map(|i| if i == j { sign } else { 0.0 }).collect();
                self.walk(norm, &x, radius, l, row, &intervals)
            };
            let outputs = self.dense[l].bias.len();
            let of_layer = match self.dense[l].relu {
                true => (0..outputs).map(|j| (unit(j, 1.0), -unit(j, -1.0))).collect(),
                false => vec![],
            };
            intervals.push(of_layer);
        }
        let (last, classes) = (self.dense.len() - 1, self.probe.classes());
        let label = self.labels[image] as usize;
        let against = |other: usize| {
            let row = (0..classes).map(|c| f64::from(u8::from(c == label)) - f64::from(u8::from(c == other)));
            self.walk(norm, &x, radius, last, row.collect(), &intervals)
        };
        (0..classes).filter(|c| *c != label).map(against).fold(f64::INFINITY, f64::min)
    }

    fn walk(
        &self,
        norm: Norm,
        x: &[f64],
        radius: f64,
        l: usize,
        mut row: Vec<f64>,
        intervals: &[Vec<(f64, f64)>],
    ) -> f64 {
        let mut bound = 0.0;
        for (k, layer) in self.dense[..=l].iter().enumerate().rev() {
            if layer.relu && k < l {
                for (a, &(low, high)) in row.iter_mut().zip(&intervals[k]) {
                    let slope = if low >= 0.0 {
                        1.0
                    } else if high <= 0.0 {
                        0.0
                    } else if *a > 0.0 {
                        f64::from(u8::from(high > -low))
                    } else {
                        bound -= *a * low * high / (high - low);
                        high / (high - low)
                    };
                    *a *= slope;
                }
            }
            bound += row.iter().zip(&layer.bias).map(|(a, b)| a * b).sum::<f64>();
            let back = |i: usize| row.iter().zip(&layer.weight).map(|(a, w)| a * w[i]).sum();
            row = (0..layer.weight[0].len()).map(back).collect();
        }
        let least = |(a, x): (&f64, &f64)| (a * (x - radius).max(0.0)).min(a * (x + radius).min(1.0));
        let in_box: f64 = row.iter().zip(x).map(least).sum();
        let length = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        let in_ball = row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - radius * length;
        bound + if norm == Norm::L2 { in_box.max(in_ball) } else { in_box }
    }
}

fn cpu() -> Device {
    device::open("cpu", false).unwrap()
}

/// Networks of two pixels, whose balls a grid exhausts: 10,000 balls, in both norms. The bound is never above what the
/// grid finds, and in many balls not far below.
fn bounds_hold_against_exhaustive_search() {
    const NETWORKS: u64 = 50;
    const BALLS: usize = 100;
    const SIDE: usize = 25;
    let mut near = 0;
    for seed in 0..NETWORKS {
        let network = Network::new(Vae::mlp(2, &[5, 4], 3, 1.0, true), 3, seed, BALLS);
        for norm in [Norm::Linf, Norm::L2] {
            let radius = |image: usize| 0.02 * 1.04f32.powi(image as i32);
            let balls: Vec<Ball> = (0..BALLS).map(|image| (image, radius(image))).collect();
            let bounds = network.margins(cpu(), norm, &balls);
            for ((image, radius), bound) in balls.into_iter().zip(bounds) {
                let (x, radius) = (network.image(image), f64::from(radius));
                let step = |i: usize| radius * (2.0 * i as f64 / (SIDE - 1) as f64 - 1.0);
                let points = (0..SIDE * SIDE).map(|i| [step(i % SIDE), step(i / SIDE)]);
                let inside = points.filter(|[a, b]| norm == Norm::Linf || a.hypot(*b) <= radius);
                let margin = |[a, b]: [f64; 2]| {
                    let point = [(x[0] + a).clamp(0.0, 1.0), (x[1] + b).clamp(0.0, 1.0)];
                    network.margin(&point, network.labels[image] as usize)
                };
                let found = inside.map(margin).fold(f64::INFINITY, f64::min);
                assert!(bound <= found, "network {seed}, {norm:?}, image {image}: {bound} above {found}");
                near += usize::from(bound > found - 0.02);
            }
        }
    }
    assert!(near > 5000, "only {near} of 10000 bounds are near what is found");
}

/// The bounds of a device, and those of float64.
fn agree(device: impl Fn() -> Device) {
    let convolution = Convolution::new([2, 6, 5], 3, [3, 3], 2, 1).unwrap();
    let second = Convolution::new(convolution.small, 4, [2, 2], 1, 0).unwrap();
    let networks = [
        Network::new(Vae::mlp(30, &[40, 33, 21], 7, 1.0, true), 5, 1, 20),
        Network::new(Vae::mlp(9, &[8], 2, 1.0, true), 2, 2, 17),
        Network::new(Vae::conv(&[convolution, second], &[11], 6, 1.0, true), 4, 3, 20),
    ];
    for (n, network) in networks.iter().enumerate() {
        for norm in [Norm::Linf, Norm::L2] {
            let balls: Vec<Ball> =
                (0..network.labels.len()).map(|image| (image, 0.004 * image as f32)).collect();
            let bounds = network.margins(device(), norm, &balls);
            for ((image, radius), bound) in balls.into_iter().zip(bounds) {
                let exact = network.crown(norm, image, f64::from(radius));
                let told = format!("network {n}, {norm:?}, image {image}: {bound} for {exact}");
                assert!(bound <= exact + 1e-9, "{told}: above");
                assert!((bound - exact).abs() < 1e-3 * (1.0 + exact.abs()), "{told}");
            }
        }
    }
}

fn bounds_are_those_of_float64() {
    agree(cpu);
}

fn bounds_of_a_gpu_are_those_of_float64() {
    agree(|| gpu::open().unwrap());
}

/// What is certified stands under every attack, the search ends near the largest radius, and what is certified at no
/// radius has none.
fn certified_images_stand_under_attack() {
    let network = Network::new(Vae::mlp(12, &[16, 16], 4, 1.0, true), 3, 5, 120);
    let wrong = Network { labels: network.labels.iter().map(|l| (l + 1) % 3).collect(), ..network };
    let network = Network::new(Vae::mlp(12, &[16, 16], 4, 1.0, true), 3, 5, 120);
    for norm in [Norm::Linf, Norm::L2] {
        let radii = vec![0.02, 0.05, 0.1, 0.3];
        network.on(cpu(), |session, target| {
            let certified = certified_radii(session, target, norm, &radii, &|_, _| ()).unwrap();
            let settings = Attack {
                methods: vec![Method::Pgd, Method::Margin],
                norm,
                radii: radii.clone(),
                steps: 20,
                restarts: 4,
                seed: 1,
                fused: true,
                keep_points: false,
                transferred: vec![],
            };
            let report = attack(session, target, &settings, &|_, _| ()).unwrap();
            let (mut both, mut neither) = (0, 0);
            for (outcome, certified) in report.outcomes.iter().zip(&certified) {
                match (outcome.broken, certified) {
                    (Some(Broken { radius, .. }), Some(certified)) => {
                        assert!(
                            radius > *certified,
                            "{norm:?}: broken at {radius}, certified at {certified}"
                        );
                        both += 1;
                    }
                    (None, None) => neither += 1,
                    _ => {}
                }
            }
            assert!(both > 20 && neither < 20, "{norm:?}: {both} with both bounds, {neither} with neither");
            // Between the largest that is certified and the next that was tried lies a small part of a gap.
            let between = certified.iter().flatten().filter(|r| !radii.contains(r)).count();
            assert!(between > 40, "{norm:?}: {between}");
        });
        let none = wrong
            .on(cpu(), |session, target| certified_radii(session, target, norm, &radii, &|_, _| ()).unwrap());
        assert!(none.iter().all(Option::is_none));
    }
}

/// No point of a ball, of two pixels or of many, moves the code beyond its bound, and in small balls, where the network
/// is nearly linear, the bound is near: within what codes of two numbers can differ from the box around them.
fn codes_do_not_leave_their_bounds() {
    for norm in [Norm::Linf, Norm::L2] {
        for (inputs, hidden) in [(2, vec![5, 4]), (12, vec![16, 16])] {
            let network = Network::new(Vae::mlp(inputs, &hidden, 2, 1.0, true), 3, 4, 40);
            let radii = [0.0, 0.002, 0.05, 0.3];
            let bounds =
                network.on(cpu(), |session, target| code_reach(session, target, norm, &radii, &|_, _| ()));
            let bounds = bounds.unwrap();
            let mut draws = draws(9);
            for (radius, bounds) in radii.into_iter().zip(&bounds) {
                let mut near = 0;
                for (image, bound) in bounds.iter().enumerate() {
                    let x = network.image(image);
                    let code = network.code(&x);
                    let mut found: f64 = 0.0;
                    for _ in 0..300 {
                        let mut moved: Vec<f64> =
                            (0..inputs).map(|_| 2.0 * f64::from(draws.uniform()) - 1.0).collect();
                        let size = match norm {
                            Norm::Linf => moved.iter().fold(0.0, |most: f64, m| most.max(m.abs())),
                            Norm::L2 => moved.iter().map(|m| m * m).sum::<f64>().sqrt(),
                        };
                        moved.iter_mut().zip(&x).for_each(|(m, x)| {
                            *m = (x + *m / size * f64::from(radius)).clamp(0.0, 1.0);
                        });
                        let there = network.code(&moved);
                        let away = there.iter().zip(&code).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
                        found = found.max(away.sqrt());
                    }
                    assert!(found <= *bound, "{norm:?} {radius}, image {image}: {found} above {bound}");
                    near += usize::from(*bound < 1.6 * found + 1e-4);
                }
                let few = inputs == 2 && radius < 0.01;
                assert!(!few || near > 36, "{norm:?} {radius}: {near} of 40");
            }
            assert!(bounds.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(a, b)| a <= b)));
            assert!(bounds[0].iter().all(|bound| *bound < 1e-4), "{:?}", bounds[0]);
        }
    }
}

/// Labels that are no class, a probe of one class, and weights that overflow are not certified, and halves are refused.
fn what_cannot_be_certified_is_not() {
    let balls: Vec<Ball> = (0..3).map(|image| (image, 0.01)).collect();
    let network = |classes, seed| Network::new(Vae::mlp(6, &[5], 3, 1.0, true), classes, seed, 3);
    let mut labelled = network(3, 1);
    labelled.labels = vec![9, labelled.labels[1], u32::MAX];
    let margins = labelled.margins(cpu(), Norm::Linf, &balls);
    assert!(margins[0] == f64::NEG_INFINITY && margins[1].is_finite() && margins[2] == f64::NEG_INFINITY);
    assert_eq!(network(1, 1).margins(cpu(), Norm::Linf, &balls), [f64::INFINITY; 3]);
    let mut huge = network(3, 1);
    huge.model.iter_mut().for_each(|w| *w *= 1e38);
    let certified = |margin: &f64| *margin > 0.0;
    assert!(!huge.margins(cpu(), Norm::L2, &balls).iter().any(certified));
    let half = Network { vae: network(3, 1).vae.in_half(), ..network(3, 1) };
    half.on(cpu(), |session, target| {
        let error = Certifier::new(session, target, Norm::Linf).unwrap_err().to_string();
        assert!(error.contains("half precision"), "{error}");
    });
}

fn main() {
    gpu::main(&[
        ("bounds_hold_against_exhaustive_search", false, bounds_hold_against_exhaustive_search),
        ("bounds_are_those_of_float64", false, bounds_are_those_of_float64),
        ("bounds_of_a_gpu_are_those_of_float64", true, bounds_of_a_gpu_are_those_of_float64),
        ("certified_images_stand_under_attack", false, certified_images_stand_under_attack),
        ("codes_do_not_leave_their_bounds", false, codes_do_not_leave_their_bounds),
        ("what_cannot_be_certified_is_not", false, what_cannot_be_certified_is_not),
    ]);
}
