//! Images as bytes, wherever these lie.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use super::color;

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

/// Bytes in memory, or in a file that the system reads as they are needed.
#[derive(Clone, Debug)]
enum Store {
    Memory(Arc<[u8]>),
    File(Arc<Mmap>),
}

impl Images {
    /// Images in memory: `pixels` `[count, channels, height, width]`, 0 black and 255 white.
    ///
    /// # Panics
    /// Where the pixels are no whole number of images.
    pub fn new([channels, height, width]: [usize; 3], pixels: Vec<u8>) -> Self {
        let place = 0..pixels.len();
        Images::stored([channels, height, width], Store::Memory(pixels.into()), place)
    }

    /// The images in bytes `place` of a file.
    ///
    /// # Panics
    /// Where these lie outside of it, or are no whole number of images.
    pub fn in_file(shape: [usize; 3], file: &Arc<Mmap>, place: Range<usize>) -> Self {
        assert!(place.end <= file.len());
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

    /// All stored images, one after the other.
    pub fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.store {
            Store::Memory(bytes) => bytes,
            Store::File(map) => map,
        };
        &all[self.place.clone()]
    }

    /// Stored image `i`.
    pub fn stored_image(&self, i: usize) -> &[u8] {
        &self.bytes()[i * self.stored_len()..][..self.stored_len()]
    }

    /// Image `i` in [0, 1], as the kernel `gather` makes it.
    pub fn floats(&self, i: usize) -> Vec<f32> {
        let stored = self.stored_image(i / self.per_stored());
        let scaled = stored.iter().map(|&byte| f32::from(byte) / 255.0);
        match self.coloured {
            true => color::paint(&scaled.collect::<Vec<_>>(), i % color::COLORS),
            false => scaled.collect(),
        }
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
        self.shape() == other.shape() && self.coloured == other.coloured && self.bytes() == other.bytes()
    }
}
