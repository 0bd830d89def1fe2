//! One photograph: decoded, the middle cut out, scaled down.

use std::path::Path;

use image::RgbImage;

use crate::Result;
use crate::data::read::{Told, picture};

/// Every photograph's size.
pub const WIDTH: usize = 178;
pub const HEIGHT: usize = 218;
/// The side of the image made of it.
pub const SIDE: usize = 64;

/// The image `[3, SIDE, SIDE]` of the photograph in a file, or what is wrong with it, to be put after its name.
///
/// # Errors
/// [`crate::Error::Io`] where the system fails to read it, which says nothing of the photograph.
pub fn load(path: &Path, crop: usize) -> Result<Told<Vec<u8>>> {
    Ok(picture::read(path)?.and_then(|bytes| scaled(&bytes, crop)))
}

fn scaled(bytes: &[u8], crop: usize) -> Told<Vec<u8>> {
    let wanted = |width: usize, height: usize| match (width, height) == (WIDTH, HEIGHT) {
        true => Ok(()),
        false => {
            Err(format!("is {width}x{height}, must be {WIDTH}x{HEIGHT} (the aligned and cropped CelebA)"))
        }
    };
    let photo = picture::decode(bytes, wanted)?;
    Ok(scale_down(&photo.into_rgb8(), crop))
}

/// The square of side `crop` in the middle, each of the `SIDE` x `SIDE` pixels the mean of the area it covers, as
/// planes.
///
/// By hand: the box of `fast_image_resize` takes or leaves whole pixels, and most results differ, by up to 14 of 255.
fn scale_down(photo: &RgbImage, crop: usize) -> Vec<u8> {
    let (left, top) = ((WIDTH - crop) / 2, (HEIGHT - crop) / 2);
    let shares = shares(crop);
    let pixels = photo.as_raw();
    let mut out = vec![0; 3 * SIDE * SIDE];
    let mut row = vec![0.0; crop];
    for channel in 0..3 {
        for (y, down) in shares.iter().enumerate() {
            // Down the columns first, then along the row that makes.
            row.fill(0.0);
            for &(from, share) in down {
                let line = &pixels[3 * ((top + from) * WIDTH + left)..][..3 * crop];
                let line = line.iter().skip(channel).step_by(3);
                row.iter_mut().zip(line).for_each(|(sum, &byte)| *sum += share * f32::from(byte));
            }
            for (x, along) in shares.iter().enumerate() {
                let mean: f32 = along.iter().map(|&(from, share)| share * row[from]).sum();
                out[(channel * SIDE + y) * SIDE + x] = mean.round() as u8;
            }
        }
    }
    out
}

/// For each of `SIDE` equal parts of `0..length` the whole numbers it covers, each with its share of the part.
fn shares(length: usize) -> Vec<Vec<(usize, f32)>> {
    let part = length as f64 / SIDE as f64;
    let covered = |i: usize| {
        let (start, end) = (i as f64 * part, (i + 1) as f64 * part);
        let pixels = start.floor() as usize..(end.ceil() as usize).min(length);
        let share = |at: usize| ((at + 1) as f64).min(end) - (at as f64).max(start);
        pixels.map(|at| (at, (share(at) / part) as f32)).filter(|(_, share)| *share > 0.0).collect()
    };
    (0..SIDE).map(covered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for length in [64, 65, 100, 148, 178] {
            let mut covered = vec![0.0; length];
            for part in shares(length) {
                assert!((part.iter().map(|(_, share)| share).sum::<f32>() - 1.0).abs() < 1e-5);
                part.iter().for_each(|&(at, share)| covered[at] += f64::from(share) * length as f64 / 64.0);
            }
            assert!(covered.iter().all(|c| (c - 1.0).abs() < 1e-5), "{length}: {covered:?}");
        }
    }

    /// A ramp to the right, another down: each pixel is the ramp's value in its middle.
    #[test]
    fn the_middle_is_cut_out_and_averaged() {
        let photo = RgbImage::from_fn(178, 218, |x, y| image::Rgb([x as u8, y as u8, 7]));
        for crop in [64, 128, 148, 178] {
            let image = scale_down(&photo, crop);
            let part = crop as f64 / 64.0;
            let middle = |i: usize, size: usize| (size - crop) as f64 / 2.0 + (i as f64 + 0.5) * part - 0.5;
            for (y, x) in [(0, 0), (0, 63), (63, 0), (17, 40), (63, 63)] {
                let at = |channel: usize| f64::from(image[(channel * 64 + y) * 64 + x]);
                assert!((at(0) - middle(x, 178)).abs() <= 0.51, "{crop} {x}: {}", at(0));
                assert!((at(1) - middle(y, 218)).abs() <= 0.51, "{crop} {y}: {}", at(1));
                assert_eq!(at(2), 7.0);
            }
        }
    }
}
