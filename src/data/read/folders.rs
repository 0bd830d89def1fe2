//! Sets of pictures in a folder for each class: `train/CLASS/*.png` and `test/CLASS/*.jpg`.
//!
//! Classes are numbered in the order of their names. The pictures of a class stand in the order of theirs, and the
//! classes are spread over the set ([`interleave`]). Where every file is grey the images have one channel, else three.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image::DynamicImage;
use rayon::prelude::*;

use super::container::{refuse, reserved};
use super::locate::entries;
use super::{Images, Loaded, MAX_SIDE, Split, Told, check_size, interleave, picture, pixels};
use crate::Result;

/// Pictures of more pixels are decoded one after the other, as each takes some hundred megabytes.
const LARGE: usize = 1 << 22;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const LAYOUT: &str =
    "lay the pictures out as train/CLASS/*.png and test/CLASS/*.png (or .jpg), a folder for each class";

/// Reads the set in `directory`; none where no folder there is laid out as if it were one. Pictures are scaled to
/// `resize` pixels a side if asked to.
///
/// # Errors
/// [`crate::Error::Request`] naming the file or folder: no split into training and test pictures, a class to test
/// that is not trained on, a picture that cannot be read, is too large or of another size than the first.
pub fn load(directory: &Path, resize: Option<usize>) -> Result<Option<Loaded>> {
    let [train, test] = ["train", "test"].map(|part| directory.join(part));
    if !is_laid_out(directory, &train, &test)? {
        return Ok(None);
    }
    let classes: Vec<PathBuf> = entries(&train)?.into_iter().filter(|class| class.is_dir()).collect();
    let names: Vec<_> = classes.iter().filter_map(|class| class.file_name()).collect();
    let strangers = entries(&test)?.into_iter().find(|class| {
        class.is_dir() && class.file_name().is_some_and(|name| names.binary_search(&name).is_err())
    });
    if let Some(stranger) = strangers {
        let text =
            format!("is a class without a folder in {}: every class must be trained on", train.display());
        return Err(refuse(&stranger, &text));
    }
    let of = |part: &Path| -> Result<Vec<(PathBuf, u32)>> {
        let mut files = Vec::new();
        for (class, name) in (0..).zip(&names) {
            files.extend(pictures(&part.join(name))?.into_iter().map(|path| (path, class)));
        }
        Ok(files)
    };
    let parts = [of(&train)?, of(&test)?];
    for (part, files) in [&train, &test].into_iter().zip(&parts) {
        if files.is_empty() {
            return Err(refuse(part, &format!("has no picture: {LAYOUT}")));
        }
    }
    let class_names = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let size = size(&parts[0][0].0, resize)?;
    let [train, test] = parts.map(|files| spread(&files)).map(|files| (read(&files, &size, resize), files));
    let (train_pictures, test_pictures) = (train.0?, test.0?);
    let grey =
        [&train_pictures, &test_pictures].iter().all(|pictures| pictures.iter().all(|p| p.channels == 1));
    let shape = size.shape(if grey { 1 } else { 3 }, resize);
    let split = |pictures: Vec<Picture>, files: &[(PathBuf, u32)]| -> Result<Split> {
        let labels = files.iter().map(|(_, class)| *class).collect();
        Ok(Split { images: images(directory, pictures, shape)?, labels: vec![labels] })
    };
    Ok(Some(Loaded {
        train: split(train_pictures, &train.1)?,
        test: split(test_pictures, &test.1)?,
        label_files: [directory.display().to_string(), directory.display().to_string()],
        class_names,
    }))
}

/// Whether both parts have a folder for each class.
///
/// # Errors
/// For what is laid out only in part, and for pictures laid out otherwise.
fn is_laid_out(directory: &Path, train: &Path, test: &Path) -> Result<bool> {
    let laid_out =
        |folder: &Path| -> Result<bool> { Ok(entries(folder)?.iter().any(|class| class.is_dir())) };
    match (laid_out(train)?, laid_out(test)?) {
        (true, true) => Ok(true),
        (false, false) => {
            let pictured =
                |class: &&PathBuf| class.is_dir() && pictures(class).is_ok_and(|found| !found.is_empty());
            match entries(directory)?.iter().find(pictured) {
                Some(class) => Err(refuse(
                    directory,
                    &format!(
                        "has pictures in {} and does not say which are to train and which to test on: {LAYOUT}",
                        class.display()
                    ),
                )),
                None if !pictures(directory)?.is_empty() => {
                    Err(refuse(directory, &format!("has pictures, but no train/CLASS: {LAYOUT}")))
                }
                None => Ok(false),
            }
        }
        (_, there) => {
            let missing = if there { "train" } else { "test" };
            let text = format!("has no folder {missing} with a folder for each class in it: {LAYOUT}");
            Err(refuse(directory, &text))
        }
    }
}

/// The files with their classes spread over them.
fn spread(files: &[(PathBuf, u32)]) -> Vec<(PathBuf, u32)> {
    let labels: Vec<u32> = files.iter().map(|(_, class)| *class).collect();
    match interleave::order(&labels) {
        Some(order) => order.into_iter().map(|i| files[i].clone()).collect(),
        None => files.to_vec(),
    }
}

/// The pictures in a folder as images of so many channels; a grey picture has the same in each.
///
/// # Errors
/// As [`load`], and for a picture in colour where one channel is wanted.
pub fn load_unlabelled(folder: &Path, channels: usize, resize: Option<usize>) -> Result<Images> {
    let files: Vec<_> = pictures(folder)?.into_iter().map(|path| (path, 0)).collect();
    let Some((first, _)) = files.first() else {
        return Err(refuse(folder, "has no picture: put .png or .jpg files there"));
    };
    let size = size(first, resize)?;
    let read = read(&files, &size, resize)?;
    if let Some(((path, _), _)) = files.iter().zip(&read).find(|(_, picture)| picture.channels > channels) {
        return Err(refuse(path, "is in colour, and grey images are wanted: convert it"));
    }
    images(folder, read, size.shape(channels, resize))
}

fn images(folder: &Path, pictures: Vec<Picture>, shape: [usize; 3]) -> Result<Images> {
    check_size(folder, pictures.len(), shape)?;
    let mut bytes = reserved(pictures.len() * shape.iter().product::<usize>())?;
    for picture in pictures {
        (0..shape[0] / picture.channels).for_each(|_| bytes.extend(&picture.planes));
    }
    Ok(Images::new(shape, bytes))
}

/// The pictures in a class's folder; other files are left out, and that is said.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        matches!(ending.as_str(), "png" | "jpg" | "jpeg") && path.is_file()
    };
    let (found, others): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(is_picture);
    if let Some(first) = others.first().filter(|_| !found.is_empty()) {
        let (folder, count) = (folder.display(), others.len());
        log::warn!(
            "{folder}: {count} left out that are no .png or .jpg files, the first {}",
            first.display()
        );
    }
    Ok(found)
}

/// The size that all pictures have, and the first of them.
struct Size {
    width: usize,
    height: usize,
    first: PathBuf,
}

impl Size {
    fn shape(&self, channels: usize, resize: Option<usize>) -> [usize; 3] {
        let [height, width] = resize.map_or([self.height, self.width], |side| [side; 2]);
        [channels, height, width]
    }

    /// What is wrong with a picture of another size.
    fn check(&self, width: usize, height: usize) -> Told<()> {
        if (width, height) == (self.width, self.height) {
            return Ok(());
        }
        let (first, w, h) = (self.first.display(), self.width, self.height);
        Err(format!("is {width}x{height}, but {first} is {w}x{h}: scale all to one size with `resize`"))
    }
}

/// The size of the first picture, which must not be too large.
fn size(path: &Path, resize: Option<usize>) -> Result<Size> {
    let bytes = picture::read(path)?.map_err(|why| refuse(path, &why))?;
    let fits = |width: usize, height: usize| match resize {
        None if width > MAX_SIDE || height > MAX_SIDE => Err(format!(
            "is {width}x{height}; {MAX_SIDE}x{MAX_SIDE} is the most, so scale the pictures with `resize`"
        )),
        _ => Ok(()),
    };
    let picture = picture::decode(&bytes, fits).map_err(|why| refuse(path, &why))?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Size { width, height, first: path.to_path_buf() })
}

/// A picture with one channel or three, one after the other.
struct Picture {
    channels: usize,
    planes: Vec<u8>,
}

fn read(files: &[(PathBuf, u32)], size: &Size, resize: Option<usize>) -> Result<Vec<Picture>> {
    check_size(&size.first, files.len(), size.shape(1, resize))?;
    let one = |bytes: &[u8]| -> Told<Picture> {
        let mut alone = None;
        let wanted = |width: usize, height: usize| {
            if width * height > LARGE {
                alone = Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
            }
            if resize.is_some() { Ok(()) } else { size.check(width, height) }
        };
        let picture = picture::decode(bytes, wanted)?;
        let planes = as_planes(&picture, resize);
        drop(alone);
        Ok(planes)
    };
    let read = |path: &Path| {
        let bytes = picture::read(path)?;
        bytes.and_then(|bytes| one(&bytes)).map_err(|why| refuse(path, &why))
    };
    files.par_iter().map(|(path, _)| read(path)).collect()
}

fn as_planes(picture: &DynamicImage, resize: Option<usize>) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (channels, planes) = match picture.color().has_color() {
        true => (3, pixels::planes(picture.to_rgb8().as_raw(), 3)),
        false => (1, picture.to_luma8().into_raw()),
    };
    let planes = match resize {
        Some(side) => pixels::scale(&planes, [channels, height, width], side),
        None => planes,
    };
    Picture { channels, planes }
}
