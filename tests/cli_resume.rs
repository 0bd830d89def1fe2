//! Runs that are stopped, killed and gone on with end in the same bits as runs that are not.

#![cfg(unix)]

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Lab, names, snapshot, wait_until};
use serde_json::Value;

/// Long enough to be met while it runs.
const LONG: &str = "--iterations 3000 --log-every 20 --checkpoint-every 50 --no-attack";

fn start(lab: &Lab, line: &str) -> Child {
    lab.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Interrupts as Ctrl-C does; returns exit code, stdout and stderr.
fn interrupt(child: Child) -> (Option<i32>, String, String) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), stdout, stderr)
}

/// The metrics without what depends on the clock.
fn metrics(lab: &Lab, run: &str) -> Vec<Value> {
    let text = lab.text(&format!("{run}/metrics.jsonl"));
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for key in ["seconds", "examples_per_second"] {
            line.as_object_mut().unwrap().remove(key).unwrap();
        }
        line
    });
    lines.collect()
}

/// `run` ended as `reference` did, which was never stopped.
#[track_caller]
fn assert_same(lab: &Lab, reference: &str, run: &str) {
    let read = |run: &str| lab.read(&format!("{run}/model.safetensors"));
    assert!(read(reference) == read(run), "the weights of {run} differ from those of {reference}");
    assert_eq!(metrics(lab, reference), metrics(lab, run));
    // A run that was trained for longer has the evaluations before that too, so its files have other numbers.
    let tasks = |run: &str| {
        let mut tasks = lab.json(&format!("{run}/result.json"))["tasks"].clone();
        for task in tasks.as_object_mut().unwrap().values_mut() {
            if let Some(attack) = task.get_mut("attack") {
                let outcomes = attack["outcomes"].take();
                assert!(lab.path(run).join(outcomes.as_str().unwrap()).is_file());
            }
        }
        tasks
    };
    assert_eq!(tasks(reference), tasks(run));
    assert_eq!(names(&lab.path(reference)), names(&lab.path(run)), "nothing is left beside the files");
}

#[test]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_go_on() {
    let lab = Lab::new();
    let flags = format!("{LONG} --checkpoint-every 1000000").replace("--checkpoint-every 50 ", "");
    lab.train("whole", &flags);
    let child = start(&lab, &format!("train --config base.toml --out run {flags}"));
    wait_until("the first metrics", || lab.path("run/metrics.jsonl").metadata().is_ok_and(|m| m.len() > 0));
    let (code, stdout, stderr) = interrupt(child);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("error: stopped at step "), "{stderr}");
    assert!(stderr.contains("smoothenc train --resume run"), "{stderr}");
    assert_eq!(names(&lab.path("run")), ["checkpoint.safetensors", "config.toml", "metrics.jsonl"]);
    // Nothing to probe or attack yet.
    for command in ["probe", "attack"] {
        lab.refused(2, &format!("{command} run"), &["model.safetensors is missing", "train --resume run"]);
    }
    lab.ok("train --resume run");
    assert_same(&lab, "whole", "run");
}

/// `timeout` and shells send a signal to the program and one to its group.
#[test]
fn two_signals_at_once_are_one_wish() {
    let lab = Lab::new();
    // Networks whose checkpoint takes a while to write.
    let flags = "--iterations 100000 --log-every 5 --hidden 700,700 --checkpoint-every 1000000 --no-attack";
    let child = start(&lab, &format!("train --config base.toml --out run {flags}"));
    wait_until("the first metrics", || lab.path("run/metrics.jsonl").metadata().is_ok_and(|m| m.len() > 0));
    // The second may come after the end, which is no failure.
    let twice = format!("kill -INT {0}; kill -TERM {0}; true", child.id());
    assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: stopped at step "), "{stderr}");
    assert!(lab.path("run/checkpoint.safetensors").exists());
}

#[test]
fn a_killed_run_goes_on_with_the_same_numbers() {
    let seed = std::env::var("SMOOTHENC_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed: u32 = seed.unwrap_or_else(now);
    println!("the moments of the kills: SMOOTHENC_TEST_SEED={seed}");
    let mut state = seed;
    let mut moment = |most: u64| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Duration::from_micros(u64::from(state >> 8) % (most * 1000))
    };
    let lab = Lab::new();
    lab.train("whole", LONG);
    let mut kill = |mut child: Child, most: u64| {
        std::thread::sleep(moment(most));
        child.kill().unwrap();
        child.wait().unwrap();
    };
    for run in ["a", "b", "c"] {
        let child = start(&lab, &format!("train --config base.toml --out {run} {LONG}"));
        wait_until("the run's directory", || lab.path(run).join("config.toml").exists());
        kill(child, 600);
        // More than once, at any moment: while it starts, trains, or writes.
        for most in [40, 300] {
            kill(start(&lab, &format!("train --resume {run}")), most);
        }
        lab.ok(&format!("train --resume {run}"));
        assert_same(&lab, "whole", run);
    }
}

#[test]
fn a_run_stopped_after_training_only_makes_the_rest() {
    let lab = Lab::new();
    // An attack that takes some seconds.
    let flags =
        "--iterations 100 --attack-steps 997 --attack-restarts 30 --attack-radii 0.0001,0.0002,0.0003";
    let child = start(&lab, &format!("train --config base.toml --out run {flags}"));
    wait_until("the attack", || lab.path("run/result.json").exists());
    let (code, stdout, stderr) = interrupt(child);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("error: stopped") && stderr.contains("train --resume run\n"), "{stderr}");
    let model = lab.read("run/model.safetensors");
    // What follows training may be given anew.
    lab.ok("train --resume run --attack-steps 10 --attack-restarts 2 --attack-radii 0.1");
    assert!(lab.read("run/model.safetensors") == model);
    let attack = &lab.json("run/result.json")["tasks"]["label"]["attack"];
    assert_eq!(attack["steps"], 10);
}

#[test]
fn a_finished_run_resumes_to_nothing() {
    let lab = Lab::new();
    let first = lab.train("run", "--json");
    let times = |lab: &Lab| {
        let time = |name: String| lab.path("run").join(name).metadata().unwrap().modified().unwrap();
        names(&lab.path("run")).into_iter().map(time).collect::<Vec<_>>()
    };
    let (before, before_times) = (snapshot(&lab.path("run")), times(&lab));
    assert_eq!(lab.ok("train --resume run --json"), first);
    assert!(lab.ok("train --resume run").contains("run: run"));
    assert!(snapshot(&lab.path("run")) == before);
    assert_eq!(times(&lab), before_times);
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let lab = Lab::new();
    lab.train("run", "--final-learning-rate 1");
    lab.train("whole", "--final-learning-rate 1 --iterations 400");
    lab.refused(2, "train --resume run --iterations 150", &["--iterations 150", "200 steps"]);
    lab.ok("train --resume run --iterations 400");
    assert_eq!(lab.json("run/result.json")["iterations"], 400);
    assert!(lab.text("run/config.toml").contains("iterations = 400\n"));
    // At a constant rate it is the longer run.
    assert_same(&lab, "whole", "run");
}

#[test]
fn overwriting_replaces_a_run_and_nothing_else() {
    let lab = Lab::new();
    // What a kill in the first moment leaves is no obstacle.
    fs::create_dir(lab.path("run")).unwrap();
    fs::write(lab.path("run/.config.toml.tmp"), "seed = ").unwrap();
    lab.train("run", "--iterations 20 --no-attack --tensorboard");
    lab.train("run", "--iterations 20 --no-attack --overwrite --seed 4");
    let files = names(&lab.path("run"));
    assert!(files.len() == 6 && !files.contains(&"tensorboard".to_string()), "{files:?}");
    assert_eq!(lab.json("run/result.json")["seed"], 4);
    // Also not the data that it is trained on, though they are in its folder.
    fs::create_dir(lab.path("run/.git")).unwrap();
    fs::write(lab.path("run/.git/HEAD"), "mine").unwrap();
    fs::rename(lab.path("set"), lab.path("run/set")).unwrap();
    let data = snapshot(&lab.path("run/set"));
    let line =
        "train --config base.toml --out run --data-dir run/set --iterations 20 --no-attack --overwrite";
    let outcome = lab.run(&format!("{line} --seed 5"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("run: kept what no run wrote, 2 entries"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert_eq!(lab.json("run/result.json")["seed"], 5);
    assert!(snapshot(&lab.path("run/set")) == data && lab.text("run/.git/HEAD") == "mine");
}
