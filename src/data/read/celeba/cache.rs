//! The images made of the photographs, in one file that is read as they are needed.
//!
//! `.smoothenc-CROP.cache` beside the photographs' folder, or in a place of its own where that is chosen or that
//! folder can only be read. It is written under another name and renamed when it is on the disk, so a build that was
//! interrupted leaves no cache. Its checksums are compared before it is used ([`file`]), and what does not fit is made
//! again. It also has a checksum of the crop and of every photograph's name, size and time of change: any change there
//! makes a new cache. (The photographs' content is not read for this: that would take as long as the cache saves.)
//!
//! Photographs that were left out are tried again each time, so no fault that has passed stays.

mod check;
mod file;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use self::file::{Cache, Found, IMAGE, Photos, Unusable, build};
use super::{Options, photo};
use crate::data::read::content::{Sum, hex, hex_sha256};
use crate::files::lock::{self, Lock};
use crate::files::{Staged, disk};
use crate::progress::Observer;
use crate::{Error, Result, files};

use check::check_replaceable;
pub use check::{Kept, check, remove};
#[cfg(test)]
pub use file::FRONT;
pub use file::Skipped;

/// A cache that was found whole.
#[derive(Debug)]
pub struct Whole {
    pub cache: Cache,
    /// Of its training and its test images.
    pub digests: [Sum; 2],
}

/// The images of `photos`, in their order, from the cache of `directory`, which is made first where it is not there,
/// not of these photographs or damaged.
///
/// # Errors
/// [`Error::Request`] naming a photograph that cannot be used, unless these are to be skipped; or where no place for
/// the cache can be written. [`Error::Io`] where the system fails.
pub fn open_or_build(
    directory: &Path,
    photos: &Photos,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Whole> {
    let wanted = Wanted { directory, source: checksum(photos, options.crop), photos, options, observer };
    let places = places(directory, options);
    for place in &places {
        if let Some(cache) = wanted.there(place)? {
            tidy(place);
            return Ok(cache);
        }
    }
    for place in &places {
        // One process at a time builds, and whoever waited finds it built.
        let _lock = match lock(place, place != directory) {
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
        return match wanted.there(place)? {
            Some(cache) => Ok(cache),
            None => wanted.made(place),
        };
    }
    wanted.nameless()
}

/// The cache that is looked for.
struct Wanted<'a> {
    directory: &'a Path,
    source: String,
    photos: &'a Photos,
    options: &'a Options,
    observer: &'a dyn Observer,
}

impl Wanted<'_> {
    fn path(&self, place: &Path) -> PathBuf {
        place.join(format!(".smoothenc-{}.cache", self.options.crop))
    }

    /// The cache in `place`, if it is whole and of this source. One that is not is to be made again.
    fn there(&self, place: &Path) -> Result<Option<Whole>> {
        let path = self.path(place);
        let sound = |cache: Option<Cache>| cache.map_or(Ok(None), |cache| self.sound(cache));
        match Cache::open(&path).and_then(sound) {
            Ok(Some(whole)) => self.usable(whole),
            Ok(None) => Ok(None),
            Err(Unusable::Failed(error)) => Err(error),
            Err(Unusable::Damaged(what)) => {
                check_replaceable(&path)?;
                log::warn!("{} {what}: it is made again", path.display());
                Ok(None)
            }
        }
    }

    /// A cache of this source with its checksums compared; none for one of another source.
    fn sound(&self, cache: Cache) -> Found<Option<Whole>> {
        if cache.source() != self.source {
            return Ok(None);
        }
        let digests = cache.digests()?;
        Ok(Some(Whole { cache, digests }))
    }

    /// The cache, where the photographs that it leaves out still cannot be read. It is only for those who asked for
    /// leaving them out.
    fn usable(&self, whole: Whole) -> Result<Option<Whole>> {
        let skipped = whole.cache.skipped();
        let Some(first) = skipped.first() else { return Ok(Some(whole)) };
        let name = whole.cache.file.path().display();
        let left_out = |path: &&PathBuf| skipped.iter().any(|skipped| skipped.name == name_of(path));
        for path in self.photos.iter().flatten().filter(left_out) {
            match photo::load(path, self.options.crop)? {
                Ok(_) => {
                    log::warn!("{name} lacks {}, which can be read now: it is made again", path.display());
                    return Ok(None);
                }
                Err(why) if !self.options.skip_bad => return Err(bad(path, &why)),
                Err(_) => {}
            }
        }
        let (count, photographs) = match skipped.len() {
            1 => (1, "photograph"),
            more => (more, "photographs"),
        };
        log::warn!("{name} leaves out {count} {photographs}, the first {}: it {}", first.name, first.why);
        Ok(Some(whole))
    }

    /// A new cache in `place`, which this process has locked.
    fn made(&self, place: &Path) -> Result<Whole> {
        let path = self.path(place);
        check_replaceable(&files::leftover(&path)?)?;
        let staged = Staged::begin(&path).map_err(unwritten)?;
        build((staged.file(), &path), (&self.source, self.photos), self.options, self.observer)?;
        staged.commit().map_err(unwritten)?;
        if place != self.directory {
            log::warn!("the scaled images of {} are in {}", self.directory.display(), path.display());
        }
        self.there(place)?.ok_or_else(|| self.changed())
    }

    /// A cache for this process alone, in a temporary file that has lost its name.
    fn nameless(&self) -> Result<Whole> {
        let directory = self.directory.display();
        log::warn!("{directory}: its images are scaled anew each time, as nothing keeps them");
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let path = std::env::temp_dir().join(format!("smoothenc-{}-{since}.tmp", std::process::id()));
        let failed = |error: io::Error| unwritable(&path, &error);
        let file = disk::create_new(&path).map_err(failed)?;
        disk::remove_file(&path).map_err(failed)?;
        build((&file, &path), (&self.source, self.photos), self.options, self.observer)?;
        match Cache::of(file, &path).and_then(|cache| self.sound(cache)) {
            Ok(Some(whole)) => self.usable(whole)?.ok_or_else(|| self.changed()),
            Err(Unusable::Failed(error)) => Err(error),
            Ok(None) | Err(Unusable::Damaged(_)) => Err(self.changed()),
        }
    }

    fn changed(&self) -> Error {
        Error::run(format!("{} was changed while it was read", self.directory.display()))
            .with_hint("read it again")
    }
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

/// The lock of a place, waited for.
fn lock(place: &Path, make: bool) -> io::Result<Lock> {
    if make {
        disk::create_directories(place)?;
    }
    let mut told = false;
    loop {
        match Lock::take(place) {
            Ok(lock) => return Ok(lock),
            Err(Error::Io { source, .. }) => return Err(source),
            Err(other) if !matches!(other, Error::Locked { .. }) => {
                return Err(io::Error::other(other.in_full()));
            }
            Err(other) if !told => {
                let file = place.join(lock::NAME);
                log::warn!("{other}: waiting for it (if it is gone, remove {})", file.display());
                told = true;
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Clears away what a builder left that was killed, where nobody else is building. Where that fails it stays.
fn tidy(place: &Path) {
    let unfinished = check::unfinished(place);
    if (place.join(lock::NAME).exists() || !unfinished.is_empty())
        && let Ok(_lock) = Lock::take(place)
    {
        unfinished.iter().for_each(|path| _ = disk::remove_file(path));
    }
}

fn only_read(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// The name that lists have for a photograph.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bad(path: &Path, why: &str) -> Error {
    Error::file(path, why).with_hint("mend it, or leave such photographs out with `skip-bad`")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::file(path, format!("cannot be written ({error}), where the scaled images are kept"))
        .with_hint("make that folder writable or choose another place for them")
}

fn unwritten(error: Error) -> Error {
    match error {
        Error::Io { path, source } => unwritable(&path, &source),
        other => other,
    }
}

fn checksum(photos: &Photos, crop: usize) -> String {
    let stamp = |path: &PathBuf| {
        let about = fs::metadata(path).ok();
        let size = about.as_ref().map(fs::Metadata::len);
        let changed = about.and_then(|about| about.modified().ok());
        let since = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_nanos());
        format!("{:?} {size:?} {since:?}\n", path.file_name())
    };
    let mut hash = Sha256::new_with_prefix(format!("{IMAGE} bytes from a crop of {crop}\n"));
    for part in photos {
        let stamps: Vec<String> = part.par_iter().map(stamp).collect();
        hash.update(format!("{} photographs\n", part.len()));
        stamps.iter().for_each(|stamp| hash.update(stamp));
    }
    hex(&hash.finalize())
}
