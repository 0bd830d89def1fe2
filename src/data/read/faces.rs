//! Faces that are drawn, not photographed, in CelebA's layout: what tests and a demonstration run on where the
//! photographs are not at hand (they may not be passed on).

mod canvas;
mod draw;
mod traits;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};
use rayon::prelude::*;

use self::traits::{Draws, Traits};
use super::celeba::{ATTRIBUTES, ATTRIBUTES_FILE, HEIGHT, PARTITION_FILE, PHOTOS, SYNTHETIC_MARK, WIDTH};
use crate::progress::Observer;
use crate::{Error, Result, files};

/// The most pictures of a set: their numbers have six digits.
pub const MOST: usize = 999_999;
/// A picture beside the set with one of its faces for each attribute, in the official order, eight a row.
pub const SHEET: &str = "contact_sheet.png";
/// The fewest: of ten there is one to validate with and one to test.
pub const FEWEST: usize = 10;

/// Draws `images` faces into the folder `out`, which must not exist: photographs, attributes and partitions (80 % to
/// train, 10 % to validate, 10 % to test) as the official set has them. The same seed draws the same bytes. The folder
/// appears when it is whole. `observer` is told of every picture.
///
/// # Errors
/// [`Error::Request`] for a folder that exists or a number that cannot be; [`Error::Io`] where nothing can be written.
pub fn make(out: &Path, images: usize, seed: u64, observer: &dyn Observer) -> Result<()> {
    if !(FEWEST..=MOST).contains(&images) {
        return Err(Error::setting("images", format!("must be from {FEWEST} to {MOST}, got {images}")));
    }
    if out.exists() {
        return Err(Error::file(out, "exists").with_hint("name a new folder"));
    }
    let name = out.file_name().ok_or_else(|| Error::file(out, "names no folder"))?;
    let unfinished =
        out.with_file_name(format!(".{}.unfinished-{}", name.to_string_lossy(), std::process::id()));
    let made = fill(&unfinished, images, seed, observer)
        .and_then(|()| fs::rename(&unfinished, out).map_err(Error::io(out)));
    if made.is_err() {
        _ = fs::remove_dir_all(&unfinished);
    }
    made
}

fn fill(folder: &Path, images: usize, seed: u64, observer: &dyn Observer) -> Result<()> {
    let photos = folder.join(PHOTOS);
    fs::create_dir_all(&photos).map_err(Error::io(&photos))?;
    let file = |i: usize| format!("{:06}.jpg", i + 1);
    let task = observer.begin("faces", 0, images as u64);
    let done = AtomicU64::new(0);
    let drawn = (0..images).into_par_iter().map(|i| {
        let (traits, picture) = picture(seed, i as u32);
        let path = photos.join(file(i));
        fs::write(&path, jpeg(&picture)?).map_err(Error::io(&path))?;
        task.advance(done.fetch_add(1, Ordering::Relaxed) + 1, images as u64);
        Ok(traits)
    });
    let drawn: Vec<Traits> = drawn.collect::<Result<_>>()?;
    let signs =
        |traits: &Traits| traits.0.iter().map(|&has| if has { "  1" } else { " -1" }).collect::<String>();
    let rows: String =
        drawn.iter().enumerate().map(|(i, traits)| format!("{}{}\n", file(i), signs(traits))).collect();
    let part = |i: usize| if i < images * 8 / 10 { 0 } else { 1 + usize::from(i >= images * 9 / 10) };
    let parts: String = (0..images).map(|i| format!("{} {}\n", file(i), part(i))).collect();
    let lists = format!("{images}\n{} \n{rows}", ATTRIBUTES.join(" "));
    files::write_whole(&folder.join(ATTRIBUTES_FILE), lists.as_bytes())?;
    files::write_whole(&folder.join(PARTITION_FILE), parts.as_bytes())?;
    files::write_whole(&folder.join(SHEET), &sheet(seed)?)
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
