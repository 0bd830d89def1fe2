//! `--arch conv` from the command line: the same job as with dense layers.

mod common;

use common::{CLASSES, Lab, SIDE, TEST, TRAIN, idx};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// 8x8 -> 4x4 -> 2x2.
const CONV: &str = "--arch conv --conv-channels 6,10 --hidden 16";

/// The shape and the values of a tensor in a model file.
fn tensor(bytes: &[u8], name: &str) -> (Vec<usize>, Vec<f64>) {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view.data().as_chunks().0.iter().map(|&word| f64::from(f32::from_le_bytes(word)));
    (view.shape().to_vec(), values.collect())
}

fn layers(bytes: &[u8]) -> Value {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!(metadata["arch"], "conv");
    serde_json::from_str(&metadata["layers"]).unwrap()
}

/// A dense layer in float64.
fn linear(bytes: &[u8], name: &str, x: &[f64]) -> Vec<f64> {
    let ((shape, weight), (_, bias)) =
        (tensor(bytes, &format!("{name}.weight")), tensor(bytes, &format!("{name}.bias")));
    let row = |(row, bias): (&[f64], &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias;
    weight.chunks_exact(shape[1]).zip(&bias).map(row).collect()
}

/// A 4x4 convolution of stride 2 and padding 1 in float64, of images `side` wide.
fn conv(bytes: &[u8], name: &str, x: &[f64], side: usize) -> Vec<f64> {
    let ((shape, weight), (_, bias)) =
        (tensor(bytes, &format!("{name}.weight")), tensor(bytes, &format!("{name}.bias")));
    let mut y = Vec::new();
    for (o, bias) in bias.iter().enumerate() {
        for (row, column) in (0..side / 2).flat_map(|row| (0..side / 2).map(move |column| (row, column))) {
            let mut sum = *bias;
            for (i, k) in (0..shape[1]).flat_map(|i| (0..16).map(move |k| (i, k))) {
                let at = |start: usize, tap: usize| (2 * start + tap).checked_sub(1).filter(|&at| at < side);
                if let (Some(row), Some(column)) = (at(row, k / 4), at(column, k % 4)) {
                    sum += weight[(o * shape[1] + i) * 16 + k] * x[(i * side + row) * side + column];
                }
            }
            y.push(sum);
        }
    }
    y
}

/// Percent of the test images that the encoder and the probe in a model file get right, in float64.
fn accuracy_of_file(lab: &Lab, bytes: &[u8]) -> f64 {
    let images = lab.read("set/t10k-images-idx3-ubyte");
    let labels = lab.read("set/t10k-labels-idx1-ubyte");
    let right = images[16..].chunks_exact(SIDE * SIDE).zip(&labels[8..]).filter(|(image, label)| {
        let mut x: Vec<f64> = image.iter().map(|&byte| f64::from(byte) / 255.0).collect();
        let mut side = SIDE;
        for (place, layer) in layers(bytes)["encoder"].as_array().unwrap().iter().enumerate() {
            let name = format!("encoder.{place}");
            match layer["type"].as_str().unwrap() {
                "Conv2d" => (x, side) = (conv(bytes, &name, &x, side), side / 2),
                "Linear" => x = linear(bytes, &name, &x),
                "ReLU" => x.iter_mut().for_each(|x| *x = x.max(0.0)),
                "Flatten" => {}
                other => panic!("{other}"),
            }
        }
        let logits = linear(bytes, "probe.label", &x[..4]);
        (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])) == Some(**label as usize)
    });
    100.0 * right.count() as f64 / TEST as f64
}

#[test]
fn a_convnet_trains_and_its_file_is_pytorchs() {
    let lab = Lab::new();
    let result: Value =
        serde_json::from_str(&lab.train("run", &format!("{CONV} --iterations 400 --json"))).unwrap();
    assert_eq!(result["arch"], "conv");
    let task = &result["tasks"]["label"];
    let nominal = task["nominal_accuracy"].as_f64().unwrap();
    assert!(nominal > 80.0, "{nominal}");
    assert!(task["attack"]["adversarial_accuracy"]["0.01"].as_f64().unwrap() > 33.4, "{task}");

    let bytes = lab.read("run/model.safetensors");
    let kernel = |kind: &str, from: usize, to: usize| {
        let [kernel, stride, padding] = [json!([4, 4]), json!(2), json!(1)];
        let mut layer = json!({ "type": kind, "in_channels": from, "out_channels": to, "kernel_size": kernel,
            "stride": stride, "padding": padding });
        if kind == "ConvTranspose2d" {
            layer["output_padding"] = json!([0, 0]);
        }
        layer
    };
    let linear = |from: usize, to: usize| json!({"type": "Linear", "in_features": from, "out_features": to});
    let (relu, flatten) = (json!({"type": "ReLU"}), json!({"type": "Flatten"}));
    let unflatten = json!({"type": "Unflatten", "dim": 1, "unflattened_size": [10, 2, 2]});
    let (down, up) = ("Conv2d", "ConvTranspose2d");
    let encoder = json!([
        kernel(down, 1, 6),
        relu,
        kernel(down, 6, 10),
        relu,
        flatten,
        linear(40, 16),
        relu,
        linear(16, 8)
    ]);
    let decoder = json!([
        linear(4, 16),
        relu,
        linear(16, 40),
        relu,
        unflatten,
        kernel(up, 10, 6),
        relu,
        kernel(up, 6, 1)
    ]);
    assert_eq!(layers(&bytes), json!({"encoder": encoder, "decoder": decoder}));
    let shapes: [(&str, &[usize]); 7] = [
        ("encoder.0.weight", &[6, 1, 4, 4]),
        ("encoder.2.weight", &[10, 6, 4, 4]),
        ("encoder.5.weight", &[16, 40]),
        ("encoder.7.bias", &[8]),
        ("decoder.2.weight", &[40, 16]),
        ("decoder.5.weight", &[10, 6, 4, 4]),
        ("decoder.7.bias", &[1]),
    ];
    for (name, shape) in shapes {
        assert_eq!(tensor(&bytes, name).0, shape, "{name}");
    }
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().len(), 18);
    assert!((accuracy_of_file(&lab, &bytes) - nominal).abs() < 0.01, "{nominal}");

    // The other commands know the run by its settings.
    lab.ok("probe run");
    lab.ok("attack run --attack-radii 0.1 --attack-steps 5 --attack-restarts 1");
    assert_eq!(lab.json("run/result.json")["tasks"]["label"]["attack"]["steps"], 5);
}

#[test]
fn a_convnet_goes_on_and_repeats_with_the_same_bits() {
    let lab = Lab::new();
    let flags = format!("{CONV} --final-learning-rate 1 --no-attack");
    let model = |run: &str| lab.read(&format!("{run}/model.safetensors"));
    lab.train("run", &format!("{flags} --iterations 30"));
    lab.ok("train --resume run --iterations 60");
    for (out, threads) in [("one", "1"), ("three", "3")] {
        let line = format!("train --config base.toml --out {out} {flags} --iterations 60");
        let outcome = common::outcome(lab.command(&line).env("RAYON_NUM_THREADS", threads));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(model(out) == model("run"), "{threads} threads");
    }
    lab.ok("train --config run/config.toml --out again");
    assert!(model("again") == model("run"), "from config.toml");
    lab.refused(2, "train --resume run --conv-channels 6,10", &["--conv-channels", "--resume"]);
}

/// Images of any shape up to 64x64, and with as many convolutions as they allow.
#[test]
fn images_of_other_shapes_train() {
    let lab = Lab::new();
    for [height, width] in [[2, 5], [7, 64], [13, 4], [27, 29], [64, 64]] {
        let set =
            |count: usize| -> Vec<u8> { (0..count * height * width).map(|i| (i * 31 % 251) as u8).collect() };
        for (split, count) in [("train", TRAIN / 5), ("t10k", TEST / 5)] {
            let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
            let write =
                |name: &str, bytes: Vec<u8>| std::fs::write(lab.path("set").join(name), bytes).unwrap();
            write(&format!("{split}-images-idx3-ubyte"), idx(0x803, &[count, height, width], &set(count)));
            write(&format!("{split}-labels-idx1-ubyte"), idx(0x801, &[count], &labels));
        }
        for arch in ["mlp", "conv"] {
            let flags = format!("--arch {arch} --iterations 3 --attack-steps 2 --attack-restarts 1");
            lab.train(&format!("{arch}-{height}x{width}"), &flags);
        }
    }
    // 64x64, the last, can be halved six times.
    lab.train("six", "--arch conv --conv-channels 2,2,2,2,2,2 --iterations 2 --no-attack");
    let seven = "train --config base.toml --out seven --arch conv --conv-channels 2,2,2,2,2,2,2";
    lab.refused(2, seven, &["--conv-channels", "64x64", "for at most 6"]);
}
