//! Every call to the system that a run's work makes fails once, and the process ends at each: afterwards the run is
//! whole, or says what is wrong, and gone on with it comes to the same end, to the bit.
//!
//! An ordinary test strikes every so many calls. `cargo test --release --lib whatever_fails -- --ignored` strikes all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::files::disk::faults::{self, Fault};
use crate::progress::Context;
use crate::runs::check::check;
use crate::runs::config::{AttackConfig, Config};
use crate::runs::destination::Destination;
use crate::runs::dir::{METRICS, RunDir};
use crate::runs::evaluate::Labels;
use crate::runs::pipeline::{PageWriter, complete};
use crate::runs::record::RunRecord;
use crate::runs::writing::{Access, Writing};
use crate::runs::{LoadedRun, made_up, metrics};

/// Pages as the room above writes them: whole, and after the result.
#[derive(Debug)]
struct Pages;

impl PageWriter for Pages {
    fn is_fresh(&self, run: &RunDir) -> bool {
        let page = fs::read(run.report_path()).ok();
        page.is_some() && page == fs::read(run.result_path()).ok()
    }

    fn write(&self, run: &mut LoadedRun) -> Result<()> {
        let result = fs::read(run.dir().result_path()).unwrap();
        crate::files::write_whole(&run.dir().report_path(), &result)
    }
}

/// A folder with a data set, and the settings of runs on it that take milliseconds.
struct Lab {
    base: tempfile::TempDir,
    config: Config,
}

impl Lab {
    fn new() -> Lab {
        let base = tempfile::tempdir().unwrap();
        let settings = made_up::quick_settings(base.path());
        let config = Config::from_toml(&settings, "here", &Config::default()).unwrap();
        Lab { base, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Trains into a new folder, or goes on with what is there, as a user would after an error.
    fn train(&self, path: &Path) -> Result<()> {
        let destination = match path.join("config.toml").is_file() {
            true => Destination::Resume(path.to_path_buf()),
            false => Destination::Out { path: path.to_path_buf(), overwrite: false },
        };
        complete(&self.config, &destination, &Context::silent(), &Pages)?.page
    }

    fn open(&self, path: &Path) -> Result<LoadedRun> {
        let context = Context::silent();
        LoadedRun::of(Access::Write(Writing::open(path)?), "cpu", &context)
    }

    fn probe(&self, path: &Path) -> Result<()> {
        let mut run = self.open(path)?;
        run.probe(&[0], Labels { fraction: 0.5, seed: 3, balanced: false }, 3)?;
        Pages.write(&mut run)
    }

    fn attack(&self, path: &Path) -> Result<()> {
        let mut run = self.open(path)?;
        run.attack(&[0], &AttackConfig { radii: vec![0.5], ..self.config.attack.clone() })?;
        Pages.write(&mut run)
    }

    fn overwrite(&self, path: &Path) -> Result<()> {
        let destination = Destination::Out { path: path.to_path_buf(), overwrite: true };
        complete(&self.config, &destination, &Context::silent(), &Pages)?.page
    }
}

/// What a run measured and has: all but the times.
fn essence(path: &Path) -> (Vec<u8>, RunRecord, Vec<u64>) {
    let run = RunDir::open(path).unwrap();
    let record = RunRecord::load(&run.result_path()).unwrap();
    let mut record = RunRecord { train_seconds: 0.0, seconds_per_step: 0.0, ..record };
    // Its lines have times.
    record.files.remove(METRICS);
    let lines = metrics::read(&run.metrics_path()).unwrap();
    let steps = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    (fs::read(run.model_path()).unwrap(), record, steps)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// Strikes every `stride`-th call of each kind of work by each fault.
fn strike(stride: usize) {
    let lab = Lab::new();
    let whole = lab.path("whole");
    lab.train(&whole).unwrap();
    assert_eq!(check(&whole, &Pages), []);
    // As after Ctrl-C: what follows the checkpoint is made anew.
    let stopped = lab.path("stopped");
    copy(&whole, &stopped);
    for file in ["result.json", "model.safetensors", "report.html"] {
        fs::remove_file(stopped.join(file)).unwrap();
    }
    assert!(RunDir::open(&stopped).unwrap().checkpoint_path().is_file());
    type Work = fn(&Lab, &Path) -> Result<()>;
    let works: [(&str, Work); 5] = [
        ("train", Lab::train),
        ("train --resume", Lab::train),
        ("probe", Lab::probe),
        ("attack", Lab::attack),
        ("train --overwrite", Lab::overwrite),
    ];
    for (name, work) in works {
        // Training begins with nothing, resuming with a run that was stopped, the others with a finished one.
        let begin = |path: &Path| match name {
            "train" => {}
            "train --resume" => copy(&stopped, path),
            _ => copy(&whole, path),
        };
        let after = lab.path(&format!("{name}-after"));
        begin(&after);
        let (done, calls) = faults::count(|| work(&lab, &after));
        done.unwrap();
        assert_eq!(check(&after, &Pages), [], "{name}");
        let after = essence(&after);
        for (fault, at) in faults::strikes(name, stride, calls) {
            let path = lab.path("struck");
            begin(&path);
            let told = format!("{name}, {fault:?} at {at} of {calls}");
            let (struck, _) = faults::with(at, fault, || work(&lab, &path));
            let ended = matches!(fault, Fault::Kill);
            assert!(struck.is_err() || !ended, "{told}: nobody noticed");
            // What the fault left, a user goes on with: the same command again, or `--resume`.
            let finished = match name {
                "probe" | "attack" if struck.is_err() => work(&lab, &path),
                _ => lab.train(&path),
            };
            finished.unwrap_or_else(|error| panic!("{told}: {}", error.in_full()));
            assert_eq!(check(&path, &Pages), [], "{told}");
            let (model, record, steps) = essence(&path);
            assert!(model == after.0, "{told}: another model");
            assert_eq!(record, after.1, "{told}");
            assert_eq!(steps, after.2, "{told}");
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn whatever_fails_nothing_is_lost_or_mixed() {
    strike(5);
}

#[test]
#[ignore = "long: every call by every fault"]
fn whatever_fails_at_every_call_nothing_is_lost_or_mixed() {
    strike(1);
}
