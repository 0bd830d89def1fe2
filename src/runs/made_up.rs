//! For tests: runs that were never trained, and settings of such as are trained in milliseconds.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::progress::Context;
use crate::runs::LoadedRun;
use crate::runs::config::Config;
use crate::runs::destination::Destination;
use crate::runs::dir::RunDir;
use crate::runs::pipeline::{PageWriter, complete};
use crate::runs::store::Finished;

/// A `config.toml` of runs that take milliseconds, on a data set that is written into `folder`.
pub fn quick_settings(folder: &Path) -> String {
    settings_on(folder, [40, 12], |image, pixel| ((16 * image + pixel) * 37 % 251) as u8)
}

/// The same on images of 4 x 4 of three classes, in turn: so many to train on and to test on, of these pixels.
pub fn settings_on(folder: &Path, counts: [u32; 2], pixel: impl Fn(u32, u32) -> u8) -> String {
    let set = folder.join("set");
    fs::create_dir(&set).unwrap();
    let idx = |magic: u32, sizes: &[u32], body: Vec<u8>| {
        let header = std::iter::once(magic).chain(sizes.iter().copied()).flat_map(u32::to_be_bytes);
        header.chain(body).collect::<Vec<u8>>()
    };
    for (name, count) in ["train", "t10k"].into_iter().zip(counts) {
        let pixels = (0..count * 16).map(|i| pixel(i / 16, i % 16)).collect();
        let labels = (0..count).map(|i| (i % 3) as u8).collect();
        let [images, digits] = ["images-idx3", "labels-idx1"].map(|kind| format!("{name}-{kind}-ubyte"));
        fs::write(set.join(images), idx(0x803, &[count, 4, 4], pixels)).unwrap();
        fs::write(set.join(digits), idx(0x801, &[count], labels)).unwrap();
    }
    format!(
        "dataset = 'tiny'\ndata-dir = '{}'\niterations = 6\nbatch = 10\nhidden = [4]\nlatent = 2\nlog-every = 2\n\
         checkpoint-every = 3\ntensorboard = true\nselection-steps = 1\ndevice = 'cpu'\n\
         [probe]\nepochs = 1\nleast-steps = 2\n[attack]\nsteps = 2\nrestarts = 1\nexamples = 6\n",
        set.display()
    )
}

/// A run of [`quick_settings`], trained in `folder`.
pub fn quick_run(folder: &Path) -> LoadedRun {
    let config = Config::from_toml(&quick_settings(folder), "here", &Config::default()).unwrap();
    let path = folder.join("run");
    let destination = Destination::Out { path: path.clone(), overwrite: false };
    complete(&config, &destination, &Context::silent(), &NoPages).unwrap();
    LoadedRun::open(&path, "cpu", &Context::silent()).unwrap()
}

/// A page of nothing.
#[derive(Debug)]
pub struct NoPages;

impl PageWriter for NoPages {
    fn is_fresh(&self, _: &RunDir) -> bool {
        true
    }

    fn write(&self, _: &mut LoadedRun) -> crate::Result<()> {
        Ok(())
    }
}

/// An accuracy at each radius, or no attack.
pub type Radii<'a> = Option<&'a [(&'a str, f64)]>;

/// A run whose tasks were attacked, with an accuracy at each radius, or were not.
pub fn run(tasks: &[(&str, Radii)]) -> Finished {
    let mut attacked = Map::new();
    for (name, accuracies) in tasks {
        let radii: Option<Map<String, Value>> = accuracies.map(|accuracies| {
            accuracies.iter().map(|(radius, value)| (radius.to_string(), json!(value))).collect()
        });
        // As in results of early versions, nothing is balanced under attack.
        let attack = radii.map(|radii| {
            json!({ "norm": "linf", "steps": 1, "restarts": 1, "examples": 1, "nominal_accuracy": 99.0,
                    "adversarial_accuracy": radii })
        });
        let mut task =
            json!({ "nominal_accuracy": 99.0, "majority_baseline": 50.0, "balanced_accuracy": 99.0 });
        if let Some(attack) = attack {
            task["attack"] = attack;
        }
        attacked.insert(name.to_string(), task);
    }
    let result = json!({
        "dataset": "d", "objective": "se", "arch": "mlp", "seed": 0, "iterations": 1, "device": "a CPU",
        "train_seconds": 1.0, "seconds_per_step": 1.0, "elbo_test": 1.0, "tasks": attacked
    });
    Finished { path: "run".into(), result: serde_json::from_value(result).unwrap() }
}
