//! Faces that are drawn, not photographed, in CelebA's layout: what tests and a demonstration run on where the
//! photographs are not at hand (they may not be passed on).

mod canvas;
mod draw;
mod leftover;
mod traits;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};
use rayon::prelude::*;

use self::traits::{Draws, Traits};
use super::celeba::{ATTRIBUTES, ATTRIBUTES_FILE, HEIGHT, PARTITION_FILE, PHOTOS, SYNTHETIC_MARK, WIDTH};
use crate::files::lock::{self, Lock};
use crate::files::{self, disk};
use crate::progress::Observer;
use crate::{Error, Result};

/// The most pictures of a set: their numbers have six digits.
pub const MOST: usize = 999_999;
/// A picture beside the set with one of its faces for each attribute, in the official order, eight a row.
pub const SHEET: &str = "contact_sheet.png";
/// The fewest: of ten there is one to validate with and one to test.
pub const FEWEST: usize = 10;

/// Pictures drawn before they are written, and files open at once while they are synced: one sync after the other takes
/// five times as long as several that were begun together.
const DRAWN: usize = 256;
const OPEN: usize = 64;

/// Draws `images` faces into the folder `out`, which must not exist: photographs, attributes and partitions (80 % to
/// train, 10 % to validate, 10 % to test) as the official set has them. The same seed draws the same bytes. The folder
/// appears when it is whole and on the disk. `observer` is told of every picture.
///
/// # Errors
/// [`Error::Request`] for a folder that exists, one of another's beside it that is in the way, or a number that cannot
/// be; [`Error::Run`] where another process makes
/// the folder; [`Error::Io`] where nothing can be written.
pub fn make(out: &Path, images: usize, seed: u64, observer: &dyn Observer) -> Result<()> {
    if !(FEWEST..=MOST).contains(&images) {
        return Err(Error::setting("images", format!("must be from {FEWEST} to {MOST}, got {images}")));
    }
    let name = out.file_name().ok_or_else(|| Error::file(out, "names no folder"))?;
    let scratch = out.with_file_name(format!(".{}.unfinished", name.to_string_lossy()));
    let absent = || match fs::symlink_metadata(out).is_err() {
        true => Ok(()),
        false => Err(Error::file(out, "exists").with_hint("name a new folder")),
    };
    if !scratch.exists() {
        absent()?;
    }
    let parent = files::directory(out);
    disk::create_directories(parent).map_err(Error::io(parent))?;
    // What a process left there that was killed goes, also where it was killed once `out` was made.
    let scratch = Scratch::take(&scratch, out)?;
    absent()?;
    let set = scratch.folder.join(name);
    fill(&set, images, seed, observer)?;
    disk::rename(&set, out).and_then(|()| disk::sync_directory(parent)).map_err(Error::io(out))
}

/// The folder beside a new one in which that is made. It goes when this is dropped.
struct Scratch {
    folder: PathBuf,
    lock: Option<Lock>,
}

impl Scratch {
    /// Takes the folder for `out`, emptied.
    fn take(folder: &Path, out: &Path) -> Result<Scratch> {
        match disk::create_directory(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Error::io(folder)(error)),
            // Of one that is at work its lock tells.
            Err(_) if !Lock::is_held(folder) && !leftover::is_ours(folder, out) => {
                return Err(Error::file(folder, "is in the way, and has what `data make` never wrote")
                    .with_hint("move it away, or name another folder as `out`"));
            }
            _ => {}
        }
        let lock = Lock::take(folder).map_err(|error| {
            // Only an empty one goes.
            _ = disk::remove_directory(folder);
            match error {
                Error::Locked { holder, .. } => {
                    let holder = holder.unwrap_or_else(|| "another process".into());
                    Error::run(format!("{} is being made by {holder}", out.display()))
                        .with_hint("wait until that has ended")
                }
                other => other,
            }
        })?;
        let scratch = Scratch { folder: folder.to_path_buf(), lock: Some(lock) };
        scratch.empty().map_err(Error::io(folder))?;
        Ok(scratch)
    }

    /// Removes all but the lock.
    fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != lock::NAME {
                disk::remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = self.empty();
        self.lock = None;
        // Another process may have taken it by now, and then it is not empty.
        _ = disk::remove_directory(&self.folder);
    }
}

fn fill(folder: &Path, images: usize, seed: u64, observer: &dyn Observer) -> Result<()> {
    let photos = folder.join(PHOTOS);
    disk::create_directories(&photos).map_err(Error::io(&photos))?;
    let file = |i: usize| format!("{:06}.jpg", i + 1);
    let task = observer.begin("faces", 0, images as u64);
    let mut rows = String::new();
    for first in (0..images).step_by(DRAWN) {
        let numbers = first..images.min(first + DRAWN);
        let drawn = numbers.clone().into_par_iter().map(|i| {
            let (traits, picture) = picture(seed, i as u32);
            Ok((photos.join(file(i)), jpeg(&picture)?, traits))
        });
        let drawn: Vec<_> = drawn.collect::<Result<_>>()?;
        for part in drawn.chunks(OPEN) {
            write_synced(part.iter().map(|(path, jpeg, _)| (path.as_path(), jpeg.as_slice())))?;
        }
        for (i, (_, _, traits)) in numbers.zip(drawn) {
            let signs: String = traits.0.iter().map(|&has| if has { "  1" } else { " -1" }).collect();
            rows += &format!("{}{signs}\n", file(i));
            task.advance(i as u64 + 1, images as u64);
        }
    }
    disk::sync_directory(&photos).map_err(Error::io(&photos))?;
    let part = |i: usize| if i < images * 8 / 10 { 0 } else { 1 + usize::from(i >= images * 9 / 10) };
    let parts: String = (0..images).map(|i| format!("{} {}\n", file(i), part(i))).collect();
    let lists = format!("{images}\n{} \n{rows}", ATTRIBUTES.join(" "));
    files::write_whole(&folder.join(ATTRIBUTES_FILE), lists.as_bytes())?;
    files::write_whole(&folder.join(PARTITION_FILE), parts.as_bytes())?;
    files::write_whole(&folder.join(SHEET), &sheet(seed)?)
}

/// Writes all files, then syncs them all.
fn write_synced<'a>(files: impl Iterator<Item = (&'a Path, &'a [u8])>) -> Result<()> {
    let mut open = Vec::new();
    for (path, bytes) in files {
        let file = disk::create(path).map_err(Error::io(path))?;
        disk::write(&file, bytes).map_err(Error::io(path))?;
        open.push((path, file));
    }
    open.iter().try_for_each(|(path, file)| disk::sync(file).map_err(Error::io(path)))
}

/// For each attribute, a face that has it, at half size.
fn sheet(seed: u64) -> Result<Vec<u8>> {
    const COLUMNS: u32 = 8;
    let (width, height) = (WIDTH as u32 / 2, HEIGHT as u32 / 2);
    let mut sheet =
        RgbImage::new(COLUMNS * width, ATTRIBUTES.len().div_ceil(COLUMNS as usize) as u32 * height);
    for (place, name) in (0u32..).zip(ATTRIBUTES) {
        // A face each, so that no two places show the same one.
        let has = |i: &u32| Traits::draw(&mut Draws::new(seed, *i)).has(name);
        let Some(i) = (1000 * place..).find(has) else { continue };
        let face = imageops::resize(&picture(seed, i).1, width, height, imageops::FilterType::Triangle);
        let at = [place % COLUMNS * width, place / COLUMNS * height].map(i64::from);
        imageops::replace(&mut sheet, &face, at[0], at[1]);
    }
    let mut png = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::run("the contact sheet cannot be encoded").because(error))?;
    Ok(png.into_inner())
}

/// Face number `i`: its attributes, and what it looks like.
fn picture(seed: u64, i: u32) -> (Traits, RgbImage) {
    let mut draws = Draws::new(seed, i);
    let traits = Traits::draw(&mut draws);
    let picture = draw::face(&traits, &mut draws).picture();
    (traits, picture)
}

/// A JPEG that says that it is synthetic.
fn jpeg(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 92)
        .encode_image(picture)
        .map_err(|error| Error::run("a face cannot be encoded").because(error))?;
    // A comment (marker FFFE, its length with these two bytes) after the start of the image.
    let mut comment = vec![0xff, 0xfe];
    comment.extend((SYNTHETIC_MARK.len() as u16 + 2).to_be_bytes());
    comment.extend(SYNTHETIC_MARK.as_bytes());
    jpeg.splice(2..2, comment);
    Ok(jpeg)
}

#[cfg(test)]
mod tests;
