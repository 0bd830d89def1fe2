//! A classifier of handwritten digits, trained by the engine alone: an MLP and Adam, on any device.
//!
//!     cargo run --release --example train_classifier [-- auto|cpu|gpu|gpu:N]

use smoothenc::Result;
use smoothenc::data::{Dataset, Source};
use smoothenc::engine::nn::{Init, Layout, Stack, Weights, initialise, train_step};
use smoothenc::engine::ops::{self, AdamSettings, Term, softmax_cross_entropy, store};
use smoothenc::engine::rng::{Key, Purpose};
use smoothenc::engine::tensor::DType::{F32, U32};
use smoothenc::engine::{device, graph::Graph, session::Session};

const BATCH: usize = 100;
const STEPS: u32 = 3000;

fn main() -> Result<()> {
    let data = Dataset::load(&Source { name: "mnist", ..Source::default() })?;
    let (train, test) = (&data.train, &data.test);

    // The weights of 784 - 128 - 10 units, one after another in the variable `net`.
    let mut layout = Layout::default();
    let net = Stack::mlp(&mut layout, "net", &[784, 128, 10]);
    let mut session = Session::new(device::open(&std::env::args().nth(1).unwrap_or("auto".into()), false)?);
    session.set("net", &initialise(&layout, Init::He, Key::new(1, Purpose::Init))?)?;
    // A step: the mean loss of a batch, its gradients, and Adam.
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &layout, "net")?;
    let images = g.variable("images", [BATCH, 784], F32)?;
    let labels = g.variable("labels", [BATCH], U32)?;
    let clock = g.variable("clock", [2], U32)?;
    let logits = net.forward(&mut g, &weights.views, images)?;
    let losses = softmax_cross_entropy(&mut g, logits, labels)?.loss;
    let all = Term { values: losses, rows: 0..BATCH, weight: 1.0 };
    let loss = ops::weighted_mean(&mut g, &[all], BATCH)?.0;
    train_step(&mut g, &layout, &weights, loss, clock, AdamSettings::new(1e-3, 0.0, STEPS))?;
    let (mut step, order) = (session.compile(&g)?, Key::new(1, Purpose::Shuffle));
    for i in 0..STEPS {
        let examples: Vec<_> = ops::examples_of(i, BATCH, train.count(), order).collect();
        session.set("images", &train.images.floats_of(examples.iter().copied())?)?;
        session.set("labels", &examples.iter().map(|&e| train.labels[0][e]).collect::<Vec<_>>())?;
        session.set("clock", &[i, 0])?;
        step.run()?;
    }

    // The test images, all at once, through the same weights.
    g = Graph::new();
    let weights = Weights::new(&mut g, &layout, "net")?;
    let images = g.variable("test images", [test.count(), 784], F32)?;
    let logits = net.forward(&mut g, &weights.views, images)?;
    let target = g.variable("logits", [test.count(), 10], F32)?;
    store(&mut g, logits, target)?;
    session.set("test images", &test.images.floats_of(0..test.count())?)?;
    session.compile(&g)?.run()?;
    let logits = session.get::<f32>("logits")?;
    let best = |row: &[f32]| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let right =
        logits.chunks(10).zip(&test.labels[0]).filter(|(row, label)| best(row) == Some(**label as usize));
    println!("{:.2} % of the test images", 100.0 * right.count() as f64 / test.count() as f64);
    Ok(())
}
