//! A cache's file: a mark that ends with the format's version, the images `[n, 3, 64, 64]` as bytes, then JSON
//! ([`Trailer`]), the JSON's length (8 bytes) and SHA-256, and the mark once more. The JSON has the SHA-256 of the
//! images. By the mark, at either end, a file is known as one of this program.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::{Options, SIDE, photo};
use super::{bad, name_of, unwritable};
use crate::data::read::content::{Sum, hex, sha256};
use crate::files::disk;
use crate::files::parts::Parts;
use crate::progress::Observer;
use crate::{Error, Result};

const MARK: &[u8; 15] = b"smoothenc cache";
/// The first version ended its mark with a line's end, and had no checksums; the first two had no mark at the front.
const VERSION: u8 = b'3';

/// The mark with the version.
pub const FRONT: usize = MARK.len() + 1;
/// Length, checksum and mark.
const END: usize = 8 + 32 + FRONT;
/// No list of what was left out is longer.
const LONGEST: u64 = 1 << 28;

/// How opening fails where there is no cache that this user may read.
const ABSENT: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];

pub const IMAGE: usize = 3 * SIDE * SIDE;
/// Photographs decoded before they are written.
const CHUNK: usize = 256;
/// Bytes read at a time where a checksum is taken.
const PIECE: usize = 1 << 20;

/// A photograph that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

/// The training or the test images.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    images: usize,
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    /// What the images were made of: [`super::checksum`].
    source: String,
    crop: usize,
    parts: [Part; 2],
    skipped: Vec<Skipped>,
}

/// What stands in the way of using a file.
#[derive(Debug)]
pub enum Unusable {
    /// It is damaged, or no cache, in words to be put after its name.
    Damaged(String),
    /// The system failed, which says nothing of the file.
    Failed(Error),
}

/// What was found, or why it cannot be used.
pub type Found<T> = std::result::Result<T, Unusable>;

/// A cache whose trailer was read; [`Cache::digests`] looks at its images.
#[derive(Debug)]
pub struct Cache {
    pub file: Arc<Parts>,
    trailer: Trailer,
}

impl Cache {
    /// Opens the cache at `path`, if there is one that may be read.
    pub fn open(path: &Path) -> Found<Option<Cache>> {
        match File::open(path) {
            Ok(file) => Cache::of(file, path).map(Some),
            Err(error) if ABSENT.contains(&error.kind()) => Ok(None),
            Err(error) => Err(Unusable::Failed(Error::io(path)(error))),
        }
    }

    /// The cache in an open file.
    pub fn of(file: File, path: &Path) -> Found<Cache> {
        let file = Parts::of(file, path);
        let damaged = |what: &str| Err(Unusable::Damaged(what.to_string()));
        let length = file.size().map_err(|error| unread(path, error))?;
        let Some(body) = length.checked_sub(END as u64).filter(|body| *body >= FRONT as u64) else {
            return damaged("is cut short");
        };
        let mut end = [0; END];
        file.read(&mut end, body).map_err(|error| unread(path, error))?;
        let (size, rest) = end.split_at(8);
        let (sum, mark) = rest.split_at(32);
        let mut front = [0; FRONT];
        file.read(&mut front, 0).map_err(|error| unread(path, error))?;
        if !mark.starts_with(MARK) {
            return match front.starts_with(MARK) {
                true => damaged("is cut short, or was written on"),
                false => damaged("is no cache of scaled photographs"),
            };
        }
        if mark[MARK.len()] != VERSION {
            return damaged("is of another version of this program");
        }
        if front != mark {
            return damaged("is damaged: it does not begin as it should");
        }
        let size = size.iter().rev().fold(0, |high, &byte| high << 8 | u64::from(byte));
        let body = body - FRONT as u64;
        let Some(images) = body.checked_sub(size).filter(|_| size <= LONGEST) else {
            return damaged("is damaged: it is shorter than it says");
        };
        let mut text = vec![0; size as usize];
        file.read(&mut text, FRONT as u64 + images).map_err(|error| unread(path, error))?;
        if sha256(&text) != sum {
            return damaged("is damaged: the checksum of its trailer is another");
        }
        let Ok(trailer) = serde_json::from_slice::<Trailer>(&text) else {
            return damaged("is damaged: its trailer does not read");
        };
        let counted = trailer.parts.iter().map(|part| part.images as u64).sum::<u64>();
        if counted.checked_mul(IMAGE as u64) != Some(images) {
            return damaged("is damaged: it does not have as many images as it says");
        }
        Ok(Cache { file: Arc::new(file), trailer })
    }

    pub fn source(&self) -> &str {
        &self.trailer.source
    }

    pub fn crop(&self) -> usize {
        self.trailer.crop
    }

    /// What is not among the images.
    pub fn skipped(&self) -> &[Skipped] {
        &self.trailer.skipped
    }

    /// Where the images are in the file.
    pub fn images(&self) -> Range<usize> {
        FRONT..FRONT + self.trailer.parts.iter().map(|part| part.images * IMAGE).sum::<usize>()
    }

    /// The checksums of the training and the test images, which are read for it and compared with the trailer's.
    pub fn digests(&self) -> Found<[Sum; 2]> {
        let [train, test] = &self.trailer.parts;
        let middle = FRONT + train.images * IMAGE;
        let digest = |part: &Part, at: usize| {
            let sum = self.sum(at, part.images * IMAGE).map_err(|error| unread(self.file.path(), error))?;
            match hex(&sum) == part.sha256 {
                true => Ok(sum),
                false => Err(Unusable::Damaged("is damaged: the checksum of its images is another".into())),
            }
        };
        let (train, test) = rayon::join(|| digest(train, FRONT), || digest(test, middle));
        Ok([train?, test?])
    }

    fn sum(&self, at: usize, length: usize) -> io::Result<Sum> {
        let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
        for done in (0..length).step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(length - done)];
            self.file.read(piece, (at + done) as u64)?;
            hash.update(piece);
        }
        Ok(hash.finalize().into())
    }
}

/// Whether a file is of this program: a cache, or what was begun of one, damaged or not. One of fewer bytes than the
/// mark has is, where they are the mark's first. A link or a folder is not.
///
/// # Errors
/// The system's.
pub fn is_marked(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut piece = |from: SeekFrom| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(FRONT);
        file.seek(from)?;
        (&mut file).take(FRONT as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let front = piece(SeekFrom::Start(0))?;
    if length < FRONT as u64 {
        return Ok(mark().starts_with(&front));
    }
    Ok(front.starts_with(MARK) || piece(SeekFrom::End(-(FRONT as i64)))?.starts_with(MARK))
}

fn mark() -> [u8; FRONT] {
    let mut mark = [VERSION; FRONT];
    mark[..MARK.len()].copy_from_slice(MARK);
    mark
}

/// A file that ends early has been cut since its length was looked at.
fn unread(path: &Path, error: io::Error) -> Unusable {
    match error.kind() {
        ErrorKind::UnexpectedEof => Unusable::Damaged("is cut short".into()),
        _ => Unusable::Failed(Error::io(path)(error)),
    }
}

/// The training and the test photographs, in the order of their images.
pub type Photos = [Vec<PathBuf>; 2];

/// Writes the cache of `photos` into an empty file, which is at `path`.
///
/// The photographs are decoded on all threads and written on this one.
///
/// # Errors
/// [`Error::Request`] naming a photograph that cannot be used, unless these are to be skipped; [`Error::Io`] where the
/// system fails to read one, which is never taken for the photograph's fault.
pub fn build(
    (file, path): (&File, &Path),
    (source, photos): (&str, &Photos),
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let failed = |error: io::Error| unwritable(path, &error);
    let (all, mut done) = (photos.iter().map(Vec::len).sum::<usize>() as u64, 0);
    let task = observer.begin("scaling", done, all);
    disk::write(file, &mark()).map_err(failed)?;
    let mut skipped = Vec::new();
    let mut part = |photos: &[PathBuf]| -> Result<Part> {
        let (mut images, mut hash) = (0, Sha256::new());
        for chunk in photos.chunks(CHUNK) {
            let scaled: Vec<_> = chunk.par_iter().map(|path| photo::load(path, options.crop)).collect();
            let mut bytes = Vec::with_capacity(chunk.len() * IMAGE);
            for (path, image) in chunk.iter().zip(scaled) {
                match image? {
                    Ok(image) => bytes.extend(image),
                    Err(why) if options.skip_bad => skipped.push(Skipped { name: name_of(path), why }),
                    Err(why) => return Err(bad(path, &why)),
                }
            }
            images += bytes.len() / IMAGE;
            hash.update(&bytes);
            disk::write(file, &bytes).map_err(failed)?;
            done += chunk.len() as u64;
            task.advance(done, all);
        }
        Ok(Part { images, sha256: hex(&hash.finalize()) })
    };
    let parts = [part(&photos[0])?, part(&photos[1])?];
    let trailer = Trailer { source: source.into(), crop: options.crop, parts, skipped };
    let mut end = serde_json::to_vec(&trailer)
        .map_err(|error| Error::run(format!("{} cannot be made", path.display())).because(error))?;
    let (size, sum) = (end.len() as u64, sha256(&end));
    end.extend(size.to_le_bytes());
    end.extend(sum);
    end.extend(mark());
    disk::write(file, &end).map_err(failed)?;
    disk::sync(file).map_err(failed)
}
