//! What the command-line tests share: a folder with a small data set, and the real binary run in it.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

pub const TRAIN: usize = 300;
pub const TEST: usize = 60;
pub const SIDE: usize = 8;
pub const CLASSES: usize = 3;

/// Settings of a run that takes a fraction of a second. `DATA` is the folder of the set.
const SETTINGS: &str = "\
dataset = 'tiny'
data-dir = 'DATA'
device = 'cpu'
hidden = [16, 16]
latent = 4
batch = 50
iterations = 200
log-every = 50
checkpoint-every = 100
selection-steps = 5
[attack]
steps = 10
restarts = 2
";

/// A folder of its own, removed at the end. Commands run in it.
pub struct Lab {
    base: TempDir,
}

/// The names, shapes and values of a file's tensors.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What a command left behind.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    /// A folder with the IDX set in `set` and the settings of a small run in `base.toml`.
    pub fn new() -> Lab {
        let base = tempfile::tempdir().unwrap();
        write_set(&base.path().join("set"));
        let data = base.path().join("set").display().to_string();
        fs::write(base.path().join("base.toml"), SETTINGS.replace("DATA", &data)).unwrap();
        Lab { base }
    }

    /// Writes `short.toml`: settings of runs that take a fraction of a second, for `reproduce --config`.
    pub fn short_runs(&self) {
        let data = self.path("set").display().to_string();
        let text = format!(
            "data-dir = '{data}'\niterations = 20\nbatch = 50\n[probe]\nepochs = 1\nleast-steps = 50\n\
             [attack]\nsteps = 4\nrestarts = 1\nexamples = 30\n"
        );
        fs::write(self.path("short.toml"), text).unwrap();
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.base.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// The tensors of a safetensors file, and its metadata.
    pub fn tensors(&self, name: &str) -> (Tensors, BTreeMap<String, String>) {
        let bytes = self.read(name);
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let read = |(name, view): (&str, safetensors::tensor::TensorView)| {
            assert_eq!(view.dtype(), Dtype::F32, "{name}");
            let values = view.data().as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
            (name.to_string(), (view.shape().to_vec(), values))
        };
        let metadata = header.metadata().clone().unwrap_or_default();
        (file.iter().map(read).collect(), metadata.into_iter().collect())
    }

    /// `smoothenc LINE`, words split at blanks, to be run here.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smoothenc"));
        // What was measured on this machine before changes no test.
        command.env("SMOOTHENC_TUNE", "0");
        command.args(line.split_whitespace()).current_dir(self.base.path()).stdin(Stdio::null());
        // A terminal's session directory is not there on servers.
        command.env_remove("XDG_RUNTIME_DIR").env_remove("NODEVICE_SELECT").env_remove("RUST_LOG");
        command
    }

    pub fn run(&self, line: &str) -> Outcome {
        outcome(&mut self.command(line))
    }

    /// Runs a command that must succeed in silence on stderr; returns its stdout.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "smoothenc {line}");
        outcome.stdout
    }

    /// Changes the settings of a run by hand, and means it: without the line that has the checksum.
    pub fn change_settings(&self, run: &str, from: &str, to: &str) {
        let text = self.text(&format!("{run}/config.toml"));
        let (seal, settings) = text.split_once('\n').unwrap();
        assert!(seal.contains("sha256") && settings.contains(from), "{from}");
        fs::write(self.path(run).join("config.toml"), settings.replace(from, to)).unwrap();
    }

    /// Trains by `base.toml` and `more` into `out`; returns stdout.
    #[track_caller]
    pub fn train(&self, out: &str, more: &str) -> String {
        self.ok(&format!("train --config base.toml --out {out} {more}"))
    }

    /// Runs a command that must fail with `code`, with nothing on stdout, one error on stderr that has all
    /// `parts`, and every file here as it was before. Returns the error.
    #[track_caller]
    pub fn refused(&self, code: i32, line: &str, parts: &[&str]) -> String {
        let before = snapshot(self.base.path());
        let outcome = self.run(line);
        self.judge(code, line, &outcome, parts);
        assert!(before == snapshot(self.base.path()), "smoothenc {line}: files have changed");
        outcome.stderr
    }

    /// The part of [`Lab::refused`] that looks at what was printed.
    #[track_caller]
    pub fn judge(&self, code: i32, line: &str, outcome: &Outcome, parts: &[&str]) {
        let error = &outcome.stderr;
        assert_eq!(outcome.code, Some(code), "smoothenc {line}: {error}");
        assert_eq!(outcome.stdout, "", "smoothenc {line}: stdout");
        assert!(error.starts_with("error: "), "smoothenc {line}: {error}");
        let errors = error.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "smoothenc {line}: {error}");
        for part in parts {
            assert!(error.contains(part), "smoothenc {line}: no {part:?} in: {error}");
        }
    }
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Outcome { code: output.status.code(), stdout, stderr }
}

/// Every file and folder under `path`, with the files' contents and where links lead to.
pub fn snapshot(path: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(path, Some(target.into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            found.extend(snapshot(&path));
            found.insert(path, None);
        } else {
            let content = fs::read(&path).unwrap();
            found.insert(path, Some(content));
        }
    }
    found
}

/// The names in a folder, sorted.
pub fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Keys of a JSON object in their order.
#[track_caller]
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// An IDX file: magic number, dimensions, content.
pub fn idx(magic: u32, dimensions: &[usize], content: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    dimensions.iter().for_each(|&d| bytes.extend((d as u32).to_be_bytes()));
    bytes.extend(content);
    bytes
}

/// Three classes that a linear classifier tells apart: bright bands at the top, at the left and along the diagonal.
fn write_set(directory: &Path) {
    fs::create_dir(directory).unwrap();
    let mut noise = 1_u32;
    for (split, count) in [("train", TRAIN), ("t10k", TEST)] {
        let mut pixels = Vec::new();
        let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
        for &label in &labels {
            for (y, x) in (0..SIDE * SIDE).map(|i| (i / SIDE, i % SIDE)) {
                let band = [y < 3, x < 3, y.abs_diff(x) < 2][label as usize];
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pixels.push(if band { 170 } else { 0 } + (noise >> 24) as u8 / 3);
            }
        }
        let images = idx(0x803, &[count, SIDE, SIDE], &pixels);
        fs::write(directory.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        fs::write(directory.join(format!("{split}-labels-idx1-ubyte")), idx(0x801, &[count], &labels))
            .unwrap();
    }
}

/// Waits until `done`, at most a minute.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number at a path of keys.
#[track_caller]
pub fn number(value: &Value, path: &[&str]) -> f64 {
    let at = path.iter().fold(value, |value, key| &value[key]);
    at.as_f64().unwrap_or_else(|| panic!("{path:?} is {at}"))
}

#[track_caller]
pub fn percentage(value: &Value, path: &[&str]) -> f64 {
    let percent = number(value, path);
    assert!((0.0..=100.0).contains(&percent), "{path:?}: {percent}");
    assert_eq!((percent * 100.0).round() / 100.0, percent, "{path:?} has two decimals");
    percent
}

/// What an attack has for each radius: accuracies that fall, by as many as its methods broke, each in its interval.
pub fn check_radii(attack: &Value, radii: &[&str]) {
    let examples = number(attack, &["examples"]);
    for key in ["adversarial_accuracy", "interval", "by"] {
        assert_eq!(keys(&attack[key]), radii, "{key}");
    }
    let mut last = percentage(attack, &["nominal_accuracy"]);
    for radius in radii {
        let accuracy = percentage(attack, &["adversarial_accuracy", radius]);
        let broken: f64 =
            attack["by"][radius].as_object().unwrap().values().map(|n| n.as_f64().unwrap()).sum();
        let expected = last - 100.0 * broken / examples;
        assert!(
            (accuracy - expected).abs() < 0.02,
            "{accuracy} at radius {radius} after {last}, {broken} broken"
        );
        let [low, high] = [0, 1].map(|end| attack["interval"][radius][end].as_f64().unwrap());
        assert!(0.0 <= low && low <= accuracy && accuracy <= high && high <= 100.0, "{radius}: {low} {high}");
        last = accuracy;
    }
}
