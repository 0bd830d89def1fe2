//! `model.safetensors`: the weights, and what a script needs to rebuild the stacks around them.

use std::path::Path;

use serde_json::{Value, json};

use crate::engine::nn::{Layer, NamedTensor, Stack, find_weight, named_weights};
use crate::engine::ops::Convolution;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::robustness::Probe;
use crate::method::vae::Vae;
use crate::runs::checkpoint::{self, Metadata};
use crate::runs::config::Config;
use crate::runs::dir::{MODEL, RunDir};
use crate::runs::record::RunRecord;
use crate::runs::{identity, recipe};

/// What a model's file holds beside the weights.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub vae: &'a Vae,
    pub config: &'a Config,
    /// `[channels, height, width]` of an image.
    pub image_shape: [usize; 3],
    /// [`Dataset::fingerprint`](crate::data::Dataset) of what it was trained on.
    pub data: &'a str,
}

/// The file's content: the weights in the variable `model`, and the tensors of `probes`.
///
/// # Errors
/// Those of the device, and of [`checkpoint::encode`].
pub fn encode(session: &Session, about: About, probes: &[NamedTensor]) -> Result<Vec<u8>> {
    let About { vae, config, image_shape, data } = about;
    let mut tensors = named_weights(session, "model", &vae.layout)?;
    tensors.extend_from_slice(probes);
    let layers = json!({ "encoder": layers(&vae.encoder), "decoder": layers(&vae.decoder) });
    let metadata = Metadata::from([
        ("arch".into(), config.arch.to_string()),
        ("latent".into(), vae.latent.to_string()),
        ("image_shape".into(), json!(image_shape).to_string()),
        ("decoder_output".into(), config.decoder_output.to_string()),
        ("layers".into(), layers.to_string()),
        (checkpoint::SETTINGS.into(), identity::fixed_settings(config)?),
        (checkpoint::DATA.into(), data.into()),
        (checkpoint::PROGRAM.into(), env!("CARGO_PKG_VERSION").into()),
    ]);
    checkpoint::encode(&tensors, &metadata)
}

/// A stack as PyTorch's `Sequential` would list it: each layer's type and its arguments.
fn layers(stack: &Stack) -> Value {
    let describe = |layer: &Layer| match layer {
        Layer::Linear { inputs, outputs } => {
            json!({ "type": "Linear", "in_features": inputs, "out_features": outputs })
        }
        Layer::Conv2d(c) => convolution("Conv2d", c, c.large[0], c.small[0]),
        Layer::ConvTranspose2d(c) => {
            let mut layer = convolution("ConvTranspose2d", c, c.small[0], c.large[0]);
            layer["output_padding"] = json!(c.output_padding());
            layer
        }
        Layer::Relu => json!({ "type": "ReLU" }),
        Layer::Flatten => json!({ "type": "Flatten" }),
        Layer::Unflatten(image) => json!({ "type": "Unflatten", "dim": 1, "unflattened_size": image }),
    };
    stack.layers().iter().map(describe).collect()
}

fn convolution(kind: &str, c: &Convolution, inputs: usize, outputs: usize) -> Value {
    json!({
        "type": kind,
        "in_channels": inputs,
        "out_channels": outputs,
        "kernel_size": c.kernel,
        "stride": c.stride,
        "padding": c.padding,
    })
}

/// The trained probe's weights under `probe.TASK.weight` and `probe.TASK.bias`.
pub fn probe_tensors(session: &Session, probe: &Probe, task: &str) -> Result<Vec<NamedTensor>> {
    let tensors = named_weights(session, "probe", &probe.layout)?;
    let renamed = tensors
        .into_iter()
        .map(|t| NamedTensor { name: t.name.replace("probe.0.", &probe_prefix(task)), ..t });
    Ok(renamed.collect())
}

/// The weights of the probe of `task` among `tensors` of the file, under a probe's own names.
pub fn of_probe(tensors: &[NamedTensor], task: &str) -> Vec<NamedTensor> {
    let prefix = probe_prefix(task);
    let renamed = tensors.iter().filter_map(|t| {
        let part = t.name.strip_prefix(&prefix)?;
        Some(NamedTensor { name: format!("probe.0.{part}"), ..t.clone() })
    });
    renamed.collect()
}

/// Refuses tensors that are not those of the model of these settings, or not finite. The images' shape is what the
/// metadata of the file at `path` say.
///
/// # Errors
/// [`Error::Request`] naming the file.
pub fn check(path: &Path, tensors: &[NamedTensor], metadata: &Metadata, config: &Config) -> Result<()> {
    checkpoint::check_finite(path, tensors)?;
    let refuse = |what: &str| Error::file(path, what.to_string());
    let shape = metadata.get("image_shape").and_then(|text| serde_json::from_str(text).ok());
    let vae =
        recipe::model(config, shape.ok_or_else(|| refuse("does not say of what shape its images are"))?)?;
    for entry in vae.layout.entries() {
        find_weight(tensors, &entry.name, entry.shape.dims())
            .map_err(|error| refuse("does not fit the model of this run's settings").because(error))?;
    }
    Ok(())
}

/// The files of a run that are not those that its numbers were measured with. A record of an early version lists none,
/// so that the model's content must tell.
pub fn damaged(run: &RunDir, record: &RunRecord) -> Vec<String> {
    let mut damaged = record.damaged_files(run);
    let reads = || -> Result<()> {
        let (tensors, metadata) = checkpoint::load(&run.model_path())?;
        check(&run.model_path(), &tensors, &metadata, &run.config()?)
    };
    if !record.files.contains_key(MODEL) && reads().is_err() {
        damaged.push(MODEL.into());
    }
    damaged
}

/// What the names of the weights of the probe of `task` start with.
pub fn probe_prefix(task: &str) -> String {
    format!("probe.{task}.")
}
