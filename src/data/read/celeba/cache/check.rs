//! Whether the caches in a place are whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::file::{Cache, Found, Unusable};
use super::{Options, checksum, places};
use crate::data::read::celeba::Listed;
use crate::files::lock::Lock;
use crate::files::{self, disk};
use crate::{Error, Result};

/// A cache, or what was left of making one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    /// What is wrong with it, in words to be put after its name. Nothing is lost where it is removed: it is made again
    /// when it is needed.
    pub wrong: Option<String>,
}

/// The caches in `place`: a cache's file, a folder that has caches, or one that has CelebA, where they are also held
/// against the photographs.
///
/// # Errors
/// [`Error::Io`] where the system fails to read one; [`Error::Request`] for lists of CelebA that are not sound.
pub fn check(place: &Path) -> Result<Vec<Kept>> {
    if place.is_file() {
        return Ok(vec![kept(place, None)?]);
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
        for path in named(&folder, ".smoothenc-", ".cache") {
            all.push(kept(&path, set.as_ref())?);
        }
        let left = "is left of scaling photographs that was interrupted";
        if !Lock::is_held(&folder) {
            let left = |path| Kept { path, wrong: Some(left.into()) };
            all.extend(unfinished(&folder).into_iter().map(left));
        }
    }
    Ok(all)
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
    Ok(Kept { path: path.to_path_buf(), wrong })
}

/// What builders leave in `place` that are killed.
pub fn unfinished(place: &Path) -> Vec<PathBuf> {
    named(place, "..smoothenc-", ".cache.tmp")
}

fn named(place: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(begin)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|crop| crop.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    found
}

/// Removes a cache, or what was left of making one.
///
/// # Errors
/// [`Error::Locked`] where another process makes caches there; [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    let folder = files::directory(path);
    let _lock = Lock::take(folder)?;
    let removed = disk::remove_file(path).and_then(|()| disk::sync_directory(folder));
    removed.map_err(Error::io(path))
}
