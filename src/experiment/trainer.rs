//! A training run on the engine: one graph, replayed once a step.

use crate::backend::{Device, Program};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::{Entry, Init, Layout, Weights, initialise, train_step};
use crate::ops::{self, AdamSettings, SUMS};
use crate::rng::{Key, Purpose};
use crate::run::checkpoint::{NamedTensor, TensorData};
use crate::selection::{Selection, start_noise};
use crate::session::Session;
use crate::tensor::DType;
use crate::vae::{Objective, Vae};

/// What fixes a training run's numbers, beside the data.
#[derive(Debug, Clone)]
pub struct TrainSettings {
    pub objective: Objective,
    /// For an objective that needs it.
    pub selection: Selection,
    pub batch: usize,
    pub adam: AdamSettings,
    pub init: Init,
    pub seed: u64,
}

/// Averages since the last look.
#[derive(Debug, Clone)]
pub struct Averages {
    /// Steps they are over.
    pub steps: u64,
    pub loss: f64,
    /// Named as [`Objective::names`].
    pub terms: Vec<(&'static str, f64)>,
}

/// The state of a run between two steps lives on the device; see [`Trainer::state`].
#[derive(Debug)]
pub struct Trainer {
    pub session: Session,
    pub vae: Vae,
    program: Program,
    objective: Objective,
}

/// Variables that make up a run's state, beside the arena `model` itself.
const MOMENTS: [&str; 2] = ["model.m", "model.v"];

impl Trainer {
    /// Puts the images and the initial weights on the device, and compiles the step.
    pub fn new(device: Device, vae: Vae, settings: &TrainSettings, images: &Images) -> Result<Self> {
        let mut session = Session::new(device);
        upload_images(&mut session, "train.images", images)?;
        let key = Key::new(settings.seed, Purpose::Init);
        session.set("model", &initialise(&vae.layout, settings.init, key))?;
        session.set("clock", &[0_u32; 2])?;
        let graph = training_graph(&vae, settings, images.count)?;
        let program = session.compile(&graph)?;
        Ok(Trainer { session, vae, program, objective: settings.objective })
    }

    /// One training step. On a GPU it returns when the work is handed over.
    pub fn step(&mut self) -> Result<()> {
        self.program.run()
    }

    /// Kernel calls of one step.
    pub fn dispatches(&self) -> usize {
        self.program.dispatches()
    }

    /// Steps done, waiting for the device.
    pub fn steps_done(&self) -> Result<u64> {
        Ok(self.session.get::<u32>("clock")?[0].into())
    }

    /// Averages since the last call, which waits for the device.
    ///
    /// # Errors
    /// [`Error::Run`] naming the step and the terms, once the loss or one of its terms was not finite.
    pub fn take_averages(&mut self) -> Result<Averages> {
        self.check_finite()?;
        let sums: Vec<f32> = self.session.get("sums")?;
        self.session.set("sums", &[0.0_f32; SUMS])?;
        let count = f64::from(sums[5]).max(1.0);
        let mean = |i: usize| f64::from(sums[i]) / count;
        let terms = self.objective.names().iter().enumerate().map(|(k, &name)| (name, mean(1 + k)));
        Ok(Averages { steps: sums[5] as u64, loss: mean(0), terms: terms.collect() })
    }

    /// Fails if a step since the start had a loss that is not finite.
    pub fn check_finite(&self) -> Result<()> {
        let fault: Vec<u32> = self.session.get("fault")?;
        if fault[0] == 0 {
            return Ok(());
        }
        let names = ["loss"].iter().chain(self.objective.names());
        let bad: Vec<_> =
            names.enumerate().filter(|(bit, _)| fault[1] >> bit & 1 == 1).map(|(_, &name)| name).collect();
        Err(Error::run(format!(
            "step {}: {} became NaN or infinite; a lower --learning-rate or a smaller --gamma / larger \
             --variance usually mends it",
            fault[0],
            bad.join(", ")
        )))
    }

    /// The weights and all else that going on from here needs: Adam's moments, the step, and the
    /// sums since the last look.
    ///
    /// # Errors
    /// [`Error::Run`] where a number in it is not finite: the last step's loss still was, its
    /// update was not, and nothing could go on from here.
    pub fn state(&self) -> Result<Vec<NamedTensor>> {
        let mut tensors = self.weights()?;
        for name in MOMENTS {
            let data: Vec<f32> = self.session.get(name)?;
            tensors.push(NamedTensor {
                name: name.into(),
                shape: vec![data.len()],
                data: TensorData::F32(data),
            });
        }
        let sums: Vec<f32> = self.session.get("sums")?;
        tensors.push(NamedTensor { name: "sums".into(), shape: vec![SUMS], data: TensorData::F32(sums) });
        let finite = |t: &&NamedTensor| match &t.data {
            TensorData::F32(data) => data.iter().all(|x| x.is_finite()),
            _ => true,
        };
        if let Some(bad) = tensors.iter().find(|t| !finite(t)) {
            let (step, name) = (self.steps_done()?, &bad.name);
            return Err(Error::run(format!(
                "step {step}: {name} became NaN or infinite; a lower --learning-rate usually mends it"
            )));
        }
        let clock: Vec<u32> = self.session.get("clock")?;
        tensors.push(NamedTensor { name: "clock".into(), shape: vec![2], data: TensorData::U32(clock) });
        Ok(tensors)
    }

    /// The weights under PyTorch's names.
    pub fn weights(&self) -> Result<Vec<NamedTensor>> {
        named_weights(&self.session, "model", &self.vae.layout)
    }

    /// Goes on from a saved [`state`](Self::state).
    ///
    /// # Errors
    /// [`Error::Request`] naming what is missing or does not fit this model.
    pub fn restore(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        load_weights(&mut self.session, "model", &self.vae.layout, tensors)?;
        for name in MOMENTS {
            let data = find_f32(tensors, name, self.vae.layout.words())?;
            self.session.set(name, data)?;
        }
        let sums = find_f32(tensors, "sums", SUMS)?;
        self.session.set("sums", sums)?;
        match tensors.iter().find(|t| t.name == "clock").map(|t| &t.data) {
            Some(TensorData::U32(clock)) if clock.len() == 2 => self.session.set("clock", clock),
            _ => Err(Error::request("the checkpoint has no `clock` of this program")),
        }
    }
}

/// The whole training step as a graph (the algorithm at the end of the paper's section 3).
pub fn training_graph(vae: &Vae, settings: &TrainSettings, examples: usize) -> Result<Graph> {
    let (batch, inputs) = (settings.batch, vae.encoder.inputs());
    let g = &mut Graph::new();
    let clock = g.variable("clock", [2], DType::U32)?;
    let images = g.variable("train.images", [ops::byte_table_words(examples * inputs)], DType::U32)?;
    let key = |purpose| Key::new(settings.seed, purpose);
    let weights = Weights::new(g, &vae.layout, "model")?;

    let indices = ops::shuffle(g, clock, batch, examples, key(Purpose::Shuffle))?;
    let x = ops::gather_bytes(g, images, indices, inputs)?;
    let selected = match settings.objective.needs_selection() {
        true => {
            let start = start_noise(g, settings.selection.norm, clock, [batch, inputs], settings.seed)?;
            Some(settings.selection.select(g, vae, &weights, x, start)?)
        }
        false => None,
    };
    let u = ops::normal(g, clock, [batch, vae.latent], key(Purpose::Reparameterise))?;
    let loss = settings.objective.loss(g, vae, &weights.views, x, selected, u)?;
    train_step(g, &vae.layout, &weights, loss.total, clock, settings.adam)?;
    let sums = g.variable("sums", [SUMS], DType::F32)?;
    let fault = g.variable("fault", [2], DType::U32)?;
    ops::monitor(g, loss.total, loss.means, clock, sums, fault)?;
    Ok(std::mem::take(g))
}

/// Puts images on the device as packed bytes.
pub fn upload_images(session: &mut Session, name: &str, images: &Images) -> Result<()> {
    let mut words = vec![0_u32; ops::byte_table_words(images.pixels.len())];
    bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..images.pixels.len()].copy_from_slice(&images.pixels);
    session.set(name, &words)
}

/// The weights of an arena under their names.
pub fn named_weights(session: &Session, arena: &str, layout: &Layout) -> Result<Vec<NamedTensor>> {
    let words: Vec<f32> = session.get(arena)?;
    let tensor = |(i, entry): (usize, &Entry)| NamedTensor {
        name: entry.name.clone(),
        shape: entry.shape.dims().to_vec(),
        data: TensorData::F32(layout.slice(&words, i).to_vec()),
    };
    Ok(layout.entries().iter().enumerate().map(tensor).collect())
}

/// Fills an arena from named weights.
pub fn load_weights(
    session: &mut Session,
    arena: &str,
    layout: &Layout,
    tensors: &[NamedTensor],
) -> Result<()> {
    let mut words = vec![0.0_f32; layout.words()];
    for (i, entry) in layout.entries().iter().enumerate() {
        let data = find_f32(tensors, &entry.name, entry.shape.len())?;
        layout.slice_mut(&mut words, i).copy_from_slice(data);
    }
    session.set(arena, &words)
}

fn find_f32<'a>(tensors: &'a [NamedTensor], name: &str, len: usize) -> Result<&'a [f32]> {
    match tensors.iter().find(|t| t.name == name).map(|t| &t.data) {
        Some(TensorData::F32(data)) if data.len() == len => Ok(data),
        Some(_) => Err(Error::request(format!("`{name}` has another size or type than this model's"))),
        None => Err(Error::request(format!("`{name}` is missing: not a file of this model"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;
    use crate::ops::Norm;
    use crate::selection::Metric;

    /// The update overflows after a loss that was finite: the state must not reach a checkpoint.
    #[test]
    fn a_state_that_is_not_finite_is_an_error() {
        let images = Images { count: 4, height: 2, width: 3, channels: 1, pixels: (0..24).collect() };
        let selection = Selection {
            norm: Norm::Linf,
            eps: 0.1,
            steps: 1,
            step_size: 0.1,
            metric: Metric::W2,
            fused: true,
        };
        let settings = |rate| TrainSettings {
            objective: Objective::Smooth { gamma: 1.0 },
            selection,
            batch: 2,
            adam: AdamSettings::new(rate, 1.0, 1),
            init: Init::Glorot,
            seed: 1,
        };
        let vae = Vae::mlp(6, &[5], 2, 0.5, true);
        for (rate, finite) in [(1e-3, true), (f32::INFINITY, false)] {
            let device = backend::open("cpu", false).unwrap();
            let mut trainer = Trainer::new(device, vae.clone(), &settings(rate), &images).unwrap();
            trainer.step().unwrap();
            trainer.check_finite().unwrap();
            match trainer.state() {
                Ok(_) => assert!(finite),
                Err(error) => {
                    assert!(!finite, "{error}");
                    let text = error.to_string();
                    assert!(text.starts_with("step 1: encoder.0.weight became NaN or infinite"), "{text}");
                }
            }
        }
    }
}
