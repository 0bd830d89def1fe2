//! `train`, `probe`, `attack`, `divergence` and `devices` as a user or a script meets them: the real binary on a small
//! data set, its output and its files.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{CLASSES, Lab, SIDE, TEST, TRAIN, Tensors, check_radii, keys, names, number, percentage};
use serde_json::{Value, json};

const FILES: [&str; 7] = [
    "checkpoint.safetensors",
    "config.toml",
    "metrics.jsonl",
    "model.safetensors",
    "outcomes",
    "report.html",
    "result.json",
];

/// A run's lines of metrics.
fn metrics(lab: &Lab, run: &str) -> Vec<Value> {
    lab.text(&format!("{run}/metrics.jsonl")).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn model(lab: &Lab, run: &str) -> (Tensors, BTreeMap<String, String>) {
    lab.tensors(&format!("{run}/model.safetensors"))
}

/// What must hold of a result; returns its nominal accuracy.
#[track_caller]
fn check_result(result: &Value, radii: &[&str], examples: usize) -> f64 {
    let outer = [
        "format",
        "dataset",
        "objective",
        "arch",
        "seed",
        "iterations",
        "device",
        "train_seconds",
        "seconds_per_step",
        "elbo_test",
        "code",
        "tasks",
        "test_images",
        "settings",
        "data",
        "files",
        "evaluations",
        "sha256",
    ];
    assert_eq!(keys(result), outer);
    assert!(number(result, &["train_seconds"]) > 0.0);
    assert!(number(result, &["seconds_per_step"]) > 0.0);
    assert!(number(result, &["elbo_test"]).is_finite());
    assert_eq!(keys(&result["tasks"]), ["label"]);
    let task = &result["tasks"]["label"];
    let keys_of_task = ["nominal_accuracy", "majority_baseline", "balanced_accuracy", "attack", "probe_seed"];
    assert_eq!(keys(task), keys_of_task);
    let nominal = percentage(task, &["nominal_accuracy"]);
    percentage(task, &["balanced_accuracy"]);
    let attack = &task["attack"];
    let inner = ["attacks", "norm", "steps", "restarts", "examples", "nominal_accuracy"];
    let by_radius = ["adversarial_accuracy", "interval", "by"];
    let beyond =
        ["majority_baseline", "balanced_accuracy", "adversarial_balanced_accuracy", "seed", "outcomes"];
    assert_eq!(keys(attack), [&inner[..], &by_radius, &beyond].concat());
    check_radii(attack, radii);
    assert_eq!(keys(&attack["adversarial_balanced_accuracy"]), radii);
    assert_eq!(attack["examples"], examples);
    nominal
}

/// The accuracy of the model in a run's file on the test images, worked out here in float64 from the metadata.
fn accuracy_of_file(lab: &Lab, run: &str) -> f64 {
    let (tensors, metadata) = model(lab, run);
    let apply = |name: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (&tensors[&format!("{name}.weight")], &tensors[&format!("{name}.bias")]);
        let rows = weight.1.chunks_exact(weight.0[1]).zip(&bias.1);
        let product = |row: &[f32]| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
        rows.map(|(row, &b)| product(row) + f64::from(b)).collect()
    };
    let layers: Value = serde_json::from_str(&metadata["layers"]).unwrap();
    let latent: usize = metadata["latent"].parse().unwrap();
    let images = lab.read("set/t10k-images-idx3-ubyte");
    let labels = lab.read("set/t10k-labels-idx1-ubyte");
    let right = images[16..].chunks_exact(SIDE * SIDE).zip(&labels[8..]).filter(|(image, label)| {
        let mut x: Vec<f64> = image.iter().map(|&byte| f64::from(byte) / 255.0).collect();
        for (place, layer) in layers["encoder"].as_array().unwrap().iter().enumerate() {
            match layer["type"].as_str().unwrap() {
                "Linear" => x = apply(&format!("encoder.{place}"), &x),
                "ReLU" => x.iter_mut().for_each(|x| *x = x.max(0.0)),
                other => panic!("{other}"),
            }
        }
        let logits = apply("probe.label", &x[..latent]);
        (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])) == Some(**label as usize)
    });
    100.0 * right.count() as f64 / TEST as f64
}

#[test]
fn a_run_leaves_its_files_with_their_keys() {
    let lab = Lab::new();
    let terms: [(&str, &[&str]); 3] =
        [("se", &["prior_a", "prior_b", "wd"]), ("vae", &["kl"]), ("beta-vae", &["kl"])];
    for (objective, terms) in terms {
        let stdout = lab.train(objective, &format!("--objective {objective}"));
        assert_eq!(names(&lab.path(objective)), FILES, "{objective}");
        for part in ["radius", "accuracy", "0.01", "0.3", &format!("run: {objective}")] {
            assert!(stdout.contains(part), "no {part:?} in\n{stdout}");
        }

        let config: toml::Table = lab.text(&format!("{objective}/config.toml")).parse().unwrap();
        for (key, value) in [("objective", objective), ("dataset", "tiny"), ("selection-step-size", "auto")] {
            assert_eq!(config[key].as_str(), Some(value));
        }
        for key in ["variance", "gamma", "beta", "eps", "seed", "init", "learning-rate", "holdout", "probe"] {
            assert!(config.contains_key(key), "{key}");
        }
        assert_eq!(config["attack"]["restarts"].as_integer(), Some(2));

        let lines = metrics(&lab, objective);
        let steps: Vec<_> = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [50, 100, 150, 200]);
        let known =
            [&["step", "seconds", "loss", "log_likelihood"], terms, &["examples_per_second"]].concat();
        for line in &lines {
            assert_eq!(keys(line), known, "{objective}");
            let term = |name: &str| number(line, &[name]);
            assert!(objective == "se" || term("kl").is_sign_positive(), "{line}");
            let bound = match objective {
                "se" => term("log_likelihood") + term("prior_a") + term("prior_b") - term("wd"),
                "vae" => term("log_likelihood") - term("kl"),
                _ => term("log_likelihood") - 2.0 * term("kl"),
            };
            assert!((bound + term("loss")).abs() < 1e-3 * bound.abs(), "{line}");
        }
        assert!(number(&lines[3], &["loss"]) < number(&lines[0], &["loss"]), "the loss falls");

        let result = lab.json(&format!("{objective}/result.json"));
        check_result(&result, &["0.01", "0.1", "0.2", "0.3"], TEST);
        assert_eq!(result["objective"], objective);
        assert_eq!((&result["dataset"], &result["arch"]), (&json!("tiny"), &json!("mlp")));
        assert_eq!((&result["seed"], &result["iterations"]), (&json!(0), &json!(200)));
        assert!(result["device"].as_str().unwrap().starts_with("CPU"));
        assert_eq!(percentage(&result, &["tasks", "label", "majority_baseline"]), 33.33);
        let attack = &result["tasks"]["label"]["attack"];
        assert_eq!((&attack["norm"], &attack["steps"]), (&json!("linf"), &json!(10)));
        assert_eq!(attack["restarts"], 2);
    }
}

#[test]
fn the_model_file_is_pytorchs_and_is_the_model() {
    let lab = Lab::new();
    lab.train("run", "--iterations 400 --no-attack");
    let (tensors, metadata) = model(&lab, "run");
    let shapes: Vec<_> = tensors.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice())).collect();
    let pixels = SIDE * SIDE;
    let expected: [(&str, &[usize]); 14] = [
        ("decoder.0.bias", &[16]),
        ("decoder.0.weight", &[16, 4]),
        ("decoder.2.bias", &[16]),
        ("decoder.2.weight", &[16, 16]),
        ("decoder.4.bias", &[pixels]),
        ("decoder.4.weight", &[pixels, 16]),
        ("encoder.0.bias", &[16]),
        ("encoder.0.weight", &[16, pixels]),
        ("encoder.2.bias", &[16]),
        ("encoder.2.weight", &[16, 16]),
        ("encoder.4.bias", &[8]),
        ("encoder.4.weight", &[8, 16]),
        ("probe.label.bias", &[CLASSES]),
        ("probe.label.weight", &[CLASSES, 4]),
    ];
    assert_eq!(shapes, expected);
    let text = |key: &str| metadata[key].as_str();
    assert_eq!((text("arch"), text("latent"), text("decoder_output")), ("mlp", "4", "sigmoid"));
    assert_eq!(text("image_shape"), format!("[1,{SIDE},{SIDE}]"));
    let layers: Value = serde_json::from_str(text("layers")).unwrap();
    let linear = |from: usize, to: usize| json!({"type": "Linear", "in_features": from, "out_features": to});
    let relu = json!({"type": "ReLU"});
    let stack = |sizes: [usize; 4]| {
        let [a, b, c, d] = sizes;
        json!([linear(a, b), relu, linear(b, c), relu, linear(c, d)])
    };
    assert_eq!(layers["encoder"], stack([pixels, 16, 16, 8]));
    assert_eq!(layers["decoder"], stack([4, 16, 16, pixels]));

    // A float64 forward pass of the file gives the accuracy that the run reported, which is a good one.
    let reported = number(&lab.json("run/result.json"), &["tasks", "label", "nominal_accuracy"]);
    assert!((accuracy_of_file(&lab, "run") - reported).abs() < 0.01, "{reported}");
    assert!(reported > 80.0, "{reported}");
}

#[test]
fn json_is_the_result_and_nothing_else() {
    let lab = Lab::new();
    let stdout = lab.train("run", "--json");
    assert_eq!(stdout, lab.text("run/result.json"));
    check_result(&serde_json::from_str(&stdout).unwrap(), &["0.01", "0.1", "0.2", "0.3"], TEST);
}

#[test]
fn a_run_repeats_from_its_settings_and_its_seed() {
    let lab = Lab::new();
    lab.train("a", "--seed 7");
    lab.train("b", "--seed 7");
    lab.train("other", "--seed 8");
    lab.ok("train --config a/config.toml --out c");
    let bytes = |run: &str| lab.read(&format!("{run}/model.safetensors"));
    assert!(bytes("a") == bytes("b"), "one seed, one model");
    assert!(bytes("a") == bytes("c"), "the same from config.toml");
    assert!(bytes("a") != bytes("other"), "another seed, another model");
    assert_eq!(lab.text("a/config.toml"), lab.text("c/config.toml"));
    let timeless = |run: &str| without_times(&lab, run);
    assert_eq!(timeless("a"), timeless("b"));
    assert_eq!(timeless("a"), timeless("c"));
    let tasks = |run: &str| lab.json(&format!("{run}/result.json"))["tasks"].clone();
    assert_eq!(tasks("a"), tasks("c"));
}

/// The metrics without what depends on the clock.
fn without_times(lab: &Lab, run: &str) -> Vec<Value> {
    let mut lines = metrics(lab, run);
    for line in lines.iter_mut().filter_map(Value::as_object_mut) {
        assert!(line.remove("seconds").is_some() && line.remove("examples_per_second").is_some());
    }
    lines
}

#[test]
fn the_weights_do_not_depend_on_the_number_of_threads() {
    let lab = Lab::new();
    // 100 rows are several tiles of every kernel; wide layers beside narrow ones share memory in the plan.
    for metric in ["w2", "entropic"] {
        let mut models = Vec::new();
        for threads in ["1", "2", "3", "4", "2"] {
            let out = format!("{metric}{}", models.len());
            let line = format!(
                "train --config base.toml --batch 100 --hidden 48,16 --selection-metric {metric} --out {out}"
            );
            let outcome = common::outcome(lab.command(&line).env("RAYON_NUM_THREADS", threads));
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            models.push((lab.read(&format!("{out}/model.safetensors")), without_times(&lab, &out)));
            let tasks = lab.json(&format!("{out}/result.json"))["tasks"].clone();
            assert_eq!(tasks, lab.json(&format!("{metric}0/result.json"))["tasks"], "{threads} threads");
        }
        assert!(models.iter().all(|model| *model == models[0]), "{metric}");
    }
}

#[test]
fn every_way_of_training_runs() {
    let lab = Lab::new();
    let mut models = Vec::new();
    for (i, flags) in [
        "--gamma 100",
        "--selection random",
        "--selection-metric entropic",
        "--selection-norm l2 --eps 1.5",
        "--selection-norm l2 --eps 1.5 --selection random",
        "--selection-step-size 0.01",
        "--gamma 0",
        "--init he",
        "--init torch",
        "--decoder-output linear --variance 0.5",
        "--final-learning-rate 1",
        "--batch 1",
        "--batch 300 --hidden 7",
        "--latent 1 --hidden 5,5,5,5",
        "--precision f16",
        "--precision f16 --objective vae",
        "--precision f16 --arch conv --conv-channels 4",
        "--precision f16 --hidden 513",
    ]
    .iter()
    .enumerate()
    {
        let out = format!("run{i}");
        let result: Value =
            serde_json::from_str(&lab.train(&out, &format!("--iterations 50 --json {flags}"))).unwrap();
        check_result(&result, &["0.01", "0.1", "0.2", "0.3"], TEST);
        let model = lab.read(&format!("{out}/model.safetensors"));
        assert!(!models.contains(&model), "{flags} changes nothing");
        models.push(model);
    }
    // Of the attack: another norm, more radii in any order, fewer examples.
    let flags = "--attack-norm l2 --attack-radii 2,0.5,1 --attack-examples 20 --attack-steps 7 --json";
    let result: Value = serde_json::from_str(&lab.train("l2", flags)).unwrap();
    check_result(&result, &["0.5", "1", "2"], 20);
    assert_eq!(result["tasks"]["label"]["attack"]["norm"], "l2");
    // As flags alone, with the data set in an archive.
    let packed = lab.path("packed");
    fs::create_dir(&packed).unwrap();
    for name in names(&lab.path("set")) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &lab.read(&format!("set/{name}"))).unwrap();
        fs::write(packed.join(format!("{name}.gz")), encoder.finish().unwrap()).unwrap();
    }
    lab.ok(
        "train tiny --data-dir packed --device cpu --hidden 16,16 --latent 4 --batch 50 --iterations 200 \
         --selection-steps 5 --log-every 50 --checkpoint-every 100 --no-attack --out flags",
    );
    lab.train("plain", "--no-attack");
    assert!(lab.read("flags/model.safetensors") == lab.read("plain/model.safetensors"));
}

#[test]
fn probe_and_attack_update_the_run() {
    let lab = Lab::new();
    lab.train("run", "");
    let (config, result) = (lab.text("run/config.toml"), lab.json("run/result.json"));
    let (first, first_bytes) = (model(&lab, "run").0, lab.read("run/model.safetensors"));

    let flags =
        "--attack-radii 0.15,0.05 --attack-steps 8 --attack-restarts 3 --attack-examples 30 --device cpu";
    let stdout = lab.ok(&format!("attack run {flags} --json --task label"));
    assert_eq!(stdout, lab.text("run/result.json"));
    let attacked: Value = serde_json::from_str(&stdout).unwrap();
    check_result(&attacked, &["0.05", "0.15"], 30);
    let attack = &attacked["tasks"]["label"]["attack"];
    assert_eq!((&attack["steps"], &attack["restarts"]), (&json!(8), &json!(3)));
    assert_eq!(attacked["elbo_test"], result["elbo_test"]);
    assert!(lab.read("run/model.safetensors") == first_bytes, "an attack leaves the model");
    // Without flags it is the run's own attack, with the numbers of the run.
    assert!(lab.ok("attack run --device cpu").contains("margin ascent of 10 steps x 2 restarts"));
    assert_eq!(lab.json("run/result.json")["tasks"], result["tasks"]);
    // All test images.
    lab.ok("attack run --attack-examples all --attack-norm l2 --attack-radii 0.5 --device cpu");
    check_result(&lab.json("run/result.json"), &["0.5"], TEST);

    // A probe on a few labels: another classifier on the same encoder, and the old attack is gone.
    let stdout = lab.ok("probe run --labels-fraction 0.1 --device cpu --json");
    assert_eq!(stdout, lab.text("run/result.json"));
    let probed: Value = serde_json::from_str(&stdout).unwrap();
    let few = percentage(&probed, &["tasks", "label", "nominal_accuracy"]);
    assert!(few > 50.0, "{few}: trained to the end also with few labels");
    assert!(probed["tasks"]["label"].get("attack").is_none());
    let second = model(&lab, "run").0;
    assert!((accuracy_of_file(&lab, "run") - few).abs() < 0.01);
    for (name, tensor) in &first {
        assert_eq!(second[name] != *tensor, name.starts_with("probe."), "{name}");
    }
    // The result says so, and goes on saying so.
    lab.ok("attack run --device cpu");
    let mut attacked = lab.json("run/result.json");
    let marked = attacked["tasks"]["label"].as_object_mut().unwrap().shift_remove("labels_fraction");
    assert_eq!(marked, Some(json!(0.1)));
    check_result(&attacked, &["0.01", "0.1", "0.2", "0.3"], TEST);
    // The same with another choice of labels, and all labels give the run's own probe again.
    lab.ok("probe run --labels-fraction 0.1 --seed 5 --device cpu");
    assert!(model(&lab, "run").0["probe.label.weight"] != second["probe.label.weight"]);
    // Classes seen equally often: named in the text and the file, and the run's own are another classifier.
    assert!(lab.ok("probe run --balanced --device cpu").contains("equally often: label\n"));
    assert_eq!(lab.json("run/result.json")["tasks"]["label"]["balanced_probe"], true);
    assert!(model(&lab, "run").0["probe.label.weight"] != first["probe.label.weight"]);
    let few = "probe run --balanced --labels-fraction 0.004 --device cpu";
    lab.refused(2, few, &["--balanced", "--labels-fraction 0.004", "class 1", "task label"]);
    lab.ok("probe run --device cpu");
    assert!(lab.read("run/model.safetensors") == first_bytes);
    assert_eq!(lab.text("run/config.toml"), config);
    assert_eq!(names(&lab.path("run")), FILES);
    // The run's own probe is back, with the attack that was made on it: nothing is left to do.
    let record = lab.text("run/result.json");
    lab.ok("train --resume run");
    assert_eq!(lab.text("run/result.json"), record);
    assert_eq!(lab.json("run/result.json")["tasks"], result["tasks"]);
}

#[test]
fn a_holdout_is_tested_on_instead_of_the_test_set() {
    let lab = Lab::new();
    lab.train("run", "--holdout 30");
    let mut result = lab.json("run/result.json");
    assert_eq!(result.as_object_mut().unwrap().shift_remove("holdout"), Some(json!(30)));
    check_result(&result, &["0.01", "0.1", "0.2", "0.3"], 30);
    // 270 images are left, and the batch must fit into them.
    lab.train("all", &format!("--holdout 30 --batch {} --no-attack --iterations 20", TRAIN - 30));
    lab.refused(
        2,
        "train --config base.toml --holdout 30 --batch 271 --out no",
        &["--batch 271", "use 270 or less"],
    );
}

#[test]
fn runs_are_numbered_where_no_directory_is_given() {
    let lab = Lab::new();
    for objective in ["vae", "vae", "se"] {
        lab.ok(&format!("train --config base.toml --iterations 20 --no-attack --objective {objective}"));
    }
    assert_eq!(names(&lab.path("runs")), ["tiny-se-1", "tiny-vae-1", "tiny-vae-2"]);
    for run in ["tiny-se-1", "tiny-vae-1", "tiny-vae-2"] {
        let files = names(&lab.path("runs").join(run));
        assert!(files.iter().map(String::as_str).eq(FILES.into_iter().filter(|file| *file != "outcomes")));
    }
}

#[test]
fn devices_are_listed_without_noise() {
    let lab = Lab::new();
    let devices: Value = serde_json::from_str(&lab.ok("devices --json")).unwrap();
    let devices = devices.as_array().unwrap();
    assert_eq!(devices[0]["device"], "cpu");
    assert!(number(&devices[0], &["threads"]) >= 1.0);
    for (i, device) in devices.iter().enumerate().skip(1) {
        assert_eq!(device["device"], format!("gpu:{}", i - 1));
        assert!(device["limits"].is_object() && device["features"].is_object());
        assert!(device["conformant"].is_boolean());
    }
    assert_eq!(devices.iter().filter(|device| device["auto"] == true).count(), 1);
    let text = lab.ok("devices");
    assert!(text.starts_with("cpu ") && text.ends_with('\n'));
    // To train on "auto" looks for adapters too.
    lab.train("run", "--iterations 20 --no-attack --device auto");
}

#[test]
fn the_divergence_command_gives_the_golden_values() {
    let lab = Lab::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/golden.json");
    let output: Value = serde_json::from_str(&lab.ok(&format!("divergence {golden}"))).unwrap();
    let stdin = fs::File::open(golden).unwrap();
    let piped = common::outcome(lab.command("divergence").stdin(stdin));
    assert_eq!(serde_json::from_str::<Value>(&piped.stdout).unwrap(), output);
    let golden: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let mut compared = 0;
    for list in ["diag", "full"] {
        let cases = golden[list].as_array().unwrap();
        assert_eq!(output[list].as_array().unwrap().len(), cases.len());
        for (case, got) in cases.iter().zip(output[list].as_array().unwrap()) {
            let known = match list {
                "diag" => &["wd", "wd_grad", "w2", "w2_grad", "kl_ab", "kl_a_std", "kl_b_std"][..],
                _ => &["trace_psi", "wd", "w2", "kl_ab"],
            };
            assert_eq!(keys(&got["out"]), known);
            for &key in known {
                compared += close(&format!("{list} {key}"), &got["out"][key], &case["out"][key]);
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

/// Compares numbers, lists and objects to 1e-9 of the largest beside them; returns how many numbers.
fn close(what: &str, got: &Value, want: &Value) -> usize {
    match want {
        Value::Object(map) => {
            map.iter().map(|(key, want)| close(&format!("{what}.{key}"), &got[key], want)).sum()
        }
        Value::Array(list) => {
            list.iter().enumerate().map(|(i, want)| close(&format!("{what}[{i}]"), &got[i], want)).sum()
        }
        _ => {
            let (Some(got), Some(want)) = (got.as_f64(), want.as_f64()) else {
                panic!("{what}: {got} {want}")
            };
            let apart = (got - want).abs();
            assert!(apart <= 1e-9 * want.abs() || apart <= 1e-15, "{what}: {got}, expected {want}");
            1
        }
    }
}
