//! What lies in a run's folder and does not belong to it, or is not a run's, is refused by name and left alone.

mod common;

use std::fs;

use common::{Lab, names, snapshot};

#[test]
fn numbers_of_other_settings_or_data_are_not_taken_over() {
    let lab = Lab::new();
    lab.train("run", "");
    let settings = lab.text("run/config.toml");
    fs::remove_file(lab.path("run/checkpoint.safetensors")).unwrap();
    // A finished run needs no checkpoint, and is not trained anew.
    let before = snapshot(&lab.path("run"));
    lab.ok("train --resume run");
    assert!(snapshot(&lab.path("run")) == before);
    // With nothing to go on with, that is said.
    lab.refused(2, "train --resume run --iterations 300", &["checkpoint.safetensors", "overwrite"]);
    let gamma = settings.lines().find(|line| line.starts_with("gamma = ")).unwrap();
    lab.change_settings("run", gamma, "gamma = 5.0");
    lab.refused(2, "train --resume run", &["result.json", "other settings"]);
    lab.refused(2, "compare run run", &["result.json", "other settings"]);
    fs::write(lab.path("run/config.toml"), settings).unwrap();
    let mut images = lab.read("set/train-images-idx3-ubyte");
    *images.last_mut().unwrap() ^= 1;
    fs::write(lab.path("set/train-images-idx3-ubyte"), &images).unwrap();
    lab.refused(2, "train --resume run", &["result.json", "other data"]);
}

#[test]
fn a_comparison_is_of_what_was_measured() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    lab.train("other", "--no-attack --gamma 3");
    fs::copy(lab.path("run/result.json"), lab.path("other/result.json")).unwrap();
    lab.refused(2, "compare run other", &["other/result.json", "other settings"]);
    let said = lab.ok("runs .");
    assert!(said.contains("other settings"), "{said}");
    // Stopped on the way to more steps: the numbers are still those of the first.
    let steps = lab.json("run/result.json")["iterations"].as_u64().unwrap();
    lab.change_settings("run", &format!("iterations = {steps}"), "iterations = 90000");
    let text = lab.ok("compare run run");
    assert!(text.contains(&format!("{steps} steps")) && text.contains("90000"), "{text}");
}

#[test]
fn a_run_that_fails_gives_the_one_that_it_replaces_back() {
    let lab = Lab::new();
    lab.train("run", "");
    fs::write(lab.path("run/outcomes/mine-7.npz"), "mine").unwrap();
    let before = snapshot(&lab.path("run"));
    let line = "train --config base.toml --out run --overwrite";
    let failed = lab.run(&format!("{line} --learning-rate 1e30"));
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("NaN") && failed.stderr.contains("earlier run"), "{}", failed.stderr);
    assert!(snapshot(&lab.path("run")) == before);
    // One that can be gone on with keeps it until its own result is there.
    let mut child =
        lab.command(&format!("{line} --iterations 20000000 --checkpoint-every 1")).spawn().unwrap();
    let kept = ["config.toml", "metrics.jsonl"].map(|name| lab.path("run/.replaced").join(name));
    let checkpoint = lab.path("run/checkpoint.safetensors");
    common::wait_until("a checkpoint", || kept.iter().all(|file| file.exists()) && checkpoint.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    fs::rename(lab.path("run/.replaced"), lab.path("kept")).unwrap();
    assert!(lab.ok("check kept").starts_with("kept: whole"));
    fs::rename(lab.path("kept"), lab.path("run/.replaced")).unwrap();
    assert_eq!(lab.run(line).code, Some(0));
    assert!(!lab.path("run/.replaced").exists());
    assert_eq!(lab.text("run/outcomes/mine-7.npz"), "mine");
    assert!(lab.ok("check run").starts_with("run: whole"));
}

/// Names of the program's own that are somebody's links or files.
#[test]
fn what_only_has_the_name_of_a_lock_or_a_change_is_left_alone() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    fs::create_dir(lab.path("precious")).unwrap();
    fs::write(lab.path("precious/0"), "mine").unwrap();
    let refused = |part: &str| {
        for command in ["attack run", "train --resume run", "train --config base.toml --out run --overwrite"]
        {
            lab.refused(2, command, &[part]);
        }
    };
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../precious", lab.path("run/.change")).unwrap();
        refused(".change");
        fs::remove_file(lab.path("run/.change")).unwrap();
        std::os::unix::fs::symlink("../target", lab.path("run/.lock")).unwrap();
        refused(".lock");
        fs::remove_file(lab.path("run/.lock")).unwrap();
        assert!(!lab.path("target").exists());
    }
    fs::write(lab.path("run/.lock"), "mine").unwrap();
    refused(".lock");
    assert_eq!(lab.text("run/.lock"), "mine");
    fs::remove_file(lab.path("run/.lock")).unwrap();
    fs::create_dir(lab.path("run/.change")).unwrap();
    fs::write(lab.path("run/.change/thesis"), "mine").unwrap();
    refused(".change");
    assert_eq!(lab.text("run/.change/thesis"), "mine");
    assert_eq!(lab.text("precious/0"), "mine");
    // A folder with such an entry is none in which a run was about to begin.
    fs::create_dir(lab.path("new")).unwrap();
    fs::write(lab.path("new/.lock"), "mine").unwrap();
    lab.refused(2, "train --config base.toml --out new", &["new", "exists"]);
    assert_eq!(lab.text("new/.lock"), "mine");
}

#[test]
fn a_change_that_cannot_be_finished_is_set_aside() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let model = lab.read("run/model.safetensors");
    fs::create_dir(lab.path("run/.change")).unwrap();
    fs::write(lab.path("run/.change/0"), "junk").unwrap();
    let list = r#"{"put": ["model.safetensors"], "marks": [{"bytes": 9, "sha256": "0"}],
                   "remove": ["metrics.jsonl"], "remove_folders": []}"#;
    fs::write(lab.path("run/.change/list.json"), list).unwrap();
    lab.refused(2, "compare run run", &[".change", "--repair"]);
    lab.refused(2, "attack run", &[".change", "--repair"]);
    let said = lab.run("check run --repair");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(lab.read("run/model.safetensors") == model && lab.path("run/metrics.jsonl").exists());
    assert!(names(&lab.path("run")).iter().any(|name| name.starts_with("change.damaged")));
}

#[test]
fn mending_never_trains() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    let steps = lab.json("run/result.json")["iterations"].as_u64().unwrap();
    let curve = lab.text("run/metrics.jsonl");
    lab.change_settings("run", &format!("iterations = {steps}"), "iterations = 90000000");
    fs::write(lab.path("run/report.html"), "cut").unwrap();
    let said = lab.run("check run --repair");
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    assert_eq!(lab.text("run/metrics.jsonl"), curve);
}
