//! A network as an ONNX model: Gemm, Conv, Relu and Flatten, image in, logits out.

use prost::Message;

use super::messages::{
    AttributeProto, Dimension, Entry, FLOAT, GraphProto, KIND_INT, KIND_INTS, ModelProto, NodeProto,
    OperatorSet, Shape, TensorProto, TensorType, Type, ValueInfo,
};
use crate::engine::ops::Convolution;
use crate::runs::network::{Layer, Map, Network};

/// Old enough for every reader in use, new enough for symbolic batches.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;

/// The names of the graph's input and output, and of their first dimension.
const INPUT: &str = "image";
const OUTPUT: &str = "logits";
const BATCH: &str = "batch";

/// The model of `network`, with `about` as its metadata. The input is `image`, `[batch, inputs]` or, where the first
/// layer is a convolution, `[batch, channels, height, width]`; the output is `logits`, `[batch, outputs]`.
pub fn encode(network: &Network, about: &[(&str, String)]) -> Vec<u8> {
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        producer_name: "smoothenc".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph(network)),
        metadata_props: about
            .iter()
            .map(|(key, value)| Entry { key: (*key).into(), value: value.clone() })
            .collect(),
    };
    model.encode_to_vec()
}

fn graph(network: &Network) -> GraphProto {
    let input = match network.layers.first().map(|layer| layer.map) {
        Some(Map::Conv2d(c)) => c.large.to_vec(),
        _ => vec![network.inputs()],
    };
    let mut graph = GraphProto {
        name: "classifier".into(),
        input: vec![value(INPUT, &input)],
        output: vec![value(OUTPUT, &[network.outputs()])],
        ..GraphProto::default()
    };
    let mut is_image = input.len() == 3;
    for (n, layer) in network.layers.iter().enumerate() {
        let (weight, bias) = (format!("layer{n}.weight"), format!("layer{n}.bias"));
        let (operator, attributes) = match layer.map {
            Map::Linear { .. } => {
                if std::mem::take(&mut is_image) {
                    graph.append("Flatten", vec![], vec![int("axis", 1)]);
                }
                ("Gemm", vec![int("transB", 1)])
            }
            Map::Conv2d(c) => ("Conv", convolution(&c)),
        };
        graph.append(operator, vec![weight.clone(), bias.clone()], attributes);
        if layer.relu {
            graph.append("Relu", vec![], vec![]);
        }
        let Layer { map, weight: w, bias: b, .. } = layer;
        graph.initializer.extend([tensor(weight, &map.weight_shape(), w), tensor(bias, &[b.len()], b)]);
    }
    if is_image {
        graph.append("Flatten", vec![], vec![int("axis", 1)]);
    }
    if let Some(last) = graph.node.last_mut() {
        last.output = vec![OUTPUT.into()];
    }
    graph
}

impl GraphProto {
    /// Adds a node that takes what the last one gives, and the constants `with`.
    fn append(&mut self, operator: &str, with: Vec<String>, attribute: Vec<AttributeProto>) {
        let name = format!("{}_{operator}", self.node.len());
        let before = self.node.last().map_or(INPUT.to_string(), |node| node.output.concat());
        self.node.push(NodeProto {
            input: [vec![before], with].concat(),
            output: vec![format!("{name}_out")],
            name,
            op_type: operator.into(),
            domain: String::new(),
            attribute,
        });
    }
}

fn convolution(c: &Convolution) -> Vec<AttributeProto> {
    let sides = |side: usize| vec![side as i64; 2];
    vec![
        ints("kernel_shape", c.kernel.map(|side| side as i64).to_vec()),
        ints("strides", sides(c.stride)),
        ints("pads", vec![c.padding as i64; 4]),
    ]
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), kind: KIND_INT, i: Some(value), ..AttributeProto::default() }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto { name: name.into(), kind: KIND_INTS, ints: values, ..AttributeProto::default() }
}

fn tensor(name: String, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|&side| side as i64).collect(),
        data_type: FLOAT,
        name,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn value(name: &str, row: &[usize]) -> ValueInfo {
    let batch = Dimension { value: None, name: Some(BATCH.into()) };
    let sides = row.iter().map(|&side| Dimension { value: Some(side as i64), name: None });
    let shape = Shape { dim: std::iter::once(batch).chain(sides).collect() };
    let tensor = TensorType { elem_type: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.into(), kind: Some(Type { tensor: Some(tensor) }) }
}
