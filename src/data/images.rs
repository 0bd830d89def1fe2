//! Images as bytes, wherever these lie.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::color;
use crate::Result;
use crate::files::parts::Parts;

/// `count` images, each `[channels, height, width]`.
///
/// Cloning shares the bytes. A coloured set stores each grey image once and shows it in the seven colours of
/// [`color`], so image `i` is stored image `i / 7` in colour `i % 7`.
#[derive(Clone, Debug)]
pub struct Images {
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    coloured: bool,
    store: Store,
    /// Where in the store these images lie.
    place: Range<usize>,
}

/// Bytes in memory, or in a file that is read as they are needed.
#[derive(Clone, Debug)]
enum Store {
    Memory(Arc<Vec<u8>>),
    File(Arc<Parts>),
}

impl Images {
    /// Images in memory: `pixels` `[count, channels, height, width]`, 0 black and 255 white.
    ///
    /// # Panics
    /// Where the pixels are no whole number of images.
    pub fn new([channels, height, width]: [usize; 3], pixels: Vec<u8>) -> Self {
        let place = 0..pixels.len();
        Images::stored([channels, height, width], Store::Memory(Arc::new(pixels)), place)
    }

    /// The images in bytes `place` of a file.
    ///
    /// # Panics
    /// Where they are no whole number of images.
    pub fn in_file(shape: [usize; 3], file: &Arc<Parts>, place: Range<usize>) -> Self {
        Images::stored(shape, Store::File(file.clone()), place)
    }

    fn stored([channels, height, width]: [usize; 3], store: Store, place: Range<usize>) -> Self {
        let length = channels * height * width;
        assert!(place.len().is_multiple_of(length), "{} bytes in images of {length}", place.len());
        Images { count: place.len() / length, height, width, channels, coloured: false, store, place }
    }

    /// These grey images in all seven colours.
    pub fn in_colors(self) -> Self {
        assert_eq!(self.channels, 1, "only grey images can be coloured");
        Images { count: self.count * color::COLORS, channels: 3, coloured: true, ..self }
    }

    /// The numbers in one image (`Dx` of docs/method.md, section 1).
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// `[channels, height, width]` of each image.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Images made of one stored image.
    pub fn per_stored(&self) -> usize {
        if self.coloured { color::COLORS } else { 1 }
    }

    /// Bytes of one stored image.
    pub fn stored_len(&self) -> usize {
        if self.coloured { self.height * self.width } else { self.image_len() }
    }

    /// Bytes of all stored images.
    pub fn size(&self) -> usize {
        self.place.len()
    }

    /// All stored images, one after the other.
    ///
    /// # Errors
    /// [`crate::Error`] naming the file, where it cannot be read or was cut short.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        self.part(0..self.size())
    }

    /// Stored image `i`.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn stored_image(&self, i: usize) -> Result<Cow<'_, [u8]>> {
        self.part(i * self.stored_len()..(i + 1) * self.stored_len())
    }

    /// A part of the bytes of all stored images.
    fn part(&self, part: Range<usize>) -> Result<Cow<'_, [u8]>> {
        let place = self.place.start + part.start..self.place.start + part.end;
        match &self.store {
            Store::Memory(bytes) => Ok(Cow::Borrowed(&bytes[place])),
            Store::File(file) => file.take(place.start as u64, place.len()).map(Cow::Owned),
        }
    }

    /// Image `i` in [0, 1], as the kernel `gather` makes it.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn floats(&self, i: usize) -> Result<Vec<f32>> {
        let stored = self.stored_image(i / self.per_stored())?;
        let scaled = stored.iter().map(|&byte| f32::from(byte) / 255.0);
        Ok(match self.coloured {
            true => color::paint(&scaled.collect::<Vec<_>>(), i % color::COLORS),
            false => scaled.collect(),
        })
    }

    /// The images `numbers` in [0, 1], one after the other.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn floats_of(&self, numbers: impl IntoIterator<Item = usize>) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for number in numbers {
            all.extend(self.floats(number)?);
        }
        Ok(all)
    }

    /// The numbers of `n` images to try something on: the first `n`, but in colours one of every grey image, in the
    /// seven colours in turn, before any comes a second time.
    pub fn sample(&self, n: usize) -> impl Iterator<Item = usize> {
        let (per, stored) = (self.per_stored(), self.count / self.per_stored());
        (0..n.min(self.count)).map(move |i| {
            let (round, image) = (i / stored, i % stored);
            image * per + (image + round) % per
        })
    }

    /// The images before `at`, and those from it on. `at` is a multiple of [`Self::per_stored`].
    pub fn split_at(self, at: usize) -> (Images, Images) {
        let middle = self.place.start + at / self.per_stored() * self.stored_len();
        let after = Images { count: self.count - at, place: middle..self.place.end, ..self.clone() };
        (Images { count: at, place: self.place.start..middle, ..self }, after)
    }
}

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        let same = |(mine, theirs)| mine == theirs;
        self.shape() == other.shape()
            && self.coloured == other.coloured
            && self.bytes().ok().zip(other.bytes().ok()).is_some_and(same)
    }
}
