//! Whether a folder is what a maker of faces left that was killed.

use std::fs;
use std::path::Path;

use super::{ATTRIBUTES_FILE, PARTITION_FILE, PHOTOS, SHEET};
use crate::files::lock;

/// Whether this folder, in which `out` was to be made, has nothing but what [`super::make`] writes: the lock, and the
/// begun set with its photographs, its lists and its sheet, which may be there under their temporary names.
pub fn is_ours(folder: &Path, out: &Path) -> bool {
    all(folder, |name, path| match name {
        lock::NAME => is_file(path),
        name => Some(name) == out.file_name().and_then(|name| name.to_str()) && all(path, of_a_set),
    })
}

fn of_a_set(name: &str, path: &Path) -> bool {
    let written = |file: &str| name == file || name == format!(".{file}.tmp");
    match name {
        PHOTOS => all(path, |name, path| is_photo(name) && is_file(path)),
        _ => [ATTRIBUTES_FILE, PARTITION_FILE, SHEET].iter().any(|file| written(file)) && is_file(path),
    }
}

/// Six digits.
fn is_photo(name: &str) -> bool {
    let number = name.strip_suffix(".jpg").unwrap_or_default();
    number.len() == 6 && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is a folder, and no link to one, of which every entry `fits`.
fn all(folder: &Path, fits: impl Fn(&str, &Path) -> bool) -> bool {
    if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        return false;
    }
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut names = entries.map(|entry| entry.ok().and_then(|entry| entry.file_name().into_string().ok()));
    names.all(|name| name.is_some_and(|name| fits(&name, &folder.join(&name))))
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}
