//! Images on the device: a variable of packed bytes, whose rows programs gather, paint and scale there.

use std::ops::Range;

use crate::data::Images;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::ops;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::ops::paint;

/// The largest table kept whole on a device: what every device can bind (WebGPU's guaranteed 128 MiB). A larger set is
/// streamed: each step's images are written to a small table before it runs.
pub const RESIDENT_BYTES: usize = 128 << 20;

/// A variable that holds all images of a set, or as many at a time as a program takes.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    /// Stored images that it has room for.
    stored: usize,
    stored_len: usize,
    image_len: usize,
    coloured: bool,
}

impl Table {
    /// Room for all of `images`, in the variable `name`.
    pub fn whole(name: &str, images: &Images) -> Self {
        Table::sized(name, images, images.count / images.per_stored())
    }

    /// Room for `rows` of `images` at a time.
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

    /// The images at `indices`, in [0, 1]: `[indices, image_len]`.
    pub fn gather(&self, g: &mut Graph, indices: Tensor) -> Result<Tensor> {
        let table = g.variable(&self.name, [self.words()], DType::U32)?;
        match self.coloured {
            true => paint(g, table, indices, self.stored_len),
            false => ops::gather_bytes(g, table, indices, self.image_len),
        }
    }

    /// Fills a whole table.
    pub fn upload(&self, session: &mut Session, images: &Images) -> Result<()> {
        session.set(&self.name, &packed(&images.bytes()?))
    }

    /// Puts the stored images `rows` into the table's first rows.
    pub fn write(&self, session: &Session, images: &Images, rows: impl Iterator<Item = usize>) -> Result<()> {
        let mut bytes = Vec::with_capacity(4 * self.words());
        for row in rows {
            bytes.extend_from_slice(&images.stored_image(row)?);
        }
        session.write(&self.name, 0, &packed(&bytes))
    }

    /// Puts what images `range` are made of into the table, and says which rows of it they are then.
    pub fn write_range(&self, session: &Session, images: &Images, range: Range<usize>) -> Result<Range<u32>> {
        let per = images.per_stored();
        let first = range.start / per;
        self.write(session, images, first..range.end.div_ceil(per))?;
        Ok((range.start - first * per) as u32..(range.end - first * per) as u32)
    }
}

/// Bytes as words, the last one filled up with zeros.
fn packed(bytes: &[u8]) -> Vec<u32> {
    let mut words = vec![0_u32; ops::byte_table_words(bytes.len())];
    bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}
