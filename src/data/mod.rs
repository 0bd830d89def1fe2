//! Data sets: images as bytes, labels as class numbers, for one task or several (docs/method.md, section 6).
//!
//! Pixels stay `u8` here; whoever uses them scales to [0, 1] by 1/255. Everything is checked on the way in, so
//! that the rest of the program never meets a set that does not fit together. Every fault is an
//! [`Error::Request`] of one sentence that names the file and what to do.
//!
//! Images and sets are always there. What reads them from files comes with the feature `cli`.

pub mod color;
mod images;
#[cfg(feature = "cli")]
pub(crate) mod read;

pub use images::Images;
#[cfg(feature = "cli")]
pub use read::{Source, celeba, check_available, check_name, check_resize, faces, load_images};
#[cfg(feature = "cli")]
pub(crate) use read::{hex, hex_sha256};

use crate::{Error, Result};

/// The largest image side the models are built for, in pixels.
pub const MAX_SIDE: usize = 64;

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
    /// `digit` for MNIST, `digit` and `color` in colours, the 17 of docs/method.md for CelebA, `label` for any
    /// foreign set.
    pub tasks: Vec<Task>,
    /// What the classes of the first task are called; empty where they are numbers.
    pub class_names: Vec<String>,
    /// Made by `data make`: no photographs.
    pub synthetic: bool,
    /// Photographs left out because they cannot be read.
    pub skipped: usize,
    /// The SHA-256 of all images and labels, before any were held out: the same for the same set, wherever and in
    /// whatever form it lies. Empty for a set that was not read.
    pub fingerprint: String,
}

impl Dataset {
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
            let what = format!("{n} leaves nothing to train on: {} has {count} training images", self.name);
            return Err(Error::setting("holdout", what).with_hint("give a smaller number"));
        }
        if !n.is_multiple_of(per) {
            let what =
                format!("{n}: {} has every digit in {per} colours, which must stay together", self.name);
            return Err(Error::setting("holdout", what).with_hint(format!("give a multiple of {per}")));
        }
        let keep = count - n;
        let labels = self.train.labels.iter_mut().map(|labels| labels.split_off(keep)).collect();
        let (images, held) = self.train.images.split_at(keep);
        self.train.images = images;
        self.test = Split { images: held, labels };
        Ok(self)
    }
}
