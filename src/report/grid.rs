//! Small images, and rows of them with labels.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::{Error, Result};
use crate::report::draw::{Anchor, Drawing, Mark, Text};
use crate::report::font;

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
        self.png().map(|file| format!("data:image/png;base64,{}", base64(&file))).unwrap_or_default()
    }
}

/// Bytes in base64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            match i <= group.len() {
                true => out.push(DIGITS[(bits >> (18 - 6 * i) & 63) as usize].into()),
                false => out.push('='),
            }
        }
    }
    out
}

/// Rows of small images, each row with a label, the columns perhaps with headings.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub title: String,
    /// One for each column, or none.
    pub headings: Vec<String>,
    pub rows: Vec<(String, Vec<Image>)>,
    /// Side of an image on the page (its width; the height follows).
    pub cell: f64,
}

impl Grid {
    /// A grid without rows.
    pub fn new(title: impl Into<String>) -> Self {
        Grid { title: title.into(), headings: Vec::new(), rows: Vec::new(), cell: 56.0 }
    }

    /// With a row more.
    pub fn row(mut self, label: impl Into<String>, images: Vec<Image>) -> Self {
        self.rows.push((label.into(), images));
        self
    }

    /// With headings over the columns.
    pub fn headings(mut self, headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.headings = headings.into_iter().map(Into::into).collect();
        self
    }

    /// The picture. Long labels are broken over several lines.
    pub fn drawing(&self) -> Drawing {
        const SIZE: f64 = 12.0;
        const TITLE_SIZE: f64 = 15.0;
        const GAP: f64 = 4.0;
        const MARGIN: f64 = 12.0;
        const LABEL_ROOM: f64 = 150.0;
        let labels: Vec<_> =
            self.rows.iter().map(|(label, _)| font::wrap(label, SIZE, false, LABEL_ROOM)).collect();
        let widest = labels.iter().flatten().map(|line| font::width(line, SIZE, false)).fold(0.0, f64::max);
        let left = MARGIN + if widest > 0.0 { widest + 2.0 * GAP } else { 0.0 };
        let columns = self.rows.iter().map(|(_, images)| images.len()).max().unwrap_or(0);
        let step = self.cell + GAP;
        let width = (left + columns as f64 * step - GAP + MARGIN).max(200.0);
        let title = font::wrap(&self.title, TITLE_SIZE, true, width - 2.0 * MARGIN);
        let headings: Vec<_> = self.headings.iter().map(|h| font::wrap(h, SIZE, false, self.cell)).collect();
        let heading_lines = headings.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let mut y = MARGIN + title.len() as f64 * 1.35 * TITLE_SIZE + heading_lines * 1.25 * SIZE + GAP;
        let tall = |images: &[Image]| {
            let height = |image: &Image| self.cell * image.height as f64 / image.width as f64;
            images.iter().map(height).fold(0.0, f64::max)
        };
        let heights: Vec<f64> = self
            .rows
            .iter()
            .zip(&labels)
            .map(|((_, images), lines)| tall(images).max(lines.len() as f64 * 1.25 * SIZE))
            .collect();
        let height = y + heights.iter().map(|h| h + GAP).sum::<f64>() - GAP + MARGIN;
        let mut drawing = Drawing::new(width, height, &self.title);
        for (i, line) in title.into_iter().enumerate() {
            let at = (width / 2.0, MARGIN + (i as f64 + 0.8) * 1.35 * TITLE_SIZE);
            drawing.text(Text { bold: true, ..Text::new(at, line, TITLE_SIZE, Anchor::Middle) });
        }
        for (column, lines) in headings.iter().enumerate() {
            for (i, line) in lines.iter().rev().enumerate() {
                let at =
                    (left + column as f64 * step + self.cell / 2.0, y - GAP - i as f64 * 1.25 * SIZE - 2.0);
                drawing.text(Text::new(at, line, SIZE, Anchor::Middle));
            }
        }
        for (((_, images), lines), height) in self.rows.iter().zip(&labels).zip(heights) {
            let first = y + height / 2.0 + SIZE * (0.35 - 0.625 * (lines.len() as f64 - 1.0));
            for (i, line) in lines.iter().enumerate() {
                let at = (left - 2.0 * GAP, first + i as f64 * 1.25 * SIZE);
                drawing.text(Text::new(at, line, SIZE, Anchor::End));
            }
            for (i, image) in images.iter().enumerate() {
                let size = (self.cell, self.cell * image.height as f64 / image.width as f64);
                let at = (left + i as f64 * step, y + (height - size.1) / 2.0);
                drawing.marks.push(Mark::Image { at, size, image: image.clone() });
            }
            y += height + GAP;
        }
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, code) in known {
            assert_eq!(base64(text.as_bytes()), code);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }

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
