//! A training run on the engine: one program, run once a step.

use crate::data::Images;
use crate::engine::device::{Device, Program};
use crate::engine::graph::Graph;
use crate::engine::nn::{
    Init, NamedTensor, TensorData, Weights, find_f32, initialise, load_weights, named_weights, train_step,
};
use crate::engine::ops::{self, AdamSettings, SUMS};
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::{Error, Result};
use crate::method::ops::Rise;
use crate::method::selection::{Selection, Start};
use crate::method::vae::{Objective, Vae};
use crate::method::{RESIDENT_BYTES, Table};

/// The settings that fix a training run's numbers, together with the data.
#[derive(Debug, Clone)]
pub struct TrainSettings {
    /// The objective.
    pub objective: Objective,
    /// How fictive points are selected, for an objective that needs them.
    pub selection: Selection,
    /// Examples of a step.
    pub batch: usize,
    /// Adam's settings.
    pub adam: AdamSettings,
    /// How weights are initialised.
    pub init: Init,
    /// The seed of all draws.
    pub seed: u64,
    /// Steps over which the coupling rises to the objective's, in ten equal stairs; 0 for none.
    pub warmup: u32,
    /// Whether the step's dense layers multiply halves. Weights, Adam and everything outside training are in single
    /// precision.
    pub half: bool,
}

/// Averages since the last call of [`Trainer::take_averages`].
#[derive(Debug, Clone)]
pub struct Averages {
    /// The number of steps averaged.
    pub steps: u64,
    /// The mean loss.
    pub loss: f64,
    /// The means of the objective's terms, by the names of [`Objective::names`].
    pub terms: Vec<(&'static str, f64)>,
}

/// A training run. Its state between two steps is on the device; [`Trainer::state`] reads it.
#[derive(Debug)]
pub struct Trainer {
    /// The device and the run's variables.
    pub session: Session,
    /// The model.
    pub vae: Vae,
    program: Program,
    objective: Objective,
    stream: Option<Stream>,
}

/// A training set that is not kept on the device: before each step the host writes the step's images, those that the
/// kernel `shuffle` would choose.
#[derive(Debug)]
struct Stream {
    images: Images,
    table: Table,
    batch: usize,
    key: Key,
    /// Steps done.
    step: u32,
}

impl Stream {
    fn bring(&mut self, session: &Session) -> Result<()> {
        let examples = ops::examples_of(self.step, self.batch, self.images.count, self.key);
        self.step += 1;
        self.table.write(session, &self.images, examples)
    }
}

/// Adam's moments: variables of a run's state, beside the arena `model`.
const MOMENTS: [&str; 2] = ["model.m", "model.v"];

impl Trainer {
    /// Writes the images and the initial weights to the device and compiles the step. More than [`RESIDENT_BYTES`] of
    /// images are streamed.
    ///
    /// # Errors
    /// Those of the device and of reading the images; [`Error::TooLarge`].
    pub fn new(device: Device, vae: Vae, settings: &TrainSettings, images: &Images) -> Result<Self> {
        Trainer::with_limit(device, vae, settings, images, RESIDENT_BYTES)
    }

    /// [`new`](Self::new) with another limit, in bytes, for images on the device. It changes no result.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limit(
        device: Device,
        vae: Vae,
        settings: &TrainSettings,
        images: &Images,
        limit: usize,
    ) -> Result<Self> {
        let mut session = Session::new(device);
        let key = Key::new(settings.seed, Purpose::Init);
        session.set("model", &initialise(&vae.layout, settings.init, key)?)?;
        session.set("clock", &[0_u32; 2])?;
        // A coloured set is stored grey, and is small. Its rows could not be streamed one by one.
        let streamed = images.size() > limit && images.per_stored() == 1;
        let (table, examples, stream) = if streamed {
            let batch = settings.batch;
            let table = Table::window("train.images", images, batch);
            session.set("train.rows", &(0..batch as u32).collect::<Vec<_>>())?;
            let key = Key::new(settings.seed, Purpose::Shuffle);
            let stream = Stream { images: images.clone(), table: table.clone(), batch, key, step: 0 };
            (table, None, Some(stream))
        } else {
            let table = Table::whole("train.images", images);
            table.upload(&mut session, images)?;
            (table, Some(images.count), None)
        };
        let program = session.compile(&training_graph(&vae, settings, &table, examples)?)?;
        Ok(Trainer { session, vae, program, objective: settings.objective, stream })
    }

    /// Runs one training step. On a GPU it returns when the work is submitted.
    ///
    /// # Errors
    /// Those of the device and of reading images.
    pub fn step(&mut self) -> Result<()> {
        if let Some(stream) = &mut self.stream {
            stream.bring(&self.session)?;
        }
        self.program.run()
    }

    /// Kernel calls of one step.
    pub fn dispatches(&self) -> usize {
        self.program.dispatches()
    }

    /// The steps done. Waits for the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn steps_done(&self) -> Result<u64> {
        Ok(self.session.get::<u32>("clock")?[0].into())
    }

    /// The averages since the last call. Waits for the device.
    ///
    /// # Errors
    /// As [`check_finite`](Self::check_finite).
    pub fn take_averages(&mut self) -> Result<Averages> {
        self.check_finite()?;
        let sums: Vec<f32> = self.session.get("sums")?;
        self.session.set("sums", &[0.0_f32; SUMS])?;
        let count = f64::from(sums[5]).max(1.0);
        let mean = |i: usize| f64::from(sums[i]) / count;
        let terms = self.objective.names().iter().enumerate().map(|(k, &name)| (name, mean(1 + k)));
        Ok(Averages { steps: sums[5] as u64, loss: mean(0), terms: terms.collect() })
    }

    /// Fails where a step since the start had a loss that is not finite.
    ///
    /// # Errors
    /// [`Error::Run`] naming the first step and the terms that were not finite; those of the device.
    pub fn check_finite(&self) -> Result<()> {
        let fault: Vec<u32> = self.session.get("fault")?;
        if fault[0] == 0 {
            return Ok(());
        }
        let names = ["loss"].iter().chain(self.objective.names());
        let bad: Vec<_> =
            names.enumerate().filter(|(bit, _)| fault[1] >> bit & 1 == 1).map(|(_, &name)| name).collect();
        Err(Error::run(format!("step {}: {} became NaN or infinite", fault[0], bad.join(", ")))
            .with_hint("a lower `learning-rate`, a smaller `gamma` or a larger `variance` usually mends it"))
    }

    /// All that a resumed run needs: the weights, Adam's moments, the step, and the sums since the last call of
    /// [`take_averages`](Self::take_averages).
    ///
    /// # Errors
    /// [`Error::Run`] where a number in it is not finite: the last step's loss may be finite where its update is not.
    /// Those of the device.
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
            let what = format!("step {step}: {name} became NaN or infinite");
            return Err(Error::run(what).with_hint("a lower `learning-rate` usually mends it"));
        }
        let clock: Vec<u32> = self.session.get("clock")?;
        tensors.push(NamedTensor { name: "clock".into(), shape: vec![2], data: TensorData::U32(clock) });
        Ok(tensors)
    }

    /// The weights under PyTorch's names.
    ///
    /// # Errors
    /// Those of the device.
    pub fn weights(&self) -> Result<Vec<NamedTensor>> {
        named_weights(&self.session, "model", &self.vae.layout)
    }

    /// Resumes from a saved [`state`](Self::state).
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
            Some(TensorData::U32(clock)) if clock.len() == 2 => {
                if let Some(stream) = &mut self.stream {
                    stream.step = clock[0];
                }
                self.session.set("clock", clock)
            }
            _ => Err(Error::request("the checkpoint has no `clock` of this program")),
        }
    }
}

/// The graph of a training step (the algorithm at the end of the paper's section 3). `images` is a table of `examples`
/// images; or, where that is `None`, of the step's own, whose rows are in the variable `train.rows`.
///
/// # Errors
/// [`Error::Shape`] where the settings do not fit the model.
pub fn training_graph(
    vae: &Vae,
    settings: &TrainSettings,
    images: &Table,
    examples: Option<usize>,
) -> Result<Graph> {
    let batch = settings.batch;
    let vae = &if settings.half { vae.clone().in_half() } else { vae.clone() };
    let g = &mut Graph::new();
    let clock = g.variable("clock", [2], DType::U32)?;
    let key = |purpose| Key::new(settings.seed, purpose);
    let weights = Weights::new(g, &vae.layout, "model")?;

    let indices = match examples {
        Some(count) => ops::shuffle(g, clock, batch, count, key(Purpose::Shuffle))?,
        None => g.variable("train.rows", [batch], DType::U32)?,
    };
    let x = images.gather(g, indices)?;
    let selected = match settings.objective.needs_selection() {
        true => {
            let start = Start::Drawn { clock, seed: settings.seed };
            Some(settings.selection.select(g, vae, &weights, x, start)?)
        }
        false => None,
    };
    let u = ops::normal(g, clock, [batch, vae.latent], key(Purpose::Reparameterise))?;
    let rise = (settings.warmup > 0).then_some(Rise { clock, steps: settings.warmup });
    let loss = settings.objective.loss(g, vae, &weights.views, x, selected, u, rise)?;
    // The loss is a mean over the batch, so its gradients are small: halves would underflow without the scale.
    let loss_scale = if settings.half { batch.next_power_of_two() as f32 } else { 1.0 };
    let adam = AdamSettings { loss_scale, ..settings.adam };
    train_step(g, &vae.layout, &weights, loss.total, clock, adam)?;
    let sums = g.variable("sums", [SUMS], DType::F32)?;
    let fault = g.variable("fault", [2], DType::U32)?;
    ops::monitor(g, loss.total, loss.means, clock, sums, fault)?;
    Ok(std::mem::take(g))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device;
    use crate::method::ops::Norm;
    use crate::method::selection::Metric;

    /// What is brought step by step trains the very same model, also from a checkpoint on.
    #[test]
    fn a_streamed_set_trains_as_one_on_the_device() {
        // Images of 3 and 7 x 5 bytes: rows start anywhere in a word.
        let images = Images::new([3, 7, 5], (0..50 * 105).map(|i| (i * 31 % 251) as u8).collect());
        let vae = Vae::mlp(105, &[9], 2, 0.5, true);
        let trainer = |limit| {
            let device = device::open("cpu", false).unwrap();
            Trainer::with_limit(device, vae.clone(), &settings(1e-3), &images, limit).unwrap()
        };
        let run = |trainer: &mut Trainer, steps| {
            (0..steps).for_each(|_| trainer.step().unwrap());
            trainer.state().unwrap()
        };
        let (mut resident, mut streamed) = (trainer(images.size()), trainer(0));
        assert!(resident.stream.is_none() && streamed.stream.is_some());
        let halfway = run(&mut resident, 40);
        assert_eq!(halfway, run(&mut streamed, 40));
        let mut resumed = trainer(0);
        resumed.restore(&halfway).unwrap();
        assert_eq!(run(&mut resident, 40), run(&mut resumed, 40));
    }

    /// Stair by stair the very steps of trainings with that share of the coupling; also from a checkpoint on.
    #[test]
    fn the_coupling_rises_in_stairs() {
        let images = Images::new([1, 2, 3], (0..120).map(|i| (i * 37 % 251) as u8).collect());
        let vae = Vae::mlp(6, &[5], 2, 0.5, true);
        let trainer = |objective, warmup| {
            let device = device::open("cpu", false).unwrap();
            let settings = TrainSettings { objective, warmup, ..settings(1e-2) };
            Trainer::new(device, vae.clone(), &settings, &images).unwrap()
        };
        let full = Objective::Smooth { gamma: 50.0 };
        let mut rising = trainer(full, 20);
        let mut state = rising.state().unwrap();
        for step in 0..30 {
            let share = ((step / 2 + 1) as f32 / 10.0).min(1.0);
            let [mut plain, mut resumed] =
                [trainer(Objective::Smooth { gamma: share * 50.0 }, 0), trainer(full, 20)];
            for trainer in [&mut plain, &mut resumed] {
                trainer.restore(&state).unwrap();
                trainer.step().unwrap();
            }
            rising.step().unwrap();
            state = rising.state().unwrap();
            assert_eq!(state, plain.state().unwrap(), "step {step}");
            assert_eq!(state, resumed.state().unwrap(), "step {step}, resumed");
        }
    }

    fn settings(rate: f32) -> TrainSettings {
        let selection = Selection {
            norm: Norm::Linf,
            eps: 0.1,
            steps: 1,
            step_size: 0.1,
            metric: Metric::W2,
            fused: true,
        };
        TrainSettings {
            objective: Objective::Smooth { gamma: 1.0 },
            selection,
            batch: 2,
            adam: AdamSettings::new(rate, 1.0, 1),
            init: Init::Glorot,
            seed: 1,
            warmup: 0,
            half: false,
        }
    }

    #[test]
    fn a_step_takes_its_share_off_the_weights() {
        let images = Images::new([1, 2, 3], (0..24).collect());
        let vae = Vae::mlp(6, &[5], 2, 0.5, true);
        let [start, plain, decayed] = [(0, 0.0), (1, 0.0), (1, 20.0)].map(|(steps, weight_decay)| {
            let settings = settings(1e-2);
            let settings = TrainSettings { adam: AdamSettings { weight_decay, ..settings.adam }, ..settings };
            let device = device::open("cpu", false).unwrap();
            let mut trainer = Trainer::new(device, vae.clone(), &settings, &images).unwrap();
            (0..steps).for_each(|_| trainer.step().unwrap());
            trainer.session.get::<f32>("model").unwrap()
        });
        assert!(start.iter().any(|w| w.abs() > 0.1));
        for ((start, plain), decayed) in start.iter().zip(plain).zip(decayed) {
            assert!((plain - decayed - 1e-2 * 20.0 * start).abs() < 1e-6, "{start} {plain} {decayed}");
        }
    }

    /// The update overflows after a loss that was finite: the state must not reach a checkpoint.
    #[test]
    fn a_state_that_is_not_finite_is_an_error() {
        let images = Images::new([1, 2, 3], (0..24).collect());
        let vae = Vae::mlp(6, &[5], 2, 0.5, true);
        for (rate, finite) in [(1e-3, true), (f32::INFINITY, false)] {
            let device = device::open("cpu", false).unwrap();
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
