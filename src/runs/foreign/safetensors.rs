//! A network from safetensors with the metadata `layers`, as `model.safetensors` of a run has it (docs/interface.md).

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::engine::nn::{NamedTensor, find_weight};
use crate::engine::ops::ImageShape;
use crate::error::{Error, Result};
use crate::runs::checkpoint;
use crate::runs::config::plain;
use crate::runs::network::{Network, Told};

/// What the metadata `layers` lists.
#[derive(Deserialize)]
struct Stacks {
    encoder: Vec<Value>,
}

#[derive(Deserialize)]
struct Linear {
    in_features: usize,
    out_features: usize,
}

#[derive(Deserialize)]
struct Conv2d {
    in_channels: usize,
    out_channels: usize,
    kernel_size: Pair,
    #[serde(default = "one")]
    stride: Pair,
    #[serde(default = "zero")]
    padding: Pair,
    #[serde(default = "one")]
    dilation: Pair,
    #[serde(default = "one")]
    groups: Pair,
}

/// A number for both sides of an image, or one for each.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "a whole number or two")]
enum Pair {
    Both(usize),
    Each([usize; 2]),
}

fn one() -> Pair {
    Pair::Both(1)
}

fn zero() -> Pair {
    Pair::Both(0)
}

impl Pair {
    fn each(self) -> [usize; 2] {
        match self {
            Pair::Both(side) => [side; 2],
            Pair::Each(sides) => sides,
        }
    }

    fn same(self, name: &str) -> Told<usize> {
        match self.each() {
            [a, b] if a == b => Ok(a),
            [a, b] => Err(format!("its {name} is {a} and {b}, and only the same on both sides is known")),
        }
    }
}

/// The network in the content of the file at `path`, for images of the shape `image`. Its outputs are the stack's, or
/// the first so many that the metadata `latent` says.
///
/// # Errors
/// [`Error::Request`] naming the file and the layer or tensor: damaged, without `layers`, a layer of another kind, a
/// tensor that is missing, of another shape or not finite, or sizes that do not fit.
pub fn decode(path: &Path, bytes: &[u8], image: ImageShape) -> Result<Network> {
    let (tensors, metadata) = checkpoint::decode(path, bytes)?;
    let Some(layers) = metadata.get("layers") else {
        return Err(Error::file(path, "has no metadata \"layers\", which say what its weights are of")
            .with_hint("write the types and sizes of its layers there, as docs/interface.md has it"));
    };
    let stacks: Stacks = serde_json::from_str(layers)
        .map_err(|error| Error::file(path, "has metadata \"layers\" that do not read").because(error))?;
    let mut network = Network::new(&image);
    for (n, layer) in stacks.encoder.iter().enumerate() {
        let kind = layer.get("type").and_then(Value::as_str).unwrap_or("without a type");
        add(&mut network, n, kind, layer, &tensors)
            .map_err(|why| Error::file(path, format!("has layer {n} of its encoder ({kind}): {why}")))?;
    }
    if network.layers.is_empty() {
        return Err(Error::file(path, "has no layer with weights"));
    }
    if let Some(latent) = metadata.get("latent") {
        let outputs = network.outputs();
        let cut = latent.parse().ok().filter(|latent| (1..=outputs).contains(latent) && network.cut(*latent));
        if cut.is_none() {
            let what =
                format!("has the metadata \"latent\" {latent}, and its encoder gives {outputs} numbers");
            return Err(Error::file(path, what));
        }
    }
    Ok(network)
}

fn add(network: &mut Network, n: usize, kind: &str, layer: &Value, tensors: &[NamedTensor]) -> Told<()> {
    let weight = |part: &str, sides: &[usize]| {
        find_weight(tensors, &format!("encoder.{n}.{part}"), sides)
            .map(<[f32]>::to_vec)
            .map_err(|error| error.to_string())
    };
    match kind {
        "Linear" => {
            let Linear { in_features, out_features } = read(layer)?;
            // A stack of dense layers takes images as rows.
            if network.layers.is_empty() {
                network.flatten();
            }
            let sides = [out_features, in_features];
            network.linear(sides, weight("weight", &sides)?, weight("bias", &sides[..1])?)
        }
        "Conv2d" => {
            let conv: Conv2d = read(layer)?;
            if conv.groups.same("groups")? != 1 || conv.dilation.same("dilation")? != 1 {
                return Err("it has groups or dilation, which are not known here".into());
            }
            let [height, width] = conv.kernel_size.each();
            let sides = [conv.out_channels, conv.in_channels, height, width];
            let (stride, padding) = (conv.stride.same("stride")?, conv.padding.same("padding")?);
            network.conv2d(sides, stride, padding, weight("weight", &sides)?, weight("bias", &sides[..1])?)
        }
        "ReLU" => network.relu(),
        "Flatten" => {
            network.flatten();
            Ok(())
        }
        _ => Err("the layer is not known here, only Linear, Conv2d, ReLU and Flatten".into()),
    }
}

fn read<T: for<'a> Deserialize<'a>>(layer: &Value) -> Told<T> {
    serde_path_to_error::deserialize(layer).map_err(|error| {
        let why = plain(&error.inner().to_string());
        match error.path().to_string() {
            whole if whole == "." => why,
            key => format!("its {key}: {why}"),
        }
    })
}
