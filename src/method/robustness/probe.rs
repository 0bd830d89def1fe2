//! Linear softmax classifiers on the frozen representation (docs/method.md, section 5, step 3).

use crate::engine::device::Program;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Dense, Layout, Stack, Weights, train_step};
use crate::engine::ops::{self, AdamSettings, SUMS, Term};
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};

/// How a probe is trained: Adam on the raw means, from zero, the rate falling linearly to 0.
#[derive(Debug, Clone, Copy)]
pub struct ProbeSettings {
    /// The number of steps.
    pub steps: usize,
    /// Examples of a step; all of them where there are fewer.
    pub batch: usize,
    /// The learning rate at the start.
    pub learning_rate: f32,
    /// The seed of the order of examples.
    pub seed: u64,
}

/// A linear classifier `latent -> classes`, its weights in the session's variable `probe`.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The layout of its weights.
    pub layout: Layout,
    linear: Stack,
}

/// Drops what a probe leaves in the session: another may have another number of examples or of classes.
fn forget(session: &mut Session) {
    for name in ["probe.means", "probe.labels", "probe", "probe.grad", "probe.m", "probe.v"] {
        session.forget(name);
    }
}

impl Probe {
    /// A probe of codes of `latent` dimensions. Its weights are made by [`train`](Self::train).
    pub fn new(latent: usize, classes: usize) -> Self {
        let mut layout = Layout::default();
        let linear = Stack::mlp(&mut layout, "probe", &[latent, classes]);
        Probe { layout, linear }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.linear.outputs()
    }

    /// Its one layer, with the places of its weights in the arena `probe`.
    pub fn dense(&self) -> Option<Dense> {
        self.linear.dense(&self.layout, self.classes())?.pop()
    }

    /// The stack of its one layer.
    pub(crate) fn stack(&self) -> &Stack {
        &self.linear
    }

    /// The logits `[rows, classes]` of `means` `[rows, latent]`; `weights` are the layout's views.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where they do not fit.
    pub fn logits(&self, g: &mut Graph, weights: &[Tensor], means: Tensor) -> Result<Tensor> {
        self.linear.forward(g, weights, means)
    }

    /// Trains on the rows of `means` `[_, latent]` at the indices `examples`, with their labels in `labels`; without
    /// adversarial examples, feature scaling or weight penalty. The weights are then in the variable `probe`. Each
    /// step's rows are written to the device before it, so there may be any number of them. Calls `progress` with the
    /// steps done and all steps.
    ///
    /// # Errors
    /// [`Error::Request`] without examples; [`Error::Run`] for a loss that is not finite; those of the device.
    pub fn train(
        &self,
        session: &mut Session,
        means: &[f32],
        labels: &[u32],
        examples: &[usize],
        settings: ProbeSettings,
        progress: &dyn Fn(usize, usize),
    ) -> Result<()> {
        let (count, latent) = (examples.len(), self.linear.inputs());
        if count == 0 {
            return Err(Error::request("a probe needs at least one labelled example"));
        }
        let (batch, steps) = (settings.batch.min(count), settings.steps);
        forget(session);
        session.set("probe", &vec![0.0_f32; self.layout.words()])?;
        session.set("probe.clock", &[0_u32; 2])?;
        session.set("probe.fault", &[0_u32; 2])?;

        let mut program = self.program(session, settings, batch)?;
        let key = Key::new(settings.seed, Purpose::ProbeShuffle);
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        for step in 0..steps {
            rows.clear();
            classes.clear();
            for i in ops::examples_of(step as u32, batch, count, key).map(|i| examples[i]) {
                rows.extend_from_slice(&means[i * latent..][..latent]);
                classes.push(labels[i]);
            }
            session.write("probe.means", 0, &rows)?;
            session.write("probe.labels", 0, &classes)?;
            program.run()?;
            progress(step + 1, steps);
        }
        let fault: Vec<u32> = session.get("probe.fault")?;
        if fault[0] != 0 {
            let what = format!("the probe's loss is not finite from step {} on", fault[0]);
            return Err(
                Error::run(what).with_hint("the representation itself may not be finite: train it again")
            );
        }
        Ok(())
    }

    /// Compiles what [`train`](Self::train) runs on `count` examples, and frees its memory again.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device has no room for it.
    pub fn check(&self, session: &mut Session, settings: ProbeSettings, count: usize) -> Result<()> {
        self.program(session, settings, settings.batch.min(count).max(1))?;
        forget(session);
        Ok(())
    }

    /// A step on `batch` examples.
    fn program(&self, session: &mut Session, settings: ProbeSettings, batch: usize) -> Result<Program> {
        let mut g = Graph::new();
        let clock = g.variable("probe.clock", [2], DType::U32)?;
        let x = g.variable("probe.means", [batch, self.linear.inputs()], DType::F32)?;
        let y = g.variable("probe.labels", [batch], DType::U32)?;
        let weights = Weights::new(&mut g, &self.layout, "probe")?;
        let logits = self.logits(&mut g, &weights.views, x)?;
        let loss = ops::softmax_cross_entropy(&mut g, logits, y)?;
        let terms = [Term { values: loss.loss, rows: 0..batch, weight: 1.0 }];
        let (total, term_means) = ops::weighted_mean(&mut g, &terms, batch)?;
        let adam = AdamSettings::new(settings.learning_rate, 0.0, settings.steps as u32);
        train_step(&mut g, &self.layout, &weights, total, clock, adam)?;
        let sums = g.variable("probe.sums", [SUMS], DType::F32)?;
        let fault = g.variable("probe.fault", [2], DType::U32)?;
        ops::monitor(&mut g, total, term_means, clock, sums, fault)?;
        session.compile(&g)
    }

    /// The predicted classes `[rows]` of `means` `[rows, latent]`, with the trained weights;
    /// [`classes`](Self::classes), which is no class, for a row with a NaN.
    ///
    /// # Errors
    /// Those of the device.
    pub fn predict(&self, session: &Session, means: &[f32]) -> Result<Vec<u32>> {
        let arena: Vec<f32> = session.get("probe")?;
        let (weight, bias) = (self.layout.slice(&arena, 0), self.layout.slice(&arena, 1));
        let latent = self.linear.inputs();
        let score = |row: &[f32], class: usize| {
            let products = row.iter().zip(&weight[class * latent..][..latent]).map(|(x, w)| x * w);
            bias[class] + products.sum::<f32>()
        };
        Ok(means
            .chunks_exact(latent)
            .map(|row| {
                let scores: Vec<_> = (0..self.classes()).map(|class| score(row, class)).collect();
                // As in the kernel `classify`: the first largest, and no class where a score is NaN.
                if scores.iter().any(|score| score.is_nan()) {
                    return self.classes() as u32;
                }
                (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0) as u32
            })
            .collect())
    }
}
