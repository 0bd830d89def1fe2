//! `model.safetensors`: the weights, and what a script needs to rebuild the stacks around them.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::Images;
use crate::error::Result;
use crate::nn::Mlp;
use crate::robustness::Probe;
use crate::run::checkpoint::{self, Metadata, NamedTensor};
use crate::run::config::Config;
use crate::session::Session;
use crate::vae::Vae;

use super::trainer::named_weights;

/// Writes the weights in the variable `model`, and of `probes` (task and tensors), whole or not at all.
pub fn save(
    path: &Path,
    session: &Session,
    vae: &Vae,
    config: &Config,
    images: &Images,
    probes: &[NamedTensor],
) -> Result<()> {
    let mut tensors = named_weights(session, "model", &vae.layout)?;
    tensors.extend_from_slice(probes);
    let layers = json!({ "encoder": layers(&vae.encoder), "decoder": layers(&vae.decoder) });
    let metadata = Metadata::from([
        ("arch".into(), config.arch.to_string()),
        ("latent".into(), vae.latent.to_string()),
        ("image_shape".into(), json!([images.channels, images.height, images.width]).to_string()),
        ("decoder_output".into(), config.decoder_output.to_string()),
        ("layers".into(), layers.to_string()),
    ]);
    checkpoint::save(path, &tensors, &metadata)
}

/// A stack as PyTorch's `Sequential` would list it: a ReLU before every layer but the first.
fn layers(mlp: &Mlp) -> Value {
    let pairs = mlp.sizes().windows(2);
    let linear =
        pairs.map(|pair| json!({ "type": "Linear", "in_features": pair[0], "out_features": pair[1] }));
    linear.flat_map(|layer| [json!({ "type": "ReLU" }), layer]).skip(1).collect()
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

/// What the names of the weights of the probe of `task` start with.
pub fn probe_prefix(task: &str) -> String {
    format!("probe.{task}.")
}
