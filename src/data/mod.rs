//! Data sets: images as bytes, labels as class numbers, for one task or several (docs/method.md, section 6).
//!
//! Pixels stay `u8` here; whoever uses them scales to [0, 1] by 1/255. Everything is checked on the way in, so
//! that the rest of the program never meets a set that does not fit together. Every fault is an
//! [`Error::Request`] of one sentence that names the file and what to do.

pub mod celeba;
pub mod color;
pub mod faces;
mod idx;
mod images;

use std::path::{Path, PathBuf};

use crate::progress::{Observer, Silent};
use crate::{Error, Result};

pub use idx::{read_images, read_labels};
pub use images::Images;

/// The largest image side the models are built for, in pixels.
pub const MAX_SIDE: usize = 64;

/// The four files every set has: what it is, its base name and the IDX suffix.
const TRAIN_IMAGES: (&str, &str) = ("train-images", "idx3-ubyte");
const TRAIN_LABELS: (&str, &str) = ("train-labels", "idx1-ubyte");
const TEST_IMAGES: (&str, &str) = ("t10k-images", "idx3-ubyte");
const TEST_LABELS: (&str, &str) = ("t10k-labels", "idx1-ubyte");

/// What can be asked about an image: a class for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    pub classes: usize,
}

/// Images with a label for each task.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub images: Images,
    /// For each task the class of each image, below [`Task::classes`].
    pub labels: Vec<Vec<u32>>,
}

impl Split {
    /// How many examples there are.
    pub fn count(&self) -> usize {
        self.images.count
    }
}

/// A training and a test split of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The name it was asked for by.
    pub name: String,
    pub train: Split,
    pub test: Split,
    /// `digit` for MNIST, `digit` and `color` in colours, the 17 of docs/method.md for CelebA, `label` for any foreign set.
    pub tasks: Vec<Task>,
    /// Made by `data make`: no photographs.
    pub synthetic: bool,
    /// Photographs left out because they cannot be read.
    pub skipped: usize,
}

/// Where a set lies, and how its images are made ready.
#[derive(Clone, Debug, Default)]
pub struct Source<'a> {
    pub name: &'a str,
    pub directory: Option<&'a Path>,
    /// Settings of [`celeba`], which no other set uses.
    pub photos: celeba::Options,
    /// Told how far the work on a large set has come; nobody where there is none.
    pub observer: Option<&'a dyn Observer>,
}

/// Whether `name` may stand for a data set: it becomes part of a directory's name, so it is letters, digits,
/// `.`, `_` and `-`, and starts with a letter or digit.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::request(format!(
        "{name:?} cannot name a data set: use letters, digits, '.', '_' and '-', starting with a letter or digit \
         (the folder of its files goes into --data-dir)"
    )))
}

/// Refuses names that cannot be loaded whatever lies on the disk: ill-formed ones, and sets that do not come
/// with the program without a folder.
pub fn check_available(name: &str, data_dir: Option<&Path>) -> Result<()> {
    check_name(name)?;
    match name {
        "mnist" | "color-mnist" => Ok(()),
        "celeba" if data_dir.is_none() => Err(Error::request(
            "celeba does not come with the program: give the folder of img_align_celeba, list_attr_celeba.txt and \
             list_eval_partition.txt with --data-dir DIR (`smoothenc data fetch celeba` says where they are, \
             `smoothenc data make celeba --out DIR` draws synthetic ones)",
        )),
        _ if data_dir.is_none() => Err(Error::request(format!(
            "unknown data set {name:?}: use mnist or color-mnist, or give --data-dir DIR with IDX files of the MNIST \
             naming (train-images-idx3-ubyte[.gz], ...)"
        ))),
        _ => Ok(()),
    }
}

impl Dataset {
    /// Loads a set: `mnist` and `color-mnist` from the directory given, else from `datasets/mnist` under the current
    /// directory, else under the source tree this program was built from; `celeba` and, as IDX files, any other name
    /// from the directory given.
    ///
    /// # Errors
    /// [`Error::Request`], one sentence naming the file and the fix: an unknown name, a missing or unreadable
    /// file, a wrong magic number, truncated data (also a truncated archive), trailing bytes, a label count
    /// that is not the image count, an empty set, shapes that differ between the splits or exceed
    /// [`MAX_SIDE`], a test label no training image has the class range for; for CelebA see [`celeba::load`].
    pub fn load(source: &Source) -> Result<Dataset> {
        let name = source.name;
        check_available(name, source.directory)?;
        match (name, source.directory) {
            ("celeba", Some(directory)) => {
                celeba::load(directory, &source.photos, source.observer.unwrap_or(&Silent))
            }
            ("color-mnist", _) => {
                let grey = Source { name: "mnist", ..source.clone() };
                Ok(color::colored(Dataset::load(&grey)?, name))
            }
            (_, Some(directory)) => load_idx(name, directory),
            (_, None) => load_idx(name, &find_bundled(name)?),
        }
    }

    /// Makes the last `n` training images the test split, for choosing settings without ever touching the
    /// test set. 0 changes nothing. The tasks stay as they are.
    ///
    /// # Errors
    /// [`Error::Request`] where nothing would be left to train on, or where a digit would be tested in a colour after
    /// it was trained on in another.
    pub fn hold_out(mut self, n: usize) -> Result<Dataset> {
        if n == 0 {
            return Ok(self);
        }
        let (count, per) = (self.train.count(), self.train.images.per_stored());
        if n >= count {
            return Err(Error::request(format!(
                "--holdout {n} leaves nothing to train on: {} has {count} training images",
                self.name
            )));
        }
        if !n.is_multiple_of(per) {
            return Err(Error::request(format!(
                "--holdout {n}: {} has every digit in {per} colours, which must stay together; give a multiple of {per}",
                self.name
            )));
        }
        let keep = count - n;
        let labels = self.train.labels.iter_mut().map(|labels| labels.split_off(keep)).collect();
        let (images, held) = self.train.images.split_at(keep);
        self.train.images = images;
        self.test = Split { images: held, labels };
        Ok(self)
    }
}

/// A set in four IDX files.
fn load_idx(name: &str, directory: &Path) -> Result<Dataset> {
    let train = load_split(directory, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = load_split(directory, TEST_IMAGES, TEST_LABELS)?;
    if train.images.shape() != test.images.shape() {
        let [a, b] = [&train, &test].map(|s| format!("{}x{}", s.images.height, s.images.width));
        return Err(Error::request(format!(
            "{}: the training images are {a} and the test images {b}; both must be of one data set",
            directory.display()
        )));
    }
    let classes = train.labels[0].iter().max().map_or(0, |&largest| largest as usize + 1);
    if let Some(at) = test.labels[0].iter().position(|&label| label as usize >= classes) {
        return Err(Error::request(format!(
            "{}: label {at} is {}, but the training labels end at {}; both must be of one data set",
            find_file(directory, TEST_LABELS)?.display(),
            test.labels[0][at],
            classes - 1
        )));
    }
    let task = Task { name: if name == "mnist" { "digit" } else { "label" }.into(), classes };
    Ok(Dataset { name: name.to_string(), train, test, tasks: vec![task], synthetic: false, skipped: 0 })
}

/// Where a set that comes with the program lies.
fn find_bundled(name: &str) -> Result<PathBuf> {
    let here = Path::new("datasets").join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(&here);
    for candidate in [&here, &source] {
        if candidate.is_dir() {
            return Ok(candidate.clone());
        }
    }
    Err(Error::request(format!(
        "{name} is in neither {} (under the current directory) nor {}: give its folder with --data-dir DIR",
        here.display(),
        source.display()
    )))
}

/// Finds a set's file in any of its usual spellings.
fn find_file(directory: &Path, (base, suffix): (&str, &str)) -> Result<PathBuf> {
    if !directory.is_dir() {
        return Err(Error::request(format!(
            "{} is not a directory: --data-dir must name the folder that holds the IDX files",
            directory.display()
        )));
    }
    for join in ['-', '.'] {
        for packed in ["", ".gz"] {
            let path = directory.join(format!("{base}{join}{suffix}{packed}"));
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    Err(Error::request(format!(
        "{} is missing (also looked for with .gz and as {base}.{suffix}): put the file there, or name another \
         folder with --data-dir",
        directory.join(format!("{base}-{suffix}")).display()
    )))
}

/// Reads one split and checks that labels and images belong together.
fn load_split(directory: &Path, images: (&str, &str), labels: (&str, &str)) -> Result<Split> {
    let images_path = find_file(directory, images)?;
    let labels_path = find_file(directory, labels)?;
    let images = read_images(&images_path)?;
    let labels = read_labels(&labels_path)?;
    if images.count != labels.len() {
        return Err(Error::request(format!(
            "{} has {} labels for the {} images of {}: they must be of one data set",
            labels_path.display(),
            labels.len(),
            images.count,
            images_path.display()
        )));
    }
    Ok(Split { images, labels: vec![labels] })
}

#[cfg(test)]
mod tests;
