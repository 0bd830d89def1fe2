//! Adversarial accuracy: attacks on encoder and classifier (docs/method.md, section 5, step 4).

mod apgd;
mod ball;
mod latent;
mod logits;
mod loss;
mod method;
mod queue;
mod search;
mod slots;
mod square;
mod start;

use std::collections::BTreeMap;

use crate::engine::ops::ImageShape;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::ops::{ANY, Norm};
use crate::method::robustness::{Accuracies, Probe};
use crate::method::vae::Vae;
use apgd::Apgd;
pub use ball::{distance, reach};
use latent::{Latent, SELECTED};
use logits::Rivals;
pub use logits::answers;
pub(super) use logits::{Gradients, Logits};
pub(super) use loss::{cross_entropy, margin};
pub use method::Method;
use queue::{Found, Victims, work_at};
use search::{Search, VARIABLES};
pub(super) use slots::Slots;
pub use square::PROPOSALS_PER_STEP;
use square::Squares;
use start::random_start;

/// An attack's settings.
#[derive(Debug, Clone)]
pub struct Attack {
    /// What is tried, in this order, each on the images that the ones before left standing.
    pub methods: Vec<Method>,
    /// The norm of the balls.
    pub norm: Norm,
    /// The radii of the balls, in rising order, on the [0, 1] scale.
    pub radii: Vec<f32>,
    /// Steps of ascent, [`Method::Fgsm`] aside; 0 classifies the random starts alone. [`Method::Square`] makes
    /// [`PROPOSALS_PER_STEP`] proposals for each, and [`Method::Transfer`] none.
    pub steps: usize,
    /// Random starts for each image and radius, of [`Method::Pgd`], [`Method::Margin`], [`Method::Noise`] and
    /// [`Method::Latent`].
    pub restarts: usize,
    /// The seed of the random starts.
    pub seed: u64,
    /// Whether steps run in one kernel call where the encoder allows it, as in
    /// [`Selection`](crate::method::selection::Selection).
    pub fused: bool,
    /// Whether the report has the points that broke images. Each step is then a run of its own, which takes longer;
    /// the points that are visited are the same. Of several restarts that break an image, another may be the first.
    pub keep_points: bool,
    /// For each radius the points of [`Method::Transfer`], `[images, inputs]`, as [`perturbed`] makes them.
    pub transferred: Vec<Vec<f32>>,
}

/// What came of an attack.
#[derive(Debug, Clone)]
pub struct AttackReport {
    /// The outcome of each image, in their order.
    pub outcomes: Vec<Outcome>,
    /// The first misclassified point of each image that was broken, by the image's place in `outcomes`; empty where
    /// points are not kept.
    pub points: BTreeMap<usize, Vec<f32>>,
}

impl AttackReport {
    /// Accuracies without an attack.
    pub fn nominal(&self) -> Accuracies {
        Accuracies::of(self.outcomes.iter().map(|outcome| (outcome.label, outcome.clean)))
    }

    /// Accuracies under attack: of images that no visited point, at this or a smaller radius, makes misclassified.
    pub fn adversarial(&self, radius: f32) -> Accuracies {
        let stands = |o: &Outcome| o.clean && o.broken.is_none_or(|broken| broken.radius > radius);
        Accuracies::of(self.outcomes.iter().map(|outcome| (outcome.label, stands(outcome))))
    }
}

/// The outcome of the attack on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The image's class.
    pub label: u32,
    /// Whether it is classified correctly without an attack.
    pub clean: bool,
    /// What broke it; `None` where it was misclassified without an attack, or at no radius.
    pub broken: Option<Broken>,
}

/// What made an image misclassified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Broken {
    /// The smallest radius at which something did.
    pub radius: f32,
    /// The method that did so first.
    pub method: Method,
    /// Its restart, from 0; of [`Method::ApgdT`] the place of the class that it aimed at, the likeliest being 0.
    pub restart: usize,
    /// The steps from the restart's first point to the one that did; of [`Method::Square`] the proposals.
    pub iteration: usize,
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

/// One method in the balls of one radius.
struct Trial<'a> {
    settings: &'a Attack,
    target: &'a Target<'a>,
    rivals: &'a Rivals,
    method: Method,
    radius: f32,
    /// Of [`Method::Transfer`].
    transferred: &'a [f32],
}

impl Trial<'_> {
    fn restarts(&self) -> usize {
        self.method.restarts(self.settings, self.target.probe.classes())
    }

    /// The points that it may have to classify.
    fn points(&self) -> usize {
        self.target.labels.len() * self.restarts() * self.method.points(self.settings)
    }

    /// Tries the method on the images that stand. Calls `report` with the points that are left.
    fn run(&self, session: &mut Session, victims: &mut Victims, report: &dyn Fn(usize)) -> Result<()> {
        let Trial { settings, target, rivals, method, radius, transferred } = *self;
        let (images, restarts) = (target.labels.len(), self.restarts());
        let queue = (0..images * restarts).map(|q| work_at(q, images, restarts));
        let start = |image: usize, restart: usize, out: &mut [f32]| match method {
            Method::Fgsm => out.copy_from_slice(target.row(image)),
            Method::Transfer => out.copy_from_slice(&transferred[image * out.len()..][..out.len()]),
            _ => random_start(settings, radius, target.row(image), image, restart, out),
        };
        let rival = |image: usize, restart: usize| match method.has_rivals() {
            true => rivals.of(image, restart),
            false => ANY,
        };
        if method == Method::Square {
            let squares = Squares { norm: settings.norm, radius, steps: settings.steps, seed: settings.seed };
            return squares.run(session, victims, report);
        }
        if method == Method::Latent {
            return Latent { settings, radius }.run(session, victims, queue, report);
        }
        if let Some(goal) = method.goal() {
            let apgd = Apgd { goal, norm: settings.norm, radius, steps: settings.steps };
            return apgd.run(session, victims, queue, &start, &rival, report);
        }
        let search = Search::new(settings, method, radius);
        let mut program = search.compile(session, target.vae, target.probe, settings.fused)?;
        victims.run(session, &mut program, queue, &start, &rival, report)
    }
}

/// Attacks encoder and probe. Calls `progress` with the work done and all work, counted in points of an image that are
/// classified.
///
/// # Errors
/// [`Error::Request`] for [`Method::Transfer`] where the points are not there, and for [`Method::Latent`] of an encoder
/// without variances; those of the device.
pub fn attack(
    session: &mut Session,
    target: &Target,
    settings: &Attack,
    progress: &dyn Fn(usize, usize),
) -> Result<AttackReport> {
    check_methods(target, settings)?;
    let mut victims = Victims::new(target, settings.keep_points);
    classify_as_is(session, &mut victims, settings)?;
    let clean =
        |(image, &label): (usize, &u32)| Outcome { label, clean: victims.stands(image), broken: None };
    let mut outcomes: Vec<Outcome> = target.labels.iter().enumerate().map(clean).collect();
    let rivals = match settings.methods.iter().any(|method| method.has_rivals()) {
        true => Rivals::of_images(session, target)?,
        false => Rivals::default(),
    };
    let rivals = &rivals;
    let in_ball = |(r, &radius): (usize, &f32)| {
        let transferred = settings.transferred.get(r).map_or(&[][..], |points| points);
        let trial = move |&method| Trial { settings, target, rivals, method, radius, transferred };
        settings.methods.iter().map(trial)
    };
    let trials: Vec<Trial> = settings.radii.iter().enumerate().flat_map(in_ball).collect();
    let all = trials.iter().map(Trial::points).sum();
    let (mut done, mut points) = (0, BTreeMap::new());
    for trial in &trials {
        let work = trial.points();
        trial.run(session, &mut victims, &|left| progress(done + work - left, all))?;
        done += work;
        for (image, outcome) in outcomes.iter_mut().enumerate().filter(|(_, o)| o.clean && o.broken.is_none())
        {
            let Some(Found { restart, iteration, point }) = victims.found(image) else { continue };
            let (radius, method) = (trial.radius, trial.method);
            outcome.broken = Some(Broken { radius, method, restart: *restart, iteration: *iteration });
            points.extend(point.clone().map(|point| (image, point)));
        }
    }
    // Another probe has other classes.
    ["attack.logits", "attack.slopes"].iter().for_each(|name| session.forget(name));
    Ok(AttackReport { outcomes, points })
}

/// Refuses [`Method::Transfer`] without a point for every image and radius, and [`Method::Latent`] without variances.
fn check_methods(target: &Target, settings: &Attack) -> Result<()> {
    if settings.methods.contains(&Method::Latent) && !target.vae.has_variances() {
        return Err(Error::request("latent is for encoders with variances: those of a run"));
    }
    let whole = |points: &Vec<f32>| points.len() == target.x.len();
    let there = settings.transferred.len() == settings.radii.len() && settings.transferred.iter().all(whole);
    match there || !settings.methods.contains(&Method::Transfer) {
        true => Ok(()),
        false => Err(Error::request("transfer needs points that were found on another classifier")),
    }
}

/// Finds which images are misclassified without an attack: a search without steps, from the images themselves.
fn classify_as_is(session: &mut Session, victims: &mut Victims, settings: &Attack) -> Result<()> {
    let target = victims.target;
    let search = Search::without_steps(settings.norm);
    let mut program = search.compile(session, target.vae, target.probe, settings.fused)?;
    let queue = (0..target.labels.len()).map(|image| (image, 0));
    let itself = |image: usize, _, out: &mut [f32]| out.copy_from_slice(target.row(image));
    victims.run(session, &mut program, queue, &itself, &|_, _| ANY, &|_| ())
}

/// Compiles what [`attack`] runs, and frees its memory again; the variable `probe` too.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where the device has no room for it.
pub fn check_attack(session: &mut Session, vae: &Vae, probe: &Probe, settings: &Attack) -> Result<()> {
    let radius = settings.radii.first().copied().unwrap_or(0.0);
    Search::without_steps(settings.norm).compile(session, vae, probe, settings.fused)?;
    for &method in &settings.methods {
        if method.has_rivals() || method == Method::Square {
            Logits::compile(session, vae, probe)?;
        }
        match method {
            Method::Square => {}
            Method::Latent => Latent { settings, radius }.compile(session, vae, probe).map(drop)?,
            _ if method.goal().is_some() => Gradients::compile(session, vae, probe).map(drop)?,
            _ => Search::new(settings, method, radius)
                .compile(session, vae, probe, settings.fused)
                .map(drop)?,
        }
    }
    VARIABLES.iter().chain(&["probe", SELECTED]).for_each(|name| session.forget(name));
    Ok(())
}

/// The perturbed images at which one restart of [`Method::Pgd`] at `radius` ends. The methods, radii and restarts in
/// `settings` are not used.
///
/// # Errors
/// Those of the device.
pub fn perturbed(session: &mut Session, target: &Target, settings: &Attack, radius: f32) -> Result<Vec<f32>> {
    let inputs = target.vae.encoder.inputs();
    let search = Search::new(settings, Method::Pgd, radius);
    let mut compiled = search.compile(session, target.vae, target.probe, settings.fused)?;
    let mut points = vec![0.0; target.x.len()];
    for (image, point) in points.chunks_exact_mut(inputs).enumerate() {
        random_start(settings, radius, target.row(image), image, 0, point);
    }
    let blocks = points.chunks_mut(ROWS * inputs).zip(target.x.chunks(ROWS * inputs));
    for ((points, x), labels) in blocks.zip(target.labels.chunks(ROWS)) {
        session.write("attack.x", 0, x)?;
        session.write("attack.x_adv", 0, points)?;
        for run in 0..compiled.runs {
            for (row, &label) in compiled.rows.iter_mut().zip(labels) {
                *row = search.aim(label, ANY, run * compiled.steps_a_run);
            }
            compiled.run(session)?;
        }
        let rows: Vec<f32> = session.get("attack.x_adv")?;
        points.copy_from_slice(&rows[..points.len()]);
    }
    Ok(points)
}
