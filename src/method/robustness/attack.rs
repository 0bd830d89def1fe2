//! Adversarial accuracy: attacks on encoder and classifier (docs/method.md, section 5, step 4).

mod queue;
mod search;
mod square;

use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::ops::{ImageShape, store};
use crate::engine::rng::{self, Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::method::ops::{ANY, Norm, start_linf};
use crate::method::robustness::{Accuracies, Probe};
use crate::method::vae::Vae;
use queue::{Victims, work_at};
use search::{Search, VARIABLES};
pub use square::PROPOSALS_PER_STEP;
use square::Squares;

/// How an attack looks for an adversarial example in a ball. Every point that it visits is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Random points of the ball, one for each restart.
    Noise,
    /// One step of the radius up the cross-entropy, from the image itself (Goodfellow et al. 2015).
    Fgsm,
    /// Steps of `2.5 radius / steps` up the cross-entropy, from random points (Madry et al. 2018).
    Pgd,
    /// Steps up the margin of another class over the image's own, from random points. The first step is as long as the
    /// radius; the others fall linearly to 0. Restarts take the other classes in turn, the likeliest first.
    Margin,
    /// Points that differ in random squares, without gradients: see `square.rs`. L-infinity only.
    Square,
}

impl Method {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Noise => "noise",
            Method::Fgsm => "fgsm",
            Method::Pgd => "pgd",
            Method::Margin => "margin",
            Method::Square => "square",
        }
    }
}

/// An attack's settings.
#[derive(Debug, Clone)]
pub struct Attack {
    /// What is tried, in this order, each on the images that the ones before left standing.
    pub methods: Vec<Method>,
    /// The norm of the balls.
    pub norm: Norm,
    /// The radii of the balls, in rising order, on the [0, 1] scale.
    pub radii: Vec<f32>,
    /// Steps of ascent of [`Method::Pgd`] and [`Method::Margin`]; 0 classifies the random starts alone.
    /// [`Method::Square`] makes 50 proposals for each.
    pub steps: usize,
    /// Random starts for each image and radius, of [`Method::Pgd`], [`Method::Margin`] and [`Method::Noise`].
    pub restarts: usize,
    /// The seed of the random starts.
    pub seed: u64,
    /// Whether steps run in one kernel call where the encoder allows it, as in
    /// [`Selection`](crate::method::selection::Selection).
    pub fused: bool,
}

impl Attack {
    fn check(&self) -> Result<()> {
        match self.norm == Norm::L2 && self.methods.contains(&Method::Square) {
            true => Err(Error::request("the square attack is for the L-infinity norm only")),
            false => Ok(()),
        }
    }
}

/// Accuracies in percent of the attacked images.
#[derive(Debug, Clone)]
pub struct AttackReport {
    /// Those without an attack.
    pub nominal: Accuracies,
    /// For each radius: those of images that no visited point, at this or a smaller radius, makes misclassified.
    pub adversarial: Vec<Accuracies>,
    /// The outcome of each image, in their order.
    pub outcomes: Vec<Outcome>,
}

/// The outcome of the attack on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The image's class.
    pub label: u32,
    /// Whether it is classified correctly without an attack.
    pub clean: bool,
    /// The smallest radius at which it was misclassified, and by what; `None` where it was so without an attack, or at
    /// no radius.
    pub broken: Option<(f32, Method)>,
}

/// The target of an attack: a classifier, and images with their classes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model, whose weights are in the variable `model`.
    pub vae: &'a Vae,
    /// The probe, whose weights are in the variable `probe`.
    pub probe: &'a Probe,
    /// The images `[labels.len(), inputs]`, in [0, 1].
    pub x: &'a [f32],
    /// The images' classes.
    pub labels: &'a [u32],
    /// Channels, height and width of an image.
    pub shape: ImageShape,
}

impl Target<'_> {
    pub(super) fn row(&self, image: usize) -> &[f32] {
        let inputs = self.vae.encoder.inputs();
        &self.x[image * inputs..(image + 1) * inputs]
    }
}

/// The rows that run on the device.
pub const ROWS: usize = 256;

/// Attacks encoder and probe. Calls `progress` with the work done and all work, counted in restarts of an image.
///
/// # Errors
/// [`Error::Request`] for [`Method::Square`] in L2; those of the device.
pub fn attack(
    session: &mut Session,
    target: &Target,
    settings: &Attack,
    progress: &dyn Fn(usize, usize),
) -> Result<AttackReport> {
    settings.check()?;
    let images = target.labels.len();
    let mut victims = Victims::new(target);
    // The images themselves, without a step: which are misclassified without an attack.
    let mut as_is =
        Search::without_steps(settings.norm).compile(session, target.vae, target.probe, settings.fused)?;
    let queue = (0..images).map(|image| (image, 0));
    let itself = |image: usize, _, out: &mut [f32]| out.copy_from_slice(target.row(image));
    victims.run(session, &mut as_is, queue, &itself, &|_, _| ANY, &|_| ())?;
    let nominal = victims.standing();
    let clean = |(&label, &fooled): (&u32, &bool)| Outcome { label, clean: !fooled, broken: None };
    let mut outcomes: Vec<Outcome> = target.labels.iter().zip(&victims.fooled).map(clean).collect();

    let others = match settings.methods.contains(&Method::Margin) {
        true => likeliest_others(session, target)?,
        false => vec![],
    };
    let of_image = others.len() / images.max(1);
    let rival = |image: usize, restart: usize| match of_image {
        0 => ANY,
        of_image => others[image * of_image + restart % of_image],
    };
    let restarts = |method: &Method| Search::new(settings, *method, 0.0).restarts;
    let all = settings.radii.len() * images * settings.methods.iter().map(restarts).sum::<usize>();
    let (mut done, mut adversarial) = (0, Vec::new());
    for &radius in &settings.radii {
        for &method in &settings.methods {
            let search = Search::new(settings, method, radius);
            let work = search.restarts * images;
            let report = |waiting: usize| progress(done + work - waiting, all);
            let start = |image: usize, restart: usize, out: &mut [f32]| match method {
                Method::Fgsm => itself(image, restart, out),
                _ => random_start(settings, radius, target.row(image), image, restart, out),
            };
            if method == Method::Square {
                let squares = Squares { radius, steps: settings.steps, seed: settings.seed };
                squares.run(session, target, &mut victims.fooled, &report)?;
            } else {
                let mut program = search.compile(session, target.vae, target.probe, settings.fused)?;
                let queue = (0..work).map(|q| work_at(q, images, search.restarts));
                victims.run(session, &mut program, queue, &start, &rival, &report)?;
            }
            done += work;
            for (outcome, &fooled) in outcomes.iter_mut().zip(&victims.fooled) {
                if fooled && outcome.clean && outcome.broken.is_none() {
                    outcome.broken = Some((radius, method));
                }
            }
        }
        adversarial.push(victims.standing());
    }
    session.forget("attack.logits"); // Another probe has other classes.
    Ok(AttackReport { nominal, adversarial, outcomes })
}

/// Compiles what [`attack`] runs, and frees its memory again; the variable `probe` too.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where the device has no room for it.
pub fn check_attack(session: &mut Session, vae: &Vae, probe: &Probe, settings: &Attack) -> Result<()> {
    settings.check()?;
    let radius = settings.radii.first().copied().unwrap_or(0.0);
    for &method in &settings.methods {
        if matches!(method, Method::Margin | Method::Square) {
            Logits::compile(session, vae, probe)?;
        }
        Search::new(settings, method, radius).compile(session, vae, probe, settings.fused)?;
    }
    VARIABLES.iter().chain(&["probe"]).for_each(|name| session.forget(name));
    Ok(())
}

/// The perturbed images at which one restart of [`Method::Pgd`] at `radius` ends, for at most [`ROWS`] images. The
/// methods, radii and restarts in `settings` are not used.
///
/// # Errors
/// Those of the device; [`Error::Device`](crate::Error::Device) for more images.
pub fn perturbed(session: &mut Session, target: &Target, settings: &Attack, radius: f32) -> Result<Vec<f32>> {
    let inputs = target.vae.encoder.inputs();
    let search = Search::new(settings, Method::Pgd, radius);
    let mut compiled = search.compile(session, target.vae, target.probe, settings.fused)?;
    let mut points = vec![0.0; target.x.len()];
    for (image, point) in points.chunks_exact_mut(inputs).enumerate() {
        random_start(settings, radius, target.row(image), image, 0, point);
    }
    session.write("attack.x", 0, target.x)?;
    session.write("attack.x_adv", 0, &points)?;
    for (row, &label) in compiled.rows.iter_mut().zip(target.labels) {
        *row = search.aim(label, ANY, 0);
    }
    for _ in 0..compiled.runs {
        compiled.run(session)?;
    }
    let rows: Vec<f32> = session.get("attack.x_adv")?;
    points.copy_from_slice(&rows[..target.x.len()]);
    Ok(points)
}

/// The classifier alone, for points of the host.
struct Logits(Program);

impl Logits {
    fn compile(session: &mut Session, vae: &Vae, probe: &Probe) -> Result<Self> {
        let mut g = Graph::new();
        let model = Weights::new(&mut g, &vae.layout, "model")?;
        let head = Weights::new(&mut g, &probe.layout, "probe")?;
        let points = g.variable("attack.x_adv", [ROWS, vae.encoder.inputs()], DType::F32)?;
        let means = vae.encode_mean(&mut g, &model.views, points)?;
        let logits = probe.logits(&mut g, &head.views, means)?;
        let kept = g.variable("attack.logits", [ROWS, probe.classes()], DType::F32)?;
        store(&mut g, logits, kept)?;
        Ok(Logits(session.compile(&g)?))
    }

    /// The logits `[ROWS, classes]` of at most [`ROWS`] points.
    fn of(&mut self, session: &Session, points: &[f32]) -> Result<Vec<f32>> {
        session.write("attack.x_adv", 0, points)?;
        self.0.run()?;
        session.get("attack.logits")
    }
}

/// The classes of each image but its own, by falling logits: `[images, classes - 1]`.
fn likeliest_others(session: &mut Session, target: &Target) -> Result<Vec<u32>> {
    let (inputs, classes) = (target.vae.encoder.inputs(), target.probe.classes());
    let mut program = Logits::compile(session, target.vae, target.probe)?;
    let mut others = Vec::with_capacity(target.labels.len() * (classes - 1));
    for (x, labels) in target.x.chunks(ROWS * inputs).zip(target.labels.chunks(ROWS)) {
        let logits = program.of(session, x)?;
        for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
            let mut order: Vec<u32> = (0..classes as u32).filter(|&c| c != label).collect();
            order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
            // One more where the label is no class.
            others.extend(&order[..classes - 1]);
        }
    }
    Ok(others)
}

/// A random point of the ball around `x`, clipped to the box: the host's twin of `pgd_start`.
fn random_start(settings: &Attack, radius: f32, x: &[f32], image: usize, restart: usize, out: &mut [f32]) {
    let key = Key::new(settings.seed, Purpose::Attack);
    let first_block = (image * out.len().div_ceil(2)) as u32;
    rng::fill(key, restart as u32, first_block, settings.norm == Norm::L2, out);
    match settings.norm {
        Norm::Linf => out.iter_mut().zip(x).for_each(|(o, x)| *o = start_linf(*x, *o, radius)),
        Norm::L2 => {
            let key = Key::new(settings.seed, Purpose::AttackRadius);
            let share = rng::uniform(key, restart as u32, image as u32).powf(1.0 / out.len() as f32);
            let length = out.iter().map(|o| o * o).sum::<f32>().sqrt();
            out.iter_mut().zip(x).for_each(|(o, x)| *o = x + radius * share * *o / length);
        }
    }
    out.iter_mut().for_each(|o| *o = o.clamp(0.0, 1.0));
}
