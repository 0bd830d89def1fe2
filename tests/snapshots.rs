//! Help, errors and tables of the commands on finished runs, word for word. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --release --test snapshots`, and look at the difference.

mod common;

use std::fs;

use common::{Lab, outcome};

/// The output of a command in a window of 100 columns: what it prints, its errors, its exit code where not 0.
fn shown(lab: &Lab, line: &str) -> String {
    let outcome = outcome(lab.command(line).env("COLUMNS", "100"));
    let code = outcome.code.filter(|&code| code != 0).map(|code| format!("exit code {code}\n"));
    let blocks = [outcome.stdout, outcome.stderr, code.unwrap_or_default()];
    let text = format!("$ smoothenc {line}\n{}", blocks.concat());
    // Blank ends of lines would not survive an editor.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn all(lab: &Lab, lines: &[&str]) -> String {
    lines.iter().map(|line| shown(lab, line)).collect::<Vec<_>>().join("\n\n")
}

/// A run with round numbers: settings and result alone, which is all that tables are made of.
fn write_run(lab: &Lab, path: &str, seed: u64, gamma: f64, accuracies: [f64; 3]) {
    fs::create_dir_all(lab.path(path)).unwrap();
    let config =
        format!("dataset = 'tiny'\nobjective = 'se'\nseed = {seed}\ngamma = {gamma}\niterations = 200\n");
    fs::write(lab.path(format!("{path}/config.toml")), config).unwrap();
    let [all, clean, attacked] = accuracies;
    let result = serde_json::json!({
        "dataset": "tiny", "objective": "se", "arch": "mlp", "seed": seed, "iterations": 200, "device": "a CPU",
        "train_seconds": 1.0, "seconds_per_step": 0.005, "elbo_test": 0.5,
        "code": { "kl": 1.0, "spread": 0.5, "latents_in_use": 1, "information": clean / 100.0 - 0.089 },
        "tasks": { "label": {
            "nominal_accuracy": all, "majority_baseline": 33.33, "balanced_accuracy": all,
            "attack": {
                "norm": "linf", "steps": 100, "restarts": 10, "examples": 1000, "nominal_accuracy": clean,
                "adversarial_accuracy": { "0.1": attacked },
            },
        } },
    });
    fs::write(lab.path(format!("{path}/result.json")), result.to_string()).unwrap();
}

#[test]
fn help() {
    let lab = Lab::new();
    let lines = [
        "-h",
        "encode -h",
        "evaluate -h",
        "export -h",
        "reconstruct -h",
        "sample -h",
        "traverse -h",
        "runs -h",
        "compare -h",
    ];
    insta::assert_snapshot!(all(&lab, &[&lines[..], &["completions -h", "man -h"]].concat()));
}

/// What the commands that train and measure show of themselves: the flags that most people use.
#[test]
fn help_of_the_main_commands() {
    let lab = Lab::new();
    let lines = [
        "train -h",
        "probe -h",
        "attack -h",
        "sweep -h",
        "reproduce -h",
        "data -h",
        "devices -h",
        "bench -h",
        "divergence -h",
    ];
    insta::assert_snapshot!(all(&lab, &lines));
}

#[test]
fn errors() {
    let lab = Lab::new();
    write_run(&lab, "runs/a", 0, 100.0, [97.1, 97.4, 70.0]);
    let lines = [
        "encode runs/a --out codes.csv",
        "encode runs/a --out base.toml/codes.npy",
        "encode runs/none --out codes.npy",
        "encode runs/a --out codes.npy",
        "sample runs/a --out a.jpg",
        "sample runs/a --out a.png --count 0",
        "runs nowhere",
        "compare runs/a",
        "compare runs/a runs/a --out runs/a",
        "completions tcsh",
        "runs -v -q",
    ];
    insta::assert_snapshot!(all(&lab, &lines));
}

#[test]
fn tables() {
    let lab = Lab::new();
    write_run(&lab, "runs/a", 0, 100.0, [97.1, 97.4, 70.0]);
    write_run(&lab, "runs/longer-name", 12, 2.5, [9.0, 8.9, 0.0]);
    fs::create_dir(lab.path("runs/broken")).unwrap();
    fs::write(lab.path("runs/broken/config.toml"), "dataset = 3\n").unwrap();
    insta::assert_snapshot!(all(&lab, &["runs", "compare runs/a runs/longer-name"]));
}
