//! One method's search of a ball as a program of the device.

use super::{Attack, Method, ROWS};
use crate::engine::autodiff;
use crate::engine::device::Program;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Dense, Weights};
use crate::engine::ops::elementwise::subtract;
use crate::engine::ops::{fill, softmax_cross_entropy, store};
use crate::engine::session::Session;
use crate::engine::tensor::DType::{F32, U32};
use crate::error::Result;
use crate::method::ops::{
    ANY, Ascent, Classifier, Goal, Norm, StepLength, aim, classify, fits, margin, pgd_mlp, pgd_step,
};
use crate::method::robustness::Probe;
use crate::method::vae::Vae;

/// The most steps between two checks of the rows.
const STEPS_BETWEEN_CHECKS: usize = 25;

/// The variables of a search in the session.
pub(super) const VARIABLES: [&str; 12] = [
    "attack.x",
    "attack.x_adv",
    "attack.noise",
    "attack.shares",
    "attack.verdicts",
    "attack.aims",
    "attack.labels",
    "attack.targets",
    "attack.lengths",
    "attack.logits",
    "attack.slopes",
    "attack.gradients",
];

/// What a method does in a ball.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    norm: Norm,
    radius: f32,
    /// Whether it climbs the margin; else the cross-entropy.
    margin: bool,
    steps: usize,
    /// Of the first step.
    length: f32,
    /// How much shorter each step is than the one before.
    fall: f32,
    /// Whether each step is a run of its own, so that the points between can be read.
    pub single: bool,
}

/// A row of the device: its label, the class it prefers, and its next step's length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    label: u32,
    rival: u32,
    length: f32,
}

/// A search whose program is compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub search: Search,
    program: Program,
    /// Classifies the points as they are, where each step is a run of its own.
    check: Option<Program>,
    /// Whether all steps of a run are one kernel call.
    fused: bool,
    /// Runs of the program for all steps.
    pub runs: usize,
    pub steps_a_run: usize,
    /// What the rows are to do in the next run.
    pub rows: Vec<Aim>,
}

impl Search {
    /// What a method does that runs on the device alone, at a radius.
    pub fn new(settings: &Attack, method: Method, radius: f32) -> Self {
        let (norm, steps) = (settings.norm, settings.steps);
        let search = Search { norm, radius, ..Search::without_steps(norm) };
        let share = radius / steps.max(1) as f32;
        let search = match method {
            Method::Fgsm => Search { steps: 1, length: radius, ..search },
            Method::Pgd => Search { steps, length: 2.5 * share, ..search },
            Method::Margin => Search { steps, margin: true, length: radius, fall: share, ..search },
            // Points without steps: the others are no searches of this kind.
            Method::Noise | Method::ApgdCe | Method::ApgdDlr | Method::ApgdT => search,
            Method::Square | Method::Latent | Method::Transfer => search,
        };
        Search { single: settings.keep_points && search.steps > 0, ..search }
    }

    /// One that classifies the points it is given.
    pub fn without_steps(norm: Norm) -> Self {
        Search { norm, radius: 0.0, margin: false, steps: 0, length: 0.0, fall: 0.0, single: false }
    }

    /// The points of a restart that are classified.
    pub fn points(&self) -> usize {
        self.steps + 1
    }

    /// The aim of a row after `done` steps.
    pub fn aim(&self, label: u32, rival: u32, done: usize) -> Aim {
        // As the device shortens it within a run of several steps, so that steps of their own are the same to the bit.
        let since = done % cut(self.steps).1.max(1);
        let start = self.length - (done - since) as f32 * self.fall;
        let length = (0..since).fold(start, |length, _| length - self.fall);
        Aim { label, rival, length }
    }

    /// Compiles its program. Every point is classified, the last one too, so that an adversarial example counts
    /// wherever it appears.
    pub fn compile(
        self,
        session: &mut Session,
        vae: &Vae,
        probe: &Probe,
        may_fuse: bool,
    ) -> Result<Compiled> {
        let (runs, steps_a_run) = if self.single { (self.steps, 1) } else { cut(self.steps) };
        let (program, fused) = self.program(session, vae, probe, may_fuse, steps_a_run)?;
        let check = match self.single {
            true => Some(self.program(session, vae, probe, may_fuse, 0)?.0),
            false => None,
        };
        let rows = vec![Aim { label: 0, rival: ANY, length: 0.0 }; ROWS];
        Ok(Compiled { search: self, program, check, fused, runs, steps_a_run, rows })
    }

    /// A program of so many steps, and whether they are one kernel call.
    fn program(
        &self,
        session: &mut Session,
        vae: &Vae,
        probe: &Probe,
        may_fuse: bool,
        steps: usize,
    ) -> Result<(Program, bool)> {
        let mut g = Graph::new();
        let model = Weights::new(&mut g, &vae.layout, "model")?;
        let head = Weights::new(&mut g, &probe.layout, "probe")?;
        let shape = [ROWS, vae.encoder.inputs()];
        let x = g.variable("attack.x", shape, F32)?;
        let x_adv = g.variable("attack.x_adv", shape, F32)?;
        let verdicts = g.variable("attack.verdicts", [ROWS], U32)?;
        let both_fit = |layers: &[Dense], probe| {
            let with_probe = [layers, &[probe]].concat();
            may_fuse && fits(&with_probe, vae.encoder.inputs())
        };
        let layers = vae.encoder.dense(&vae.layout, vae.latent).zip(probe.dense());
        let layers = layers.filter(|(layers, probe)| both_fit(layers, *probe));
        let fused = layers.is_some();
        if let Some((layers, layer)) = layers {
            let aims = g.variable("attack.aims", [ROWS, 3], U32)?;
            let classifier = Classifier { probe: head.arena, layer, aims, verdicts };
            let goal = if self.margin { Goal::Margin(classifier) } else { Goal::CrossEntropy(classifier) };
            let Search { norm, radius: eps, fall, .. } = *self;
            let (weights, step) = (model.arena, 0.0);
            let ascent =
                Ascent { weights, layers, goal, norm, eps, step, fall, steps, start: None, points: None };
            pgd_mlp(&mut g, x_adv, x, ascent)?;
        } else {
            let logits = |g: &mut Graph| {
                let means = vae.encode_mean(g, &model.views, x_adv)?;
                probe.logits(g, &head.views, means)
            };
            self.op_by_op(&mut g, &logits, x, x_adv, verdicts, steps)?;
        }
        Ok((session.compile(&g)?, fused))
    }

    /// The steps in a loop of other ops.
    fn op_by_op(
        &self,
        g: &mut Graph,
        logits_of: &dyn Fn(&mut Graph) -> Result<Tensor>,
        x: Tensor,
        x_adv: Tensor,
        verdicts: Tensor,
        steps: usize,
    ) -> Result<()> {
        let labels = g.variable("attack.labels", [ROWS], U32)?;
        let targets = g.variable("attack.targets", [ROWS], U32)?;
        let lengths = g.variable("attack.lengths", [ROWS], F32)?;
        if steps > 0 {
            g.repeat(steps, |g| {
                let logits = logits_of(g)?;
                classify(g, logits, labels, verdicts)?;
                let slope = match self.margin {
                    true => margin(g, logits, labels, targets)?,
                    false => softmax_cross_entropy(g, logits, labels)?.d_logits,
                };
                let gradient = autodiff::gradients_from(g, &[(logits, slope)], &[x_adv])?[0];
                pgd_step(g, self.norm, x_adv, gradient, x, self.radius, StepLength::ByRow(lengths))?;
                if self.fall == 0.0 {
                    return Ok(());
                }
                let fall = fill(g, [ROWS], self.fall)?;
                let shorter = subtract(g, lengths, fall)?;
                store(g, shorter, lengths)
            })?;
        }
        let logits = logits_of(g)?;
        classify(g, logits, labels, verdicts)
    }
}

impl Compiled {
    /// Takes the rows on by the steps of a run. The points on the way are classified, the last one too.
    pub fn run(&mut self, session: &Session) -> Result<()> {
        self.write_rows(session)?;
        self.program.run()
    }

    /// Classifies the rows' points as they are. Of a search whose steps are runs of their own.
    pub fn check(&mut self, session: &Session) -> Result<()> {
        self.write_rows(session)?;
        self.check.as_mut().map_or(Ok(()), Program::run)
    }

    /// The steps before a restart's first wrong point, of which so many were right. The last point of a run is
    /// classified again as the first of the next.
    pub fn steps_before(&self, right: usize) -> usize {
        let a_run = if self.check.is_some() { 3 } else { self.steps_a_run + 1 };
        match self.check {
            // A point is classified after the step to it, by the check, and before the step from it.
            Some(_) => right.div_ceil(a_run),
            None => right - right / a_run,
        }
    }

    fn write_rows(&self, session: &Session) -> Result<()> {
        let rows = &self.rows;
        if self.fused {
            let aims: Vec<u32> = rows.iter().flat_map(|row| aim(row.label, row.rival, row.length)).collect();
            session.write("attack.aims", 0, &aims)?;
        } else {
            let words = |of: fn(&Aim) -> u32| rows.iter().map(of).collect::<Vec<u32>>();
            session.write("attack.labels", 0, &words(|row| row.label))?;
            session.write("attack.targets", 0, &words(|row| row.rival))?;
            session.write("attack.lengths", 0, &rows.iter().map(|row| row.length).collect::<Vec<f32>>())?;
        }
        Ok(())
    }
}

/// Cuts `steps` into equal pieces of at most [`STEPS_BETWEEN_CHECKS`]: the number of pieces, and the steps of each.
/// Without steps there is one piece, which checks the starts.
fn cut(steps: usize) -> (usize, usize) {
    let piece = (1..=STEPS_BETWEEN_CHECKS.min(steps)).rev().find(|piece| steps.is_multiple_of(*piece));
    piece.map_or((1, 0), |piece| (steps / piece, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_cut_into_equal_pieces() {
        assert_eq!([0, 1, 7, 40, 100, 101].map(cut), [(1, 0), (1, 1), (1, 7), (2, 20), (4, 25), (101, 1)]);
    }
}
