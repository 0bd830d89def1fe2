//! Data sets: images as bytes, labels as class numbers (SPEC section 6).
//!
//! Pixels stay `u8` here; whoever uses them scales to [0, 1] by 1/255. Everything is checked on the way in, so
//! that the rest of the program never meets a set that does not fit together. Every fault is an
//! [`Error::Request`] of one sentence that names the file and what to do.

mod idx;

use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub use idx::{read_images, read_labels};

/// The largest image side the models are built for, in pixels.
pub const MAX_SIDE: usize = 64;

/// The four files every set has: what it is, its base name and the IDX suffix.
const TRAIN_IMAGES: (&str, &str) = ("train-images", "idx3-ubyte");
const TRAIN_LABELS: (&str, &str) = ("train-labels", "idx1-ubyte");
const TEST_IMAGES: (&str, &str) = ("t10k-images", "idx3-ubyte");
const TEST_LABELS: (&str, &str) = ("t10k-labels", "idx1-ubyte");

/// `count` images, one after the other, each row by row: `[count, channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// `count * channels * height * width` bytes, 0 black and 255 white.
    pub pixels: Vec<u8>,
}

impl Images {
    /// The numbers in one image (`Dx` of SPEC section 1).
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// `(height, width, channels)` of each image.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.height, self.width, self.channels)
    }
}

/// Images with one label each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub images: Images,
    /// The class of each image, below [`Dataset::classes`].
    pub labels: Vec<u32>,
}

impl Split {
    /// How many examples there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }
}

/// A training and a test split of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The name it was asked for by.
    pub name: String,
    pub train: Split,
    pub test: Split,
    /// What the labels mean: `digit` for MNIST, `label` for any foreign set.
    pub task: String,
    /// One more than the largest training label.
    pub classes: usize,
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

/// Refuses names that cannot be loaded whatever lies on the disk: ill-formed ones, sets this version has not
/// got, and foreign sets without a folder.
pub fn check_available(name: &str, data_dir: Option<&Path>) -> Result<()> {
    check_name(name)?;
    match name {
        "mnist" => Ok(()),
        "color-mnist" | "celeba" => Err(Error::request(format!(
            "the data set {name} is not part of this version yet; there are mnist, and any other name with \
             --data-dir DIR pointing at IDX files of the MNIST naming"
        ))),
        _ if data_dir.is_none() => Err(Error::request(format!(
            "unknown data set {name:?}: use mnist, or give --data-dir DIR with IDX files of the MNIST naming \
             (train-images-idx3-ubyte[.gz], ...)"
        ))),
        _ => Ok(()),
    }
}

impl Dataset {
    /// Loads the set `name`: `mnist` from `data_dir` if given, else from `datasets/mnist` under the current
    /// directory, else under the source tree this program was built from; any other name from `data_dir`.
    ///
    /// # Errors
    /// [`Error::Request`], one sentence naming the file and the fix: an unknown name, a missing or unreadable
    /// file, a wrong magic number, truncated data (also a truncated archive), trailing bytes, a label count
    /// that is not the image count, an empty set, shapes that differ between the splits or exceed
    /// [`MAX_SIDE`], a test label no training image has the class range for.
    pub fn load(name: &str, data_dir: Option<&Path>) -> Result<Dataset> {
        check_available(name, data_dir)?;
        let directory = match data_dir {
            Some(directory) => directory.to_path_buf(),
            None => find_bundled(name)?,
        };
        let train = load_split(&directory, TRAIN_IMAGES, TRAIN_LABELS)?;
        let test = load_split(&directory, TEST_IMAGES, TEST_LABELS)?;
        if train.images.shape() != test.images.shape() {
            let [a, b] = [&train, &test].map(|s| format!("{}x{}", s.images.height, s.images.width));
            return Err(Error::request(format!(
                "{}: the training images are {a} and the test images {b}; both must be of one data set",
                directory.display()
            )));
        }
        let classes = train.labels.iter().max().map_or(0, |&largest| largest as usize + 1);
        if let Some(at) = test.labels.iter().position(|&label| label as usize >= classes) {
            return Err(Error::request(format!(
                "{}: label {at} is {}, but the training labels end at {}; both must be of one data set",
                find_file(&directory, TEST_LABELS)?.display(),
                test.labels[at],
                classes - 1
            )));
        }
        let task = if name == "mnist" { "digit" } else { "label" };
        Ok(Dataset { name: name.to_string(), train, test, task: task.to_string(), classes })
    }

    /// Makes the last `n` training images the test split, for choosing settings without ever touching the
    /// test set. 0 changes nothing. The number of classes stays.
    ///
    /// # Errors
    /// [`Error::Request`] where nothing would be left to train on.
    pub fn hold_out(mut self, n: usize) -> Result<Dataset> {
        if n == 0 {
            return Ok(self);
        }
        let count = self.train.count();
        if n >= count {
            return Err(Error::request(format!(
                "--holdout {n} leaves nothing to train on: {} has {count} training images",
                self.name
            )));
        }
        let keep = count - n;
        let length = self.train.images.image_len();
        let labels = self.train.labels.split_off(keep);
        let pixels = self.train.images.pixels.split_off(keep * length);
        self.test = Split { images: Images { count: n, pixels, ..self.train.images.shell() }, labels };
        self.train.images.count = keep;
        Ok(self)
    }
}

impl Images {
    /// The same shape with no pixels copied.
    fn shell(&self) -> Images {
        Images { pixels: Vec::new(), ..*self }
    }
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
    Ok(Split { images, labels })
}

#[cfg(test)]
mod tests;
