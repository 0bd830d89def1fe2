//! Receipts: the adversarial examples of an attack in a folder, so that anyone can replay them.

mod file;
mod replay;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::engine::ops::ImageShape;
use crate::error::{Error, Result};
use crate::method::robustness::{AttackReport, Broken, Outcome};
use crate::runs::config::{AttackConfig, AttackMethod, Norm};
use crate::runs::record::{Provenance, TransferSource};
pub use replay::{Fault, Replay};

/// What was attacked, how, and by what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The run's folder, as it was given.
    pub run: PathBuf,
    /// The SHA-256 of its `model.safetensors`.
    pub model: String,
    /// The fingerprint of its data: the `sha256` of `data info`.
    pub data: String,
    /// The names of the tasks; an example has a number among these.
    pub tasks: Vec<String>,
    /// The attacks that were tried, in this order; an example has a number among these.
    pub attacks: Vec<AttackMethod>,
    pub norm: Norm,
    pub steps: usize,
    pub restarts: usize,
    pub seed: u64,
    /// Where the points of transfer come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_from: Option<TransferSource>,
    pub made_by: Provenance,
}

/// An image that an attack broke, at the smallest radius at which one did.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The number of the task in [`About::tasks`].
    pub task: usize,
    /// The image's number in the test split.
    pub image: usize,
    /// Its class.
    pub label: u32,
    /// The class that the CPU answers to the perturbed image.
    pub answer: u32,
    /// The number in [`About::attacks`].
    pub attack: usize,
    /// Of the attack, from 0.
    pub restart: usize,
    pub radius: f32,
    /// The image, `[channels, height, width]` in [0, 1].
    pub x: Vec<f32>,
    /// The perturbed image.
    pub x_adv: Vec<f32>,
}

/// The examples of an attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    pub about: About,
    /// Channels, height and width of an image.
    pub shape: ImageShape,
    pub examples: Vec<Example>,
}

impl Examples {
    /// None yet, of an attack as `config` says.
    pub(super) fn none(
        run: &Path,
        model: String,
        data: &Dataset,
        config: &AttackConfig,
        by: Provenance,
    ) -> Self {
        let about = About {
            run: run.to_path_buf(),
            model,
            data: data.fingerprint.clone(),
            tasks: data.tasks.iter().map(|task| task.name.clone()).collect(),
            attacks: config.attacks.clone(),
            norm: config.norm,
            steps: config.steps,
            restarts: config.restarts,
            seed: config.seed,
            transfer_from: None,
            made_by: by,
        };
        Examples { about, shape: data.test.images.shape(), examples: Vec::new() }
    }

    /// The example of each image of a task that `report` has broken, with the image's place in the report; `x` are the
    /// attacked images, and `numbers` theirs in the test split. The answers are not known yet.
    fn of_report(
        &self,
        task: usize,
        report: &AttackReport,
        x: &[f32],
        numbers: &[usize],
    ) -> Vec<(usize, Example)> {
        let inputs = self.shape.iter().product::<usize>();
        let example = |(&place, point): (&usize, &Vec<f32>)| {
            let Outcome { label, broken, .. } = report.outcomes[place];
            let Broken { radius, method, restart, .. } = broken?;
            let attack = self.about.attacks.iter().position(|attack| attack.name() == method.name())?;
            let (image, x) = (numbers[place], x[place * inputs..][..inputs].to_vec());
            let x_adv = point.clone();
            Some((place, Example { task, image, label, answer: label, attack, restart, radius, x, x_adv }))
        };
        report.points.iter().filter_map(example).collect()
    }

    /// An example in words.
    pub fn title(&self, example: &Example) -> String {
        let About { tasks, attacks, .. } = &self.about;
        let (task, attack) = (&tasks[example.task], attacks[example.attack]);
        let radius = super::shown(super::short(example.radius));
        format!("image {} of task {task}, {attack} at radius {radius}", example.image)
    }
}

/// Refuses a folder for examples that exists, or cannot.
///
/// # Errors
/// [`Error::Request`] naming it.
pub fn check_folder(folder: &Path) -> Result<()> {
    match folder.symlink_metadata() {
        Ok(_) => Err(Error::setting("save-examples", format!("{}: exists already", folder.display()))
            .with_hint("move it away, or give another folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let what = format!("{}: no folder can be there", folder.display());
            Err(Error::setting("save-examples", what).because(error))
        }
    }
}
