//! `evaluate` as a user meets it: networks of other tools, and what is wrong with their files.

mod common;

use std::fs;

use common::{Lab, number, percentage};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::{Value, json};

const ON: &str = "--data tiny --data-dir set --device cpu";

/// The settings of the attack in `base.toml`.
const ATTACK: &str = "--steps 10 --restarts 2";

fn evaluated(lab: &Lab, line: &str) -> Value {
    let document: Value = serde_json::from_str(&lab.ok(&format!("evaluate {line} {ON} --json"))).unwrap();
    assert_eq!(common::keys(&document), ["tasks"]);
    assert_eq!(common::keys(&document["tasks"]), ["label"]);
    document["tasks"]["label"].clone()
}

/// The run's own evaluation, without what tells of the run.
fn own(lab: &Lab, run: &str) -> Value {
    let mut task = lab.json(&format!("{run}/result.json"))["tasks"]["label"].clone();
    task["attack"].as_object_mut().unwrap().remove("outcomes").unwrap();
    task
}

/// Out as a classifier and in again: the same figures to the last digit.
#[test]
fn our_own_classifier_has_the_figures_of_its_run() {
    let lab = Lab::new();
    for (run, more) in
        [("mlp", ""), ("conv", "--arch conv --conv-channels 6,10 --hidden 16 --attack-norm l2")]
    {
        lab.train(run, more);
        lab.ok(&format!("export {run} --onnx {run}.onnx"));
        let norm = if run == "conv" { "--norm l2" } else { "" };
        let line = format!("{run}.onnx --as classifier {ATTACK} {norm}");
        let mut own = own(&lab, run);
        own.as_object_mut().unwrap().remove("probe_seed").unwrap();
        assert_eq!(evaluated(&lab, &line), own, "{run}");
        let text = lab.ok(&format!("evaluate {line} {ON}"));
        let accuracy = number(&own, &["nominal_accuracy"]);
        assert!(text.contains(&format!("classifier, task label: accuracy {accuracy:.2} %")), "{text}");
        assert!(text.contains(&format!("{run}.onnx on tiny")), "{text}");
    }
}

/// The weights of a run, as any script may write them: the code is the mean, and the probe the run's own.
#[test]
fn our_own_encoder_is_probed_as_its_run_is() {
    let lab = Lab::new();
    lab.train("run", "");
    assert_eq!(evaluated(&lab, &format!("run/model.safetensors {ATTACK}")), own(&lab, "run"));
    // Logits are a code too.
    lab.ok("export run --onnx run.onnx");
    let probed = evaluated(&lab, "run.onnx --radii 0.05 --steps 4 --restarts 1 --probe-epochs 2");
    assert!(percentage(&probed, &["nominal_accuracy"]) > 80.0, "{probed}");
    assert_eq!(common::keys(&probed["attack"]["adversarial_accuracy"]), ["0.05"]);
    // Data that are held out are tested on.
    let text = lab.ok(&format!("evaluate run.onnx {ON} --holdout 50 --radii 0.05 --steps 2 --restarts 1"));
    assert!(
        text.contains("linear probe, task label") && text.contains("50 training images held out"),
        "{text}"
    );
}

/// Names, shapes and values of tensors.
type Named<'a> = Vec<(&'a str, &'a [usize], Vec<f32>)>;

/// A safetensors file with these layers, metadata and tensors.
fn write_network(lab: &Lab, name: &str, metadata: &[(&str, String)], tensors: &[(&str, &[usize], Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    fs::write(lab.path(name), serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// Conv2d 1 to 2, ReLU, Flatten, Linear 32 to 3, with one thing changed.
fn network(lab: &Lab, name: &str, change: impl FnOnce(&mut Value, &mut Named<'_>)) {
    let mut layers = json!({"encoder": [
        {"type": "Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3], "stride": 2, "padding": [1, 1]},
        {"type": "ReLU"},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 32, "out_features": 3},
    ]});
    let ramp = |count: usize| (0..count).map(|i| (i % 7) as f32 / 7.0 - 0.4).collect::<Vec<f32>>();
    let mut tensors: Named<'_> = vec![
        ("encoder.0.weight", &[2, 1, 3, 3], ramp(18)),
        ("encoder.0.bias", &[2], ramp(2)),
        ("encoder.3.weight", &[3, 32], ramp(96)),
        ("encoder.3.bias", &[3], ramp(3)),
    ];
    change(&mut layers, &mut tensors);
    write_network(lab, name, &[("layers", layers.to_string())], &tensors);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_layer() {
    let lab = Lab::new();
    network(&lab, "sound.safetensors", |_, _| {});
    let quick = "--radii 0.05 --steps 2 --restarts 1 --probe-epochs 2";
    evaluated(&lab, &format!("sound.safetensors {quick}"));
    evaluated(&lab, &format!("sound.safetensors {quick} --as classifier"));
    let refused = |name: &str, parts: &[&str]| {
        let told = lab.refused(2, &format!("evaluate {name} {ON} {quick}"), &[&[name], parts].concat());
        assert_eq!(told.lines().filter(|line| line.starts_with("error:")).count(), 1);
    };
    let changed = |parts: &[&str], change: &dyn Fn(&mut Value, &mut Named<'_>)| {
        network(&lab, "bad.safetensors", change);
        refused("bad.safetensors", parts);
    };
    changed(&["layer 1", "Tanh", "Linear, Conv2d, ReLU"], &|layers, _| {
        layers["encoder"][1] = json!({"type": "Tanh"})
    });
    changed(&["layer 1", "without a type"], &|layers, _| layers["encoder"][1] = json!(3));
    changed(&["layer 3", "encoder.3.bias", "missing"], &|_, tensors| _ = tensors.pop());
    changed(&["layer 3", "encoder.3.bias", "NaN as number 2"], &|_, tensors| tensors[3].2[2] = f32::NAN);
    changed(&["layer 3", "encoder.3.weight"], &|_, tensors| tensors[2].1 = &[32, 3]);
    changed(&["layer 3", "rows of 31", "gets 32"], &|layers, tensors| {
        layers["encoder"][3]["in_features"] = json!(31);
        tensors[2] = ("encoder.3.weight", &[3, 31], vec![0.0; 93]);
    });
    changed(&["layer 3", "encoder.3.weight"], &|layers, _| {
        layers["encoder"][3]["out_features"] = json!(u64::MAX)
    });
    changed(&["layer 3", "out_features"], &|layers, _| layers["encoder"][3]["out_features"] = json!(-1));
    changed(&["layer 3", "gets 2 x 4 x 4"], &|layers, _| layers["encoder"][2] = json!({"type": "ReLU"}));
    changed(&["layer 0", "stride 0"], &|layers, _| layers["encoder"][0]["stride"] = json!(0));
    changed(&["layer 0", "stride"], &|layers, _| layers["encoder"][0]["stride"] = json!([1, 2]));
    changed(&["layer 0", "padding"], &|layers, _| layers["encoder"][0]["padding"] = json!("same"));
    changed(&["layer 0", "groups"], &|layers, _| layers["encoder"][0]["groups"] = json!(2));
    changed(&["layer 0", "channels"], &|layers, tensors| {
        layers["encoder"][0]["in_channels"] = json!(3);
        tensors[0] = ("encoder.0.weight", &[2, 3, 3, 3], vec![0.0; 54]);
    });
    changed(&["no layer with weights"], &|layers, _| layers["encoder"] = json!([{"type": "Flatten"}]));
    changed(&["\"layers\"", "encoder"], &|layers, _| *layers = json!({"decoder": []}));
    write_network(&lab, "bare.safetensors", &[], &[("encoder.0.bias", &[2], vec![0.0; 2])]);
    refused("bare.safetensors", &["no metadata \"layers\"", "docs/interface.md"]);
    for (latent, name) in [("0", "none"), ("4", "many"), ("x", "word")] {
        network(&lab, "base.safetensors", |_, _| {});
        let (tensors, mut metadata) = lab.tensors("base.safetensors");
        metadata.insert("latent".into(), latent.into());
        let tensors: Vec<_> =
            tensors.iter().map(|(name, (shape, v))| (&**name, &shape[..], v.clone())).collect();
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (&**key, value.clone())).collect();
        let name = format!("{name}.safetensors");
        write_network(&lab, &name, &metadata, &tensors);
        refused(&name, &["\"latent\"", "gives 3 numbers"]);
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    lab.ok("export run --onnx run.onnx");
    let whole = lab.read("run.onnx");
    fs::write(lab.path("cut.onnx"), &whole[..whole.len() - 1]).unwrap();
    fs::write(lab.path("words.onnx"), "no model").unwrap();
    fs::write(lab.path("words.safetensors"), "no model").unwrap();
    fs::write(lab.path("cut.safetensors"), &lab.read("run/model.safetensors")[..5000]).unwrap();
    lab.refused(2, &format!("evaluate cut.onnx {ON}"), &["cut.onnx", "cut short"]);
    lab.refused(2, &format!("evaluate words.onnx {ON}"), &["words.onnx", "no ONNX model"]);
    lab.refused(2, &format!("evaluate words.safetensors {ON}"), &["words.safetensors"]);
    lab.refused(2, &format!("evaluate cut.safetensors {ON}"), &["cut.safetensors"]);
    lab.refused(2, &format!("evaluate none.onnx {ON}"), &["none.onnx", "cannot be read"]);
    lab.refused(2, &format!("evaluate base.toml {ON}"), &["base.toml", ".onnx or .safetensors"]);
    lab.refused(2, &format!("evaluate run.onnx {ON} --task digit"), &["--task digit", "label"]);
    lab.refused(2, &format!("evaluate run.onnx {ON} --radii 2"), &["radii", "at most 1"]);
    lab.refused(2, &format!("evaluate run.onnx {ON} --attacks latent"), &["--attacks", "latent"]);
    lab.refused(2, "evaluate run.onnx --data tiny", &["tiny", "--data-dir"]);
    lab.refused(2, "evaluate run.onnx --data tiny --data-dir set --device npu", &["npu"]);
    // Of other images, and with other classes.
    lab.refused(2, "evaluate run.onnx --data mnist --device cpu", &["run.onnx", "64", "1 x 28 x 28"]);
    let line = format!("evaluate run/model.safetensors {ON} --as classifier");
    lab.refused(2, &line, &["gives 4 numbers", "3 classes", "--as"]);
    let line = "evaluate run.onnx --data color-mnist --as classifier --device cpu";
    lab.refused(2, line, &["--task is missing", "digit, color"]);
}
