//! `data`, and training on what it makes, as a user meets them.

#![cfg(unix)]

mod common;

use std::fs;
use std::process::{Child, Stdio};

use common::{Lab, keys, names, wait_until};
use serde_json::Value;

const LAYOUT: [&str; 4] =
    ["contact_sheet.png", "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"];

/// Settings of a run on faces that takes seconds.
const SHORT: &str = "--device cpu --hidden 16 --latent 4 --batch 10 --iterations 5 --selection-steps 2 \
                     --attack-steps 2 --attack-restarts 1 --attack-radii 0.05";

fn start(lab: &Lab, line: &str) -> Child {
    lab.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn files(lab: &Lab, folder: &str) -> usize {
    fs::read_dir(lab.path(folder)).map_or(0, Iterator::count)
}

#[test]
fn made_faces_are_checked_and_trained_on_and_named_synthetic() {
    let lab = Lab::new();
    let said = lab.ok("data make celeba --out faces --images 60 --seed 7");
    for part in ["60 synthetic faces", "faces/contact_sheet.png", "train celeba --data-dir faces"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(names(&lab.path("faces")), LAYOUT);
    assert_eq!(names(&lab.path("faces/img_align_celeba")).len(), 60);
    for line in ["data check celeba --data-dir faces", "data fetch celeba --data-dir faces"] {
        let said = lab.ok(line);
        assert!(
            said.starts_with("celeba (synthetic: drawn, no photographs): 48 training and 6 test"),
            "{said}"
        );
    }
    let summary: Value = serde_json::from_str(&lab.ok("data check celeba --data-dir faces --json")).unwrap();
    assert_eq!(keys(&summary), ["dataset", "synthetic", "train", "test", "skipped", "image_shape", "tasks"]);
    assert_eq!(summary["tasks"].as_array().unwrap().len(), 17);
    for arch in ["mlp", "conv --conv-channels 4,4"] {
        let out = &arch[..3];
        let said = lab.ok(&format!("train celeba --data-dir faces --arch {arch} --out {out} {SHORT}"));
        assert!(said.contains("SYNTHETIC faces"), "{said}");
        let result = lab.json(&format!("{out}/result.json"));
        assert_eq!(result["synthetic"], true);
        let tasks = &result["tasks"];
        assert_eq!(keys(tasks).len(), 17);
        for name in keys(tasks) {
            assert!(
                tasks[name]["attack"]["adversarial_balanced_accuracy"]["0.05"].is_f64(),
                "{name}: {}",
                tasks[name]
            );
        }
        assert!(lab.ok(&format!("probe {out}")).contains("SYNTHETIC faces"));
    }
    lab.refused(2, "data make celeba --out faces", &["faces", "exists"]);
}

/// Damage to the cache is mended, found by `check`, and no fault that passes stays in it.
#[test]
fn the_cache_of_photographs_is_checked() {
    let lab = Lab::new();
    lab.ok("data make celeba --out faces --images 20");
    let line = "data check celeba --data-dir faces --skip-bad";
    let said = lab.ok(line);
    let cache = "faces/.smoothenc-148.cache";
    let whole = lab.read(cache);
    for place in ["faces", cache] {
        assert_eq!(lab.ok(&format!("check {place}")), format!("{cache}: whole\n"));
    }
    let mut damaged = whole.clone();
    damaged[5000] ^= 4;
    fs::write(lab.path(cache), &damaged).unwrap();
    let outcome = lab.run("check faces --json");
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&found[0]["cache"], &found[0]["whole"]), (&cache.into(), &false.into()));
    let outcome = lab.run(line);
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &said));
    assert!(outcome.stderr.contains(&format!("{cache} is damaged")), "{}", outcome.stderr);
    assert!(lab.read(cache) == whole);
    fs::write(lab.path(cache), &whole[..100]).unwrap();
    // The last cache goes, and that is all right.
    let repaired = lab.ok("check faces --repair");
    assert!(repaired.starts_with(&format!("{cache} is cut short")), "{repaired}");
    assert!(repaired.ends_with(": it is removed\n"), "{repaired}");
    assert!(!lab.path(cache).exists());
    // With few open files the command may fail; what it could not open is no photograph's fault.
    for files in 3..12 {
        let program = env!("CARGO_BIN_EXE_smoothenc");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files}; exec {program} {line}")]).current_dir(lab.path(""));
        shell.output().unwrap();
        assert_eq!(lab.ok(line), said, "after {files} files");
        fs::remove_file(lab.path(cache)).unwrap();
    }
    assert_eq!(names(&lab.path("faces")), LAYOUT);
}

/// `--repair` removes what has the name and the mark of a cache, and nothing else.
#[test]
fn no_file_of_others_is_taken_for_a_cache() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    lab.ok("data make celeba --out faces --images 20");
    fs::write(lab.path("thesis.txt"), "years of work").unwrap();
    fs::write(lab.path("empty"), "").unwrap();
    fs::write(lab.path("faces/.smoothenc-5.cache"), "mine").unwrap();
    for file in
        ["thesis.txt", "empty", "run/model.safetensors", "run/config.toml", "faces/.smoothenc-5.cache"]
    {
        for flag in ["", "--repair", "--repair --json"] {
            lab.refused(2, &format!("check {file} {flag}"), &[file, "is no cache"]);
        }
    }
    for flag in ["", "--repair"] {
        let outcome = lab.run(&format!("check faces {flag}"));
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        let said = &outcome.stdout;
        assert!(said.contains(".smoothenc-5.cache: not whole") && said.contains("left alone"), "{said}");
        assert!(!said.contains("--repair"), "{said}");
        assert_eq!(lab.text("faces/.smoothenc-5.cache"), "mine");
    }
}

/// Whatever was left by processes that were killed goes with the next.
#[test]
fn faces_that_were_not_finished_are_cleared_away() {
    let lab = Lab::new();
    for killed in 0..3 {
        let mut child = start(&lab, "data make celeba --out made --images 100000");
        wait_until("some faces", || files(&lab, ".made.unfinished/made/img_align_celeba") > 0);
        if killed == 0 {
            let line = "data make celeba --out made --images 10";
            lab.judge(1, line, &lab.run(line), &["made is being made by process"]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    lab.ok("data make celeba --out made --images 10");
    assert_eq!(names(&lab.path("")), ["base.toml", "made", "set"]);
    assert_eq!(names(&lab.path("made")), LAYOUT);
}

/// Only what the command writes itself goes.
#[test]
fn a_folder_of_others_beside_new_faces_stays() {
    let lab = Lab::new();
    let line = "data make celeba --out made --images 10";
    let mine = [
        "diary.txt",
        "made/diary.txt",
        "made/img_align_celeba/diary.txt",
        "made/img_align_celeba/000001.jpg/diary.txt",
        "other/list_attr_celeba.txt",
    ];
    for file in mine {
        let path = lab.path(".made.unfinished").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        lab.refused(2, line, &[".made.unfinished is in the way", "move it away", "--out"]);
        fs::remove_dir_all(lab.path(".made.unfinished")).unwrap();
    }
    std::os::unix::fs::symlink(lab.path("set"), lab.path(".made.unfinished")).unwrap();
    lab.refused(2, line, &[".made.unfinished is in the way"]);
    fs::remove_file(lab.path(".made.unfinished")).unwrap();
    // What a killed one leaves is known.
    let left = lab.path(".made.unfinished/made/img_align_celeba");
    fs::create_dir_all(&left).unwrap();
    for file in ["../.list_attr_celeba.txt.tmp", "../contact_sheet.png", "000001.jpg"] {
        fs::write(left.join(file), "half").unwrap();
    }
    fs::write(left.join("../../.lock"), "").unwrap();
    lab.ok(line);
    assert_eq!(names(&lab.path("")), ["base.toml", "made", "set"]);
}

/// Results do not go where the data are, whose lock is taken while photographs are scaled.
#[test]
fn the_folder_of_the_data_is_no_place_for_results() {
    let lab = Lab::new();
    lab.ok("data make celeba --out faces --images 20");
    fs::write(lab.path("own.toml"), "data-dir = 'faces'\n").unwrap();
    let grid = "[base]\ndataset = 'celeba'\ndata-dir = 'faces'\n[grid]\nseed = [0]\n";
    fs::write(lab.path("grid.toml"), grid).unwrap();
    for line in [
        "sweep grid.toml --out faces",
        "sweep grid.toml --out faces/../faces/",
        "reproduce table1 --data-dir faces --out faces",
        "reproduce table1 --config own.toml --out faces",
        "reproduce all --data-dir faces --out faces",
    ] {
        lab.refused(2, line, &["--out faces", "is the folder of the data", "give another folder"]);
    }
    let (settings, _) = SHORT.split_once("--attack").unwrap();
    let trained = lab.run(&format!("train celeba --data-dir faces --out faces/run --no-attack {settings}"));
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
}

#[test]
fn sets_that_are_not_there_are_explained() {
    let lab = Lab::new();
    let said = lab.ok("data fetch celeba");
    for part in ["img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt", "data make"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(lab.ok("data check tiny --data-dir set").starts_with("tiny: 300 training and 60 test images"));
    assert!(lab.ok("data fetch mnist").starts_with("mnist: 60000 training and 10000 test images"));
    lab.refused(2, "data fetch celeba --data-dir set", &["set has no img_align_celeba"]);
    lab.refused(2, "data check celeba", &["--data-dir", "data fetch celeba"]);
    lab.refused(2, "data check fashion", &["fashion", "--data-dir"]);
    lab.refused(2, "data make celeba --out few --images 3", &["--images", "10"]);
    lab.refused(2, "data make mnist --out few", &["celeba"]);
    lab.refused(2, "data make celeba", &["--out"]);
}

/// A picture was being written, or scaled, when the process was killed: nothing of it passes for whole.
#[test]
fn killed_halfway_nothing_passes_for_whole() {
    let lab = Lab::new();
    let mut child = start(&lab, "data make celeba --out many --images 20000");
    let unfinished = ".many.unfinished";
    wait_until("the first faces", || files(&lab, &format!("{unfinished}/many/img_align_celeba")) > 5);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!lab.path("many").exists());

    lab.ok("data make celeba --out faces --images 1500");
    let cache = lab.path("faces/.smoothenc-148.cache");
    let begun = lab.path("faces/..smoothenc-148.cache.tmp");
    let line = "data check celeba --data-dir faces";
    let mut child = start(&lab, line);
    wait_until("the cache to be begun", || {
        begun.metadata().is_ok_and(|file| file.len() > 0) || cache.exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(begun.exists() && !cache.exists(), "it was done before it was killed");
    let after = lab.ok(line);
    assert_eq!(names(&lab.path("faces")), [&[".smoothenc-148.cache"][..], &LAYOUT].concat());
    let killed = fs::read(&cache).unwrap();
    fs::remove_file(&cache).unwrap();
    assert_eq!(lab.ok(line), after);
    assert!(fs::read(&cache).unwrap() == killed, "the cache differs from one whose making was not stopped");
}

/// What is in a set, and a sheet of it.
#[test]
fn info_counts_each_class_and_draws_examples() {
    let lab = Lab::new();
    let said = lab.ok("data info tiny --data-dir set --out sheet.png");
    for part in ["300 training and 60 test", "sha256 ", "label", "100        20", "sheet.png"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(lab.read("sheet.png").starts_with(b"\x89PNG"));
    lab.refused(2, "data info tiny --data-dir set --out sheet.png", &["sheet.png exists"]);
    let info: Value = serde_json::from_str(&lab.ok("data info tiny --data-dir set --json")).unwrap();
    assert_eq!(info["tasks"][0]["classes"][2], serde_json::json!({"name": "2", "train": 100, "test": 20}));
    assert_eq!(info["sha256"].as_str().unwrap().len(), 64);
    assert!(info["remarks"].as_array().unwrap().is_empty());
    // From any folder, with nothing beside it.
    let mnist: Value = serde_json::from_str(&lab.ok("data info mnist --json")).unwrap();
    assert_eq!((&mnist["train"], &mnist["data_dir"]), (&60_000.into(), &Value::Null));
    let mut labels = lab.read("set/train-labels-idx1-ubyte");
    labels[8] = 9;
    fs::write(lab.path("set/train-labels-idx1-ubyte"), labels).unwrap();
    assert!(
        lab.ok("data check tiny --data-dir set").contains("remark: tiny: of the 10 classes of label, 6 have")
    );
}

#[test]
fn images_are_scaled_on_request() {
    let lab = Lab::new();
    lab.train("small", "--resize 6 --iterations 2 --no-attack");
    let (_, about) = lab.tensors("small/model.safetensors");
    assert_eq!(about["image_shape"], "[1,6,6]");
    lab.refused(2, "train x --data-dir set --resize 65", &["--resize must be at most 64, got 65"]);
}
