//! The IDX format of the MNIST files, gzipped or not.
//!
//! A big-endian header (two zero bytes, the element type, the number of dimensions, then each dimension as
//! `u32`) and the elements. Only unsigned bytes occur: type 8, so the magic number is 2051 for images (three
//! dimensions) and 2049 for labels (one). Whether a file is packed is told by its first two bytes, not by its name.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{Images, MAX_SIDE};
use crate::{Error, Result};

/// Unsigned bytes, three dimensions.
const IMAGES_MAGIC: u32 = 0x0803;
/// Unsigned bytes, one dimension.
const LABELS_MAGIC: u32 = 0x0801;

/// Reads an image file (`train-images-idx3-ubyte[.gz]`).
///
/// # Errors
/// [`Error::Request`] naming the file: unreadable, wrong magic, truncated, trailing bytes, empty, or images larger than
/// [`MAX_SIDE`] a side.
pub fn read_images(path: &Path) -> Result<Images> {
    let mut reader = open(path)?;
    let [count, height, width] = read_header(&mut reader, path, IMAGES_MAGIC, "images")?;
    if count == 0 || height == 0 || width == 0 {
        return Err(refuse(path, &format!("holds no pixels ({count} images of {height}x{width})")));
    }
    if height > MAX_SIDE || width > MAX_SIDE {
        return Err(refuse(
            path,
            &format!(
                "holds images of {height}x{width}; {MAX_SIDE}x{MAX_SIDE} is the most, so scale them down first"
            ),
        ));
    }
    // Within 2^32 * 64 * 64, so the product fits 64 bits.
    let pixels = read_body(reader, path, count as u64 * (height * width) as u64)?;
    Ok(Images::new([1, height, width], pixels))
}

/// Reads a label file (`train-labels-idx1-ubyte[.gz]`).
///
/// # Errors
/// [`Error::Request`] naming the file: unreadable, wrong magic, truncated, trailing bytes or empty.
pub fn read_labels(path: &Path) -> Result<Vec<u32>> {
    let mut reader = open(path)?;
    let [count] = read_header(&mut reader, path, LABELS_MAGIC, "labels")?;
    if count == 0 {
        return Err(refuse(path, "holds no labels"));
    }
    Ok(read_body(reader, path, count as u64)?.into_iter().map(u32::from).collect())
}

/// One sentence about a file that cannot be used.
fn refuse(path: &Path, what: &str) -> Error {
    Error::request(format!("{} {what}", path.display()))
}

/// A failed read as a sentence: an archive that ends early or does not decode is named as such.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => refuse(path, "is truncated: it ends early; fetch it again"),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            refuse(path, &format!("is damaged ({error}); fetch it again"))
        }
        _ => refuse(path, &format!("cannot be read: {error}")),
    }
}

/// Opens a file and unpacks it on the way if it starts as a gzip archive does.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let attempt = || -> std::io::Result<Box<dyn Read>> {
        let mut file = File::open(path)?;
        let mut start = Vec::with_capacity(2);
        file.by_ref().take(2).read_to_end(&mut start)?;
        file.rewind()?;
        let plain = BufReader::new(file);
        // The multi-member decoder also refuses bytes after the archive's end.
        Ok(if start == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) })
    };
    attempt().map_err(|error| match error.kind() {
        ErrorKind::NotFound => refuse(path, "is missing"),
        _ => unreadable(path, &error),
    })
}

/// Reads and checks the magic number, then the `N` dimensions.
fn read_header<const N: usize>(
    reader: &mut dyn Read,
    path: &Path,
    magic: u32,
    kind: &str,
) -> Result<[usize; N]> {
    let found = read_u32(reader, path)?;
    if found != magic {
        return Err(refuse(
            path,
            &format!("is not an IDX file of {kind}: its magic number is {found}, it must be {magic}"),
        ));
    }
    let mut dimensions = [0; N];
    for dimension in &mut dimensions {
        *dimension = read_u32(reader, path)? as usize;
    }
    Ok(dimensions)
}

fn read_u32(reader: &mut dyn Read, path: &Path) -> Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => refuse(path, "is truncated: it ends within its header; fetch it again"),
        _ => unreadable(path, &error),
    })?;
    Ok(u32::from_be_bytes(bytes))
}

/// Reads exactly `expected` bytes up to the file's end. Memory grows with what is really there, not with what the
/// header promises; reading on to the end also makes the decoder compare the archive's checksum.
fn read_body(reader: Box<dyn Read>, path: &Path, expected: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(expected + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    let found = bytes.len() as u64;
    if found < expected {
        return Err(refuse(
            path,
            &format!(
                "is truncated: its header promises {expected} bytes of data, {found} are there; fetch it again"
            ),
        ));
    }
    if found > expected {
        return Err(refuse(
            path,
            &format!("has trailing bytes after the {expected} its header promises; fetch it again"),
        ));
    }
    Ok(bytes)
}
