//! Sets read from files: IDX, `.npz`, pictures in folders, CelebA, and MNIST that comes with the program.

mod bundled;
pub mod celeba;
pub(crate) mod container;
mod content;
pub mod faces;
mod folders;
pub(crate) mod idx;
mod interleave;
pub(crate) mod jpeg;
mod locate;
pub(crate) mod npz;
pub(crate) mod picture;
mod pixels;

use std::path::{Path, PathBuf};

use self::container::{Input, refuse};
use super::{Dataset, Images, MAX_SIDE, Split, Task, color};
use crate::nearest::nearest;
use crate::progress::{Observer, Silent};
use crate::{Error, Result};

pub(crate) use content::{hex, hex_sha256};
pub use pixels::check_resize;

/// What a reader has, or what is wrong, to be put after the file's name.
type Told<T> = std::result::Result<T, String>;

/// Images are kept in memory up to this many bytes a file.
const MAX_BYTES: u64 = 4 << 30;

/// More images a file than any set of small images has.
const MAX_IMAGES: usize = 1 << 26;

/// More classes than this are a label file that is none.
const MAX_CLASSES: i64 = 1 << 16;

/// Where a set lies, and how its images are made ready.
#[derive(Clone, Debug, Default)]
pub struct Source<'a> {
    pub name: &'a str,
    /// The folder of its files, or an `.npz` file.
    pub directory: Option<&'a Path>,
    /// Scale images to squares of this side, cutting the middle out of those that are not square. Not of [`celeba`].
    pub resize: Option<usize>,
    /// Settings of [`celeba`], which no other set uses.
    pub photos: celeba::Options,
    /// Told how far the work on a large set has come; nobody where there is none.
    pub observer: Option<&'a dyn Observer>,
}

/// Images without labels, in `channels` channels: the pictures in a folder, in the order of their names, or an `.npz`
/// file's array `x`, or its only one. They are scaled to `resize` pixels a side if asked to.
///
/// # Errors
/// [`Error::Request`] naming the file or folder: nothing there, an image that cannot be read or is in colour where one
/// channel is wanted.
pub fn load_images(place: &Path, channels: usize, resize: Option<usize>) -> Result<Images> {
    let is_npz = place.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"));
    match (place.is_dir(), place.is_file() && !is_npz) {
        (true, _) => folders::load_unlabelled(place, channels, resize),
        (_, false) => npz::load_unlabelled(place, resize),
        (_, true) => Err(refuse(place, "is a file; `images` takes a folder of pictures, or an .npz file")
            .with_hint("give the folder that the picture is in")),
    }
}

/// Whether `name` may stand for a data set: it becomes part of a directory's name, so it is letters, digits,
/// `.`, `_` and `-`, and starts with a letter or digit.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::request(format!("{name:?} cannot name a data set")).with_hint(
        "use letters, digits, '.', '_' and '-', starting with a letter or digit; the folder of its files goes into \
         `data-dir`",
    ))
}

/// Refuses names that cannot be loaded whatever lies on the disk: ill-formed ones, and sets that do not come
/// with the program without a folder.
pub fn check_available(name: &str, data_dir: Option<&Path>) -> Result<()> {
    check_name(name)?;
    match name {
        "mnist" | "color-mnist" => Ok(()),
        "celeba" if data_dir.is_none() => {
            Err(Error::request("celeba does not come with the program").with_hint(
                "give the folder of img_align_celeba, list_attr_celeba.txt and list_eval_partition.txt as `data-dir` \
                 (`smoothenc data fetch celeba` says where they are, `smoothenc data make celeba` draws synthetic \
                 ones)",
            ))
        }
        _ if data_dir.is_none() => Err(Error::request(unknown(name)).with_hint(
            "use mnist or color-mnist, or give as `data-dir` a folder with IDX files of the MNIST naming \
             (train-images-idx3-ubyte[.gz], ...), an .npz file, or pictures in train/CLASS and test/CLASS",
        )),
        _ => Ok(()),
    }
}

/// That there is no such set, and which one was maybe meant.
fn unknown(name: &str) -> String {
    match nearest(name, ["mnist", "color-mnist", "celeba"]) {
        Some(meant) => format!("unknown data set {name:?}; did you mean {meant}?"),
        None => format!("unknown data set {name:?}"),
    }
}

impl Dataset {
    /// Loads a set: `mnist` and `color-mnist` from the directory given, else as they come with the program; `celeba`
    /// and any other name from the directory given, there as IDX files, as one `.npz` file, or as pictures in a
    /// folder for each class.
    ///
    /// # Errors
    /// [`Error::Request`], one sentence naming the file and the fix: an unknown name, a missing or unreadable
    /// file, one of another kind, truncated data (also a truncated archive), trailing bytes, a label count
    /// that is not the image count, an empty set, shapes that differ between the splits or exceed
    /// [`MAX_SIDE`], a test label no training image has the class range for; for CelebA see [`celeba::load`].
    pub fn load(source: &Source) -> Result<Dataset> {
        check_available(source.name, source.directory)?;
        check_resize(source.resize)?;
        match source.name {
            "color-mnist" => {
                let grey = Dataset::read(&Source { name: "mnist", ..source.clone() })?;
                if grey.train.images.channels != 1 {
                    let place = source.directory.unwrap_or(Path::new("mnist"));
                    return Err(refuse(place, "has images in colour already; color-mnist colours grey ones"));
                }
                color::colored(grey, source.name).sealed()
            }
            _ => Dataset::read(source)?.sealed(),
        }
    }

    fn read(source: &Source) -> Result<Dataset> {
        let (name, resize) = (source.name, source.resize);
        let Some(directory) = source.directory else {
            let place = Path::new(name);
            return load_idx(bundled::mnist()?, place, resize)?.checked(name, place);
        };
        if name == "celeba" {
            if resize.is_some() {
                return Err(Error::setting(
                    "resize",
                    "is not for celeba, whose photographs are cut by `crop`",
                ));
            }
            return celeba::load(directory, &source.photos, source.observer.unwrap_or(&Silent));
        }
        load_foreign(name, directory, resize)?.checked(name, directory)
    }
}

/// A set as a reader has it, before its parts are compared.
pub(crate) struct Loaded {
    pub(crate) train: Split,
    pub(crate) test: Split,
    /// Where the training and the test labels come from, for messages.
    label_files: [String; 2],
    class_names: Vec<String>,
}

impl Loaded {
    /// The data set `name`, where its two splits fit together.
    fn checked(self, name: &str, place: &Path) -> Result<Dataset> {
        let Loaded { train, test, label_files, class_names } = self;
        let parts = Parts {
            shapes: [train.images.shape(), test.images.shape()],
            labels: [&train.labels[0], &test.labels[0]],
            files: label_files,
            classes: class_names.len(),
        };
        let classes = parts.check(place)?;
        parts.warn_of_outlier();
        let task = Task { name: if name == "mnist" { "digit" } else { "label" }.into(), classes };
        let (name, tasks) = (name.to_string(), vec![task]);
        Ok(Dataset {
            name,
            train,
            test,
            tasks,
            class_names,
            synthetic: false,
            skipped: 0,
            fingerprint: String::new(),
        })
    }
}

/// What has to fit in a set's training and test part, and can be looked at before the images are read.
struct Parts<'a> {
    shapes: [[usize; 3]; 2],
    labels: [&'a [u32]; 2],
    /// Where the labels come from.
    files: [String; 2],
    /// Classes that have a name.
    classes: usize,
}

impl Parts<'_> {
    /// The number of classes, where the parts fit.
    fn check(&self, place: &Path) -> Result<usize> {
        if self.shapes[0] != self.shapes[1] {
            let [a, b] = self.shapes.map(|shape| match shape {
                [1, height, width] => format!("{height}x{width}"),
                [channels, height, width] => format!("{height}x{width} in {channels} channels"),
            });
            let what =
                format!("has training images of {a} and test images of {b}; both must be of one data set");
            return Err(Error::file(place, what));
        }
        let largest = self.labels[0].iter().max().map_or(0, |&largest| largest as usize + 1);
        let classes = largest.max(self.classes);
        if let Some(at) = self.labels[1].iter().position(|&label| label as usize >= classes) {
            return Err(Error::request(format!(
                "{}: label {at} is {}, but the training labels end at {}; both must be of one data set",
                self.files[1],
                self.labels[1][at],
                classes - 1
            )));
        }
        Ok(classes)
    }

    /// Says so where the largest label stands alone: far above all others, it makes classes that nothing is of.
    fn warn_of_outlier(&self) {
        let labels = self.labels[0];
        let largest = labels.iter().copied().max().unwrap_or(0);
        let others = labels.iter().copied().filter(|&label| label < largest).max();
        let Some(next) = others.filter(|&next| largest - next > OUTLYING.max(next + 1)) else { return };
        let count = labels.iter().filter(|&&label| label == largest).count();
        log::warn!(
            "{}: label {largest}, which {count} of {} examples {}, makes {} classes; all others end at {next}",
            self.files[0],
            labels.len(),
            if count == 1 { "has" } else { "have" },
            largest + 1
        );
    }
}

/// Numbers that are left out below a label which is said to stand alone.
const OUTLYING: u32 = 10;

/// A set from a folder or an `.npz` file, in whichever form it is there.
fn load_foreign(name: &str, place: &Path, resize: Option<usize>) -> Result<Loaded> {
    let is_npz = |path: &Path| path.is_file() && path.extension().is_some_and(|end| end == "npz");
    if is_npz(place) {
        return npz::load(place, resize);
    }
    if !place.is_dir() {
        return Err(refuse(place, "is not a directory")
            .with_hint("`data-dir` names the folder that holds the data set, or an .npz file"));
    }
    if let Some(four) = locate::find(name, place)? {
        return load_idx(four.map(Input::file), place, resize);
    }
    let archives: Vec<PathBuf> = locate::entries(place)?.into_iter().filter(|path| is_npz(path)).collect();
    match &archives[..] {
        [] => folders::load(place, resize)?.ok_or_else(|| locate::missing(place)),
        [only] => npz::load(only, resize),
        [first, second, ..] => Err(refuse(
            place,
            &format!("has several .npz files ({}, {}, ...)", first.display(), second.display()),
        )
        .with_hint("name one of them with `data-dir`")),
    }
}

/// A set in four IDX files in `place`: training images and labels, test images and labels.
///
/// Headers and labels are compared before any images are read, so that what does not fit takes no memory.
fn load_idx(
    [train_images, train_labels, test_images, test_labels]: [Input; 4],
    place: &Path,
    resize: Option<usize>,
) -> Result<Loaded> {
    let looked = |images: &Input, labels: &Input| -> Result<([usize; 3], Vec<u32>)> {
        let (count, shape) = idx::look(images, resize)?;
        Ok((shape, idx::read_labels(labels, (&images.path, count))?))
    };
    let (train_shape, train) = looked(&train_images, &train_labels)?;
    let (test_shape, test) = looked(&test_images, &test_labels)?;
    let parts = Parts {
        shapes: [train_shape, test_shape],
        labels: [&train, &test],
        files: [&train_labels, &test_labels].map(|input| input.path.display().to_string()),
        classes: 0,
    };
    parts.check(place)?;
    let label_files = parts.files;
    let split = |images: &Input, labels: Vec<u32>| -> Result<Split> {
        Ok(Split { images: idx::read_images(images, resize)?, labels: vec![labels] })
    };
    let (train, test) = (split(&train_images, train)?, split(&test_images, test)?);
    Ok(Loaded { train, test, label_files, class_names: Vec::new() })
}

/// Refuses images that would take more memory than a set may, and more of them than any set has.
fn check_size(path: &Path, count: usize, shape: [usize; 3]) -> Result<()> {
    if count > MAX_IMAGES {
        return Err(refuse(path, &format!("holds {count} images; at most {MAX_IMAGES} are read")));
    }
    let sizes = shape.iter().map(|&size| size as u64).chain([count as u64]);
    let bytes = sizes.fold(1, u64::saturating_mul);
    match bytes > MAX_BYTES {
        true => Err(refuse(path, &format!("holds {bytes} bytes of images; at most {MAX_BYTES} are read"))),
        false => Ok(()),
    }
}

/// A class from the integer that stands for it.
fn label(path: &Path, at: usize, value: i64) -> Result<u32> {
    match value {
        0..MAX_CLASSES => Ok(value as u32),
        _ => Err(Error::request(format!(
            "{}: label {at} is {value}; classes are numbered from 0 and end below {MAX_CLASSES}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;
