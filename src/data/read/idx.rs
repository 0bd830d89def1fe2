//! The IDX format of the MNIST files, gzipped or not.
//!
//! A big-endian header (two zero bytes, the element type, the number of dimensions, then each dimension as `u32`) and
//! the elements. Images are unsigned bytes in three dimensions (magic number 2051). Labels are integers of any width
//! in one dimension (2049 for unsigned bytes), or in two where the class stands in the first of QMNIST's eight
//! columns. Anything else is refused in words. Whether a file is packed is told by its first bytes, not by its name.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::container::{self, Input, Opened, refuse, unreadable};
use super::pixels::{self, Collector};
use super::{Images, check_size, label};
use crate::Result;

/// QMNIST's labels have this many columns, the class first.
const QMNIST_COLUMNS: usize = 8;

/// Labels are kept in memory up to this many bytes a file.
const MOST_LABEL_BYTES: u64 = 256 << 20;

/// Looks at an image file (`train-images-idx3-ubyte[.gz]`) and says how many images there are, and their shape once
/// they are scaled to `resize` pixels a side if asked to.
///
/// # Errors
/// [`crate::Error::Request`] naming the file: unreadable, of another kind, type or shape, truncated, trailing bytes,
/// empty, or images larger than [`super::MAX_SIDE`] a side that are not to be scaled.
pub fn look(input: &Input, resize: Option<usize>) -> Result<(usize, [usize; 3])> {
    let (opened, header, [count, height, width]) = open_images(input, resize)?;
    let body = header.body(&input.path)?;
    opened.check_promise(&input.path, header.len(), body)?;
    check_size(&input.path, count, [1, height, width])?;
    opened.measure(input, header.len(), body)?;
    Ok((count, pixels::scaled([1, height, width], resize)))
}

/// Reads an image file that was looked at.
///
/// # Errors
/// As [`look`]; [`crate::Error::Run`] where there is no memory for it.
pub fn read_images(input: &Input, resize: Option<usize>) -> Result<Images> {
    let (mut opened, header, [count, height, width]) = open_images(input, resize)?;
    let shape = [1, height, width];
    let bytes = container::read_body(&mut opened.reader, &input.path, header.body(&input.path)?)?;
    Ok(match resize {
        None => Images::new(shape, bytes),
        Some(_) => {
            let mut images = Collector::new(count, shape, resize)?;
            bytes.chunks_exact(height * width).for_each(|image| images.push(image));
            images.finish()
        }
    })
}

fn open_images(input: &Input, resize: Option<usize>) -> Result<(Opened<'_>, Header, [usize; 3])> {
    let path = &input.path;
    let mut opened = container::open(input)?;
    let header = Header::read(&mut opened.reader, path, "images")?;
    let [count, height, width] = header.shape[..] else { return Err(header.refuse(path, "images")) };
    if header.kind != Kind::U8 {
        return Err(header.refuse(path, "images"));
    }
    if count == 0 || height == 0 || width == 0 {
        return Err(refuse(path, &format!("holds no pixels ({count} images of {height}x{width})")));
    }
    pixels::check_shape([1, height, width], resize).map_err(|why| refuse(path, &why))?;
    Ok((opened, header, [count, height, width]))
}

/// Reads a label file (`train-labels-idx1-ubyte[.gz]`) for the `images` of another.
///
/// # Errors
/// [`crate::Error::Request`] naming the file: unreadable, of another kind, type or shape, truncated, trailing bytes,
/// empty, of another count than the images, or a label that is no class.
pub fn read_labels(input: &Input, images: (&Path, usize)) -> Result<Vec<u32>> {
    let path = &input.path;
    let mut opened = container::open(input)?;
    let header = Header::read(&mut opened.reader, path, "labels")?;
    let columns = match header.shape[..] {
        [_] => 1,
        [_, 1] => 1,
        [_, QMNIST_COLUMNS] if header.kind == Kind::I32 => QMNIST_COLUMNS,
        _ => return Err(header.refuse(path, "labels")),
    };
    if matches!(header.kind, Kind::F32 | Kind::F64) {
        return Err(header.refuse(path, "labels"));
    }
    let count = header.shape[0];
    if count == 0 {
        return Err(refuse(path, "holds no labels"));
    }
    let body = header.body(path)?;
    opened.check_promise(path, header.len(), body)?;
    if count != images.1 {
        let (images, there) = (images.0.display(), images.1);
        let text =
            format!("has {count} labels for the {there} images of {images}: they must be of one data set");
        return Err(refuse(path, &text));
    }
    if body > MOST_LABEL_BYTES {
        let what = format!("holds {body} bytes of labels; at most {MOST_LABEL_BYTES} are read");
        return Err(refuse(path, &what));
    }
    let bytes = container::read_body(&mut opened.reader, path, body)?;
    let rows = bytes.chunks_exact(columns * header.kind.bytes());
    rows.enumerate().map(|(at, row)| label(path, at, header.kind.integer(row))).collect()
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of(code: u8) -> Option<Kind> {
        Some(match code {
            0x08 => Kind::U8,
            0x09 => Kind::I8,
            0x0b => Kind::I16,
            0x0c => Kind::I32,
            0x0d => Kind::F32,
            0x0e => Kind::F64,
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Kind::U8 => "unsigned bytes",
            Kind::I8 => "signed bytes",
            Kind::I16 => "16-bit integers",
            Kind::I32 => "32-bit integers",
            Kind::F32 => "32-bit floats",
            Kind::F64 => "64-bit floats",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Kind::U8 | Kind::I8 => 1,
            Kind::I16 => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    /// The first integer in `row`.
    fn integer(self, row: &[u8]) -> i64 {
        let signed = row[1..self.bytes()]
            .iter()
            .fold(i64::from(row[0] as i8), |high, &byte| high << 8 | i64::from(byte));
        if self == Kind::U8 { i64::from(row[0]) } else { signed }
    }
}

/// What an IDX file says of itself.
struct Header {
    magic: u32,
    kind: Kind,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the magic number, then the dimensions.
    fn read(reader: &mut dyn Read, path: &Path, what: &str) -> Result<Header> {
        let magic = read_u32(reader, path)?;
        let known = |magic: u32| match magic.to_be_bytes() {
            [0, 0, code, rank @ 1..=4] => Kind::of(code).map(|kind| (kind, rank)),
            _ => None,
        };
        let Some((kind, rank)) = known(magic) else {
            let needed = needed(what);
            let text = match known(magic.swap_bytes()) {
                Some((kind, rank)) => format!(
                    "is an IDX file of {} in {rank} dimensions with a little-endian header (its magic number reads \
                     {magic}): IDX headers are big-endian, so write it again; {needed}",
                    kind.words()
                ),
                None => format!("is not an IDX file: its magic number is {magic}; {needed}"),
            };
            return Err(refuse(path, &text));
        };
        let shape = (0..rank).map(|_| Ok(read_u32(reader, path)? as usize)).collect::<Result<_>>()?;
        Ok(Header { magic, kind, shape })
    }

    /// Bytes of the header itself.
    fn len(&self) -> u64 {
        4 + 4 * self.shape.len() as u64
    }

    /// Bytes of the elements.
    fn body(&self, path: &Path) -> Result<u64> {
        let sizes = self.shape.iter().map(|&size| size as u64);
        let product = sizes.chain([self.kind.bytes() as u64]).try_fold(1_u64, u64::checked_mul);
        product.ok_or_else(|| refuse(path, "is damaged: its header promises more than any file can hold"))
    }

    fn refuse(&self, path: &Path, what: &str) -> crate::Error {
        let shape = self.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let (kind, magic) = (self.kind.words(), self.magic);
        let needed = needed(what);
        let text = format!("is an IDX file of {kind}, {shape} (its magic number is {magic}); {needed}");
        refuse(path, &text)
    }
}

fn needed(what: &str) -> &'static str {
    match what {
        "images" => {
            "images must be unsigned bytes in three dimensions, count x height x width (2051); colour images go into \
             an \
             .npz file or a folder for each class"
        }
        _ => "labels must be integers in one dimension, the class of each image (2049 for unsigned bytes)",
    }
}

fn read_u32(reader: &mut dyn Read, path: &Path) -> Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => {
            refuse(path, "is truncated: it ends within its header").with_hint(container::FETCH)
        }
        _ => unreadable(path, &error),
    })?;
    Ok(u32::from_be_bytes(bytes))
}
