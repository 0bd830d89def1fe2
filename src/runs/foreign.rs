//! Networks that other tools trained: read from a file, probed and attacked as our own are.

pub(crate) mod safetensors;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::data::Dataset;
use crate::engine::nn::{NamedTensor, TensorData, load_weights};
use crate::engine::ops::ImageShape;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::vae::Vae;
use crate::progress::Context;
use crate::runs::config::{AttackMethod, Config};
use crate::runs::evaluate::{self, Evaluator, Labels};
use crate::runs::loaded::{one_task_of, tasks_of};
use crate::runs::network::{Layer, Network};
use crate::runs::record::TaskResult;
use crate::runs::{load_data, model_file, onnx, recipe};

/// What a network's outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A code, on which a linear probe is trained for each task.
    Encoder,
    /// The logits of a task's classes.
    Classifier,
}

/// A file of more bytes than this is no network for small images; no ONNX model may be larger.
const MOST_BYTES: u64 = 1 << 31;

/// Probes and attacks the network in the file `model` on the data of `config`, as its probe and its attack say: for the
/// named task, or for an encoder every task. Writes nothing.
///
/// # Errors
/// [`Error::Request`] naming the file, and the layer or node of it that is wrong or does not fit the data; those of the
/// data and of the device.
pub fn evaluate(
    model: &Path,
    role: Role,
    config: &Config,
    task: Option<&str>,
    context: &Context,
) -> Result<BTreeMap<String, TaskResult>> {
    let file = File::read(model)?;
    let data = load_data(config, context)?;
    let tasks = match role {
        Role::Encoder => tasks_of(&data, task)?,
        Role::Classifier => vec![one_task_of(&data, task)?],
    };
    let network = file.network(data.train.images.shape())?;
    let (encoder, head) = match role {
        Role::Encoder => (network, None),
        Role::Classifier => {
            check_classes(model, &network, &data, tasks[0])?;
            let (encoder, head) = network.split();
            (encoder, Some(head))
        }
    };
    if config.attack.attacks.contains(&AttackMethod::Latent) {
        let what = "has latent, which needs variances: a network of another tool has none";
        return Err(Error::setting("attack.attacks", what));
    }
    let device = context.open(&config.device, config.checked)?;
    evaluate::warn_of_missing_classes(&data, &config.attack);
    let x = evaluate::attacked_images(&data.test.images, &config.attack)?;
    let vae = Vae::encoder_alone(encoder.stack());
    let mut session = Session::new(device);
    load_weights(&mut session, "model", &vae.layout, &encoder.tensors(&vae.layout))?;
    let mut evaluator = Evaluator { session: &mut session, vae: &vae, data: &data, context };
    let probed = match head {
        Some(head) => {
            let tensors = head_tensors(head, &data.tasks[tasks[0]].name);
            vec![(evaluator.test(tasks[0], &tensors)?, tensors)]
        }
        None => {
            let settings = recipe::probe(config, data.train.count());
            let probed = evaluator.probe(&tasks, Labels::ALL, settings)?;
            probed.into_iter().map(|probed| (probed.result, probed.tensors)).collect()
        }
    };
    let mut results = BTreeMap::new();
    for ((result, tensors), &task) in probed.into_iter().zip(&tasks) {
        let attacked = evaluator.attack(task, &tensors, &x, &config.attack)?;
        let result = TaskResult { attack: Some(attacked.result), ..result };
        results.insert(data.tasks[task].name.clone(), result);
    }
    Ok(results)
}

fn check_classes(model: &Path, network: &Network, data: &Dataset, task: usize) -> Result<()> {
    let (outputs, about) = (network.outputs(), &data.tasks[task]);
    if outputs == about.classes {
        return Ok(());
    }
    let what = format!("gives {outputs} numbers, and the task {} has {} classes", about.name, about.classes);
    Err(Error::file(model, what).with_hint("leave --as out, which takes the numbers as a code"))
}

/// A layer as the probe of `task`.
fn head_tensors(head: Layer, task: &str) -> Vec<NamedTensor> {
    let prefix = model_file::probe_prefix(task);
    let tensor = |name: &str, shape: Vec<usize>, values| NamedTensor {
        name: format!("{prefix}{name}"),
        shape,
        data: TensorData::F32(values),
    };
    let outputs = head.bias.len();
    vec![tensor("weight", head.map.weight_shape(), head.weight), tensor("bias", vec![outputs], head.bias)]
}

/// A file that holds a network.
struct File<'a> {
    path: &'a Path,
    content: Vec<u8>,
    decode: fn(&Path, &[u8], ImageShape) -> Result<Network>,
}

impl File<'_> {
    /// Reads the bytes. The file's ending says what they mean.
    fn read(path: &Path) -> Result<File<'_>> {
        let decode = match path.extension().and_then(|ending| ending.to_str()) {
            Some("onnx") => onnx::decode,
            Some("safetensors") => safetensors::decode,
            _ => {
                return Err(Error::file(path, "has another ending than .onnx or .safetensors")
                    .with_hint("save the network in one of these forms"));
            }
        };
        let cannot = |error| Error::file(path, "cannot be read").because(error);
        if fs::metadata(path).map_err(cannot)?.len() > MOST_BYTES {
            return Err(Error::file(path, "is larger than 2 GiB"));
        }
        Ok(File { path, content: fs::read(path).map_err(cannot)?, decode })
    }

    /// The network, for images of the shape `image`.
    fn network(&self, image: ImageShape) -> Result<Network> {
        (self.decode)(self.path, &self.content, image)
    }
}
