//! The files that a command makes from runs, such as a sweep's table or a figure: all of them change, or none, and a
//! list of them tells later whether they still belong together.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::check::Finding;
use super::dir;
use super::record::FileMark;
use crate::error::{Error, Result};
use crate::files::disk;

/// The name of the list in the folder.
pub const LIST: &str = "files.json";

/// Files by their names in the folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What the list says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    /// The version of the program that made them.
    program: String,
    files: BTreeMap<String, FileMark>,
}

impl List {
    /// None where there is no list.
    fn read(folder: &Path) -> Result<Option<List>> {
        let path = folder.join(LIST);
        match fs::read(&path) {
            Ok(text) => List::parse(&path, &text).map(Some),
            Err(error) if ABSENT.contains(&error.kind()) => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }

    /// What may be replaced by files of these names: what the list has; without one, where an earlier version of the
    /// program wrote the folder, all that is there.
    fn replaceable(folder: &Path, names: &[&str]) -> Result<List> {
        let list = List::read(folder).map_err(|error| error.with_hint(AWAY))?;
        if list.is_some() || !is_of_an_earlier_version(folder) {
            return Ok(list.unwrap_or_default());
        }
        let mark = |name: &&str| Some((name.to_string(), FileMark::of_file(&folder.join(name)).ok()?));
        Ok(List { program: String::new(), files: names.iter().filter_map(mark).collect() })
    }

    /// Refuses to replace what is not of this list, or was changed since. `same` says whether that would change
    /// nothing.
    fn check(&self, folder: &Path, names: &[&str], same: impl Fn(&str, &FileMark) -> bool) -> Result<()> {
        for name in names {
            let path = folder.join(name);
            let refuse = |why| Err(Error::file(&path, why).with_hint(AWAY));
            match fs::symlink_metadata(&path) {
                Err(error) if ABSENT.contains(&error.kind()) => continue,
                Err(error) => return Err(Error::io(&path)(error)),
                Ok(there) if there.is_dir() => return refuse("is a folder, where a file is to be written"),
                Ok(_) => {}
            }
            let found = FileMark::of_file(&path)?;
            match self.files.get(*name) {
                Some(mark) if *mark == found => {}
                _ if same(name, &found) => {}
                Some(_) => return refuse("was changed since it was written, and would be replaced"),
                None => return refuse("would be replaced, and is not of an earlier result"),
            }
        }
        Ok(())
    }

    /// Refuses names that lead out of the folder: the list may be anyone's.
    fn parse(path: &Path, text: &[u8]) -> Result<List> {
        let list: List = serde_json::from_slice(text)
            .map_err(|error| Error::file(path, "does not read as a list of files").because(error))?;
        match list.files.keys().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
            Some(name) => Err(Error::file(path, format!("names {name:?}, which is no file of this folder"))),
            None => Ok(list),
        }
    }
}

/// How a file fails to open that is not there.
const ABSENT: [ErrorKind; 2] = [ErrorKind::NotFound, ErrorKind::NotADirectory];

/// What mends that something stands where a file is to be written.
const AWAY: &str = "move it away, or name another folder as `out`";

/// Whether a folder without a list has files that a version of the program made that wrote none: a figure's settings or
/// claims, or a sweep's table.
fn is_of_an_earlier_version(folder: &Path) -> bool {
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let settings: toml::Table = toml::from_str(&text("settings.toml")).unwrap_or_default();
    let claims: Vec<serde_json::Value> = serde_json::from_str(&text("claims.json")).unwrap_or_default();
    let judged = |claim: &serde_json::Value| claim.get("claim").is_some() && claim.get("expected").is_some();
    let has = |key: &str| settings.get(key).is_some_and(toml::Value::is_str);
    let table = text("results.csv").lines().next().is_some_and(|head| head.ends_with(",pareto,runs"));
    table || has("what") && has("preset") || !claims.is_empty() && claims.iter().all(judged)
}

/// Refuses a folder for results that is a run, or has the data: both have files and locks of their own. Touches
/// nothing.
///
/// # Errors
/// [`Error::Request`] saying which.
pub fn check_place(folder: &Path, data: &[PathBuf]) -> Result<()> {
    let refuse =
        |why: &str| Err(Error::request(format!("`out` {}: {why}; give another folder", folder.display())));
    if dir::is_run(folder) {
        return refuse("that is a run, whose own files would be lost");
    }
    let Ok(place) = folder.canonicalize() else { return Ok(()) };
    match data.iter().any(|data| data.canonicalize().is_ok_and(|data| data == place)) {
        true => refuse("that is the folder of the data"),
        false => Ok(()),
    }
}

/// Finishes what was begun in a folder, and refuses it where files of these names would replace what is not of an
/// earlier list: before the work, so that it is not done for nothing. The caller alone writes the folder.
///
/// # Errors
/// [`Error::Request`] naming the file; [`Error::Io`].
pub fn prepare(folder: &Path, names: &[impl AsRef<str>]) -> Result<()> {
    change::settle(folder)?;
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    List::replaceable(folder, &names)?.check(folder, &names, |_, _| false)
}

/// Writes files into a folder, which is made first where it is not there. The caller alone writes it. Files of an
/// earlier list that are not made any more go, unless somebody has changed them.
///
/// # Errors
/// [`Error::Request`] naming a file that would be replaced and is not as the earlier list has it; [`Error::Io`] naming
/// the file. The folder is then as before.
pub fn write(folder: &Path, files: &Files) -> Result<()> {
    change::settle(folder)?;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let earlier = List::replaceable(folder, &names)?;
    earlier.check(folder, &names, |name, found| FileMark::of(&files[name]) == *found)?;
    change(folder, files, &earlier)
}

/// The same whatever is there: for a user who asked for it.
///
/// # Errors
/// [`Error::Io`] naming the file; the folder is then as before.
pub fn replace(folder: &Path, files: &Files) -> Result<()> {
    change::settle(folder)?;
    // A list that does not read is replaced by one that does.
    change(folder, files, &List::read(folder).ok().flatten().unwrap_or_default())
}

fn change(folder: &Path, files: &Files, earlier: &List) -> Result<()> {
    disk::create_directories(folder).map_err(Error::io(folder))?;
    let mut change = Change::begin(folder)?;
    let mut list = List { program: env!("CARGO_PKG_VERSION").into(), files: BTreeMap::new() };
    for (name, content) in files {
        change.put(name, content)?;
        list.files.insert(name.clone(), FileMark::of(content));
    }
    let text = serde_json::to_vec_pretty(&list)
        .map_err(|error| Error::run(format!("{LIST} cannot be made")).because(error))?;
    change.put(LIST, &text)?;
    for (name, mark) in earlier.files.iter().filter(|(name, _)| !files.contains_key(*name)) {
        if FileMark::of_file(&folder.join(name)).is_ok_and(|found| found == *mark) {
            change.remove(name);
        }
    }
    change.commit()
}

/// The folders with such files: `folder` itself, and at most `deeper` below it; sorted.
pub fn under(folder: &Path, deeper: usize) -> Vec<PathBuf> {
    let own = folder.join(LIST).is_file().then(|| folder.to_path_buf());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Links are left alone, so that no circle is entered.
    let folders = entries.filter(|entry| deeper > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found: Vec<PathBuf> = folders.flat_map(|entry| under(&entry.path(), deeper - 1)).collect();
    found.extend(own);
    found.sort();
    found
}

/// What is wrong with the files of a folder: nothing where they are as they were written.
pub fn check(folder: &Path) -> Vec<Finding> {
    let finding = |name: &str, what: String| Finding { path: folder.join(name), what, mendable: false };
    if change::is_decided(folder) {
        let what = "is a change that was interrupted: the same command finishes it";
        return vec![finding(change::FOLDER, what.into())];
    }
    let list = match List::read(folder) {
        Ok(list) => list.unwrap_or_default(),
        Err(error) => return vec![finding(LIST, error.in_full())],
    };
    let wrong = |(name, mark): (&String, &FileMark)| match FileMark::of_file(&folder.join(name)) {
        Ok(found) if found == *mark => None,
        Ok(_) => Some(finding(name, format!("is not as it was written: {LIST} has another checksum"))),
        Err(error) => Some(finding(name, error.to_string())),
    };
    list.files.iter().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk::faults::{self, Fault};

    fn files(names: &[&str], content: &str) -> Files {
        names.iter().map(|name| (name.to_string(), content.as_bytes().to_vec())).collect()
    }

    fn state(folder: &Path) -> Vec<Option<String>> {
        ["a", "b", "c", "mine"].map(|name| fs::read_to_string(folder.join(name)).ok()).to_vec()
    }

    #[test]
    fn files_change_together_and_damage_is_seen() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("new/deep");
        write(&folder, &files(&["a", "b"], "1")).unwrap();
        fs::write(folder.join("mine"), "own").unwrap();
        assert_eq!(check(&folder), []);
        assert_eq!((under(base.path(), 2), under(base.path(), 1)), (vec![folder.clone()], vec![]));
        write(&folder, &files(&["b", "c"], "2")).unwrap();
        assert_eq!(state(&folder), [None, Some("2".into()), Some("2".into()), Some("own".into())]);
        assert_eq!(check(&folder), []);
        fs::write(folder.join("b"), "3").unwrap();
        fs::remove_file(folder.join("c")).unwrap();
        let wrong: Vec<_> = check(&folder).into_iter().map(|finding| finding.path).collect();
        assert_eq!(wrong, [folder.join("b"), folder.join("c")]);
        // What was changed since is kept, though it is not made any more.
        write(&folder, &files(&["c"], "4")).unwrap();
        assert_eq!(state(&folder), [None, Some("3".into()), Some("4".into()), Some("own".into())]);
        assert_eq!(check(&folder), []);
        // A list of another kind, and one that names what lies elsewhere.
        fs::write(base.path().join("theirs"), "own").unwrap();
        let own = serde_json::to_string(&FileMark::of(b"own")).unwrap();
        for list in ["[]".to_string(), format!("{{\"program\":\"\",\"files\":{{\"../../theirs\":{own}}}}}")] {
            fs::write(folder.join(LIST), &list).unwrap();
            assert_eq!(check(&folder).len(), 1);
            assert!(write(&folder, &files(&["c"], "4")).unwrap_err().in_full().contains(LIST));
            assert_eq!(fs::read_to_string(folder.join(LIST)).unwrap(), list);
            replace(&folder, &files(&["c"], "4")).unwrap();
            assert_eq!(check(&folder), []);
        }
        assert!(base.path().join("theirs").exists());
    }

    /// What is not of the list, or was changed since, stays, and the folder with it.
    #[test]
    fn files_of_others_are_not_replaced() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path();
        let refused = |names: &[&str], why: &str| {
            let before = state(folder);
            let early = prepare(folder, names).unwrap_err();
            let late = write(folder, &files(names, "new")).unwrap_err();
            for error in [early, late] {
                let told = error.in_full();
                assert!(error.is_request() && told.contains(why) && told.contains("move it away"), "{told}");
            }
            assert_eq!(state(folder), before);
        };
        fs::write(folder.join("mine"), "own").unwrap();
        refused(&["a", "mine"], "mine would be replaced");
        // It is as it would be.
        write(folder, &files(&["mine"], "own")).unwrap();
        write(folder, &files(&["a", "b"], "1")).unwrap();
        fs::write(folder.join("a"), "edited").unwrap();
        refused(&["a", "b"], "a was changed since");
        fs::remove_file(folder.join("a")).unwrap();
        fs::create_dir(folder.join("a")).unwrap();
        refused(&["a", "b"], "a is a folder");
        fs::remove_dir(folder.join("a")).unwrap();
        prepare(folder, &["a", "b", "c"]).unwrap();
        write(folder, &files(&["a", "b"], "2")).unwrap();
        replace(folder, &files(&["a", "mine"], "3")).unwrap();
        assert_eq!(state(folder), [Some("3".into()), None, None, Some("3".into())]);
        // Without a list, by an earlier version.
        for (name, content) in [
            ("settings.toml", "what = 'fig2'\npreset = 'quick'\n"),
            ("claims.json", r#"[{"claim": "", "expected": ""}]"#),
            ("results.csv", "gamma,seeds,nominal,adversarial_0.1,pareto,runs\n"),
        ] {
            let base = tempfile::tempdir().unwrap();
            fs::write(base.path().join("a"), "old").unwrap();
            fs::write(base.path().join(name), "mine").unwrap();
            assert!(write(base.path(), &files(&["a"], "new")).is_err(), "{name}");
            fs::write(base.path().join(name), content).unwrap();
            prepare(base.path(), &["a", "b", name]).unwrap();
            write(base.path(), &files(&["a", "b", name], "new")).unwrap();
            assert_eq!(fs::read_to_string(base.path().join("a")).unwrap(), "new");
        }
    }

    #[test]
    fn whatever_fails_they_are_as_before_or_as_after() {
        let (first, second) = (files(&["a", "b"], "1"), files(&["b", "c"], "2"));
        let made = || {
            let base = tempfile::tempdir().unwrap();
            write(base.path(), &first).unwrap();
            base
        };
        let base = made();
        let before = state(base.path());
        let calls = faults::count(|| write(base.path(), &second).unwrap()).1;
        let after = state(base.path());
        for fault in [Fault::Kill, Fault::Error(28), Fault::Error(5)] {
            for at in 0..calls {
                let base = made();
                let (written, _) = faults::with(at, fault, || write(base.path(), &second));
                let found = state(base.path());
                let decided = change::is_decided(base.path());
                assert!(decided || found == before || found == after, "{fault:?} at {at}: {found:?}");
                assert!(written.is_err() || found == after, "{fault:?} at {at}");
                write(base.path(), &second).unwrap();
                assert_eq!((state(base.path()), check(base.path())), (after.clone(), vec![]));
            }
        }
    }
}
