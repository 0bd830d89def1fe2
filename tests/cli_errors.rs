//! Bad input: one clear error on stderr that names the flag or file and the fix, the right exit code, nothing on
//! stdout, and nothing written or changed. What arises while a run is under way keeps what was saved.

mod common;

use std::fs;
use std::path::Path;

use common::{CLASSES, Lab, SIDE, TEST, TRAIN, idx, names, outcome, snapshot};

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// A refusal of `train` with base.toml and these flags.
#[track_caller]
fn train_refused(lab: &Lab, flags: &str, parts: &[&str]) {
    lab.refused(2, &format!("train --config base.toml --out run {flags}"), parts);
}

/// A file, what it holds instead (none: it is not there), and parts of the error.
type Fault<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);

#[test]
fn files_that_are_no_data_set() {
    let lab = Lab::new();
    let set = lab.path("set");
    let pixels = SIDE * SIDE;
    let good = |name: &str| lab.read(&format!("set/{name}"));
    let cut = |name: &str, by: usize| good(name)[..good(name).len() - by].to_vec();
    let labels = |values: &[u8]| idx(0x801, &[values.len()], values);
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let archive = packed(&good(IMAGES));
    let mut flipped = archive.clone();
    flipped[archive.len() / 2] ^= 0x10;
    let cases: Vec<Fault> = vec![
        (IMAGES, None, &["missing", "--data-dir"]),
        (TEST_LABELS, None, &["missing", "--data-dir"]),
        (IMAGES, Some(vec![]), &["truncated"]),
        (IMAGES, Some(good(IMAGES)[..10].to_vec()), &["truncated", "header"]),
        (IMAGES, Some(cut(IMAGES, 1)), &["truncated"]),
        (LABELS, Some(cut(LABELS, 7)), &["truncated"]),
        (TEST_IMAGES, Some(cut(TEST_IMAGES, 1000)), &["truncated"]),
        (IMAGES, Some([good(IMAGES), vec![0]].concat()), &["trailing"]),
        (IMAGES, Some(archive[..archive.len() - 20].to_vec()), &["truncated"]),
        (IMAGES, Some(flipped), &[]),
        (IMAGES, Some(b"<html>not found</html>".to_vec()), &["web page"]),
        (IMAGES, Some(good(LABELS)), &["magic"]),
        (LABELS, Some(good(IMAGES)), &["magic"]),
        (LABELS, Some(labels(&[0; TRAIN - 1])), &["299 labels", "300 images", IMAGES]),
        (TEST_LABELS, Some(labels(&[0; TEST + 1])), &["61 labels", "60 images", TEST_IMAGES]),
        (TEST_LABELS, Some(labels(&[CLASSES as u8; TEST])), &["label 0 is 3"]),
        (IMAGES, Some(idx(0x803, &[0, SIDE, SIDE], &[])), &["no pixels"]),
        (IMAGES, Some(idx(0x803, &[TRAIN, 0, SIDE], &[])), &["no pixels"]),
        (IMAGES, Some(idx(0x803, &[TRAIN, 65, 1], &vec![0; TRAIN * 65])), &["65x1", "64x64"]),
        (IMAGES, Some(idx(0x803, &[usize::MAX; 3], &[])), &[]),
    ];
    for (name, content, parts) in cases {
        let kept = good(name);
        match content {
            Some(content) => fs::write(set.join(name), content).unwrap(),
            None => fs::remove_file(set.join(name)).unwrap(),
        }
        train_refused(&lab, "", &[&[name], parts].concat());
        fs::write(set.join(name), kept).unwrap();
    }
    // Images of another size than the other split's.
    let kept = good(TEST_IMAGES);
    fs::write(set.join(TEST_IMAGES), idx(0x803, &[TEST, 4, 4], &vec![0; TEST * pixels / 4])).unwrap();
    train_refused(&lab, "", &["8x8", "4x4", &set.display().to_string()]);
    fs::write(set.join(TEST_IMAGES), kept).unwrap();
    // Folders that are none.
    train_refused(&lab, "--data-dir nowhere", &["nowhere", "--data-dir"]);
    train_refused(&lab, &format!("--data-dir set/{IMAGES}"), &[IMAGES, "--data-dir"]);
    lab.train("run", "--iterations 2 --no-attack");
}

#[test]
fn data_sets_that_are_not_there() {
    let lab = Lab::new();
    lab.refused(2, "train fashion --out run", &["fashion", "--data-dir"]);
    lab.refused(2, "train mnsit --out run", &["\"mnsit\"; did you mean mnist?"]);
    lab.refused(2, "train celeba --out run", &["celeba", "--data-dir"]);
    lab.refused(2, "train celeba --data-dir set --out run", &["set/list_attr_celeba.txt is missing"]);
    lab.refused(
        2,
        "train celeba --data-dir set --crop 63 --out run",
        &["--crop must be at least 64, got 63"],
    );
    lab.refused(2, "train ../set --data-dir set --out run", &["../set", "--data-dir"]);
    lab.refused(2, "train --out run", &["DATASET", "train mnist", "train --resume RUN"]);
}

#[test]
fn numbers_that_cannot_be() {
    let lab = Lab::new();
    let reals = [
        ("--variance", "0 -1 nan inf"),
        ("--gamma", "-0.5 nan inf"),
        ("--beta", "-1 nan inf"),
        ("--eps", "0 -0.1 1.5 nan inf"),
        ("--learning-rate", "0 -1 nan inf"),
        ("--final-learning-rate", "-0.1 1.1 nan"),
        ("--selection-step-size", "0 -1 nan inf"),
        ("--attack-radii", "0 -0.1 1.5 nan inf 0.1,nan 0.1,0.1"),
    ];
    let counts = [
        ("--latent", "0 -2 1.5 nan 99999999"),
        ("--hidden", "0 -2 16,0 16,x 99999999"),
        ("--selection-norm l2 --eps", "0 112 1e30"),
        ("--attack-norm l2 --attack-radii", "0 112 1e30"),
        ("--selection-steps", "0 -1 nan"),
        ("--iterations", "0 -1 nan 99999999999"),
        ("--batch", "0 -1 nan 301"),
        ("--seed", "-1 nan 9223372036854775808 99999999999999999999"),
        ("--holdout", "-1 nan 300 1000"),
        ("--log-every", "0 -1"),
        ("--checkpoint-every", "0 -1"),
        ("--attack-steps", "0 -1 nan"),
        ("--attack-restarts", "0 -1 nan"),
        ("--attack-examples", "0 -1 some"),
    ];
    for (flag, values) in reals.iter().chain(&counts) {
        let last = flag.split(' ').next_back().unwrap();
        for value in values.split(' ') {
            train_refused(&lab, &format!("{flag} {value}"), &[last]);
        }
    }
    train_refused(&lab, &format!("--hidden {}", ["4"; 65].join(",")), &["--hidden", "at most 64"]);
    let names = [
        ("--objective", "elbo"),
        ("--arch", "cnn"),
        ("--precision", "f8"),
        ("--selection", "none"),
        ("--selection-metric", "kl"),
        ("--selection-norm", "l1"),
        ("--attack-norm", "l1"),
        ("--init", "zero"),
        ("--decoder-output", "tanh"),
        ("--preset", "slow"),
        ("--device", "tpu"),
        ("--device", "gpu:x"),
    ];
    for (flag, value) in names {
        train_refused(&lab, &format!("{flag} {value}"), &[flag, value]);
    }
    train_refused(&lab, "--conv-channels 8", &["--conv-channels", "--arch conv"]);
    for channels in ["0", "-1", "8,0", "nan", "", "99999"] {
        train_refused(&lab, &format!("--arch conv --conv-channels {channels}"), &["--conv-channels"]);
    }
    let five = "--arch conv --conv-channels 8,8,8,8,8,8";
    train_refused(&lab, five, &["--conv-channels", "has 6 convolutions", "at most"]);
    train_refused(&lab, "--batch 301", &["300 images", "use 300 or less"]);
    // In a file the line is named.
    for (text, parts) in [
        ("gamma = nan", &["--gamma"][..]),
        ("latnet = 4", &["bad.toml, line 1", "no setting \"latnet\"; did you mean \"latent\"?"]),
        ("[probe]\nbatch = 0", &["--probe-batch"]),
        ("latent = ", &["bad.toml, line 1"]),
    ] {
        fs::write(lab.path("bad.toml"), text).unwrap();
        lab.refused(2, "train mnist --config bad.toml --out run", parts);
    }
    lab.refused(2, "train mnist --config none.toml --out run", &["none.toml"]);
}

#[test]
fn places_that_cannot_be_written() {
    let lab = Lab::new();
    lab.train("run", "--iterations 20 --no-attack");
    fs::write(lab.path("file"), "mine").unwrap();
    fs::create_dir(lab.path("folder")).unwrap();
    fs::write(lab.path("folder/notes.txt"), "mine").unwrap();
    let train = |out: &str| format!("train --config base.toml --out {out}");
    lab.refused(2, &train("run"), &["run exists", "--overwrite", "--resume"]);
    lab.refused(2, &train("folder"), &["folder exists"]);
    lab.refused(2, &train("file"), &["file exists"]);
    lab.refused(2, &train("file/run"), &["file/run cannot be written", "--out"]);
    lab.refused(2, &train("file/deep/run"), &["file/deep/run cannot be written", "--out"]);
    lab.refused(2, &train("folder --overwrite"), &["folder is not a run", "--out"]);
    lab.refused(2, &train("file --overwrite"), &["file is not a run", "--out"]);
    lab.refused(2, "train --config base.toml --overwrite", &["--out"]);
    // The numbered directories' parent is a file.
    fs::write(lab.path("runs"), "").unwrap();
    lab.refused(2, "train --config base.toml", &["runs cannot be written", "--out"]);
    // A wrong request does not cost the run that it would have replaced.
    lab.refused(2, &train("run --overwrite --batch 301"), &["--batch 301"]);
}

#[test]
fn devices_that_are_not_there() {
    let lab = Lab::new();
    lab.train("run", "--iterations 20 --no-attack");
    fs::write(
        lab.path("pair.json"),
        r#"{"diag": [{"gamma": 1, "mu_a": [0], "logvar_a": [0], "mu_b": [0], "logvar_b": [0]}]}"#,
    )
    .unwrap();
    let lines = ["train --config base.toml --out new --device", "probe run --device", "attack run --device"];
    for line in lines.iter().chain(&["divergence pair.json --device"]) {
        lab.refused(2, &format!("{line} gpu:99"), &["--device"]);
        lab.refused(2, &format!("{line} tpu"), &["--device", "tpu", "gpu:N"]);
        if cfg!(target_os = "linux") {
            // A Vulkan loader that finds no driver.
            let before = snapshot(&lab.path("."));
            for device in ["gpu", "gpu:0"] {
                let line = format!("{line} {device}");
                let mut command = lab.command(&line);
                command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
                lab.judge(2, &line, &outcome(&mut command), &["--device", "no adapter", "--device cpu"]);
            }
            assert!(snapshot(&lab.path(".")) == before);
        }
    }
}

#[test]
fn runs_that_are_none() {
    let lab = Lab::new();
    fs::create_dir(lab.path("empty")).unwrap();
    fs::create_dir(lab.path("site")).unwrap();
    fs::write(lab.path("site/config.toml"), "title = 'mine'\n").unwrap();
    fs::create_dir(lab.path("other")).unwrap();
    fs::write(lab.path("other/config.toml"), "").unwrap();
    for command in ["train --resume", "probe", "attack"] {
        lab.refused(2, &format!("{command} nowhere"), &["nowhere is not a run", "no such directory"]);
        lab.refused(2, &format!("{command} base.toml"), &["base.toml is not a run"]);
        lab.refused(2, &format!("{command} empty"), &["empty is not a run", "config.toml"]);
        lab.refused(2, &format!("{command} site"), &["site/config.toml", "title"]);
        lab.refused(2, &format!("{command} other"), &["other is not a run"]);
    }
    // One that never got to its end.
    fs::copy(lab.path("base.toml"), lab.path("other/config.toml")).unwrap();
    let text = lab.text("other/config.toml") + "\n";
    fs::write(lab.path("other/config.toml"), format!("seed = 0\nobjective = 'se'\n{text}")).unwrap();
    for command in ["probe", "attack"] {
        lab.refused(
            2,
            &format!("{command} other"),
            &["model.safetensors is missing", "train --resume other"],
        );
    }
}

#[test]
fn requests_to_probe_and_attack() {
    let lab = Lab::new();
    lab.train("run", "--iterations 50");
    for command in ["probe", "attack"] {
        lab.refused(2, &format!("{command} run --task digit"), &["--task digit", "label"]);
        lab.refused(2, command, &["RUN"]);
    }
    for value in ["0", "-1", "1.5", "nan", "some", "0.0000001"] {
        lab.refused(2, &format!("probe run --labels-fraction {value}"), &["--labels-fraction"]);
    }
    lab.refused(2, "probe run --seed -1", &["--seed"]);
    for flags in ["radii nan", "radii 2", "steps 0", "steps -1", "restarts 0", "examples 0", "norm l1"] {
        let flag = format!("--attack-{}", flags.split(' ').next().unwrap());
        lab.refused(2, &format!("attack run --attack-{flags}"), &[&flag]);
    }
    for (names, part) in [("some", "pgd, margin"), ("pgd,pgd", "twice"), ("", "pgd, margin")] {
        lab.refused(2, &format!("attack run --attacks {names},"), &["--attacks", part]);
    }
    lab.refused(2, "attack run --attacks transfer", &["--attacks", "--from"]);
    // Files of a run that are damaged.
    let check = |name: &str, content: &[u8], commands: &[&str]| {
        let kept = lab.read(&format!("run/{name}"));
        fs::write(lab.path("run").join(name), content).unwrap();
        for command in commands {
            lab.refused(2, &format!("{command} run"), &[name]);
        }
        fs::write(lab.path("run").join(name), kept).unwrap();
    };
    let model = lab.read("run/model.safetensors");
    check("model.safetensors", b"", &["probe", "attack"]);
    check("model.safetensors", &model[..model.len() / 2], &["probe", "attack"]);
    check("result.json", b"{", &["probe", "attack"]);
    check("result.json", b"{}", &["probe", "attack"]);
    lab.train("wider", "--iterations 50 --hidden 20,16 --no-attack");
    check("model.safetensors", &lab.read("wider/model.safetensors"), &["probe", "attack"]);
}

#[test]
fn inputs_of_divergence() {
    let lab = Lab::new();
    lab.refused(2, "divergence none.json", &["none.json"]);
    let case = r#"{"diag": [{"gamma": -1, "mu_a": [0], "logvar_a": [0], "mu_b": [0], "logvar_b": [0]}]}"#;
    for (text, part) in [("", "not JSON"), ("[]", "object"), ("{}", "diag"), (case, "diag[0]: gamma")] {
        fs::write(lab.path("pairs.json"), text).unwrap();
        lab.refused(2, "divergence pairs.json", &[part]);
    }
}

#[test]
fn checkpoints_that_cannot_be_gone_on_with() {
    let lab = Lab::new();
    lab.train("run", "--no-attack");
    lab.train("other", "--no-attack --seed 1");
    let file = lab.path("run/checkpoint.safetensors");
    let whole = lab.read("run/checkpoint.safetensors");
    let resume = "train --resume run --iterations 250";
    let mut damaged: Vec<Vec<u8>> =
        [0, 5, 1000, whole.len() / 2, whole.len() - 1].map(|n| whole[..n].to_vec()).into();
    for at in [0, 9, 300, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        damaged.push(bytes);
    }
    damaged.push([&whole[..], b"more"].concat());
    damaged.push(b"something else".to_vec());
    for (i, bytes) in damaged.iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        let error = lab.refused(2, resume, &["run/checkpoint.safetensors"]);
        assert!(["damaged", "not a checkpoint"].iter().any(|word| error.contains(word)), "{i}: {error}");
    }
    // Whole files of something else.
    fs::copy(lab.path("run/model.safetensors"), &file).unwrap();
    lab.refused(2, resume, &["run/checkpoint.safetensors", "not written by this program", "no checksum"]);
    fs::copy(lab.path("other/checkpoint.safetensors"), &file).unwrap();
    lab.refused(2, resume, &["run/checkpoint.safetensors", "other settings"]);
    fs::write(&file, &whole).unwrap();
    // Settings: by flag, and by hand in config.toml.
    for flag in ["--seed 1", "--gamma 5", "--latent 4", "--batch 20", "--config base.toml", "--out new"] {
        let name = flag.split(' ').next().unwrap();
        lab.refused(2, &format!("{resume} {flag}"), &[name, "--resume"]);
    }
    lab.refused(2, "train fashion --resume run", &["fashion", "tiny"]);
    let config = lab.text("run/config.toml");
    for (from, to, parts) in [
        (
            "gamma = 100.0",
            "gamma = 5.0",
            &["checkpoint.safetensors", "other settings", "--gamma", "config.toml"][..],
        ),
        ("hidden = [16, 16]", "hidden = [16, 20]", &["checkpoint.safetensors", "other settings"]),
        ("gamma = 100.0", "gamma = -5.0", &["--gamma"]),
        ("gamma = 100.0", "gamma = ", &["run/config.toml", "gamma"]),
        ("gamma = 100.0", "gamme = 5.0", &["run/config.toml", "gamme"]),
        ("iterations = 200", "iterations = 20", &["--iterations 20", "200 steps"]),
    ] {
        lab.change_settings("run", from, to);
        lab.refused(2, "train --resume run", parts);
        fs::write(lab.path("run/config.toml"), &config).unwrap();
    }
    // A line of the metrics that is none.
    let metrics = lab.text("run/metrics.jsonl");
    fs::write(lab.path("run/metrics.jsonl"), format!("what?\n{metrics}")).unwrap();
    lab.refused(2, "train --resume run --iterations 200 --attack-steps 5", &["metrics.jsonl, line 1"]);
    fs::write(lab.path("run/metrics.jsonl"), &metrics).unwrap();
    // Mended, it goes on.
    lab.ok(resume);
    assert_eq!(lab.json("run/result.json")["iterations"], 250);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let lab = Lab::new();
    for (out, flags, parts) in [
        ("a", "--variance 1e-38", &["step 1", "log_likelihood"][..]),
        ("b", "--gamma 3e38", &["step 1", "wd"]),
        ("c", "--learning-rate 1e30 --objective vae", &["step 2", "loss"]),
        // Enough latent dimensions for a KL above 1, so that beta times it is beyond float32.
        ("d", "--objective beta-vae --beta 3e38 --latent 100", &["step 1", "loss"]),
    ] {
        let line = format!("train --config base.toml --out {out} {flags} --json");
        lab.judge(1, &line, &lab.run(&line), &[parts, &["NaN or infinite", "--learning-rate"]].concat());
        assert_eq!(names(&lab.path(out)), ["config.toml", "metrics.jsonl"]);
        assert_eq!(lab.text(&format!("{out}/metrics.jsonl")), "");
    }
    // The last good checkpoint stays, and can be gone on with: to the same end.
    let line = "train --config base.toml --out run --learning-rate 1e30 --checkpoint-every 1";
    lab.judge(1, line, &lab.run(line), &["step 2"]);
    let left = ["checkpoint.safetensors", "config.toml", "metrics.jsonl"];
    assert_eq!(names(&lab.path("run")), left);
    lab.refused(1, "train --resume run", &["step 2"]);
    assert_eq!(names(&lab.path("run")), left);
}

/// Runs `line` where no file may grow beyond a few KiB: a full disk, to the program.
#[cfg(unix)]
fn on_a_full_disk(lab: &Lab, line: &str) -> common::Outcome {
    let command = lab.command(line);
    let mut limited = std::process::Command::new("sh");
    // The signal must be ignored for the write to fail instead.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]);
    limited.arg(command.get_program()).args(command.get_args()).current_dir(lab.path("."));
    outcome(&mut limited)
}

#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_saved() {
    let lab = Lab::new();
    lab.train("whole", "--no-attack --final-learning-rate 1");
    lab.train("run", "--no-attack --final-learning-rate 1 --iterations 100");
    let kept = ["checkpoint.safetensors", "model.safetensors", "result.json"];
    let files = || kept.map(|name| lab.read(&format!("run/{name}")));
    let before = files();
    let line = "train --resume run --iterations 200";
    let failed = on_a_full_disk(&lab, line);
    lab.judge(1, line, &failed, &["run/checkpoint.safetensors", "--resume run"]);
    assert!(files() == before);
    assert_eq!(names(&lab.path("run")), names(&lab.path("whole")), "nothing half-written is left");
    // So is a probe on a full disk.
    lab.judge(1, "probe run", &on_a_full_disk(&lab, "probe run"), &["run/model.safetensors"]);
    assert!(files() == before);
    lab.ok(line);
    assert!(lab.read("run/model.safetensors") == lab.read("whole/model.safetensors"));
}

#[cfg(unix)]
#[test]
fn a_directory_that_goes_away_is_an_error() {
    let lab = Lab::new();
    let line = "train --config base.toml --out run --iterations 20000 --checkpoint-every 20 --no-attack";
    let mut command = lab.command(line);
    let piped = std::process::Stdio::piped;
    let child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    common::wait_until("a checkpoint", || lab.path("run/checkpoint.safetensors").exists());
    fs::rename(lab.path("run"), lab.path("moved")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: training ended early\n  cause: run/checkpoint.safetensors: "),
        "{error}"
    );
    assert!(!Path::new(&lab.path("run")).exists());
    // Where it went it can be gone on with.
    lab.ok("train --resume moved --iterations 20000 --checkpoint-every 100000");
}

/// Flags that change nothing are named; the run is made all the same.
#[test]
fn flags_without_an_effect_are_named() {
    let lab = Lab::new();
    let line =
        "train --config base.toml --out run --objective vae --gamma 5 --crop 100 --iterations 20 --no-attack";
    let outcome = lab.run(line);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in ["--gamma is not used", "--crop is not used"] {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("--objective"), "{}", outcome.stderr);
    // The same in a file, also in that of a run; what it has as the preset does is not its own.
    let text = lab.text("base.toml");
    fs::write(lab.path("own.toml"), format!("beta = 7\nconv-channels = [2]\n{text}")).unwrap();
    for (file, unused) in
        [("own.toml", &["beta", "conv-channels"][..]), ("run/config.toml", &["gamma", "crop"])]
    {
        let told =
            lab.run(&format!("train --config {file} --out r{} --iterations 20 --no-attack", file.len()));
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        for name in unused {
            assert!(told.stderr.contains(&format!("{file}: {name} is not used: ")), "{}", told.stderr);
        }
        assert!(!told.stderr.contains(": eps is not used"), "{}", told.stderr);
    }
}

/// Whoever closes stderr gets the exit code.
#[cfg(unix)]
#[test]
fn a_closed_or_full_stderr_is_no_crash() {
    let lab = Lab::new();
    for stderr in ["2>&-", "2>/dev/full"] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("\"$@\" {stderr}"), "sh", env!("CARGO_BIN_EXE_smoothenc")]);
        let status = shell.args(["probe", "nowhere"]).current_dir(lab.path(".")).status().unwrap();
        assert_eq!(status.code(), Some(2), "{stderr}");
    }
}

/// Help that nobody gets is a failure.
#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let lab = Lab::new();
    for (line, code) in [
        ("\"$0\" --help >/dev/full", 1),
        ("\"$0\" train --help >/dev/full", 1),
        ("\"$0\" --version >/dev/full", 1),
        ("\"$0\" --help >/dev/null", 0),
        ("\"$0\" --hlep >/dev/full", 2),
    ] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{line} 2>/dev/null"), env!("CARGO_BIN_EXE_smoothenc")]);
        let status = shell.current_dir(lab.path(".")).status().unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}
