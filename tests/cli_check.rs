//! One writer a run, files that belong together, and `check`, which tells whether they do and mends what it can.

mod common;

use std::fs;
use std::process::Stdio;

use common::{Lab, names, snapshot, wait_until};

/// The one line of `check` for a run, and what it found.
fn check(lab: &Lab, flags: &str) -> (bool, String) {
    let outcome = lab.run(&format!("check run {flags}"));
    let whole = outcome.code == Some(0);
    assert_eq!(outcome.code, Some(if whole { 0 } else { 1 }), "{}", outcome.stderr);
    assert_eq!(outcome.stdout.starts_with("run: whole"), whole, "{}", outcome.stdout);
    (whole, outcome.stdout)
}

#[test]
fn a_run_has_one_writer_at_a_time() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    // Longer than the test takes.
    let line = "train --resume run --iterations 20000000 --checkpoint-every 10000";
    let mut child = lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the lock", || lab.path("run/.lock").exists());
    let holder = format!("run is being written by process {} on ", child.id());
    for command in
        ["train --resume run", "probe run", "attack run", "train --config base.toml --out run --overwrite"]
    {
        lab.judge(1, command, &lab.run(command), &[&holder, "--force-unlock"]);
    }
    // Readers need no lock.
    lab.ok("encode run --out codes.npy");
    lab.ok("runs .");
    child.kill().unwrap();
    child.wait().unwrap();
    // What a dead writer held is free, and nothing of it stays.
    lab.ok("probe run");
    assert!(!names(&lab.path("run")).iter().any(|name| name.starts_with('.')));
}

#[test]
fn damage_is_found_and_mended_from_what_is_whole() {
    let lab = Lab::new();
    lab.train("run", "");
    assert!(check(&lab, "").0);
    let before = snapshot(&lab.path("run"));
    let model = lab.read("run/model.safetensors");
    let mut flipped = model.clone();
    flipped[model.len() - 3] ^= 1;
    for damaged in [&model[..3000], &flipped, b""] {
        fs::write(lab.path("run/model.safetensors"), damaged).unwrap();
        let (whole, said) = check(&lab, "");
        assert!(!whole && said.contains("model.safetensors") && said.contains("--repair"), "{said}");
        for command in ["attack run", "probe run", "encode run --out codes.npy"] {
            lab.refused(2, command, &["run/model.safetensors", "resume"]);
        }
        assert!(check(&lab, "--repair").0);
        assert!(lab.read("run/model.safetensors") == model);
    }
    // Going on with a finished run finds it too.
    fs::write(lab.path("run/model.safetensors"), &model[..3000]).unwrap();
    let said = lab.run("train --resume run");
    assert_eq!(said.code, Some(0));
    assert!(said.stderr.contains("model.safetensors is missing or damaged"), "{}", said.stderr);
    assert!(lab.read("run/model.safetensors") == model);
    // What processes left that were killed, and a page that is not there.
    fs::remove_file(lab.path("run/report.html")).unwrap();
    fs::write(lab.path("run/.result.json.tmp"), "half").unwrap();
    fs::create_dir(lab.path("run/.change")).unwrap();
    fs::write(lab.path("run/.change/0"), "half").unwrap();
    let (_, said) = check(&lab, "");
    for part in [".result.json.tmp", ".change"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert!(check(&lab, "--repair").0);
    fs::remove_file(lab.path("run/report.html")).unwrap();
    let (whole, said) = check(&lab, "");
    assert!(whole && said.contains("but for its page"), "{said}");
    assert!(check(&lab, "--repair").0);
    assert_eq!(snapshot(&lab.path("run")).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    // The attack is made again where its outcomes are damaged; a learning curve is not.
    let outcomes = lab.read("run/outcomes/label-1.npz");
    fs::write(lab.path("run/outcomes/label-1.npz"), "other").unwrap();
    assert!(!check(&lab, "").0);
    assert!(check(&lab, "--repair").0);
    assert!(lab.read("run/outcomes/label-1.npz") == outcomes);
    let curve = lab.text("run/metrics.jsonl");
    for other in [curve.replacen("\"loss\":", "\"loss\":1", 1), String::new()] {
        fs::write(lab.path("run/metrics.jsonl"), other).unwrap();
        let (whole, said) = check(&lab, "--repair");
        assert!(!whole && said.contains("metrics.jsonl") && !said.contains("--repair"), "{said}");
    }
}

/// A record that lists no files, as those of early versions, leaves their content to be looked at.
#[test]
fn weights_that_cannot_be_are_found_without_checksums() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let mut record = lab.json("run/result.json");
    for key in ["files", "sha256"] {
        record.as_object_mut().unwrap().remove(key);
    }
    let model = lab.read("run/model.safetensors");
    let header = 8 + u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let text = String::from_utf8(model[8..header].to_vec()).unwrap();
    // The last number is one of the probe's weights.
    let mut infinite = model.clone();
    let last = model.len() - 4;
    infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let with_header = |text: String| {
        let length = (text.len() as u64).to_le_bytes();
        [&length[..], text.as_bytes(), &model[header..]].concat()
    };
    let turned = text.replacen("\"shape\":[16,64]", "\"shape\":[64,16]", 1);
    let entry = &text[text.find("\"encoder.0.bias\"").unwrap()..text.find("\"encoder.0.weight\"").unwrap()];
    let twice = text.replacen(entry, &entry.repeat(2), 1);
    assert!(turned != text && twice != text, "{text}");
    for (damaged, what) in [
        (infinite, "probe.label"),
        (with_header(turned), "does not fit the model"),
        (with_header(twice), "encoder.0.bias is there twice"),
    ] {
        fs::write(lab.path("run/result.json"), record.to_string()).unwrap();
        fs::write(lab.path("run/model.safetensors"), damaged).unwrap();
        lab.refused(2, "attack run", &["run/model.safetensors", what]);
        let (whole, said) = check(&lab, "");
        assert!(!whole && said.contains("model.safetensors") && said.contains(what), "{said}");
        assert!(check(&lab, "--repair").0);
        assert!(lab.read("run/model.safetensors") == model);
    }
}

#[test]
fn a_changed_page_and_a_damaged_checkpoint_make_way() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let page = lab.text("run/report.html");
    for changed in [page.replacen("steps", "stops", 1), page.trim_end().to_string()] {
        fs::write(lab.path("run/report.html"), changed).unwrap();
        let (whole, said) = check(&lab, "");
        assert!(!whole && said.contains("report.html: is not whole"), "{said}");
        assert!(check(&lab, "--repair").0);
        assert!(lab.text("run/report.html") == page);
    }
    // A finished run does without.
    fs::write(lab.path("run/checkpoint.safetensors"), "damaged").unwrap();
    assert!(!check(&lab, "").0);
    assert!(check(&lab, "--repair").0);
    assert_eq!(lab.text("run/checkpoint.safetensors.damaged"), "damaged");
    lab.ok("train --resume run");
    // The curve cannot be made again, so whoever shows it says so.
    let curve = lab.text("run/metrics.jsonl");
    fs::write(lab.path("run/metrics.jsonl"), curve.lines().next().unwrap()).unwrap();
    for command in ["train --resume run", "probe run", "attack run"] {
        let told = lab.run(command);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        assert!(told.stderr.contains("metrics.jsonl: is not as result.json lists it"), "{}", told.stderr);
    }
}

#[test]
fn no_command_writes_over_a_runs_own_files() {
    let lab = Lab::new();
    lab.train("run", "");
    let before = snapshot(&lab.path("run"));
    for file in ["checkpoint.safetensors", "model.safetensors"] {
        let line = format!("encode run --out run/{file} --overwrite");
        lab.refused(2, &line, &["--out", file, "a run's own file"]);
    }
    lab.refused(2, "sample run --out run/outcomes/label-1.png", &["--out", "a run's own file"]);
    lab.refused(2, "export run --onnx run/config.toml --overwrite", &["--onnx", "a run's own file"]);
    assert!(snapshot(&lab.path("run")) == before);
    lab.ok("encode run --out run/codes.npy");
}

#[test]
fn other_data_and_other_settings_are_refused_by_name() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --holdout 30");
    // Other images in the same place.
    let images = lab.read("set/train-images-idx3-ubyte");
    let mut other = images.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(lab.path("set/train-images-idx3-ubyte"), &other).unwrap();
    for command in
        ["train --resume run --iterations 300", "attack run", "probe run", "encode run --out codes.npy"]
    {
        lab.refused(2, command, &["other data", "fingerprint", "--data-dir"]);
    }
    fs::write(lab.path("set/train-images-idx3-ubyte"), &images).unwrap();
    // The same data elsewhere are the same.
    fs::rename(lab.path("set"), lab.path("moved")).unwrap();
    lab.refused(2, "train --resume run --iterations 210", &["set", "--data-dir"]);
    lab.refused(2, "probe run", &["set", "--data-dir"]);
    for command in ["probe run", "attack run", "encode run --out codes.npy", "sample run --out drawn.png"] {
        lab.ok(&format!("{command} --data-dir moved"));
    }
    lab.ok("train --resume run --iterations 210 --data-dir moved");
    fs::rename(lab.path("moved"), lab.path("set")).unwrap();
    lab.ok("train --resume run --data-dir set");
    // Settings that were cut off: the attack would take the test images.
    let settings = lab.text("run/config.toml");
    let cut: String =
        settings.lines().filter(|line| !line.starts_with("holdout")).map(|l| l.to_string() + "\n").collect();
    assert_ne!(cut, settings);
    // With its first line, the checksum, the change is told too.
    fs::write(lab.path("run/config.toml"), &cut).unwrap();
    for command in ["attack run", "probe run", "compare run run2", "runs ."] {
        let told = lab.run(command).stderr;
        assert_eq!(
            told.matches("run/config.toml was changed since it was written").count(),
            1,
            "{command}: {told}"
        );
    }
    fs::write(lab.path("run/config.toml"), cut.split_once('\n').unwrap().1).unwrap();
    for command in ["train --resume run --iterations 300", "attack run", "probe run"] {
        lab.refused(2, command, &["--holdout was 30, not 0"]);
    }
    let (whole, said) = check(&lab, "");
    assert!(!whole && said.contains("--holdout was 30"), "{said}");
    fs::write(lab.path("run/config.toml"), settings).unwrap();
    lab.ok("attack run");
    assert!(check(&lab, "").0);
}

/// Two that begin at the same moment: one does the work, the other is told.
#[test]
fn two_processes_do_not_mix_a_run() {
    let lab = Lab::new();
    lab.train("run", "");
    for (first, second) in [
        ("probe run --seed 1", "attack run --attack-steps 3"),
        ("attack run --attack-radii 0.07", "probe run --seed 2"),
    ] {
        let start =
            |line: &str| lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut children = [first, second].map(start);
        let codes = children.each_mut().map(|child| child.wait().unwrap().code());
        assert!(
            codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 1))),
            "{codes:?}"
        );
        for (line, code) in [first, second].into_iter().zip(codes) {
            if code != Some(0) {
                lab.ok(line);
            }
        }
        assert!(check(&lab, "").0);
    }
    // How many evaluations these make depends on who came first; that each of them is there does not.
    let result = lab.json("run/result.json");
    let evaluations = result["evaluations"].as_array().unwrap();
    for seed in [0, 1, 2] {
        assert!(evaluations.iter().any(|e| e["probe_seed"] == seed), "the probe of seed {seed} has vanished");
    }
    let attacked = |of: &dyn Fn(&serde_json::Value) -> bool| evaluations.iter().any(|e| of(&e["attack"]));
    assert!(attacked(&|attack| attack["steps"] == 3), "the attack of 3 steps has vanished");
    assert!(attacked(&|a| a["adversarial_accuracy"]["0.07"].is_number()), "the attack at 0.07 has vanished");
}

#[test]
fn a_folder_of_runs_is_checked_run_by_run() {
    let lab = Lab::new();
    for run in ["all/a", "all/b"] {
        lab.train(run, "--no-attack --iterations 20");
    }
    lab.ok("check all");
    fs::write(lab.path("all/b/checkpoint.safetensors"), "no").unwrap();
    let outcome = lab.run("check all --json");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("1 of 2 folders"), "{}", outcome.stderr);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let whole: Vec<bool> =
        document.as_array().unwrap().iter().map(|run| run["whole"].as_bool().unwrap()).collect();
    assert_eq!(whole, [true, false]);
    // A finished run does without its checkpoint.
    assert_eq!(document[1]["found"][0]["mendable"], true);
    lab.refused(2, "check set", &["set has no run"]);
    lab.refused(2, "check nowhere", &["nowhere"]);
}
