//! `export` as a user meets it: the files, what they compute, and what is refused.

mod common;

use std::fs;
use std::path::Path;

use common::{CLASSES, Lab, SIDE, TEST, names, number};
use serde_json::Value;
use smoothenc::data::{Dataset, Source};
use smoothenc::runs::network::{Layer, Map, Network};
use smoothenc::runs::onnx;

/// The logits of an image, each layer in float64.
fn logits(network: &Network, x: &[f32]) -> Vec<f64> {
    let mut x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    for layer in &network.layers {
        x = (0..layer.map.widths().1).map(|at| output(layer, &x, at)).collect();
        if layer.relu {
            x.iter_mut().for_each(|x| *x = x.max(0.0));
        }
    }
    x
}

/// One output of a layer.
fn output(Layer { map, weight, bias, .. }: &Layer, x: &[f64], at: usize) -> f64 {
    match *map {
        Map::Linear { inputs, .. } => {
            let row = &weight[at * inputs..][..inputs];
            f64::from(bias[at]) + row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
        }
        Map::Conv2d(c) => {
            let ([depth, height, width], [_, rows, columns]) = (c.large, c.small);
            let (channel, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
            let mut sum = f64::from(bias[channel]);
            for tap in 0..depth * c.kernel[0] * c.kernel[1] {
                let (i, v, u) =
                    (tap / (c.kernel[0] * c.kernel[1]), tap / c.kernel[1] % c.kernel[0], tap % c.kernel[1]);
                let place = |start: usize, tap: usize, side: usize| {
                    (start * c.stride + tap).checked_sub(c.padding).filter(|&at| at < side)
                };
                if let (Some(y), Some(z)) = (place(row, v, height), place(column, u, width)) {
                    let weight = weight[channel * depth * c.kernel[0] * c.kernel[1] + tap];
                    sum += f64::from(weight) * x[(i * height + y) * width + z];
                }
            }
            sum
        }
    }
}

/// The test images in [0, 1].
fn images(lab: &Lab) -> Vec<Vec<f32>> {
    let folder = lab.path("set");
    let source = Source { name: "tiny", directory: Some(&folder), ..Source::default() };
    let images = Dataset::load(&source).unwrap().test.images;
    (0..TEST).map(|i| images.floats(i).unwrap()).collect()
}

/// The numbers of a matrix that `encode` wrote.
fn means(lab: &Lab, run: &str) -> Vec<f32> {
    lab.ok(&format!("encode {run} --out codes.safetensors --overwrite --device cpu"));
    lab.tensors("codes.safetensors").0["mean"].1.clone()
}

/// What is exported computes what the run's encoder and probe do, and is right as often.
#[test]
fn an_exported_classifier_computes_what_the_run_does() {
    let lab = Lab::new();
    for (run, more) in [("mlp", ""), ("conv", "--arch conv --conv-channels 6,10 --hidden 16")] {
        lab.train(run, &format!("--no-attack {more}"));
        let printed = lab.ok(&format!("export {run} --onnx {run}.onnx --device cpu"));
        assert_eq!(printed, format!("{run}.onnx: the classifier of label, 64 inputs, 3 logits\n"));
        let file = lab.read(&format!("{run}.onnx"));
        let network = onnx::decode(Path::new("file"), &file, [1, SIDE, SIDE]).unwrap();
        assert_eq!((network.inputs(), network.outputs()), (SIDE * SIDE, CLASSES));
        let (tensors, _) = lab.tensors(&format!("{run}/model.safetensors"));
        let (weight, bias) = (&tensors["probe.label.weight"].1, &tensors["probe.label.bias"].1);
        let means = means(&lab, run);
        let latent = means.len() / TEST;
        let mut right = 0;
        for (i, x) in images(&lab).iter().enumerate() {
            let theirs = logits(&network, x);
            for (class, theirs) in theirs.iter().enumerate() {
                let row = weight[class * latent..].iter().zip(&means[i * latent..][..latent]);
                let ours: f64 = row.map(|(w, z)| f64::from(*w) * f64::from(*z)).sum();
                let error = (ours + f64::from(bias[class]) - theirs).abs();
                assert!(error <= 1e-4, "{run}, image {i}, class {class}: {error}");
            }
            let largest = (0..CLASSES).max_by(|&a, &b| theirs[a].total_cmp(&theirs[b])).unwrap();
            right += usize::from(largest == i % CLASSES);
        }
        let accuracy =
            number(&lab.json(&format!("{run}/result.json")), &["tasks", "label", "nominal_accuracy"]);
        assert!((accuracy - 100.0 * right as f64 / TEST as f64).abs() < 0.01, "{run}: {right}, {accuracy}");
        // Where it comes from stands in the file.
        let text = String::from_utf8_lossy(&file).into_owned();
        let record: Value = lab.json(&format!("{run}/result.json"));
        let sum = record["files"]["model.safetensors"]["sha256"].as_str().unwrap();
        for part in [sum, "model_sha256", "tiny", "label", "batch", "image", "logits"] {
            assert!(text.contains(part), "{part}");
        }
    }
}

#[test]
fn properties_are_of_the_images_that_are_right() {
    let lab = Lab::new();
    lab.train("run", "--attack-examples 30");
    fs::create_dir(lab.path("out")).unwrap();
    let printed =
        lab.ok("export run --onnx out/a.onnx --vnnlib deep/props --radius 1/16 --examples 30 --device cpu");
    let record = lab.json("run/result.json");
    let nominal = number(&record, &["tasks", "label", "attack", "nominal_accuracy"]);
    let right = (nominal * 30.0 / 100.0).round() as usize;
    assert!(printed.contains(&format!("properties of {right} of the first 30 test images")), "{printed}");
    let files = names(&lab.path("deep/props"));
    let properties: Vec<&String> = files.iter().filter(|name| name.ends_with(".vnnlib")).collect();
    assert_eq!((properties.len(), files.len()), (right, right + 2), "{files:?}");
    let instances = lab.text("deep/props/instances.csv");
    let mut listed: Vec<&str> = Vec::new();
    for line in instances.lines() {
        let [network, property, seconds] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!((network, seconds), ("../../out/a.onnx", "300"));
        assert!(lab.path("deep/props").join(network).is_file());
        listed.push(property);
    }
    assert_eq!(listed, properties);
    let images = images(&lab);
    for name in properties {
        let number: usize =
            name.strip_prefix("label-").unwrap().strip_suffix(".vnnlib").unwrap().parse().unwrap();
        let text = lab.text(&format!("deep/props/{name}"));
        let label = number % CLASSES;
        assert_eq!(text.matches(&format!(" Y_{label}))")).count(), CLASSES - 1, "{text}");
        let bound = |sign: &str, pixel: usize| -> f64 {
            let rest = text.split(&format!("(assert ({sign} X_{pixel} ")).nth(1).unwrap();
            rest.split(')').next().unwrap().parse().unwrap()
        };
        for (pixel, &x) in images[number].iter().enumerate() {
            let x = f64::from(x);
            assert_eq!(bound(">=", pixel), (x - 0.0625).max(0.0));
            assert_eq!(bound("<=", pixel), (x + 0.0625).min(1.0));
        }
    }
    assert!(lab.ok("check deep").contains("props"));
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    lab.ok("export run --onnx a.onnx");
    let first = lab.read("a.onnx");
    lab.refused(2, "export run --onnx a.onnx", &["--onnx a.onnx", "exists", "--overwrite"]);
    lab.ok("export run --onnx a.onnx --overwrite --task label");
    assert_eq!(lab.read("a.onnx"), first);
    lab.refused(2, "export run --onnx no/a.onnx", &["--onnx no/a.onnx", "no such folder"]);
    lab.refused(2, "export nowhere --onnx b.onnx", &["nowhere", "is not a run"]);
    lab.refused(2, "export run --onnx b.onnx --task digit", &["--task digit", "label"]);
    lab.refused(2, "export run --onnx b.onnx --device npu", &["npu"]);
    lab.refused(2, "export run --onnx b.onnx --vnnlib p", &["--radius"]);
    for radius in ["0", "-0.1", "1.5", "nan", "x"] {
        let line = format!("export run --onnx b.onnx --vnnlib p --radius {radius}");
        lab.refused(2, &line, &["--radius", "8/255"]);
    }
    lab.refused(2, "export run --onnx b.onnx --vnnlib p --radius 0.1 --examples 0", &["--examples"]);
    lab.refused(2, "export run --onnx b.onnx --vnnlib set --radius 0.1", &["--vnnlib set", "exists"]);
    // A folder that cannot be made leaves no model behind.
    lab.refused(2, "export run --onnx b.onnx --vnnlib base.toml/p --radius 0.1", &["base.toml/p"]);
}
