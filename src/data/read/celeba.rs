//! CelebA in its official layout, and anything else laid out so (docs/method.md, section 6).
//!
//! `img_align_celeba/*.jpg` are photographs of 178x218 with the eyes always at the same place. The square in the
//! middle is cut out and scaled to 64x64 once; the result is kept beside the photographs in one file, which is read as
//! images are needed, and so may be larger than memory. Training images are those of partition 0, test images those of
//! partition 2. Lists and photographs lie together, or in `Anno`, `Eval` and `Img` as the set's own drive has them.

mod cache;
pub(crate) mod lists;
mod photo;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::cache::Skipped;
use self::lists::Part;
use super::{Dataset, Images, Split, Task, picture};
use crate::progress::Observer;
use crate::{Error, Result};

pub use cache::{Kept, check, remove};
pub use lists::{ATTRIBUTES, ATTRIBUTES_FILE, PARTITION_FILE, attribute};
pub use photo::{HEIGHT, SIDE, WIDTH};

/// The folder of the photographs.
pub const PHOTOS: &str = "img_align_celeba";

/// The same as PNGs, as the set's drive has them too.
const PNG_PHOTOS: &str = "img_align_celeba_png";

/// The square that is cut out, unless `--crop` says otherwise.
pub const DEFAULT_CROP: usize = 148;

/// The attributes that are tasks, in the paper's order.
pub const TASKS: [&str; 17] = [
    "Bald",
    "Mustache",
    "Wearing_Necklace",
    "Straight_Hair",
    "Wearing_Hat",
    "Wearing_Earrings",
    "Blond_Hair",
    "Wearing_Necktie",
    "Brown_Hair",
    "Eyeglasses",
    "Black_Hair",
    "Bangs",
    "No_Beard",
    "Wavy_Hair",
    "Smiling",
    "Male",
    "Wearing_Lipstick",
];

/// A comment in every picture of `data make`, by which made pictures are told from photographs.
pub const SYNTHETIC_MARK: &str = "synthetic face drawn by smoothenc, not a photograph";

/// How photographs are made into images.
#[derive(Clone, Debug)]
pub struct Options {
    /// The side of the square that is cut out, in pixels.
    pub crop: usize,
    /// Leave out what cannot be read, instead of refusing the set.
    pub skip_bad: bool,
    /// Where the scaled images are kept. Without it: beside the photographs; where that cannot be written, among the
    /// user's caches; and where there is no such place either, nowhere.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options { crop: DEFAULT_CROP, skip_bad: false, cache: None }
    }
}

/// Refuses a crop that is larger than a photograph, or smaller than the image made of it.
pub fn check_crop(crop: usize) -> Result<()> {
    if (SIDE..=WIDTH).contains(&crop) {
        return Ok(());
    }
    let what = format!("must be from {SIDE} to {WIDTH} pixels (it is scaled to {SIDE}x{SIDE}), got {crop}");
    Err(Error::setting("crop", what))
}

/// What the folder lacks of the official layout.
pub fn missing(directory: &Path) -> Vec<&'static str> {
    let lists = [ATTRIBUTES_FILE, PARTITION_FILE];
    let lists = lists.into_iter().filter(|list| lists::present(directory, list).is_none());
    Some(PHOTOS).filter(|_| photos_folder(directory).is_none()).into_iter().chain(lists).collect()
}

/// Where the photographs are: some archives have their folder twice, one in the other.
fn photos_folder(directory: &Path) -> Option<PathBuf> {
    let places = ["", "Img", "Img/img_align_celeba_png.7z"];
    let outer = places
        .iter()
        .flat_map(|place| [PHOTOS, PNG_PHOTOS].map(|name| (directory.join(place).join(name), name)));
    let folders = outer.flat_map(|(outer, name)| [outer.join(name), outer]);
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Loads the set in `directory`, from its cache where that is there and of these very photographs.
///
/// # Errors
/// [`Error::Request`] naming the file, the line or the photograph: a list that is missing or does not read, an
/// attribute column too many or too few, a wrong count, an image in one list only, a partition without training or
/// test images; and, unless they are to be skipped, a photograph that is missing, no JPEG or PNG, truncated, damaged
/// or of another size.
pub fn load(directory: &Path, options: &Options, observer: &dyn Observer) -> Result<Dataset> {
    check_crop(options.crop)?;
    let set = Listed::read(directory)?;
    let cache::Whole { cache, digests } = cache::open_or_build(directory, &set.paths(), options, observer)?;
    let (train, test) = (set.kept(Part::Train, cache.skipped()), set.kept(Part::Test, cache.skipped()));
    for (what, kept) in [("training", &train), ("test", &test)] {
        if kept.is_empty() {
            let what = format!("has no {what} image left: `skip-bad` leaves out those that cannot be read");
            return Err(Error::file(directory, what));
        }
    }
    let shape = [3, SIDE, SIDE];
    let images = Images::in_file(shape, &cache.file, cache.images());
    let (train_images, test_images) = images.split_at(train.len());
    let data = Dataset {
        name: "celeba".into(),
        train: Split { images: train_images, labels: set.labels(&train) },
        test: Split { images: test_images, labels: set.labels(&test) },
        tasks: TASKS.map(|name| Task { name: name.into(), classes: 2 }).into(),
        class_names: Vec::new(),
        synthetic: set.is_synthetic()?,
        skipped: cache.skipped().len(),
        fingerprint: String::new(),
    };
    Ok(data.sealed_by(digests))
}

/// The set as its lists have it.
struct Listed {
    folder: PathBuf,
    photos: Vec<lists::Photo>,
}

impl Listed {
    fn read(directory: &Path) -> Result<Listed> {
        let mut photos = lists::read(directory)?;
        let folder = photos_folder(directory).ok_or_else(|| {
            Error::file(directory.join(PHOTOS), "is missing").with_hint("unpack img_align_celeba.zip there")
        })?;
        // The lists name JPEGs also where the photographs are the aligned PNGs.
        let png = |name: &str| Path::new(name).with_extension("png").to_string_lossy().into_owned();
        let any = |name: &dyn Fn(&str) -> String| {
            photos.iter().take(100).any(|p| folder.join(name(&p.name)).is_file())
        };
        if !any(&str::to_string) && any(&png) {
            photos.iter_mut().for_each(|photo| photo.name = png(&photo.name));
        }
        let set = Listed { folder, photos };
        for (part, what) in
            [(Part::Train, "training images (partition 0)"), (Part::Test, "test images (partition 2)")]
        {
            if set.of(part).next().is_none() {
                return Err(Error::file(lists::partition_path(directory)?, format!("has no {what}")));
            }
        }
        Ok(set)
    }

    fn of(&self, part: Part) -> impl Iterator<Item = usize> {
        (0..self.photos.len()).filter(move |&i| self.photos[i].part == part)
    }

    fn path(&self, i: usize) -> PathBuf {
        self.folder.join(&self.photos[i].name)
    }

    /// The training and the test photographs.
    fn paths(&self) -> [Vec<PathBuf>; 2] {
        [Part::Train, Part::Test].map(|part| self.of(part).map(|i| self.path(i)).collect())
    }

    /// The photographs of `part` that were not skipped.
    fn kept(&self, part: Part, skipped: &[Skipped]) -> Vec<usize> {
        let skipped: HashSet<&str> = skipped.iter().map(|skipped| &*skipped.name).collect();
        self.of(part).filter(|&i| !skipped.contains(&*self.photos[i].name)).collect()
    }

    /// For each task the labels of `photos`.
    fn labels(&self, photos: &[usize]) -> Vec<Vec<u32>> {
        let of = |column: usize| photos.iter().map(|&i| u32::from(self.photos[i].has(column))).collect();
        TASKS.iter().map(|task| of(attribute(task))).collect()
    }

    /// Whether the first photograph that is there says that it was made.
    fn is_synthetic(&self) -> Result<bool> {
        for i in 0..self.photos.len() {
            if let Ok(bytes) = picture::read(&self.path(i))? {
                let start = &bytes[..bytes.len().min(1024)];
                return Ok(start.windows(SYNTHETIC_MARK.len()).any(|part| part == SYNTHETIC_MARK.as_bytes()));
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
