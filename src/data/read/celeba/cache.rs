//! The images made of the photographs, in one file that is mapped into memory.
//!
//! `.smoothenc-CROP.cache` beside the photographs' folder, or in a place of its own where that is chosen or that
//! folder can only be read: the images `[n, 3, 64, 64]` as bytes, then JSON ([`Trailer`]), its length (8 bytes) and a
//! mark. It is written under another name and renamed when it is on the disk, so a build that was interrupted leaves
//! no cache; the mark at the end and the length are looked at all the same. The trailer has a checksum of the crop
//! and of every photograph's name, size and time of change: any change there makes a new cache. (The photographs'
//! content is not read for this: that would take as long as the cache saves.)

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use memmap2::Mmap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Options, SIDE, photo};
use crate::data::read::content::{hex, hex_sha256};
use crate::progress::Observer;
use crate::{Error, Result, files};

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

/// The images of `photos`, in their order, from the cache of `directory`, which is made first where it is not there or
/// not of these photographs.
///
/// # Errors
/// [`Error::Request`] naming a photograph that cannot be used, unless these are to be skipped; or where no place for
/// the cache can be written.
pub fn open_or_build(
    directory: &Path,
    photos: &[PathBuf],
    options: &Options,
    observer: &dyn Observer,
) -> Result<Cache> {
    let source = checksum(photos, options.crop);
    let file = format!(".smoothenc-{}.cache", options.crop);
    let there = |place: &Path| open(&place.join(&file), &source, photos.len());
    let places = places(directory, options);
    if let Some(cache) = places.iter().find_map(|place| there(place)) {
        return usable(cache, photos, options);
    }
    for place in &places {
        // One process at a time builds, and whoever waited finds it built.
        let lock = match lock(place, place != directory) {
            Ok(lock) => lock,
            Err(error) if options.cache.is_none() && only_read(&error) => {
                log::warn!(
                    "{} cannot be written ({error}): the scaled images are kept elsewhere",
                    place.display()
                );
                continue;
            }
            Err(error) => return Err(unwritable(place, &error)),
        };
        if let Some(cache) = there(place) {
            return usable(cache, photos, options);
        }
        let (path, temporary) = (place.join(&file), place.join(&file).with_extension("tmp"));
        let failed = |error: io::Error| unwritable(&temporary, &error);
        let begun = File::create(&temporary).map_err(failed)?;
        build(begun, &temporary, (&source, photos), options, observer)
            .inspect_err(|_| _ = fs::remove_file(&temporary))?;
        fs::rename(&temporary, &path).map_err(|error| unwritable(&path, &error))?;
        drop(lock);
        if place != directory {
            log::warn!("the scaled images of {} are in {}", directory.display(), path.display());
        }
        return there(place).ok_or_else(|| changed(directory));
    }
    nameless(directory, (&source, photos), options, observer)
}

fn changed(directory: &Path) -> Error {
    Error::run(format!("{} was changed while it was read", directory.display())).with_hint("read it again")
}

/// Where the cache may lie, the best place first. Away from the photographs each set has a folder of its own.
fn places(directory: &Path, options: &Options) -> Vec<PathBuf> {
    let absolute = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let own = format!("celeba-{}", &hex_sha256(absolute.as_os_str().as_encoded_bytes())[..16]);
    match &options.cache {
        Some(chosen) => vec![chosen.join(own)],
        None => {
            let users = files::user_caches().map(|caches| caches.join(own));
            [directory.to_path_buf()].into_iter().chain(users).collect()
        }
    }
}

fn lock(place: &Path, make: bool) -> io::Result<File> {
    if make {
        fs::create_dir_all(place)?;
    }
    let file = File::create(place.join(".smoothenc.lock"))?;
    file.lock()?;
    Ok(file)
}

fn only_read(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// A cache for this process alone, in a temporary file that has lost its name.
fn nameless(
    directory: &Path,
    (source, photos): (&str, &[PathBuf]),
    options: &Options,
    observer: &dyn Observer,
) -> Result<Cache> {
    log::warn!("{}: its images are scaled anew each time, as nothing keeps them", directory.display());
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let path = std::env::temp_dir().join(format!("smoothenc-{}-{since}.tmp", std::process::id()));
    let file = File::create_new(&path).map_err(|error| unwritable(&path, &error))?;
    let cache = build(file, &path, (source, photos), options, observer)
        .and_then(|()| open(&path, source, photos.len()).ok_or_else(|| changed(directory)));
    _ = fs::remove_file(&path);
    cache
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
    Error::file(path, why).with_hint("mend it, or leave such photographs out with `skip-bad`")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::file(path, format!("cannot be written ({error}), where the scaled images are kept"))
        .with_hint("make that folder writable or choose another place for them")
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
    hex(&hash.finalize())
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

/// Writes a cache into `file`, which is at `path`.
fn build(
    file: File,
    path: &Path,
    (source, photos): (&str, &[PathBuf]),
    options: &Options,
    observer: &dyn Observer,
) -> Result<()> {
    let failed = |error: io::Error| unwritable(path, &error);
    let mut file = BufWriter::new(file);
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
        .map_err(|error| Error::run(format!("{} cannot be made", path.display())).because(error))?;
    let mut end = trailer;
    end.extend((end.len() as u64).to_le_bytes());
    end.extend(MARK);
    file.write_all(&end).map_err(failed)?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)
}
