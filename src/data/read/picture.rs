//! A PNG or JPEG as bytes of its channels, or what is wrong with it.

use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Told, jpeg};
use crate::{Error, Result};

/// The most pixels a side, and bytes, of a picture that is decoded at all.
const MOST_SIDE: u32 = 1 << 14;
const MOST_BYTES: u64 = 1 << 28;

/// A picture's bytes, or that there is no such file, to be put after the file's name.
///
/// # Errors
/// [`Error::Io`] where the system fails to read it.
pub fn read(path: &Path) -> Result<Told<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Err("is missing".to_string())),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Err("is a folder".to_string())),
        Err(error) => Err(Error::io(path)(error)),
    }
}

/// Decodes a PNG or a JPEG whose `[width, height]` are `wanted`.
///
/// # Errors
/// What is wrong, to be put after the file's name.
pub fn decode(bytes: &[u8], wanted: impl FnOnce(usize, usize) -> Told<()>) -> Told<DynamicImage> {
    let format = match bytes {
        [0xff, 0xd8, ..] => ImageFormat::Jpeg,
        [0x89, b'P', b'N', b'G', ..] => ImageFormat::Png,
        _ => return Err("is neither a JPEG nor a PNG".to_string()),
    };
    let undecoded = |error: image::ImageError| format!("does not decode: {error}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(undecoded)?;
    let (width, height) = decoder.dimensions();
    wanted(width as usize, height as usize)?;
    if decoder.total_bytes() > MOST_BYTES {
        return Err(format!("is {width}x{height}, which is too large to be read"));
    }
    if format == ImageFormat::Jpeg {
        jpeg::check(bytes)?;
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(undecoded)?;
    let transparent = match &picture {
        DynamicImage::ImageRgba8(picture) => picture.pixels().any(|pixel| pixel.0[3] != 255),
        other => other.color().has_alpha() && other.to_rgba8().pixels().any(|pixel| pixel.0[3] != 255),
    };
    if transparent {
        return Err("has transparent pixels; lay it on a background first".to_string());
    }
    Ok(picture)
}
