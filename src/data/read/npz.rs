//! Sets in one `.npz` of numpy: `x_train`, `y_train`, `x_test`, `y_test`.
//!
//! The archive is read by the crate `zip` (its central directory, zip64 and deflate are more than should be written
//! again); an array's header is one short line, read by hand in [`npy`], which is smaller than a crate that brings
//! ndarray along.

pub(crate) mod npy;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use self::npy::{Array, Element};
use super::container::{MEASURED, MOST_UNPACKED, refuse, unreadable};
use super::pixels::{self, Collector};
use super::{Images, Loaded, Parts, Split, Told, check_size, interleave, label};
use crate::Result;

type Archive = ZipArchive<Box<dyn Source>>;

/// What an archive is read from.
trait Source: BufRead + Seek {}

impl<T: BufRead + Seek> Source for T {}

/// Reads the set in the file at `path`, its images scaled to `resize` pixels a side if asked to. Classes that stand in
/// blocks are spread ([`interleave`]).
///
/// # Errors
/// [`crate::Error::Request`] naming the file and the array: no zip archive, an array that is missing, damaged, of
/// another type or shape, larger than the file can hold, or of another count than the one that goes with it.
pub fn load(path: &Path, resize: Option<usize>) -> Result<Loaded> {
    set(&mut open_archive(path)?, path, resize)
}

/// The same of the content of the file at `path`.
///
/// # Errors
/// As [`load`].
#[cfg(any(test, feature = "fuzzing"))]
pub fn decode(path: &Path, bytes: &[u8], resize: Option<usize>) -> Result<Loaded> {
    let bytes: Box<dyn Source> = Box::new(std::io::Cursor::new(bytes.to_vec()));
    set(&mut ZipArchive::new(bytes).map_err(|error| damaged(path, &error))?, path, resize)
}

fn set(archive: &mut Archive, path: &Path, resize: Option<usize>) -> Result<Loaded> {
    let mut looked = |x: &str, y: &str| -> Result<(Stored, Vec<u32>)> {
        let stored = look(archive, path, x, resize)?;
        let labels = read_labels(archive, path, y, x, stored.count)?;
        Ok((stored, labels))
    };
    let (train, train_labels) = looked("x_train", "y_train")?;
    let (test, test_labels) = looked("x_test", "y_test")?;
    let named = |y: &str| format!("{}, {y}", path.display());
    let parts = Parts {
        shapes: [&train, &test].map(|stored| pixels::scaled(stored.shape, resize)),
        labels: [&train_labels, &test_labels],
        files: [named("y_train"), named("y_test")],
        classes: 0,
    };
    parts.check(path)?;
    let files = parts.files;
    let mut split = |x: &str, stored: &Stored, labels: Vec<u32>| -> Result<Split> {
        let images = read_images(archive, path, x, stored, resize)?;
        interleave::spread(Split { images, labels: vec![labels] })
    };
    let (train, test) = (split("x_train", &train, train_labels)?, split("x_test", &test, test_labels)?);
    Ok(Loaded { train, test, label_files: files, class_names: Vec::new() })
}

/// The images in the array `x` of an archive, or in its only array.
///
/// # Errors
/// As [`load`].
pub fn load_unlabelled(path: &Path, resize: Option<usize>) -> Result<Images> {
    let mut archive = open_archive(path)?;
    let mut names = archive.file_names().flatten().map(|name| name.trim_end_matches(".npy").to_string());
    let name = match (names.next(), names.next()) {
        (Some(only), None) => only,
        _ => "x".to_string(),
    };
    drop(names);
    let stored = look(&mut archive, path, &name, resize)?;
    read_images(&mut archive, path, &name, &stored, resize)
}

fn open_archive(path: &Path) -> Result<Archive> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let file: Box<dyn Source> = Box::new(BufReader::new(file));
    ZipArchive::new(file).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &ZipError) -> crate::Error {
    match error {
        ZipError::Io(error) => unreadable(path, error),
        _ => refuse(
            path,
            &format!("is no .npz file that can be read ({error}); save it again with numpy.savez"),
        ),
    }
}

/// What is wrong with one array.
fn refuse_array(path: &Path, name: &str, what: &str) -> crate::Error {
    refuse(path, &format!("has an array {name} that {what}"))
}

/// Opens an array: its header, checked against what the file can hold, and a reader of its elements.
fn open<'a>(archive: &'a mut Archive, path: &Path, name: &str) -> Result<(Array, impl Read + 'a)> {
    let entry = format!("{name}.npy");
    if archive.index_for_name(&entry).is_none() {
        let mut there: Vec<_> =
            archive.file_names().flatten().map(|n| n.trim_end_matches(".npy").to_string()).collect();
        there.sort();
        there.truncate(12);
        let text = format!(
            "has no array {name}: a data set has x_train, y_train, x_test and y_test (there are: {})",
            there.join(", ")
        );
        return Err(refuse(path, &text));
    }
    let mut file = archive.by_name(&entry).map_err(|error| damaged(path, &error))?;
    let (packed, size) = (file.compressed_size(), file.size());
    let array = npy::read_header(&mut file).map_err(|what| refuse_array(path, name, &what))?;
    let (header, body) = (array.header, array.bytes());
    let fits = body.and_then(|body| body.checked_add(header)) == Some(size);
    if !fits || size > packed.saturating_mul(MOST_UNPACKED) {
        let what = format!("is damaged: its header and the archive disagree about its size ({size} bytes)");
        return Err(refuse_array(path, name, &what));
    }
    Ok((array, BufReader::with_capacity(1 << 16, file)))
}

/// Images as an array's header has them.
struct Stored {
    count: usize,
    /// Channels, height, width.
    shape: [usize; 3],
    /// The channels of a pixel stand together.
    interleaved: bool,
}

/// Looks at an array of images, which takes no memory.
fn look(archive: &mut Archive, path: &Path, name: &str, resize: Option<usize>) -> Result<Stored> {
    let (array, mut reader) = open(archive, path, name)?;
    let refused = |what: &str| refuse_array(path, name, what);
    let (shape, interleaved) = match array.shape[..] {
        [_, height, width] => ([1, height, width], false),
        [_, height, width, channels @ (1 | 3)] => ([channels, height, width], true),
        [_, channels @ (1 | 3), height, width] => ([channels, height, width], false),
        _ => {
            return Err(refused(&format!(
                "has the shape {:?}; images must be [n, height, width], [n, height, width, channels] or [n, channels, \
                 height, width] with 1 or 3 channels",
                array.shape
            )));
        }
    };
    let count = array.shape[0];
    if count == 0 || shape.contains(&0) {
        return Err(refused(&format!("has no pixels (its shape is {:?})", array.shape)));
    }
    if !matches!(array.element, Element::Unsigned(1) | Element::Float(4 | 8)) {
        return Err(refused(&format!(
            "is of {}; images must be uint8 from 0 to 255: save it with .astype(\"uint8\")",
            array.element.words()
        )));
    }
    pixels::check_shape(shape, resize).map_err(|why| refused(&why))?;
    check_size(path, count, pixels::scaled(shape, resize))?;
    if array.bytes().is_some_and(|bytes| bytes > MEASURED) {
        // Its length and its checksum, before any of it is kept.
        io::copy(&mut reader, &mut io::sink()).map_err(|error| refused(&unread(&error)))?;
    }
    Ok(Stored { count, shape, interleaved })
}

fn read_images(
    archive: &mut Archive,
    path: &Path,
    name: &str,
    stored: &Stored,
    resize: Option<usize>,
) -> Result<Images> {
    let &Stored { count, shape, interleaved } = stored;
    let (array, mut reader) = open(archive, path, name)?;
    let refused = |what: &str| refuse_array(path, name, what);
    let length = shape.iter().product::<usize>();
    let mut images = Collector::new(count, shape, resize)?;
    let mut raw = vec![0; length * array.element.bytes()];
    let mut bytes = vec![0; length];
    for image in 0..count {
        reader.read_exact(&mut raw).map_err(|error| refused(&unread(&error)))?;
        match array.element {
            Element::Unsigned(_) => bytes.copy_from_slice(&raw),
            _ => {
                for (byte, raw) in bytes.iter_mut().zip(raw.chunks_exact(array.element.bytes())) {
                    let value = array.float(raw);
                    *byte = level(value).ok_or_else(|| {
                        refused(&format!(
                            "is of floats and has {value} in image {image}; floats must be k/255 for a whole k from \
                             0 to \
                             255: save bytes instead, (255 * x).round().astype(\"uint8\")"
                        ))
                    })?;
                }
            }
        }
        match interleaved {
            true => images.push(&pixels::planes(&bytes, shape[0])),
            false => images.push(&bytes),
        }
    }
    end(&mut reader).map_err(|what| refused(&what))?;
    Ok(images.finish())
}

/// The byte `k` of `k/255`, as exactly as single precision has it.
fn level(value: f64) -> Option<u8> {
    let k = (value * 255.0).round();
    ((0.0..=255.0).contains(&k) && (value - k / 255.0).abs() < 2e-7).then_some(k as u8)
}

fn read_labels(archive: &mut Archive, path: &Path, name: &str, x: &str, images: usize) -> Result<Vec<u32>> {
    let (array, mut reader) = open(archive, path, name)?;
    let refused = |what: &str| refuse_array(path, name, what);
    if !matches!(array.shape[..], [_] | [_, 1]) {
        let what =
            format!("has the shape {:?}; labels must be [n] or [n, 1], the class of each image", array.shape);
        return Err(refused(&what));
    }
    if matches!(array.element, Element::Float(_)) {
        let what =
            format!("is of {}; labels must be integers, the class of each image", array.element.words());
        return Err(refused(&what));
    }
    let count = array.shape[0];
    if count != images {
        return Err(refused(&format!("has {count} labels for the {images} images of {x}")));
    }
    let place = path
        .with_file_name(format!("{}, array {name}", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut raw = vec![0; array.element.bytes()];
    let mut labels = Vec::new();
    for at in 0..count {
        reader.read_exact(&mut raw).map_err(|error| refused(&unread(&error)))?;
        labels.push(label(&place, at, array.integer(&raw))?);
    }
    end(&mut reader).map_err(|what| refused(&what))?;
    Ok(labels)
}

fn unread(error: &std::io::Error) -> String {
    format!("is damaged or cut short ({error}); save it again")
}

/// Reads to the end, which makes the archive's checksum be compared.
fn end(reader: &mut impl Read) -> Told<()> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("has trailing bytes after its elements; save it again".into()),
        Err(error) => Err(unread(&error)),
    }
}
