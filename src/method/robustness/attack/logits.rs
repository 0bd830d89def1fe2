//! The classifier for points that the host makes: its logits, and their gradient by the points.

use super::loss::margin;
use super::{ROWS, Target};
use crate::engine::autodiff;
use crate::engine::device::Program;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Weights;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType::F32;
use crate::error::Result;
use crate::method::ops::ANY;
use crate::method::robustness::Probe;
use crate::method::vae::Vae;

/// The points and their logits, as part of a graph.
fn classify(g: &mut Graph, vae: &Vae, probe: &Probe) -> Result<[Tensor; 2]> {
    let model = Weights::new(g, &vae.layout, "model")?;
    let head = Weights::new(g, &probe.layout, "probe")?;
    let points = g.variable("attack.x_adv", [ROWS, vae.encoder.inputs()], F32)?;
    let means = vae.encode_mean(g, &model.views, points)?;
    Ok([points, probe.logits(g, &head.views, means)?])
}

/// The classifier forwards.
pub struct Logits(Program);

impl Logits {
    pub fn compile(session: &mut Session, vae: &Vae, probe: &Probe) -> Result<Self> {
        let mut g = Graph::new();
        let [_, logits] = classify(&mut g, vae, probe)?;
        let kept = g.variable("attack.logits", [ROWS, probe.classes()], F32)?;
        store(&mut g, logits, kept)?;
        Ok(Logits(session.compile(&g)?))
    }

    /// The logits `[ROWS, classes]` of at most [`ROWS`] points.
    pub fn of(&mut self, session: &Session, points: &[f32]) -> Result<Vec<f32>> {
        session.write("attack.x_adv", 0, points)?;
        self.0.run()?;
        session.get("attack.logits")
    }
}

/// What a classifier answers at points `[n, inputs]`: the class of the largest logit, the first of equals; none where a
/// logit is not a number.
///
/// # Errors
/// Those of the device.
pub fn answers(session: &mut Session, vae: &Vae, probe: &Probe, points: &[f32]) -> Result<Vec<Option<u32>>> {
    let classes = probe.classes();
    let mut program = Logits::compile(session, vae, probe)?;
    let mut answers = Vec::new();
    for points in points.chunks(ROWS * vae.encoder.inputs()) {
        let logits = program.of(session, points)?;
        let rows = logits.chunks_exact(classes).take(points.len() / vae.encoder.inputs());
        let answer = |z: &[f32]| (0..classes).find(|&c| margin(z, c).is_some()).map(|c| c as u32);
        answers.extend(rows.map(answer));
    }
    session.forget("attack.logits"); // Another probe has other classes.
    Ok(answers)
}

/// The classifier forwards and backwards.
pub struct Gradients(Program);

impl Gradients {
    pub fn compile(session: &mut Session, vae: &Vae, probe: &Probe) -> Result<Self> {
        let mut g = Graph::new();
        let [points, logits] = classify(&mut g, vae, probe)?;
        let slopes = g.variable("attack.slopes", [ROWS, probe.classes()], F32)?;
        let gradient = autodiff::gradients_from(&mut g, &[(logits, slopes)], &[points])?[0];
        let kept = g.variable("attack.gradients", [ROWS, vae.encoder.inputs()], F32)?;
        store(&mut g, gradient, kept)?;
        Ok(Gradients(session.compile(&g)?))
    }

    /// The gradients `[ROWS, inputs]` of losses at the points that [`Logits::of`] had last, from the slopes of the
    /// losses by the logits `[ROWS, classes]`.
    pub fn of(&mut self, session: &Session, slopes: &[f32]) -> Result<Vec<f32>> {
        session.write("attack.slopes", 0, slopes)?;
        self.0.run()?;
        session.get("attack.gradients")
    }
}

/// The classes of each image but its own, by falling logits of the image itself.
#[derive(Default)]
pub(super) struct Rivals {
    /// `[images, of_image]`
    classes: Vec<u32>,
    of_image: usize,
}

impl Rivals {
    pub fn of_images(session: &mut Session, target: &Target) -> Result<Self> {
        let (inputs, all) = (target.vae.encoder.inputs(), target.probe.classes());
        let of_image = all.saturating_sub(1);
        let mut program = Logits::compile(session, target.vae, target.probe)?;
        let mut classes = Vec::with_capacity(target.labels.len() * of_image);
        for (x, labels) in target.x.chunks(ROWS * inputs).zip(target.labels.chunks(ROWS)) {
            let logits = program.of(session, x)?;
            for (logits, &label) in logits.chunks_exact(all).zip(labels) {
                let mut order: Vec<u32> = (0..all as u32).filter(|&c| c != label).collect();
                order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
                // One more where the label is no class.
                classes.extend(&order[..of_image]);
            }
        }
        Ok(Rivals { classes, of_image })
    }

    /// The one that a restart prefers; [`ANY`] where there are none.
    pub fn of(&self, image: usize, restart: usize) -> u32 {
        match self.of_image {
            0 => ANY,
            of_image => self.classes[image * of_image + restart % of_image],
        }
    }
}
