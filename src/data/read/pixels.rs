//! Images of one shape, taken one by one and scaled on the way if that is asked for.

use image::{GrayImage, imageops};

use super::container::reserved;
use super::{Images, MAX_SIDE, Told};
use crate::{Error, Result};

/// The most pixels of an image that is to be scaled.
const MOST_PIXELS: usize = 1 << 24;

/// Refuses a side that no image may have.
///
/// # Errors
/// [`Error::Request`] naming the flag.
pub fn check_resize(resize: Option<usize>) -> Result<()> {
    match resize {
        Some(side) if !(1..=MAX_SIDE).contains(&side) => {
            Err(Error::setting("resize", format!("must be from 1 to {MAX_SIDE} pixels, got {side}")))
        }
        _ => Ok(()),
    }
}

/// Refuses images that are too large, unless they are to be scaled: the text is to be put after a file's name.
pub fn check_shape([_, height, width]: [usize; 3], resize: Option<usize>) -> Told<()> {
    if height <= MAX_SIDE && width <= MAX_SIDE {
        return Ok(());
    }
    if resize.is_some() {
        return match height.saturating_mul(width) > MOST_PIXELS {
            true => Err(format!("holds images of {height}x{width}, which are too large to be scaled")),
            false => Ok(()),
        };
    }
    Err(format!(
        "holds images of {height}x{width}; {MAX_SIDE}x{MAX_SIDE} is the most, so scale them with `resize`"
    ))
}

/// The shape of images once they are scaled, where they are to be.
pub fn scaled([channels, height, width]: [usize; 3], resize: Option<usize>) -> [usize; 3] {
    let [height, width] = resize.map_or([height, width], |side| [side; 2]);
    [channels, height, width]
}

/// Images of one shape that are still coming in.
pub struct Collector {
    shape: [usize; 3],
    resize: Option<usize>,
    pixels: Vec<u8>,
}

impl Collector {
    /// For `count` images `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where there is no memory for them.
    pub fn new(count: usize, shape: [usize; 3], resize: Option<usize>) -> Result<Collector> {
        let pixels = reserved(count * scaled(shape, resize).iter().product::<usize>())?;
        Ok(Collector { shape, resize, pixels })
    }

    /// Adds an image, its channels one after the other.
    pub fn push(&mut self, planes: &[u8]) {
        match self.resize {
            Some(side) => self.pixels.extend(scale(planes, self.shape, side)),
            None => self.pixels.extend(planes),
        }
    }

    /// All of them.
    pub fn finish(self) -> Images {
        Images::new(scaled(self.shape, self.resize), self.pixels)
    }
}

/// The planes of interleaved channels.
pub fn planes(interleaved: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|c| interleaved[c..].iter().step_by(channels)).copied().collect()
}

/// The square in the middle of an image, scaled to `side` pixels. What is not square is cut, not squeezed.
///
/// Not with `fast_image_resize`: it rounds otherwise, and then one pixel in ten differs and with it the fingerprint.
pub fn scale(pixels: &[u8], [channels, height, width]: [usize; 3], side: usize) -> Vec<u8> {
    let square = height.min(width);
    let (top, left) = ((height - square) / 2, (width - square) / 2);
    let mut scaled = Vec::with_capacity(channels * side * side);
    for plane in pixels.chunks_exact(height * width) {
        let pixel = |x: u32, y: u32| image::Luma([plane[(top + y as usize) * width + left + x as usize]]);
        let middle = GrayImage::from_fn(square as u32, square as u32, pixel);
        let filter = imageops::FilterType::Triangle;
        scaled.extend(imageops::resize(&middle, side as u32, side as u32, filter).into_raw());
    }
    scaled
}
