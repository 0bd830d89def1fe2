//! Small models by hand: what each operator becomes, and what is refused.

use std::path::Path;

use prost::Message;

use super::messages::*;
use super::{decode, encode};
use crate::engine::ops::Convolution;
use crate::error::Result;
use crate::runs::network::{Layer, Map, Network};

const IMAGE: [usize; 3] = [1, 2, 3];

fn weight(name: &str, sides: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: sides.to_vec(),
        data_type: FLOAT,
        float_data: values.to_vec(),
        name: name.into(),
        ..TensorProto::default()
    }
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![values.len() as i64];
    TensorProto {
        dims,
        data_type: INT64,
        int64_data: values.to_vec(),
        name: name.into(),
        ..TensorProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(i), ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(f), ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), ..AttributeProto::default() }
}

fn node(line: &str, attribute: &[AttributeProto]) -> NodeProto {
    let (operator, rest) = line.split_once(' ').unwrap();
    let (inputs, output) = rest.split_once("->").unwrap();
    NodeProto {
        input: inputs.split_whitespace().map(String::from).collect(),
        output: vec![output.trim().into()],
        op_type: operator.into(),
        attribute: attribute.to_vec(),
        ..NodeProto::default()
    }
}

fn value(name: &str, row: &[i64]) -> ValueInfo {
    let batch = Dimension { value: None, name: Some("n".into()) };
    let rest = row.iter().map(|&side| Dimension { value: Some(side), name: None });
    let shape = Shape { dim: std::iter::once(batch).chain(rest).collect() };
    let tensor = TensorType { elem_type: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.into(), kind: Some(Type { tensor: Some(tensor) }) }
}

/// A model from `x`, whose rows have these sides, to `y`.
fn model(row: &[i64], node: &[NodeProto], initializer: &[TensorProto]) -> ModelProto {
    let graph = GraphProto {
        node: node.to_vec(),
        name: "g".into(),
        initializer: initializer.to_vec(),
        input: vec![value("x", row)],
        output: vec![value("y", &[])],
    };
    let opset_import = vec![OperatorSet { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() }
}

fn read(model: &ModelProto) -> Result<Network> {
    decode(Path::new("a.onnx"), &model.encode_to_vec(), IMAGE)
}

fn linear(inputs: usize, weight: &[f32], bias: &[f32], relu: bool) -> Layer {
    let map = Map::Linear { inputs, outputs: bias.len() };
    Layer { map, weight: weight.to_vec(), bias: bias.to_vec(), relu }
}

#[test]
fn dense_layers_come_in_two_forms() {
    let nodes = [
        node("Reshape x shape -> rows", &[]),
        node("MatMul rows a -> m", &[]),
        node("Identity b0 -> b", &[]),
        node("Add b m -> s", &[]),
        node("Relu s -> r", &[]),
        node("Dropout r -> d", &[]),
        node("Gemm d c e -> g", &[float("alpha", 2.0), float("beta", 0.5)]),
        node("Add g one -> h", &[]),
        node("Identity h -> y", &[]),
    ];
    let numbers: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let constants = [
        list("shape", &[0, -1]),
        weight("a", &[6, 2], &numbers),
        weight("b0", &[1, 2], &[1.0, 2.0]),
        weight("c", &[2, 1], &[1.0, -3.0]),
        weight("e", &[1], &[8.0]),
        weight("one", &[], &[1.0]),
    ];
    let network = read(&model(&[1, 2, 3], &nodes, &constants)).unwrap();
    let first = linear(6, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0], &[1.0, 2.0], true);
    assert_eq!(network.layers, [first, linear(2, &[2.0, -6.0], &[5.0], false)]);
    assert_eq!((network.inputs(), network.outputs()), (6, 1));
    // As PyTorch writes it.
    let mut other = (nodes.clone(), constants.clone());
    other.0[0].attribute.push(int("allowzero", 1));
    other.1[0] = list("shape", &[-1, 6]);
    assert_eq!(read(&model(&[1, 2, 3], &other.0, &other.1)).unwrap(), network);
    // As rows, and as images of one channel without it.
    for row in [&[6][..], &[2, 3]] {
        assert_eq!(read(&model(row, &nodes, &constants)).unwrap(), network);
    }
}

#[test]
fn normalisation_is_folded_into_the_layer_before() {
    let nodes = [
        node(
            "Conv x k b -> c",
            &[ints("pads", &[0; 4]), ints("strides", &[1, 1]), ints("kernel_shape", &[1, 2])],
        ),
        node("BatchNormalization c s t m v -> n", &[float("epsilon", 0.0)]),
        node("Relu n -> r", &[]),
        node("Flatten r -> f", &[]),
        node("Gemm f g -> h", &[int("transB", 1)]),
        node("BatchNormalization h s1 s1 s1 v1 -> y", &[float("epsilon", 3.0)]),
    ];
    let constants = [
        weight("k", &[2, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0]),
        weight("b", &[2], &[1.0, -1.0]),
        weight("s", &[2], &[2.0, 1.0]),
        weight("t", &[2], &[0.5, 0.25]),
        weight("m", &[2], &[3.0, 0.0]),
        weight("v", &[2], &[4.0, 0.25]),
        weight("g", &[1, 8], &[1.0; 8]),
        weight("s1", &[1], &[6.0]),
        weight("v1", &[1], &[6.0]),
    ];
    let network = read(&model(&[1, 2, 3], &nodes, &constants)).unwrap();
    // (x - 3) 2 / 2 + 0.5 and x / 0.5 + 0.25; then (x - 6) 6 / 3 + 6.
    let convolution = Convolution::new(IMAGE, 2, [1, 2], 1, 0).unwrap();
    let first = Layer {
        map: Map::Conv2d(convolution),
        weight: vec![1.0, 2.0, 6.0, 8.0],
        bias: vec![-1.5, -1.75],
        relu: true,
    };
    assert_eq!(network.layers, [first, linear(8, &[2.0; 8], &[-6.0], false)]);
    // What is written is read back.
    assert_eq!(decode(Path::new("b.onnx"), &encode(&network, &[]), IMAGE).unwrap(), network);
}

/// A model that reads.
fn sound() -> ModelProto {
    let nodes = [
        node("Gemm x a b -> h", &[int("transB", 1)]),
        node("Relu h -> r", &[]),
        node("Gemm r c d -> y", &[]),
    ];
    let constants = [
        weight("a", &[2, 6], &[1.0; 12]),
        weight("b", &[2], &[1.0; 2]),
        weight("c", &[2, 3], &[1.0; 6]),
        weight("d", &[3], &[1.0; 3]),
    ];
    model(&[6], &nodes, &constants)
}

/// It, with one thing changed, is refused in words that have all of `why`.
#[track_caller]
fn refused(why: &[&str], change: impl FnOnce(&mut GraphProto)) {
    let mut model = sound();
    assert!(read(&model).is_ok());
    change(model.graph.as_mut().unwrap());
    let error = read(&model).unwrap_err();
    let told = error.in_full();
    assert!(error.is_request() && told.starts_with("a.onnx "), "{told}");
    why.iter().for_each(|part| assert!(told.contains(part), "no {part:?} in: {told}"));
}

#[test]
fn what_is_no_chain_of_known_operators_is_refused_by_node() {
    for operator in ["Sigmoid", "Tanh", "MaxPool", "LSTM"] {
        refused(&[operator, "\"r\"", "not known here"], |g| g.node[1].op_type = operator.into());
    }
    refused(&["\"act\" (Relu)", "com.acme"], |g| {
        g.node[1].name = "act".into();
        g.node[1].domain = "com.acme".into();
    });
    refused(&["takes \"h\"", "no chain"], |g| g.node[2].input[0] = "h".into());
    refused(&["no chain"], |g| g.node[1] = node("Add h h -> r", &[]));
    refused(&["no chain"], |g| g.node[1] = node("Add h x -> r", &[]));
    refused(&["output \"y\""], |g| _ = g.node.pop());
    refused(&["2 inputs"], |g| g.input.push(value("z", &[6])));
    refused(&["0 outputs"], |g| g.output.clear());
    refused(&["no layer with weights"], |g| g.node = vec![node("Identity x -> y", &[])]);
    refused(&["before any layer"], |g| g.node[0] = node("Relu x -> h", &[]));
    refused(&["\"r\" (BatchNormalization)", "training"], |g| {
        g.node[1] = node("BatchNormalization h b b b b -> r", &[int("training_mode", 1)]);
    });
    refused(&["does not follow"], |g| {
        g.node.insert(2, node("BatchNormalization r b b b b -> n", &[]));
        g.node[3].input[0] = "n".into();
    });
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    refused(&["7", "1 x 2 x 3"], |g| g.input[0] = value("x", &[7]));
    refused(&["2 x 3 x 1"], |g| g.input[0] = value("x", &[2, 3, 1]));
    refused(&["shape of its input"], |g| g.input[0].kind = None);
    refused(&["rows of 3", "gets 2"], |g| g.initializer[2] = weight("c", &[3, 2], &[1.0; 6]));
    refused(&["two"], |g| g.initializer[2] = weight("c", &[2, 3, 1], &[1.0; 6]));
    refused(&["\"c\" has other bytes"], |g| g.initializer[2] = weight("c", &[2, 3], &[1.0; 5]));
    refused(&["\"c\"", "sides"], |g| g.initializer[2] = weight("c", &[i64::MAX, i64::MAX], &[1.0; 6]));
    refused(&["\"c\"", "sides"], |g| g.initializer[2] = weight("c", &[-2, -3], &[1.0; 6]));
    refused(&["no numbers"], |g| g.initializer[2] = weight("c", &[0, i64::MAX], &[]));
    refused(&["\"d\" has NaN as number 1"], |g| g.initializer[3].float_data[1] = f32::NAN);
    refused(&["\"d\" has inf"], |g| g.initializer[3].float_data[2] = f32::INFINITY);
    refused(&["no longer finite"], |g| g.node[2].attribute.push(float("alpha", f32::INFINITY)));
    refused(&["type 11"], |g| g.initializer[3].data_type = 11);
    refused(&["another file"], |g| g.initializer[3].data_location = 1);
    refused(&["\"d\""], |g| _ = g.initializer.pop());
    refused(&["stands for two"], |g| g.initializer[3].name = "c".into());
    refused(&["transposes"], |g| g.node[2].attribute.push(int("transA", 1)));
    refused(&["cannot be added to 3"], |g| g.initializer[3] = weight("d", &[2], &[1.0; 2]));
}

#[test]
fn attributes_that_are_not_known_are_refused() {
    for (shape, why) in [(&[-1, -1][..], "of 2"), (&[0, 3], "of 2"), (&[5, 2], "of 2"), (&[0, -2], "of 2")] {
        refused(&["\"r\" (Reshape)", why], |g| {
            g.node[1] = node("Reshape h shape -> r", &[]);
            g.initializer.push(list("shape", shape));
        });
    }
    refused(&["\"r\" (Reshape)"], |g| {
        g.node[1] = node("Reshape h shape -> r", &[int("allowzero", 1)]);
        g.initializer.push(list("shape", &[0, 2]));
    });
    for (attribute, why) in [
        (ints("pads", &[1, 0, 1, 0]), "pads"),
        (ints("strides", &[2, 1]), "strides"),
        (ints("strides", &[0, 0]), "stride 0"),
        (ints("strides", &[i64::MAX; 2]), "stride of"),
        (ints("pads", &[2; 4]), "padding of 2"),
        (ints("pads", &[-1; 4]), "pads are -1"),
        (int("group", 2), "groups"),
        (ints("dilations", &[2, 2]), "dilations"),
        (ints("kernel_shape", &[3, 3]), "kernel_shape"),
    ] {
        refused(&["\"h\" (Conv)", why], |g| {
            g.input[0] = value("x", &[1, 2, 3]);
            g.node[0] = node("Conv x k -> h", std::slice::from_ref(&attribute));
            g.initializer.push(weight("k", &[1, 1, 2, 2], &[1.0; 4]));
        });
    }
}

#[test]
fn old_and_short_files_are_refused() {
    let mut old = sound();
    old.opset_import[0].version = 6;
    assert!(read(&old).unwrap_err().to_string().contains("operator set 6"));
    let bytes = sound().encode_to_vec();
    for length in 0..bytes.len() {
        assert!(decode(Path::new("a.onnx"), &bytes[..length], IMAGE).is_err(), "cut at {length}");
    }
}
