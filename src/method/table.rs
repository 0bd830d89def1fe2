//! Images on the device: a variable of packed bytes, whose rows programs gather, paint and scale.

use std::ops::Range;

use crate::data::Images;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::ops;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::ops::paint;

/// The most bytes of a table kept on a device: what every device can bind (WebGPU guarantees 128 MiB). A larger set is
/// streamed: before each step its images are written to a small table.
pub const RESIDENT_BYTES: usize = 128 << 20;

/// A variable for all images of a set, or for those that a program takes at a time.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    /// The stored images that it has room for.
    stored: usize,
    stored_len: usize,
    image_len: usize,
    coloured: bool,
}

impl Table {
    /// A table for all of `images`, in the variable `name`.
    pub fn whole(name: &str, images: &Images) -> Self {
        Table::sized(name, images, images.count / images.per_stored())
    }

    /// A table for `rows` of `images` at a time, in the variable `name`.
    pub fn window(name: &str, images: &Images, rows: usize) -> Self {
        Table::sized(name, images, rows)
    }

    fn sized(name: &str, images: &Images, stored: usize) -> Self {
        let (stored_len, image_len) = (images.stored_len(), images.image_len());
        let coloured = images.per_stored() > 1;
        Table { name: name.into(), stored, stored_len, image_len, coloured }
    }

    fn words(&self) -> usize {
        ops::byte_table_words(self.stored * self.stored_len)
    }

    /// The images at `indices` (u32), `[indices, image_len]`, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for indices that are floats.
    pub fn gather(&self, g: &mut Graph, indices: Tensor) -> Result<Tensor> {
        let table = g.variable(&self.name, [self.words()], DType::U32)?;
        match self.coloured {
            true => paint(g, table, indices, self.stored_len),
            false => ops::gather_bytes(g, table, indices, self.image_len),
        }
    }

    /// Writes all of `images` to a table made by [`whole`](Self::whole).
    ///
    /// # Errors
    /// Those of the device and of reading the images.
    pub fn upload(&self, session: &mut Session, images: &Images) -> Result<()> {
        session.set(&self.name, &packed(&images.bytes()?))
    }

    /// Writes the stored images `rows` to the table's first rows.
    ///
    /// # Errors
    /// Those of the device and of reading the images.
    pub fn write(&self, session: &Session, images: &Images, rows: impl Iterator<Item = usize>) -> Result<()> {
        let mut bytes = Vec::with_capacity(4 * self.words());
        for row in rows {
            bytes.extend_from_slice(&images.stored_image(row)?);
        }
        session.write(&self.name, 0, &packed(&bytes))
    }

    /// Writes the stored images of the images `range` to the table; returns the indices that these then have in it.
    ///
    /// # Errors
    /// Those of the device and of reading the images.
    pub fn write_range(&self, session: &Session, images: &Images, range: Range<usize>) -> Result<Range<u32>> {
        let per = images.per_stored();
        let first = range.start / per;
        self.write(session, images, first..range.end.div_ceil(per))?;
        Ok((range.start - first * per) as u32..(range.end - first * per) as u32)
    }
}

/// Bytes as words, the last one padded with zeros.
fn packed(bytes: &[u8]) -> Vec<u32> {
    let mut words = vec![0_u32; ops::byte_table_words(bytes.len())];
    bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}
