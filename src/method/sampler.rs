//! A GAN's generator as a smooth encoder (appendix D.1).
//!
//! Observations and latents swap places: one marginal is the data, the other the neural sampler `x = f(zeta)` with
//! `zeta` standard normal. For a large coupling the bound of eq 29 is, up to constants, minus the entropic transport
//! between the two,
//!
//! ```text
//! W(a, b) = min over plans Q of a and b of  gamma/2 E_Q |x - x'|^2 - H(Q)
//! ```
//!
//! computed between minibatches by Sinkhorn's algorithm. The loss subtracts the sampler's own `W(b, b) / 2`, without
//! which the sampler would shrink towards the middle of the data. With `W(a, a) / 2`, which does not depend on the
//! sampler, that is the Sinkhorn divergence (Genevay, Peyré, Cuturi 2018).

use crate::method::ops::sinkhorn;
use crate::progress::Observer;
use serde::{Deserialize, Serialize};

use crate::data::Images;
use crate::engine::device::{Device, Program};
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Init, Layout, Stack, Weights, initialise, train_step};
use crate::engine::ops::elementwise::{scale, sigmoid};
use crate::engine::ops::store;
use crate::engine::ops::{self, AdamSettings, SUMS, Term};
use crate::engine::rng::{self, Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::method::Table;

/// The settings of an experiment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Dimensions of `zeta`.
    pub codes: usize,
    /// Widths of the generator's hidden layers.
    pub hidden: Vec<usize>,
    /// Points of a minibatch; the transport's plan is `[batch, batch]`.
    pub batch: usize,
    /// Training steps.
    pub steps: u32,
    /// The coupling `gamma`, in units of 1 / |x|^2 on the [0, 1] scale: plans are sharp where squared distances differ
    /// by more than `2 / gamma`.
    pub gamma: f32,
    /// Iterations of Sinkhorn's algorithm.
    #[serde(rename = "turns")]
    pub iterations: u32,
    /// The learning rate at the start; it falls linearly to 0.
    pub learning_rate: f32,
    /// The seed of the weights, the order of images and the codes.
    pub seed: u64,
}

/// The result of an experiment. Divergences are means over batches of test images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Step and divergence, from before the first step to after the last.
    pub curve: Vec<(u32, f64)>,
    /// The divergence of training images from test images: that of a perfect sampler, for batches of this size.
    pub floor: f64,
    /// Draws after training, in [0, 1].
    pub samples: Vec<Vec<f32>>,
}

impl Outcome {
    /// Whether it has a curve and `draws` samples of `width` numbers. One that was read from a file may lack some.
    pub fn is_whole(&self, draws: usize, width: usize) -> bool {
        !self.curve.is_empty() && self.samples.len() == draws && self.samples.iter().all(|s| s.len() == width)
    }
}

/// How often the divergence is measured during training.
const MEASUREMENTS: u32 = 20;

/// The batches that a divergence is averaged over.
const BATCHES: usize = 4;

/// Trains a sampler on the images `train`, of any shape, and draws `draws` samples of it.
///
/// # Errors
/// [`Error::Request`] for sets with fewer images than the measurement takes; those of the device.
pub fn experiment(
    device: &Device,
    settings: &Settings,
    [train, test]: [&Images; 2],
    draws: usize,
    observer: &dyn Observer,
) -> Result<Outcome> {
    let need = BATCHES * settings.batch;
    if train.count < need || test.count < need {
        return Err(Error::request(format!(
            "the sampler needs {need} images to train on, and as many to test on"
        )));
    }
    let mut session = Session::new(device.clone());
    let mut layout = Layout::default();
    let sizes = [&[settings.codes][..], &settings.hidden, &[train.image_len()]].concat();
    let generator = Generator { stack: Stack::mlp(&mut layout, "generator", &sizes), layout };
    session.set(
        "sampler",
        &initialise(&generator.layout, Init::Glorot, Key::new(settings.seed, Purpose::Init))?,
    )?;
    let mut step = generator.training(&mut session, settings, train)?;
    let mut drawing = generator.drawing(&mut session, settings)?;
    let mut measure = Measure::new(&mut session, settings, train.image_len())?;

    let first = |images: &Images| images.floats_of(0..need);
    let tested = first(test)?;
    let floor = measure.mean(&mut session, &tested, &first(train)?)?;
    let mut curve = Vec::new();
    let all = settings.steps.into();
    let task = observer.begin("sampler", 0, all);
    for done in 0..=settings.steps {
        if done % settings.steps.div_ceil(MEASUREMENTS).max(1) == 0 || done == settings.steps {
            check_finite(&session)?;
            let samples = drawing.samples(&mut session, need)?;
            curve.push((done, measure.mean(&mut session, &tested, &samples)?));
        }
        if done < settings.steps {
            step.run()?;
            task.advance(u64::from(done) + 1, all);
        }
    }
    drop(task);
    let samples = drawing.samples(&mut session, draws)?;
    let samples = samples.chunks_exact(train.image_len()).map(<[f32]>::to_vec).collect();
    Ok(Outcome { curve, floor, samples })
}

/// Fails where a step so far had a loss that is not finite.
fn check_finite(session: &Session) -> Result<()> {
    match session.get::<u32>("sampler.fault")?[0] {
        0 => Ok(()),
        step => Err(Error::run(format!("the sampler's loss is not finite from step {step} on"))),
    }
}

/// `W(a, b)` of uniform weights on the rows of `x` and of `y`, both `[batch, dims]`: `[1]`.
fn transport(g: &mut Graph, x: Tensor, y: Tensor, settings: &Settings) -> Result<Tensor> {
    let distances = ops::squared_distances(g, x, y)?;
    let cost = scale(g, distances, 0.5 * settings.gamma)?;
    let uniform = ops::fill(g, [1, settings.batch], -(settings.batch as f32).ln())?;
    sinkhorn(g, uniform, uniform, cost, settings.iterations)
}

/// `f` and its weights.
#[derive(Debug)]
struct Generator {
    layout: Layout,
    stack: Stack,
}

impl Generator {
    /// Draws `[batch, dims]` for the step in the variable `clock`.
    fn draw(
        &self,
        g: &mut Graph,
        weights: &Weights,
        clock: Tensor,
        key: Key,
        batch: usize,
    ) -> Result<Tensor> {
        let zeta = ops::normal(g, clock, [batch, self.stack.inputs()], key)?;
        let logits = self.stack.forward(g, &weights.views, zeta)?;
        sigmoid(g, logits)
    }

    /// A step of training.
    fn training(&self, session: &mut Session, settings: &Settings, images: &Images) -> Result<Program> {
        let Settings { batch, seed, steps, learning_rate, .. } = *settings;
        let table = Table::whole("sampler.images", images);
        table.upload(session, images)?;
        let mut g = Graph::new();
        let clock = g.variable("sampler.clock", [2], DType::U32)?;
        let chosen = ops::shuffle(&mut g, clock, batch, images.count, Key::new(seed, Purpose::Shuffle))?;
        let x = table.gather(&mut g, chosen)?;
        let weights = Weights::new(&mut g, &self.layout, "sampler")?;
        let y = self.draw(&mut g, &weights, clock, Key::new(seed, Purpose::Sampler), batch)?;
        let towards = transport(&mut g, x, y, settings)?;
        let own = transport(&mut g, y, y, settings)?;
        let terms = [(towards, 1.0), (own, -0.5)].map(|(values, weight)| Term { values, rows: 0..1, weight });
        let (loss, means) = ops::weighted_mean(&mut g, &terms, 1)?;
        let adam = AdamSettings::new(learning_rate, 0.0, steps);
        train_step(&mut g, &self.layout, &weights, loss, clock, adam)?;
        session.set("sampler.clock", &[0_u32; 2])?;
        session.set("sampler.sums", &[0.0_f32; SUMS])?;
        session.set("sampler.fault", &[0_u32; 2])?;
        let sums = g.variable("sampler.sums", [SUMS], DType::F32)?;
        let fault = g.variable("sampler.fault", [2], DType::U32)?;
        ops::monitor(&mut g, loss, means, clock, sums, fault)?;
        session.compile(&g)
    }

    /// A program that draws a batch.
    fn drawing(&self, session: &mut Session, settings: &Settings) -> Result<Drawing> {
        let mut g = Graph::new();
        let clock = g.variable("draws.clock", [2], DType::U32)?;
        let weights = Weights::new(&mut g, &self.layout, "sampler")?;
        let key = Key::new(settings.seed, Purpose::Evaluation);
        let y = self.draw(&mut g, &weights, clock, key, settings.batch)?;
        let shape = g.shape(y)?.clone();
        let kept = g.variable("draws", shape, DType::F32)?;
        store(&mut g, y, kept)?;
        Ok(Drawing { program: session.compile(&g)?, batch: settings.batch, dims: self.stack.outputs() })
    }
}

/// Draws of the sampler with its current weights; `zeta` is the same every time.
#[derive(Debug)]
struct Drawing {
    program: Program,
    batch: usize,
    dims: usize,
}

impl Drawing {
    /// `count` samples, one after the other.
    fn samples(&mut self, session: &mut Session, count: usize) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        for batch in 0..count.div_ceil(self.batch) {
            session.set("draws.clock", &[batch as u32, 0])?;
            self.program.run()?;
            samples.extend(session.get::<f32>("draws")?);
        }
        samples.truncate(count * self.dims);
        Ok(samples)
    }
}

/// The Sinkhorn divergence `W(a, b) - W(a, a) / 2 - W(b, b) / 2` of two batches, divided by `gamma / 2`: a squared
/// distance.
#[derive(Debug)]
struct Measure {
    program: Program,
    /// The numbers of a batch.
    words: usize,
    gamma: f32,
}

impl Measure {
    fn new(session: &mut Session, settings: &Settings, dims: usize) -> Result<Self> {
        let mut g = Graph::new();
        let mut points = |name: &str| g.variable(name, [settings.batch, dims], DType::F32);
        let (x, y) = (points("measured.x")?, points("measured.y")?);
        for (name, a, b) in [("measured.xy", x, y), ("measured.xx", x, x), ("measured.yy", y, y)] {
            let value = transport(&mut g, a, b, settings)?;
            let kept = g.variable(name, [1], DType::F32)?;
            store(&mut g, value, kept)?;
        }
        Ok(Measure { program: session.compile(&g)?, words: settings.batch * dims, gamma: settings.gamma })
    }

    /// The mean over the batches of `x` and `y`.
    fn mean(&mut self, session: &mut Session, x: &[f32], y: &[f32]) -> Result<f64> {
        let mut sum = 0.0;
        for (x, y) in x.chunks_exact(self.words).zip(y.chunks_exact(self.words)) {
            session.set("measured.x", x)?;
            session.set("measured.y", y)?;
            self.program.run()?;
            let value = |name: &str| Ok(f64::from(session.get::<f32>(name)?[0]));
            let own: f64 = [value("measured.xx"), value("measured.yy")].into_iter().sum::<Result<f64>>()?;
            sum += (value("measured.xy")? - 0.5 * own) / (0.5 * f64::from(self.gamma));
        }
        Ok(sum / (x.len() / self.words) as f64)
    }
}

/// Points of the plane as images of two pixels: `count` draws from `modes` round Gaussians of this standard deviation,
/// evenly spaced on a circle of radius [`RING`] around the middle of the unit square.
pub fn ring(modes: usize, deviation: f32, count: usize, seed: u64) -> Images {
    let key = Key::new(seed, Purpose::Sampler);
    let (mut noise, mut chosen) = (vec![0.0; 2 * count], vec![0.0; count]);
    rng::fill(key, u32::MAX, 0, true, &mut noise);
    rng::fill(key, u32::MAX - 1, 0, false, &mut chosen);
    let point = |(noise, chosen): (&[f32], &f32)| {
        let middle = mode((chosen * modes as f32) as usize, modes);
        [0, 1].map(|axis| (255.0 * (middle[axis] + deviation * noise[axis])).round() as u8)
    };
    Images::new([1, 1, 2], noise.chunks_exact(2).zip(&chosen).flat_map(point).collect())
}

/// The radius of [`ring`]'s circle.
pub const RING: f32 = 0.35;

/// The middle of mode `k` of [`ring`].
pub fn mode(k: usize, modes: usize) -> [f32; 2] {
    let angle = std::f32::consts::TAU * k as f32 / modes as f32;
    [0.5 + RING * angle.cos(), 0.5 + RING * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device;
    use crate::progress::Silent;

    /// Samples within `reach` of each mode.
    fn reached(samples: &[Vec<f32>], modes: usize, reach: f32) -> Vec<usize> {
        let near = |k: usize, s: &&Vec<f32>| {
            let m = mode(k, modes);
            (s[0] - m[0]).hypot(s[1] - m[1]) <= reach
        };
        (0..modes).map(|k| samples.iter().filter(|s| near(k, s)).count()).collect()
    }

    #[test]
    fn the_sampler_comes_to_the_data_and_to_all_of_it() {
        let (modes, deviation) = (4, 0.03);
        let settings = Settings {
            codes: 2,
            hidden: vec![32, 32],
            batch: 64,
            steps: 400,
            gamma: 100.0,
            iterations: 30,
            learning_rate: 0.005,
            seed: 0,
        };
        let sets = [ring(modes, deviation, 2000, 1), ring(modes, deviation, 500, 2)];
        let device = device::open("cpu", false).unwrap();
        let run = || experiment(&device, &settings, [&sets[0], &sets[1]], 400, &Silent).unwrap();
        let found = run();
        let (first, last) = (found.curve[0], found.curve[found.curve.len() - 1]);
        assert_eq!((first.0, last.0, found.samples.len()), (0, 400, 400));
        // As near as other data, between batches this small.
        assert!(last.1 < 0.3 * first.1, "{:?}", found.curve);
        assert!(last.1 < 1.1 * found.floor, "{} and {}", last.1, found.floor);
        let reached = reached(&found.samples, modes, 5.0 * deviation);
        assert!(reached.iter().all(|&n| n >= 40), "{reached:?}");
        assert_eq!(run().samples, found.samples);
    }

    #[test]
    fn too_few_images_are_refused() {
        let images = ring(3, 0.1, 20, 0);
        let settings = Settings {
            codes: 1,
            hidden: vec![],
            batch: 16,
            steps: 1,
            gamma: 1.0,
            iterations: 1,
            learning_rate: 0.1,
            seed: 0,
        };
        let device = device::open("cpu", false).unwrap();
        let error = experiment(&device, &settings, [&images, &images], 1, &Silent).unwrap_err();
        assert!(error.to_string().contains("64 images"), "{error}");
    }
}
