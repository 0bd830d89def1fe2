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
                 (`smoothenc data fetch celeba` says where they are, `smoothenc data make celeba` draws synthetic ones)",
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
                Ok(color::colored(grey, source.name).sealed())
            }
            _ => Ok(Dataset::read(source)?.sealed()),
        }
    }

    fn read(source: &Source) -> Result<Dataset> {
        let (name, resize) = (source.name, source.resize);
        let Some(directory) = source.directory else {
            let place = Path::new(name);
            return load_idx(bundled::mnist()?, resize)?.checked(name, place);
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
    /// Where the test labels come from, for errors.
    test_labels: String,
    class_names: Vec<String>,
}

impl Loaded {
    /// The data set `name`, where its two splits fit together.
    fn checked(self, name: &str, place: &Path) -> Result<Dataset> {
        let Loaded { train, test, test_labels, class_names } = self;
        if train.images.shape() != test.images.shape() {
            let [a, b] = [&train, &test].map(|split| match split.images.shape() {
                [1, height, width] => format!("{height}x{width}"),
                [channels, height, width] => format!("{height}x{width} in {channels} channels"),
            });
            let what =
                format!("has training images of {a} and test images of {b}; both must be of one data set");
            return Err(Error::file(place, what));
        }
        let largest = train.labels[0].iter().max().map_or(0, |&largest| largest as usize + 1);
        let classes = largest.max(class_names.len());
        if let Some(at) = test.labels[0].iter().position(|&label| label as usize >= classes) {
            return Err(Error::request(format!(
                "{test_labels}: label {at} is {}, but the training labels end at {}; both must be of one data set",
                test.labels[0][at],
                classes - 1
            )));
        }
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
        return load_idx(four.map(Input::file), resize);
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

/// A set in four IDX files: training images and labels, test images and labels.
fn load_idx(
    [train_images, train_labels, test_images, test_labels]: [Input; 4],
    resize: Option<usize>,
) -> Result<Loaded> {
    let split = |images_file: &Input, labels: &Input| -> Result<Split> {
        let images = idx::read_images(images_file, resize)?;
        let labels = idx::read_labels(labels, (&images_file.path, images.count))?;
        Ok(Split { images, labels: vec![labels] })
    };
    Ok(Loaded {
        train: split(&train_images, &train_labels)?,
        test: split(&test_images, &test_labels)?,
        test_labels: test_labels.path.display().to_string(),
        class_names: Vec::new(),
    })
}

/// Refuses images that would take more memory than a set may.
fn check_bytes(path: &Path, bytes: u64) -> Result<()> {
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
mod field_tests;
#[cfg(test)]
mod tests;
