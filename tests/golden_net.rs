//! The engine against a tiny network worked out in float64: every PGD iterate, loss, weight
//! gradient, Adam step and attack. `SMOOTHENC_GOLDEN_NET` names another file of the format.

#[path = "common/gpu.rs"]
mod gpu;

use serde::Deserialize;
use smoothenc::engine::autodiff;
use smoothenc::engine::device::{self, Device};
use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::nn::{Layout, Stack, Weights, weight_gradients};
use smoothenc::engine::ops::store;
use smoothenc::engine::ops::{self, AdamSettings};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType;
use smoothenc::method::ops::{Norm, StartNoise, StepLength, pgd_start, pgd_step, wasserstein2};
use smoothenc::method::selection::{Metric, Selection, Start};
use smoothenc::method::vae::{Objective, Vae};

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    din: usize,
    width: usize,
    dz: usize,
    batch: usize,
    eps: f32,
    #[serde(rename = "L")]
    steps: usize,
    gamma: f32,
    v: f32,
    enc: Vec<Weight>,
    dec: Vec<Weight>,
    x: Rows,
    noise: Rows,
    u: Rows,
    mu_a: Rows,
    logvar_a: Rows,
    xb_per_iter: Vec<Rows>,
    w2_final: Vec<f64>,
    out: Outputs,
    attack: AttackCase,
    min_abs_input_gradient: f64,
}

/// A matrix or a vector, flattened in row order.
#[derive(Deserialize)]
#[serde(untagged)]
enum Weight {
    Matrix(Rows),
    Vector(Vec<f64>),
}

#[derive(Deserialize)]
struct Outputs {
    se: Expected,
    vae: Expected,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    rec: f64,
    reg: f64,
    grads: Vec<Weight>,
    #[serde(default)]
    adam_step1: Vec<Weight>,
}

#[derive(Deserialize)]
#[allow(non_snake_case)]
struct AttackCase {
    W: Rows,
    b: Vec<f64>,
    y: Vec<u32>,
    x_adv: Rows,
    logits: Rows,
}

impl Weight {
    fn flat(&self) -> Vec<f64> {
        match self {
            Weight::Matrix(rows) => rows.concat(),
            Weight::Vector(values) => values.clone(),
        }
    }
}

fn golden() -> Golden {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/golden_net.json");
    let path = std::env::var("SMOOTHENC_GOLDEN_NET").unwrap_or_else(|_| default.into());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// Compares element by element, relative to the larger of the value and 1 % of the largest one.
/// Written so that a NaN fails.
fn compare(what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs() / expected.abs().max(0.01 * largest);
        assert!(error <= tolerance, "{what}[{i}]: {got} instead of {expected}, relative error {error:.1e}");
    }
}

/// The golden network on a device.
struct Net {
    golden: Golden,
    vae: Vae,
    session: Session,
    tolerance: f64,
}

impl Net {
    fn new(device: Device, tolerance: f64) -> Self {
        let golden = golden();
        let vae = Vae::mlp(golden.din, &[golden.width; 4], golden.dz, golden.v, true);
        let mut arena = vec![0.0; vae.layout.words()];
        let weights: Vec<_> = golden.enc.iter().chain(&golden.dec).collect();
        assert_eq!(weights.len(), vae.layout.entries().len());
        for (i, weight) in weights.iter().enumerate() {
            vae.layout.slice_mut(&mut arena, i).copy_from_slice(&floats(&weight.flat()));
        }
        let mut session = Session::new(device);
        session.set("model", &arena).unwrap();
        session.set("x", &floats(&golden.x.concat())).unwrap();
        session.set("noise", &floats(&golden.noise.concat())).unwrap();
        session.set("u", &floats(&golden.u.concat())).unwrap();
        Net { golden, vae, session, tolerance }
    }

    fn check(&self, what: &str, got: &[f32], expected: &[f64]) {
        compare(what, got, expected, self.tolerance);
    }

    fn graph(&self) -> (Graph, Weights) {
        let mut g = Graph::new();
        let weights = Weights::new(&mut g, &self.vae.layout, "model").unwrap();
        (g, weights)
    }

    fn input(&self, g: &mut Graph, name: &str, cols: usize) -> Tensor {
        g.variable(name, [self.golden.batch, cols], DType::F32).unwrap()
    }

    /// Runs `g` with `value` kept, and reads it.
    fn run(&mut self, mut g: Graph, name: &str, value: Tensor) -> Vec<f32> {
        let shape = g.shape(value).unwrap().clone();
        let kept = g.variable(name, shape, DType::F32).unwrap();
        store(&mut g, value, kept).unwrap();
        self.session.compile(&g).unwrap().run().unwrap();
        self.session.get(name).unwrap()
    }

    fn codes(&mut self) {
        let (mut g, weights) = self.graph();
        let x = self.input(&mut g, "x", self.golden.din);
        let head = self.vae.encode(&mut g, &weights.views, x).unwrap();
        let head = self.run(g, "head", head);
        let dz = self.golden.dz;
        let part =
            |from: usize| head.chunks(2 * dz).flat_map(|r| r[from..from + dz].to_vec()).collect::<Vec<_>>();
        self.check("mu_a", &part(0), &self.golden.mu_a.concat());
        self.check("logvar_a", &part(dz), &self.golden.logvar_a.concat());
    }

    /// Every iterate, by running the selection cut off after 1, 2, ... steps.
    fn selection(&mut self) {
        // The golden noise is in [-1, 1]; the kernel takes uniforms in (0, 1).
        let uniforms: Vec<f64> = self.golden.noise.concat().iter().map(|n| 0.5 * (n + 1.0)).collect();
        self.session.set("uniforms", &floats(&uniforms)).unwrap();
        for steps in 1..=self.golden.steps {
            let (mut g, weights) = self.graph();
            let x = self.input(&mut g, "x", self.golden.din);
            let uniforms = self.input(&mut g, "uniforms", self.golden.din);
            let selection = Selection {
                norm: Norm::Linf,
                eps: self.golden.eps,
                steps,
                step_size: 2.5 * self.golden.eps / self.golden.steps as f32,
                metric: Metric::W2,
                fused: true,
            };
            let start = Start::From(StartNoise::Linf(uniforms));
            selection.select(&mut g, &self.vae, &weights, x, start).unwrap();
            self.session.compile(&g).unwrap().run().unwrap();
            let selected: Vec<f32> = self.session.get("selected").unwrap();
            let expected = self.golden.xb_per_iter[steps - 1].concat();
            self.check(&format!("x' after {steps} steps"), &selected, &expected);
        }
        let (mut g, weights) = self.graph();
        let x = self.input(&mut g, "x", self.golden.din);
        let selected = self.input(&mut g, "selected", self.golden.din);
        let a = self.vae.encode(&mut g, &weights.views, x).unwrap();
        let b = self.vae.encode(&mut g, &weights.views, selected).unwrap();
        let w2 = wasserstein2(&mut g, a, b).unwrap().value;
        let w2 = self.run(g, "w2", w2);
        self.check("w2 at the end", &w2, &self.golden.w2_final.clone());
    }

    /// Loss, gradients and, for the SE, one Adam step.
    fn training(&mut self, smooth: bool) {
        let name = if smooth { "se" } else { "vae" };
        let (golden_x, last) =
            (self.golden.x.concat(), self.golden.xb_per_iter[self.golden.steps - 1].concat());
        self.session.set("x", &floats(&golden_x)).unwrap();
        self.session.set("selected", &floats(&last)).unwrap();
        let (mut g, weights) = self.graph();
        let x = self.input(&mut g, "x", self.golden.din);
        let selected = self.input(&mut g, "selected", self.golden.din);
        let u = self.input(&mut g, "u", self.golden.dz);
        let objective = match smooth {
            true => Objective::Smooth { gamma: self.golden.gamma },
            false => Objective::Elbo { beta: 1.0 },
        };
        let selected = smooth.then_some(selected);
        let loss = objective.loss(&mut g, &self.vae, &weights.views, x, selected, u, None).unwrap();
        weight_gradients(&mut g, &self.vae.layout, &weights, loss.total, 1.0).unwrap();
        let kept = g.variable("means", [4], DType::F32).unwrap();
        store(&mut g, loss.means, kept).unwrap();
        let total = self.run(g, "total", loss.total)[0];
        let means: Vec<f32> = self.session.get("means").unwrap();

        // The golden losses leave out constants that the reported ones have.
        let tau = std::f64::consts::TAU;
        let (dx, dz) = (self.golden.din as f64, self.golden.dz as f64);
        let log_likelihood = 0.5 * dx * (tau * f64::from(self.golden.v)).ln();
        let prior = 0.5 * dz * tau.ln();
        let constants = log_likelihood + if smooth { 2.0 * prior } else { 0.0 };
        let expected = if smooth { &self.golden.out.se } else { &self.golden.out.vae };
        self.check(&format!("{name} loss"), &[total], &[expected.loss + constants]);
        self.check(&format!("{name} rec"), &[-means[0]], &[expected.rec + log_likelihood]);
        let reg = if smooth { means[3] } else { -means[1] };
        self.check(&format!("{name} reg"), &[reg], &[expected.reg]);

        let grads: Vec<f32> = self.session.get("model.grad").unwrap();
        self.check_arena(&format!("{name} gradient"), &grads, &expected.grads);
        if smooth {
            self.adam_step();
        }
    }

    fn check_arena(&self, what: &str, arena: &[f32], expected: &[Weight]) {
        for (i, (entry, weight)) in self.vae.layout.entries().iter().zip(expected).enumerate() {
            self.check(&format!("{what} of {}", entry.name), self.vae.layout.slice(arena, i), &weight.flat());
        }
    }

    fn adam_step(&mut self) {
        let mut g = Graph::new();
        let words = [self.vae.layout.words()];
        let [w, grads, m, v] =
            ["model", "model.grad", "m", "v"].map(|n| g.variable(n, words, DType::F32).unwrap());
        let clock = g.variable("clock", [2], DType::U32).unwrap();
        ops::adam(&mut g, AdamSettings::new(1e-3, 1.0, 1), clock, grads, m, v, w).unwrap();
        let before: Vec<f32> = self.session.get("model").unwrap();
        self.session.set("clock", &[0_u32; 2]).unwrap();
        self.session.compile(&g).unwrap().run().unwrap();
        let after: Vec<f32> = self.session.get("model").unwrap();
        self.session.set("model", &before).unwrap();
        self.check_arena("Adam step", &after, &self.golden.out.se.adam_step1);
    }

    /// Cross-entropy ascent through the probe from the golden noise, and the logits there.
    fn attack(&mut self) {
        let classes = self.golden.attack.b.len();
        let mut layout = Layout::default();
        let linear = Stack::mlp(&mut layout, "probe", &[self.golden.dz, classes]);
        let mut arena = vec![0.0; layout.words()];
        // The golden W is [in, out].
        let w = &self.golden.attack.W;
        let transposed: Vec<f64> = (0..classes).flat_map(|c| w.iter().map(move |row| row[c])).collect();
        layout.slice_mut(&mut arena, 0).copy_from_slice(&floats(&transposed));
        layout.slice_mut(&mut arena, 1).copy_from_slice(&floats(&self.golden.attack.b));
        self.session.set("probe", &arena).unwrap();
        self.session.set("labels", &self.golden.attack.y).unwrap();

        let (mut g, weights) = self.graph();
        let probe = Weights::new(&mut g, &layout, "probe").unwrap();
        let x = self.input(&mut g, "x", self.golden.din);
        let uniforms = self.input(&mut g, "uniforms", self.golden.din);
        let x_adv = self.input(&mut g, "x_adv", self.golden.din);
        let labels = g.variable("labels", [self.golden.batch], DType::U32).unwrap();
        let (eps, steps) = (self.golden.eps, self.golden.steps);
        pgd_start(&mut g, x_adv, x, StartNoise::Linf(uniforms), eps).unwrap();
        let logits = |g: &mut Graph| {
            let mean = self.vae.encode_mean(g, &weights.views, x_adv).unwrap();
            linear.forward(g, &probe.views, mean).unwrap()
        };
        g.repeat(steps, |g| {
            let logits = logits(g);
            let entropy = ops::softmax_cross_entropy(g, logits, labels)?;
            let gradient = autodiff::gradients_from(g, &[(logits, entropy.d_logits)], &[x_adv])?[0];
            let step = StepLength::Same(2.5 * eps / steps as f32);
            pgd_step(g, Norm::Linf, x_adv, gradient, x, eps, step)
        })
        .unwrap();
        let end = logits(&mut g);
        let end = self.run(g, "logits", end);
        let x_adv: Vec<f32> = self.session.get("x_adv").unwrap();
        self.check("attack x_adv", &x_adv, &self.golden.attack.x_adv.concat());
        self.check("attack logits", &end, &self.golden.attack.logits.concat());
    }
}

fn whole_net(device: Device, tolerance: f64) {
    let mut net = Net::new(device, tolerance);
    assert!(net.golden.min_abs_input_gradient > 1e-6, "signs of near-zero gradients are not comparable");
    net.codes();
    net.selection();
    net.training(false);
    net.training(true);
    net.attack();
}

fn cpu_reproduces_the_golden_network() {
    whole_net(device::open("cpu", false).unwrap(), 1e-5);
}

fn gpu_reproduces_the_golden_network() {
    whole_net(gpu::open().unwrap(), 1e-4);
}

fn main() {
    gpu::main(&[
        ("cpu_reproduces_the_golden_network", false, cpu_reproduces_the_golden_network),
        ("gpu_reproduces_the_golden_network", true, gpu_reproduces_the_golden_network),
    ]);
}
