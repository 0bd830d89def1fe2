//! Examples as files: one for PyTorch and for `verify`, one with the same arrays for NumPy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{About, Example, Examples};
use crate::engine::nn::{NamedTensor, TensorData};
use crate::error::{Error, Result};
use crate::runs::checkpoint::{self, Metadata};
use crate::runs::numpy::{npy, npz};
use crate::runs::output::{self, Files};

/// The file that is read back: tensors, with a checksum over everything.
const TENSORS: &str = "examples.safetensors";

/// The same arrays for NumPy.
const ARRAYS: &str = "examples.npz";

/// The metadata key of [`About`], as JSON.
const ABOUT: &str = "about";

impl Examples {
    /// Writes them into a new folder, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let tensors = self.tensors();
        let about = serde_json::to_string(&self.about)
            .map_err(|error| Error::run("the examples cannot be described").because(error))?;
        let metadata = Metadata::from([(ABOUT.into(), about)]);
        let arrays: Vec<(&str, Vec<u8>)> = tensors.iter().map(|t| (t.name.as_str(), array(t))).collect();
        let files = Files::from([
            (TENSORS.into(), checkpoint::encode_sealed(&tensors, &metadata)?),
            (ARRAYS.into(), npz(&arrays)?),
        ]);
        output::write(folder, &files)
    }

    /// One tensor for each property, with a row for each example.
    fn tensors(&self) -> Vec<NamedTensor> {
        let count = self.examples.len();
        let images = |name: &str, of: fn(&Example) -> &Vec<f32>| NamedTensor {
            name: name.into(),
            shape: [&[count], &self.shape[..]].concat(),
            data: TensorData::F32(self.examples.iter().flat_map(of).copied().collect()),
        };
        // Numbers of images, tasks, attacks and restarts are all far below 2^32.
        let numbers = |name: &str, of: fn(&Example) -> usize| NamedTensor {
            name: name.into(),
            shape: vec![count],
            data: TensorData::U32(self.examples.iter().map(|example| of(example) as u32).collect()),
        };
        let radii = self.examples.iter().map(|example| example.radius).collect();
        vec![
            images("x", |e| &e.x),
            images("x_adv", |e| &e.x_adv),
            numbers("label", |e| e.label as usize),
            numbers("answer", |e| e.answer as usize),
            numbers("image", |e| e.image),
            numbers("task", |e| e.task),
            numbers("attack", |e| e.attack),
            numbers("restart", |e| e.restart),
            NamedTensor { name: "radius".into(), shape: vec![count], data: TensorData::F32(radii) },
        ]
    }

    /// Reads the examples in a folder.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file that is missing, was changed since it was written, or does not read.
    pub fn open(folder: &Path) -> Result<Examples> {
        let path = folder.join(TENSORS);
        for file in [&path, &folder.join(output::LIST)] {
            if !file.is_file() {
                let why = "is not there: this is no folder that `attack --save-examples` wrote";
                return Err(Error::file(file, why));
            }
        }
        if let Some(finding) = output::check(folder).into_iter().next() {
            return Err(Error::file(finding.path, finding.what).with_hint("go back to a copy"));
        }
        let content = fs::read(&path).map_err(|error| Error::file(&path, "cannot be read").because(error))?;
        let (tensors, metadata) = checkpoint::decode_sealed(&path, &content)?;
        Reader { tensors: tensors.into_iter().map(|t| (t.name.clone(), t)).collect(), path }
            .examples(&metadata)
    }
}

/// A tensor as NumPy's file.
fn array(tensor: &NamedTensor) -> Vec<u8> {
    match &tensor.data {
        TensorData::F32(values) => npy(
            "<f4",
            &tensor.shape,
            &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
        ),
        TensorData::U32(values) => npy(
            "<u4",
            &tensor.shape,
            &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
        ),
    }
}

/// A file's tensors by name, which may be anyone's.
struct Reader {
    path: PathBuf,
    tensors: BTreeMap<String, NamedTensor>,
}

impl Reader {
    fn refuse<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(Error::file(&self.path, what))
    }

    fn examples(&self, metadata: &Metadata) -> Result<Examples> {
        let about = metadata.get(ABOUT).map_or("", String::as_str);
        let about: About = serde_json::from_str(about).map_err(|error| {
            Error::file(&self.path, "does not say what its examples are of").because(error)
        })?;
        let shape = match self.tensor("x")?.shape[..] {
            [_, channels, height, width] => [channels, height, width],
            _ => return self.refuse("has \"x\" in another shape than [examples, channels, height, width]"),
        };
        let count = self.tensor("x")?.shape[0];
        let inputs = self.tensor("x")?.data.len() / count.max(1);
        let (x, x_adv) = (self.floats("x", count * inputs)?, self.floats("x_adv", count * inputs)?);
        let radius = self.floats("radius", count)?;
        let numbers = |name: &str, most: usize| self.numbers(name, count, most);
        let any = u32::MAX as usize;
        let (label, answer, image) =
            (numbers("label", any)?, numbers("answer", any)?, numbers("image", any)?);
        let (restart, task) = (numbers("restart", any)?, numbers("task", about.tasks.len())?);
        let attack = numbers("attack", about.attacks.len())?;
        let example = |i: usize| Example {
            task: task[i] as usize,
            image: image[i] as usize,
            label: label[i],
            answer: answer[i],
            attack: attack[i] as usize,
            restart: restart[i] as usize,
            radius: radius[i],
            x: x[i * inputs..][..inputs].to_vec(),
            x_adv: x_adv[i * inputs..][..inputs].to_vec(),
        };
        Ok(Examples { examples: (0..count).map(example).collect(), about, shape })
    }

    fn tensor(&self, name: &str) -> Result<&NamedTensor> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => self.refuse(format!("has no tensor {name:?}")),
        }
    }

    fn floats(&self, name: &str, count: usize) -> Result<&[f32]> {
        match &self.tensor(name)?.data {
            TensorData::F32(values) if values.len() == count => Ok(values),
            _ => self.refuse(format!("has {name:?} of another type or size than its examples need")),
        }
    }

    /// Numbers of which each must be below `below`.
    fn numbers(&self, name: &str, count: usize, below: usize) -> Result<&[u32]> {
        match &self.tensor(name)?.data {
            TensorData::U32(values) if values.len() != count => {
                self.refuse(format!("has {} of {name:?} for {count} examples", values.len()))
            }
            TensorData::U32(values) => match values.iter().find(|value| **value as usize >= below) {
                Some(value) => self.refuse(format!("has {value} in {name:?}, where {below} are known")),
                None => Ok(values),
            },
            TensorData::F32(_) => {
                self.refuse(format!("has {name:?} in floats, where whole numbers are needed"))
            }
        }
    }
}
