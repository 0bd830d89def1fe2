//! A network from an ONNX model, where that is a chain of layers that the engine has.

use std::path::Path;

use prost::Message;

use super::constants::Constants;
use super::messages::{FLOAT, GraphProto, ModelProto, NodeProto, ValueInfo};
use crate::engine::ops::ImageShape;
use crate::error::{Error, Result};
use crate::runs::network::{Network, Told, in_words};

/// Before this version operators had other attributes.
const LEAST_OPSET: i64 = 7;

/// The network in the content of the file at `path`, for images of the shape `image`.
///
/// # Errors
/// [`Error::Request`] naming the file and the node or tensor: damaged, no chain, another operator, other sizes, or
/// weights that are not finite.
pub fn decode(path: &Path, bytes: &[u8], image: ImageShape) -> Result<Network> {
    let model = ModelProto::decode(bytes)
        .map_err(|error| Error::file(path, "is no ONNX model, or was cut short").because(error))?;
    network(&model, image).map_err(|why| Error::file(path, why))
}

fn network(model: &ModelProto, image: ImageShape) -> Told<Network> {
    let Some(graph) = &model.graph else { return Err("is no ONNX model: it has no graph".into()) };
    let mut operators = model.opset_import.iter().filter(|set| is_onnx(&set.domain));
    match operators.next().map(|set| set.version) {
        Some(LEAST_OPSET..) => {}
        version => {
            let version = version.map_or("no operator set".into(), |v| format!("the operator set {v}"));
            return Err(format!("has {version}: save it with {LEAST_OPSET} or later"));
        }
    }
    let mut constants = Constants::default();
    graph.initializer.iter().try_for_each(|tensor| constants.add(&tensor.name, tensor))?;
    let (input, output) = ends(graph, &constants)?;
    let (batch, sides) = input_sides(input, image)?;
    let mut chain = Chain { network: Network::new(&sides), batch, value: &input.name, constants };
    for node in &graph.node {
        chain.take(node).map_err(|why| format!("has {}: {why}", title(node)))?;
    }
    if chain.value != output.name {
        return Err(format!("is no chain: its output {:?} is not what its last node gives", output.name));
    }
    match chain.network.layers.is_empty() {
        true => Err("has no layer with weights".into()),
        false => Ok(chain.network),
    }
}

fn is_onnx(domain: &str) -> bool {
    ["", "ai.onnx"].contains(&domain)
}

/// A node in words: its operator and its name, or else what it gives.
fn title(node: &NodeProto) -> String {
    let name = Some(&node.name).filter(|name| !name.is_empty()).or(node.output.first());
    format!("the node {:?} ({})", name.map_or("", String::as_str), node.op_type)
}

/// The one input that is no constant, and the one output.
fn ends<'a>(graph: &'a GraphProto, constants: &Constants) -> Told<(&'a ValueInfo, &'a ValueInfo)> {
    let inputs: Vec<_> = graph.input.iter().filter(|input| !constants.has(&input.name)).collect();
    match (&inputs[..], &graph.output[..]) {
        ([input], [output]) => Ok((input, output)),
        (inputs, outputs) => Err(format!(
            "is no chain: it has {} inputs and {} outputs, wanted is one of each",
            inputs.len(),
            outputs.len()
        )),
    }
}

/// The batch that the model is for, where that is fixed, and the sides of a row of its input.
fn input_sides(input: &ValueInfo, image: ImageShape) -> Told<(Option<i64>, Vec<usize>)> {
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let Some((tensor, [batch, sides @ ..])) =
        tensor.and_then(|tensor| Some((tensor, &tensor.shape.as_ref()?.dim[..])))
    else {
        return Err(format!("does not say the shape of its input {:?}", input.name));
    };
    if tensor.elem_type != FLOAT {
        let given = tensor.elem_type;
        return Err(format!("takes numbers of type {given}, only type {FLOAT} (float) is read"));
    }
    let [channels, height, width] = image;
    let mut forms = vec![image.to_vec(), vec![channels * height * width]];
    forms.extend((channels == 1).then(|| vec![height, width]));
    let fits = |form: &Vec<usize>| {
        let mut pairs = form.iter().zip(sides);
        form.len() == sides.len()
            && pairs.all(|(&side, given)| given.value.is_none_or(|given| given == side as i64))
    };
    let form = forms.into_iter().find(fits).ok_or_else(|| {
        let given = sides.iter().map(|side| side.value.map_or("?".into(), |side| side.to_string()));
        let given = given.collect::<Vec<_>>().join(" x ");
        format!("takes inputs of {given}, and the images are of {}", in_words(&image))
    })?;
    Ok((batch.value, form))
}

/// What was read of a chain so far.
pub(super) struct Chain<'a> {
    pub network: Network,
    /// The batch that the model is for, where that is fixed.
    pub batch: Option<i64>,
    /// The value's name.
    pub value: &'a str,
    pub constants: Constants<'a>,
}

impl<'a> Chain<'a> {
    /// Goes on with a node.
    fn take(&mut self, node: &'a NodeProto) -> Told<()> {
        if !is_onnx(&node.domain) {
            return Err(format!("an operator of {:?} is not known", node.domain));
        }
        let [output, ..] = &node.output[..] else { return Err("it gives nothing".into()) };
        let mut values =
            node.input.iter().filter(|name| !name.is_empty() && !self.constants.has(name)).peekable();
        if values.peek().is_none() {
            return self.constant(node, output);
        }
        if let Some(other) = values.clone().find(|name| *name != self.value) {
            return Err(format!(
                "it takes {other:?}, which the node before does not give: the graph is no chain"
            ));
        }
        if values.count() != 1 || node.input[0] != self.value && node.op_type != "Add" {
            return Err(format!(
                "it does not take {:?} as its first input alone: the graph is no chain",
                self.value
            ));
        }
        self.apply(node)?;
        if self.constants.has(output) {
            return Err(format!("the name {output:?} stands for two tensors"));
        }
        self.value = output;
        Ok(())
    }

    /// A node without a value of the chain, which names a constant.
    fn constant(&mut self, node: &'a NodeProto, output: &'a str) -> Told<()> {
        match (&*node.op_type, &node.input[..]) {
            ("Constant", []) => {
                let value = node.attribute.iter().find(|attribute| attribute.name == "value");
                let tensor = value.and_then(|value| value.t.as_ref()).ok_or("it has no tensor")?;
                self.constants.add(output, tensor)
            }
            ("Identity", [name]) => {
                let tensor = self.constants.get(name)?;
                self.constants.add(output, tensor)
            }
            _ => Err("it computes with constants alone: save the model with constants folded".into()),
        }
    }
}
