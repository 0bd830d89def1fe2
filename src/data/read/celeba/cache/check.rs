//! Whether the caches in a place are whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::file::{Cache, Found, Unusable, is_marked};
use super::{Options, checksum, places};
use crate::data::read::celeba::Listed;
use crate::files::lock::Lock;
use crate::files::{self, disk};
use crate::{Error, Result};

/// A cache, or what was left of making one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    /// What is wrong with it, in words to be put after its name.
    pub wrong: Option<String>,
    /// Whether it is of this program by name and content, so that nothing is lost where it is removed: it is made again
    /// when it is needed.
    pub ours: bool,
}

/// What is wrong with a file that only has the name.
const FOREIGN: &str = "has the name of a cache of scaled photographs and is none: it is left alone";

/// The caches in `place`: a cache's file, a folder that has caches, or one that has CelebA, where they are also held
/// against the photographs.
///
/// # Errors
/// [`Error::Io`] where the system fails to read one; [`Error::Request`] for a file that is no cache, and for lists of
/// CelebA that are not sound.
pub fn check(place: &Path) -> Result<Vec<Kept>> {
    if place.is_file() {
        let marked = is_marked(place).map_err(Error::io(place))?;
        let empty = || fs::metadata(place).is_ok_and(|file| file.len() == 0);
        return match marked && (is_named(place) || !empty()) {
            true => Ok(vec![kept(place, None)?]),
            false => Err(Error::file(place, "is no cache of scaled photographs")
                .with_hint("name the folder of a run, or one with runs, sweeps or figures below it")),
        };
    }
    let set = match super::super::missing(place).is_empty() {
        true => Some(Listed::read(place)?),
        false => None,
    };
    let folders = match &set {
        Some(_) => places(place, &Options::default()),
        None => vec![place.to_path_buf()],
    };
    let mut all = Vec::new();
    for folder in folders {
        for path in named(&folder, CACHE) {
            all.push(match is_ours(&path) {
                Ok(false) => Kept { path, wrong: Some(FOREIGN.into()), ours: false },
                _ => kept(&path, set.as_ref())?,
            });
        }
        if !Lock::is_held(&folder) {
            all.extend(named(&folder, UNFINISHED).into_iter().map(left));
        }
    }
    Ok(all)
}

fn left(path: PathBuf) -> Kept {
    let ours = is_ours(&path).unwrap_or(false);
    let wrong = if ours { "is left of scaling photographs that was interrupted" } else { FOREIGN };
    Kept { path, wrong: Some(wrong.into()), ours }
}

fn kept(path: &Path, set: Option<&Listed>) -> Result<Kept> {
    let whole = |cache: Option<Cache>| -> Found<Option<Cache>> {
        cache.as_ref().map_or(Ok(None), |cache| cache.digests().map(Some))?;
        Ok(cache)
    };
    let of_others =
        |cache: &Cache| set.is_some_and(|set| checksum(&set.paths(), cache.crop()) != cache.source());
    let wrong = match Cache::open(path).and_then(whole) {
        Ok(Some(cache)) if of_others(&cache) => {
            Some("is of other photographs than there are, or of some that have changed".to_string())
        }
        Ok(Some(_)) => None,
        Ok(None) => Some("may not be read".to_string()),
        Err(Unusable::Damaged(what)) => Some(what),
        Err(Unusable::Failed(error)) => return Err(error),
    };
    Ok(Kept { path: path.to_path_buf(), wrong, ours: is_ours(path).unwrap_or(false) })
}

/// What builders leave in `place` that are killed.
pub fn unfinished(place: &Path) -> Vec<PathBuf> {
    named(place, UNFINISHED).into_iter().filter(|path| is_ours(path).unwrap_or(false)).collect()
}

/// How a name begins and ends, about the crop.
type Pattern = (&'static str, &'static str);
const CACHE: Pattern = (".smoothenc-", ".cache");
const UNFINISHED: Pattern = ("..smoothenc-", ".cache.tmp");

fn fits(path: &Path, (begin, end): Pattern) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let crop = name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    crop.is_some_and(|crop| crop.parse::<u32>().is_ok())
}

fn named(place: &Path, pattern: Pattern) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| fits(path, pattern)).collect();
    found.sort();
    found
}

fn is_named(path: &Path) -> bool {
    fits(path, CACHE) || fits(path, UNFINISHED)
}

/// Whether a file is of this program by its name and its mark. What is not is never removed or replaced.
///
/// # Errors
/// The system's.
fn is_ours(path: &Path) -> io::Result<bool> {
    Ok(is_named(path) && is_marked(path)?)
}

/// Refuses to put anything in the place of a file that is not of this program.
///
/// # Errors
/// [`Error::Request`] naming it; [`Error::Io`].
pub fn check_replaceable(path: &Path) -> Result<()> {
    match is_ours(path) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Error::file(path, "is no cache of this program, and stands where one is to be kept")
                .with_hint("move it away"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(path)(error)),
    }
}

/// Removes a cache, or what was left of making one.
///
/// # Errors
/// [`Error::Request`] for a file that is none; [`Error::Locked`] where another process makes caches there;
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    let folder = files::directory(path);
    let _lock = Lock::take(folder)?;
    if !is_ours(path).map_err(Error::io(path))? {
        return Err(Error::file(path, FOREIGN));
    }
    let removed = disk::remove_file(path).and_then(|()| disk::sync_directory(folder));
    removed.map_err(Error::io(path))
}
