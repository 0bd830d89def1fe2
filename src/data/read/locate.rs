//! Where in a folder the four IDX files of a set lie, under any of the names that are in use.
//!
//! MNIST's own names in all their spellings; names that say the same in other words (EMNIST's and QMNIST's begin with
//! the set's name and have `test` for `t10k`); and folders in between, as torchvision (`MNIST/raw`) and Kaggle (a
//! folder of its own for each file) have them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::container::refuse;
use crate::{Error, Result};

/// The four files: training images and labels, test images and labels.
pub type Four = [PathBuf; 4];

/// What each is, its base name and the IDX suffix.
const STANDARD: [(&str, &str); 4] = [
    ("train-images", "idx3-ubyte"),
    ("train-labels", "idx1-ubyte"),
    ("t10k-images", "idx3-ubyte"),
    ("t10k-labels", "idx1-ubyte"),
];
const WHAT: [&str; 4] = ["training images", "training labels", "test images", "test labels"];

/// The files of each role, by their names without `.gz`.
type Candidates = [BTreeMap<PathBuf, PathBuf>; 4];

/// The four files of the set `name` in `directory` or up to two folders below; none where no file there is called as
/// if it were one of them.
///
/// # Errors
/// [`Error::Request`] where some of the four are missing, or several could be meant.
pub fn find(name: &str, directory: &Path) -> Result<Option<Four>> {
    let mut level = vec![directory.to_path_buf()];
    for depth in 0..3 {
        let found: Vec<(PathBuf, Candidates)> =
            level.iter().map(|folder| (folder.clone(), candidates(folder))).collect();
        let mut whole: Vec<(&PathBuf, Four)> = found
            .iter()
            .filter_map(|(folder, found)| Some((folder, standard(folder).or_else(|| choose(found, name))?)))
            .collect();
        if whole.len() > 1 {
            let folders: Vec<_> = whole.iter().map(|(folder, _)| folder.display().to_string()).collect();
            return Err(Error::file(directory, format!("has several sets, in {}", folders.join(" and ")))
                .with_hint("name one of these folders with `data-dir`"));
        }
        if let Some((_, four)) = whole.pop() {
            return Ok(Some(four));
        }
        // Kaggle unpacks each file into a folder of its own.
        let mut all = Candidates::default();
        for (_, found) in &found {
            all.iter_mut().zip(found).for_each(|(all, found)| all.extend(found.clone()));
        }
        if depth > 0
            && let Some(four) = choose(&all, name)
        {
            return Ok(Some(four));
        }
        // Half a set here is not made whole by looking further down.
        if let Some((folder, _)) = found.iter().find(|(_, found)| found.iter().any(|role| !role.is_empty())) {
            return Err(incomplete(folder, &all));
        }
        level = level.iter().flat_map(|folder| searched(folder)).filter(|path| path.is_dir()).collect();
    }
    Ok(None)
}

/// The error where there is nothing at all.
pub fn missing(directory: &Path) -> Error {
    let [(base, suffix), ..] = STANDARD;
    let what = format!(
        "is missing (also looked for with .gz, as {base}.{suffix}, and two folders down), and there is no .npz file \
         and no folder train with a folder of pictures for each class"
    );
    Error::file(directory.join(format!("{base}-{suffix}")), what)
        .with_hint("put the data there, or name another folder with `data-dir`")
}

/// Says what is there, and what it would have to be called.
fn incomplete(place: &Path, candidates: &Candidates) -> Error {
    for (role, found) in candidates.iter().enumerate() {
        let (base, suffix) = STANDARD[role];
        let names = |files: &mut dyn Iterator<Item = &PathBuf>| {
            files
                .map(|path| path.strip_prefix(place).unwrap_or(path).display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        };
        if found.is_empty() {
            let there = names(&mut candidates.iter().flat_map(BTreeMap::values));
            let what = format!("is missing (also looked for with .gz and as {base}.{suffix})");
            let hint = format!(
                "put it there, rename what is there ({there}), or name another folder with `data-dir`"
            );
            return Error::file(place.join(format!("{base}-{suffix}")), what).with_hint(hint);
        }
        if found.len() > 1 {
            let what = format!("has several files of {}, {}", WHAT[role], names(&mut found.values()));
            return Error::file(place, what).with_hint(format!(
                "call the data set by what its files begin with, keep one set in the folder, or rename it to \
                 {base}-{suffix} and so on"
            ));
        }
    }
    missing(place)
}

/// The four files under MNIST's own names.
fn standard(folder: &Path) -> Option<Four> {
    let found = STANDARD.map(|(base, suffix)| {
        let spellings = ["-", "."].into_iter().flat_map(|join| ["", ".gz"].map(|packed| (join, packed)));
        let mut paths = spellings.map(|(join, packed)| folder.join(format!("{base}{join}{suffix}{packed}")));
        paths.find(|path| path.is_file())
    });
    all_four(found)
}

/// One file of each role, where there is one, or one that begins with the set's name.
fn choose(candidates: &Candidates, name: &str) -> Option<Four> {
    let begins = format!("{}-", name.to_ascii_lowercase());
    let named = |path: &&PathBuf| file_name(path).starts_with(&begins);
    all_four(candidates.each_ref().map(|files| match files.len() {
        1 => files.values().next().cloned(),
        _ => {
            let mut named = files.values().filter(named);
            named.next().filter(|_| named.next().is_none()).cloned()
        }
    }))
}

fn all_four(found: [Option<PathBuf>; 4]) -> Option<Four> {
    match found {
        [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
        _ => None,
    }
}

/// The files in a folder that are called as if they were one of the four.
fn candidates(folder: &Path) -> Candidates {
    let mut found = Candidates::default();
    for path in searched(folder) {
        let name = file_name(&path);
        if let Some(role) = role(&name).filter(|_| path.is_file()) {
            let key = path.with_file_name(name.strip_suffix(".gz").unwrap_or(&name));
            // Of a file and its archive, the file: it comes first in the order of names.
            found[role].entry(key).or_insert(path);
        }
    }
    found
}

/// Which of the four a name in small letters says it is.
fn role(name: &str) -> Option<usize> {
    let train = name.contains("train");
    let test = name.contains("test") || name.contains("t10k");
    let images = name.contains("images") && name.contains("idx3");
    let labels = name.contains("labels") && (name.contains("idx1") || name.contains("idx2"));
    match (train != test, images, labels) {
        (true, true, false) => Some(if train { 0 } else { 2 }),
        (true, false, true) => Some(if train { 1 } else { 3 }),
        _ => None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The same on the way to a set: a folder that cannot be read does not hold it.
fn searched(folder: &Path) -> Vec<PathBuf> {
    entries(folder).unwrap_or_default()
}

/// What is in a folder, in the order of names, without what is hidden; nothing where there is no such folder.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) naming a folder that cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| refuse(folder, &format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    let read = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(paths);
        }
        read => read.map_err(failed)?,
    };
    for entry in read {
        let path = entry.map_err(failed)?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
