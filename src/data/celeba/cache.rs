//! The images made of the photographs, in one file that is mapped into memory.
//!
//! `.smoothenc-CROP.cache` beside the photographs' folder: the images `[n, 3, 64, 64]` as bytes, then JSON ([`Trailer`]),
//! its length (8 bytes) and a mark. It is written under another name and renamed when it is on the disk, so a build that
//! was interrupted leaves no cache; the mark at the end and the length are looked at all the same. The trailer has a
//! checksum of the crop and of every photograph's name, size and time of change: any change there makes a new cache. (The
//! photographs' content is not read for this: that would take as long as the cache saves.)

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use memmap2::Mmap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Options, SIDE, photo};
use crate::progress::Observer;
use crate::{Error, Result};

const MARK: &[u8; 16] = b"smoothenc cache\n";

const IMAGE: usize = 3 * SIDE * SIDE;
/// Photographs decoded before they are written.
const CHUNK: usize = 512;

/// A photograph that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

#[derive(Serialize, Deserialize)]
struct Trailer {
    source: String,
    images: usize,
    skipped: Vec<Skipped>,
}

/// A cache ready to be read.
#[derive(Debug)]
pub struct Cache {
    pub map: Arc<Mmap>,
    /// Bytes of images at the start of the file.
    pub bytes: usize,
    /// What is not among them.
    pub skipped: Vec<Skipped>,
}

/// The images of `photos`, in their order, from the cache in `directory`, which is made first where it is not there or
/// not of these photographs.
///
/// # Errors
/// [`Error::Request`] naming a photograph that cannot be used, unless these are to be skipped; or where the
/// directory cannot be written.
pub fn open_or_build(
    directory: &Path,
    photos: &[PathBuf],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Cache> {
    let path = directory.join(format!(".smoothenc-{}.cache", options.crop));
    let source = checksum(photos, options.crop);
    if let Some(cache) = open(&path, &source, photos.len()) {
        return usable(cache, photos, options);
    }
    // One process at a time builds, and whoever waited finds it built.
    let lock_path = directory.join(".smoothenc.lock");
    let lock = File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| unwritable(&lock_path, &error))?;
    if let Some(cache) = open(&path, &source, photos.len()) {
        return usable(cache, photos, options);
    }
    let temporary = path.with_extension("tmp");
    build(&temporary, &source, photos, options, observer).inspect_err(|_| _ = fs::remove_file(&temporary))?;
    fs::rename(&temporary, &path).map_err(|error| unwritable(&path, &error))?;
    let gone = || Error::run(format!("{} was changed while it was read", directory.display()));
    open(&path, &source, photos.len()).ok_or_else(gone)
}

/// A cache with photographs left out is only for those who asked for that.
fn usable(cache: Cache, photos: &[PathBuf], options: &Options) -> Result<Cache> {
    match cache.skipped.first() {
        Some(first) if !options.skip_bad => {
            let named = |path: &&PathBuf| path.file_name().is_some_and(|name| *name == *first.name);
            let path = photos.iter().find(named).cloned().unwrap_or_default();
            Err(bad(&path, &first.why))
        }
        _ => Ok(cache),
    }
}

fn bad(path: &Path, why: &str) -> Error {
    Error::request(format!(
        "{} {why}; mend it, or leave such photographs out with --skip-bad",
        path.display()
    ))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::request(format!(
        "{} cannot be written: {error}; the scaled images are kept beside the photographs, so that folder must be \
         writable",
        path.display()
    ))
}

fn checksum(photos: &[PathBuf], crop: usize) -> String {
    let stamp = |path: &PathBuf| {
        let about = fs::metadata(path).ok();
        let size = about.as_ref().map(fs::Metadata::len);
        let changed = about.and_then(|about| about.modified().ok());
        let since = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_nanos());
        format!("{:?} {size:?} {since:?}\n", path.file_name())
    };
    let stamps: Vec<String> = photos.par_iter().map(stamp).collect();
    let mut hash = Sha256::new_with_prefix(format!("{IMAGE} bytes from a crop of {crop}\n"));
    stamps.iter().for_each(|stamp| hash.update(stamp));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The cache in a file, if it is whole and of this source.
fn open(path: &Path, source: &str, photos: usize) -> Option<Cache> {
    let file = File::open(path).ok()?;
    // SAFETY: nobody writes into a finished cache; a new one takes its name, and leaves the old file to its readers.
    let map = unsafe { Mmap::map(&file).ok()? };
    let (rest, mark) = map.split_last_chunk::<16>()?;
    let (rest, length) = rest.split_last_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let start = rest.len().checked_sub(length)?;
    let trailer: Trailer = serde_json::from_slice(&rest[start..]).ok()?;
    let whole = mark == MARK
        && trailer.source == source
        && trailer.images + trailer.skipped.len() == photos
        && trailer.images.checked_mul(IMAGE) == Some(start);
    whole.then(|| Cache { map: Arc::new(map), bytes: start, skipped: trailer.skipped })
}

fn build(
    path: &Path,
    source: &str,
    photos: &[PathBuf],
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let failed = |error: std::io::Error| unwritable(path, &error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut skipped = Vec::new();
    let (all, mut done) = (photos.len() as u64, 0);
    let task = observer.begin("scaling", done, all);
    for chunk in photos.chunks(CHUNK) {
        let images: Vec<_> = chunk.par_iter().map(|path| photo::load(path, options.crop)).collect();
        for (path, image) in chunk.iter().zip(images) {
            match image {
                Ok(image) => file.write_all(&image).map_err(failed)?,
                Err(why) if options.skip_bad => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    skipped.push(Skipped { name, why });
                }
                Err(why) => return Err(bad(path, &why)),
            }
        }
        done += chunk.len() as u64;
        task.advance(done, all);
    }
    drop(task);
    let images = photos.len() - skipped.len();
    let trailer = serde_json::to_vec(&Trailer { source: source.into(), images, skipped })
        .map_err(|error| Error::run(format!("{}: {error}", path.display())))?;
    let mut end = trailer;
    end.extend((end.len() as u64).to_le_bytes());
    end.extend(MARK);
    file.write_all(&end).map_err(failed)?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)
}
