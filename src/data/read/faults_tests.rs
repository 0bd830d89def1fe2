//! Every call to the system by which faces are made, or the cache of CelebA, fails once, and the process ends at each:
//! afterwards nothing is there or all of it, and the same command again comes to the same end and leaves nothing over.
//!
//! Ordinary tests strike every so many calls. `cargo test --release --lib whatever_fails -- --ignored` strikes all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{celeba, faces};
use crate::files::disk::faults;
use crate::progress::Silent;
use crate::{Error, Result};

/// All files below a folder, and its folders as files without a byte.
fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found
                .extend(snapshot(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
            found.insert(name, Vec::new());
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

fn strike_faces(stride: usize) {
    let base = tempfile::tempdir().unwrap();
    let make = |name: &str| faces::make(&base.path().join(name).join("deep/set"), 10, 1, &Silent);
    let (made, calls) = faults::count(|| make("whole"));
    made.unwrap();
    let whole = snapshot(&base.path().join("whole"));
    for (fault, at) in faults::strikes("data make", stride, calls) {
        let told = format!("{fault:?} at {at} of {calls}");
        let (struck, _) = faults::with(at, fault, || make("struck"));
        let set = base.path().join("struck/deep/set");
        let there = set.exists();
        assert!(!there || snapshot(&set) == snapshot(&base.path().join("whole/deep/set")), "{told}: half");
        assert!(struck.is_err() || there, "{told}: nothing was made");
        match make("struck") {
            Ok(()) => assert!(!there, "{told}: made twice"),
            Err(error) => assert!(there && error.to_string().contains("exists"), "{told}: {error}"),
        }
        assert!(snapshot(&base.path().join("struck")) == whole, "{told}: another set, or more");
        fs::remove_dir_all(base.path().join("struck")).unwrap();
    }
}

fn strike_cache(stride: usize) {
    let base = tempfile::tempdir().unwrap();
    let set = base.path().join("set");
    faces::make(&set, 10, 1, &Silent).unwrap();
    let before = snapshot(&set);
    for away in [false, true] {
        let cache = away.then(|| base.path().join("caches/deep"));
        let options = celeba::Options { cache: cache.clone(), skip_bad: true, ..Default::default() };
        let load = || -> Result<_> { celeba::load(&set, &options, &Silent) };
        let clear = || {
            celeba::check(&set).unwrap().iter().for_each(|kept| fs::remove_file(&kept.path).unwrap());
            _ = fs::remove_dir_all(base.path().join("caches"));
        };
        let (data, calls) = faults::count(load);
        let (data, whole) = (data.unwrap(), snapshot(base.path()));
        clear();
        for (fault, at) in faults::strikes("cache", stride, calls) {
            let told = format!("away {away}, {fault:?} at {at} of {calls}");
            let (struck, _) = faults::with(at, fault, load);
            match struck {
                Ok(found) => assert!(found == data, "{told}: other data"),
                Err(error) => assert!(!matches!(error, Error::Locked { .. }), "{told}: {error}"),
            }
            let now = snapshot(&set);
            assert!(
                before.iter().all(|(name, bytes)| now.get(name) == Some(bytes)),
                "{told}: the set changed"
            );
            assert!(load().unwrap() == data, "{told}: other data after it");
            assert!(snapshot(base.path()) == whole, "{told}: another cache, or more");
            clear();
        }
    }
}

#[test]
fn whatever_fails_faces_are_made_whole_or_not_at_all() {
    strike_faces(17);
}

#[test]
fn whatever_fails_a_cache_is_made_whole_or_not_at_all() {
    strike_cache(5);
}

#[test]
#[ignore = "long: every call by every fault"]
fn whatever_fails_at_every_call_faces_and_caches_are_made_whole_or_not_at_all() {
    strike_faces(1);
    strike_cache(1);
}
