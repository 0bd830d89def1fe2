//! Pictures of RGB bytes.

use base64::prelude::{BASE64_STANDARD, Engine};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::{Error, Result};

/// A picture of RGB bytes, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// # Panics
    /// Where `rgb` is not three bytes for each pixel, or there is no pixel.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert!(
            rgb.len() == 3 * width * height && !rgb.is_empty(),
            "{} bytes, {width} x {height}",
            rgb.len()
        );
        Image { width, height, rgb }
    }

    /// From values in [0, 1], `[channels, height, width]` with one channel or three. What lies outside is cut off; NaN
    /// shows as black.
    ///
    /// # Panics
    /// Where `values` has another shape.
    pub fn of([channels, height, width]: [usize; 3], values: &[f32]) -> Self {
        assert!(channels == 1 || channels == 3, "{channels} channels");
        let (plane, byte) = (height * width, |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8);
        let channel = |c: usize| if channels == 3 { c } else { 0 };
        let rgb = (0..plane).flat_map(|i| [0, 1, 2].map(|c| byte(values[channel(c) * plane + i])));
        Image::new(width, height, rgb.collect())
    }

    /// From differences: 0 is the middle grey, `scale` white and `-scale` black.
    ///
    /// # Panics
    /// As [`Image::of`].
    pub fn of_difference(shape: [usize; 3], values: &[f32], scale: f32) -> Self {
        let shifted: Vec<f32> = values.iter().map(|value| 0.5 + 0.5 * value / scale).collect();
        Image::of(shape, &shifted)
    }

    /// Several of one size side by side, `gap` grey pixels between them.
    ///
    /// # Panics
    /// Where there is none, or they differ in size.
    pub fn beside(images: &[Image], gap: usize) -> Self {
        let (width, height) = (images[0].width, images[0].height);
        assert!(images.iter().all(|image| (image.width, image.height) == (width, height)));
        let full = images.len() * (width + gap) - gap;
        let mut rgb = vec![128; 3 * full * height];
        for (i, image) in images.iter().enumerate() {
            for (y, row) in image.rgb.chunks_exact(3 * width).enumerate() {
                rgb[3 * (y * full + i * (width + gap))..][..3 * width].copy_from_slice(row);
            }
        }
        Image::new(full, height, rgb)
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Three bytes a pixel.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`Error::Run`] for one too large for the format.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        PngEncoder::new(&mut file)
            .write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(|error| Error::run(format!("a picture of {width} x {height} as PNG: {error}")))?;
        Ok(file)
    }

    /// The PNG file as an address to be put into a page; empty in place of one too large for the format.
    pub fn data_uri(&self) -> String {
        self.png()
            .map(|file| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(&file)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_pixels_and_a_png_holds_them() {
        let grey = Image::of([1, 1, 2], &[0.0, 1.5]);
        assert_eq!(grey.rgb(), [0, 0, 0, 255, 255, 255]);
        let colour = Image::of([3, 1, 2], &[0.0, 1.0, 0.5, f32::NAN, 1.0, 0.2]);
        assert_eq!(colour.rgb(), [0, 128, 255, 255, 0, 51]);
        let change = Image::of_difference([1, 1, 3], &[-0.1, 0.0, 0.05], 0.1);
        assert_eq!(change.rgb().iter().step_by(3).copied().collect::<Vec<_>>(), [0, 128, 191]);
        let both = Image::beside(&[grey.clone(), colour], 1);
        assert_eq!((both.width(), both.height()), (5, 1));
        assert_eq!(both.rgb()[3..12], [255, 255, 255, 128, 128, 128, 0, 128, 255]);
        let read = image::load_from_memory(&both.png().unwrap()).unwrap().into_rgb8();
        assert_eq!((read.width(), read.as_raw().as_slice()), (5, both.rgb()));
        assert!(both.data_uri().starts_with("data:image/png;base64,iVBORw0KGgo"));
    }
}
