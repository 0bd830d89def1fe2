//! A run's classifier for other programs: as ONNX, and as properties for verifiers.

use std::iter;
use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::files::lock::Lock;
use crate::files::{Staged, directory, disk};
use crate::method::robustness::{self, Attack};
use crate::runs::dir::MODEL;
use crate::runs::network::Network;
use crate::runs::output::{self, Files};
use crate::runs::record::FileMark;
use crate::runs::{LoadedRun, onnx, recipe, short, vnnlib};

/// The file that lists properties.
pub const INSTANCES: &str = "instances.csv";

/// The properties that are to be written beside the network.
#[derive(Debug, Clone, Copy)]
pub struct Properties<'a> {
    /// The folder to make.
    pub folder: &'a Path,
    /// Of the L-infinity balls, on the [0, 1] scale.
    pub radius: f32,
    /// The images to take, in the attack's order; those that are classified right get a property.
    pub examples: usize,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub inputs: usize,
    pub classes: usize,
    /// The number of properties, and of the images that were tried.
    pub properties: Option<(usize, usize)>,
}

impl LoadedRun {
    /// Writes the classifier of `task`, the encoder's mean and the probe, as an ONNX model to `file`, and properties
    /// where they are asked for: everything or nothing.
    ///
    /// # Errors
    /// [`Error::Request`] where the task has no probe, or none of the images is classified right; [`Error::Io`] naming
    /// what cannot be written.
    pub fn export(&mut self, task: usize, file: &Path, properties: Option<&Properties>) -> Result<Exported> {
        self.require_probes(&[task])?;
        let about = self.data.tasks[task].clone();
        let network = Network::of_run(&self.vae, &about.name, about.classes, &self.tensors)?;
        let model = onnx::encode(&network, &self.metadata(&about.name)?);
        let mut exported =
            Exported { inputs: network.inputs(), classes: network.outputs(), properties: None };
        let Some(properties) = properties else {
            Staged::new(file, &model)?.commit()?;
            return Ok(exported);
        };
        let (files, tried) = self.properties(task, properties)?;
        exported.properties = Some((files.len(), tried));
        let staged = Staged::new(file, &model)?;
        write_properties(properties.folder, files, file)?;
        staged.commit()?;
        Ok(exported)
    }

    /// What the model's file says of where it comes from.
    fn metadata(&self, task: &str) -> Result<Vec<(&'static str, String)>> {
        let model = match self.result.files.get(MODEL) {
            Some(mark) => mark.clone(),
            None => FileMark::of_file(&self.dir().model_path())?,
        };
        // The folder's own name: what lies above is the user's.
        let run = self.dir().path().canonicalize().map_err(Error::io(self.dir().path()))?;
        let run = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(vec![
            ("run", run),
            ("task", task.into()),
            ("dataset", self.config.dataset.clone()),
            ("model_sha256", model.sha256),
        ])
    }

    /// A file for each image that is classified right, and how many images were tried.
    fn properties(&mut self, task: usize, properties: &Properties) -> Result<(Files, usize)> {
        let Properties { radius, examples, .. } = *properties;
        let numbers: Vec<usize> = self.data.test.images.sample(examples).collect();
        let x = self.data.test.images.floats_of(numbers.iter().copied())?;
        // Without a method the attack only tells which images are classified right.
        let nothing = Attack { methods: vec![], radii: vec![], ..recipe::attack(&self.config.attack) };
        let tensors = std::mem::take(&mut self.tensors);
        let report = self.evaluator().with_target(task, &tensors, &x, |session, target| {
            robustness::attack(session, target, &nothing, &|_, _| ())
        });
        self.tensors = tensors;
        let about = &self.data.tasks[task];
        let (name, radius) = (&about.name, short(radius));
        let mut files = Files::new();
        let images = x.chunks_exact(self.data.test.images.image_len());
        for ((number, x), outcome) in numbers.iter().zip(images).zip(report?.outcomes) {
            if outcome.clean {
                let label = outcome.label;
                let line =
                    format!("task {name}, test image {number}, class {label}, L-infinity radius {radius}");
                let text = vnnlib::property(&line, x, label as usize, about.classes, radius);
                files.insert(format!("{name}-{number}.vnnlib"), text.into_bytes());
            }
        }
        match files.is_empty() {
            true => Err(Error::request(format!(
                "none of the first {} test images is classified right, so there is no property to verify",
                numbers.len()
            ))
            .with_hint("give a larger --examples")),
            false => Ok((files, numbers.len())),
        }
    }
}

/// Makes the folder with the properties and their list; `network` is the model's file.
fn write_properties(folder: &Path, mut files: Files, network: &Path) -> Result<()> {
    disk::create_directories(folder).map_err(|error| Error::file(folder, "cannot be made").because(error))?;
    let _lock = Lock::take(folder)?;
    let list = vnnlib::instances(&path_from(folder, network)?, files.keys());
    files.insert(INSTANCES.into(), list.into_bytes());
    output::prepare(folder, &files.keys().collect::<Vec<_>>())?;
    output::write(folder, &files)
}

/// The path of `file`, which need not be there yet, from `folder`.
fn path_from(folder: &Path, file: &Path) -> Result<String> {
    let whole = |path: &Path| path.canonicalize().map_err(Error::io(path));
    let (from, to) = (whole(folder)?, whole(directory(file))?.join(file.file_name().unwrap_or_default()));
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = iter::repeat_n("..".into(), from.components().count() - common);
    let down = to.components().skip(common).map(|part: Component| part.as_os_str().to_string_lossy());
    Ok(up.chain(down).collect::<Vec<_>>().join("/"))
}
