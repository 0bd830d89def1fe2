//! The attack in the space of codes: the ascent with which a smooth encoder's training selects x' (docs/method.md,
//! section 4), from the attack's random starts. It needs no label and no classifier, only the encoder.

use super::queue::{Victims, Work};
use super::start::noise;
use super::{Attack, ROWS};
use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::session::Session;
use crate::engine::tensor::DType::{F32, U32};
use crate::error::Result;
use crate::method::ops::{Norm, StartNoise, classify, right_before_wrong};
use crate::method::robustness::Probe;
use crate::method::selection::{Metric, Selection, Start};
use crate::method::vae::Vae;

/// The variable of a selection's points.
pub(super) const SELECTED: &str = "selected";

/// What is tried in a ball.
pub(super) struct Latent<'a> {
    pub settings: &'a Attack,
    pub radius: f32,
}

impl Latent<'_> {
    /// Compiles a program that moves [`ROWS`] points, and classifies those where it ends.
    pub fn compile(&self, session: &mut Session, vae: &Vae, probe: &Probe) -> Result<Program> {
        let Attack { norm, steps, fused, .. } = *self.settings;
        session.forget(SELECTED); // Another selection in this session may have another batch size.
        let mut g = Graph::new();
        let model = Weights::new(&mut g, &vae.layout, "model")?;
        let head = Weights::new(&mut g, &probe.layout, "probe")?;
        let shape = [ROWS, vae.encoder.inputs()];
        let x = g.variable("attack.x", shape, F32)?;
        let drawn = g.variable("attack.noise", shape, F32)?;
        let noise = match norm {
            Norm::Linf => StartNoise::Linf(drawn),
            Norm::L2 => StartNoise::L2 { normals: drawn, radius: g.variable("attack.shares", [ROWS], F32)? },
        };
        let step_size = 2.5 * self.radius / steps.max(1) as f32;
        let selection = Selection { norm, eps: self.radius, steps, step_size, metric: Metric::W2, fused };
        let selected = selection.select(&mut g, vae, &model, x, Start::From(noise))?;
        let means = vae.encode_mean(&mut g, &model.views, selected)?;
        let logits = probe.logits(&mut g, &head.views, means)?;
        let labels = g.variable("attack.labels", [ROWS], U32)?;
        let verdicts = g.variable("attack.verdicts", [ROWS], U32)?;
        classify(&mut g, logits, labels, verdicts)?;
        session.compile(&g)
    }

    /// Processes `queue` and marks the images that it breaks. Calls `report` with the work that is left.
    pub fn run(
        &self,
        session: &mut Session,
        victims: &mut Victims,
        mut queue: impl ExactSizeIterator<Item = Work>,
        report: &dyn Fn(usize),
    ) -> Result<()> {
        let target = victims.target;
        let inputs = target.vae.encoder.inputs();
        let mut program = self.compile(session, target.vae, target.probe)?;
        let mut draws = vec![0.0; inputs];
        loop {
            let rows = std::iter::from_fn(|| victims.next_of(&mut queue)).take(ROWS);
            let rows: Vec<Work> = rows.collect();
            if rows.is_empty() {
                break;
            }
            for (r, &(image, restart)) in rows.iter().enumerate() {
                let share = noise(self.settings, image, restart, &mut draws);
                session.write("attack.x", r * inputs, target.row(image))?;
                session.write("attack.noise", r * inputs, &draws)?;
                if self.settings.norm == Norm::L2 {
                    session.write("attack.shares", r, &[share])?;
                }
                session.write("attack.labels", r, &[target.labels[image]])?;
                session.write("attack.verdicts", r, &[0_u32])?;
            }
            program.run()?;
            let (verdicts, points): (Vec<u32>, Vec<f32>) =
                (session.get("attack.verdicts")?, session.get(SELECTED)?);
            for (r, (image, restart)) in rows.into_iter().enumerate() {
                if right_before_wrong(verdicts[r]).is_some() {
                    victims.mark(image, restart, self.settings.steps, &points[r * inputs..][..inputs]);
                }
            }
            report(queue.len() * (self.settings.steps + 1));
        }
        session.forget(SELECTED);
        Ok(())
    }
}
