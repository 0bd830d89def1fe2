use std::collections::BTreeMap;

use super::*;
use crate::files::disk::faults::{self, Fault};
use crate::runs::config::Config;
use crate::runs::record::FileMark;

/// Every path under a folder, links not followed, with what a file has or a link points to.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        let content = match (kind.is_symlink(), kind.is_dir()) {
            (true, _) => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            (_, true) => {
                found.extend(snapshot(&path));
                b"a folder".to_vec()
            }
            _ => fs::read(&path).unwrap(),
        };
        found.insert(path, content);
    }
    found
}

fn out(path: &Path, overwrite: bool) -> Result<RunDir> {
    let writing = prepare(path, overwrite, &Config { seed: 9, ..Config::default() }.to_toml()?)?;
    Ok(writing.dir().clone())
}

fn created(path: &Path) -> RunDir {
    Writing::create(path, &Config::default().to_toml().unwrap()).unwrap().dir().clone()
}

/// A run with every file that one has, and what dead processes leave.
fn full_run(path: &Path) -> RunDir {
    let run = created(path);
    fs::create_dir(run.tensorboard_path()).unwrap();
    let listed = ["outcomes/digit-1.npz", "outcomes/Black_Hair-12.npz"];
    let mut record = RunRecord::new(&Config::default(), "cpu".into()).unwrap();
    record.files.extend(listed.map(|name| (name.to_string(), FileMark::of(b"old"))));
    record.save(&run.result_path()).unwrap();
    fs::write(path.join(".result.json.tmp"), "half").unwrap();
    for file in ["report.html", "model.safetensors", "checkpoint.safetensors", "metrics.jsonl", "config.toml"]
    {
        fs::write(path.join(format!(".{file}.tmp")), "half").unwrap();
        if file != "config.toml" {
            fs::write(path.join(file), "old").unwrap();
        }
    }
    let outcomes = path.join(outcomes::FOLDER);
    fs::create_dir(&outcomes).unwrap();
    for file in ["digit-1.npz", "Black_Hair-12.npz", ".digit-1.npz.tmp"] {
        fs::write(outcomes.join(file), "old").unwrap();
    }
    for file in ["events.out.tfevents.smoothenc", ".events.out.tfevents.smoothenc.tmp"] {
        fs::write(run.tensorboard_path().join(file), "old").unwrap();
    }
    run
}

#[track_caller]
fn refused_untouched(base: &Path, path: &Path, overwrite: bool, part: &str) {
    let before = snapshot(base);
    match out(path, overwrite) {
        Err(error) if error.is_request() => {
            let text = error.in_full();
            assert!(text.contains(part), "{text}")
        }
        other => panic!("not refused: {other:?}"),
    }
    assert!(snapshot(base) == before, "{}: something has changed", path.display());
}

#[test]
fn a_run_is_replaced_whole() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("run");
    full_run(&path);
    refused_untouched(base.path(), &path, false, "`overwrite`");
    let run = out(&path, true).unwrap();
    assert_eq!(run.config().unwrap().seed, 9);
    assert_eq!(besides_kept(&path).len(), 1, "only config.toml");
    // The old one is whole until the new one has its result.
    let kept = RunDir::open(&path.join(KEPT)).unwrap();
    assert_eq!(kept.config().unwrap().seed, 0);
    assert!(files_of(&kept).iter().all(|file| file.is_file()) && files_of(&kept).len() == 9);
    // Replaced once more before that, it is still the finished one that is kept.
    out(&path, true).unwrap();
    assert_eq!(RunDir::open(&path.join(KEPT)).unwrap().config().unwrap().seed, 0);
    let writing = Writing::open(&path).unwrap();
    let mut change = writing.change().unwrap();
    forget(&writing, &mut change);
    change.commit().unwrap();
    drop(writing);
    assert_eq!(snapshot(&path).len(), 1, "only config.toml");
}

/// Wherever it is interrupted, the old run is there, in its place or kept.
#[test]
fn a_run_that_was_replaced_comes_back() {
    let base = tempfile::tempdir().unwrap();
    let begun = |name: &str| {
        let path = base.path().join(name);
        full_run(&path);
        out(&path, true).unwrap();
        fs::write(path.join("metrics.jsonl"), "new").unwrap();
        path
    };
    let restored = |path: &Path| restore(&Writing::open(path).unwrap());
    let path = begun("whole");
    let calls = faults::count(|| assert!(restored(&path).unwrap())).1;
    let whole = snapshot(&path);
    assert!(whole.len() == 11 && !path.join(KEPT).exists(), "{:?}", whole.keys());
    let content = |path: &Path| snapshot(path).into_values().collect::<Vec<_>>();
    for (fault, at) in
        [Fault::Kill, Fault::Error(28)].into_iter().flat_map(|fault| (0..calls).map(move |at| (fault, at)))
    {
        let path = begun(&format!("{fault:?}-{at}"));
        _ = faults::with(at, fault, || restored(&path));
        // Once more: nothing is lost by what was done already.
        _ = restored(&path).unwrap();
        assert_eq!(content(&path), content(&base.path().join("whole")), "{fault:?} at {at}");
    }
    // What can be gone on with stays.
    let path = begun("checkpoint");
    fs::write(path.join("checkpoint.safetensors"), "new").unwrap();
    assert!(!restored(&path).unwrap() && path.join(KEPT).exists());
}

/// What there is but for the run that is kept.
fn besides_kept(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    snapshot(path).into_iter().filter(|(found, _)| !found.starts_with(path.join(KEPT))).collect()
}

#[test]
fn what_no_run_wrote_stays() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("run");
    full_run(&path);
    for folder in [".git", "thesis", "data", "tensorboard/plugins"] {
        fs::create_dir(path.join(folder)).unwrap();
        fs::write(path.join(folder).join("result.json"), "mine").unwrap();
    }
    for file in ["notes.txt", "result.json.bak", ".result.json", "tensorboard/events.out.tfevents.17.host"] {
        fs::write(path.join(file), "mine").unwrap();
    }
    let foreign = |found: BTreeMap<PathBuf, Vec<u8>>| -> Vec<PathBuf> {
        found.into_iter().filter(|(_, content)| content == b"mine").map(|(path, _)| path).collect()
    };
    let before = foreign(snapshot(&path));
    assert_eq!(before.len(), 8);
    let old = Old::of(&RunDir::open(&path).unwrap()).unwrap();
    assert_eq!(old.foreign, 8, "entries, not what is in them: tensorboard has two");
    out(&path, true).unwrap();
    let after = besides_kept(&path);
    assert!(!after.values().any(|content| content == b"old" || content == b"half"));
    assert_eq!(foreign(after), before);
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_or_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let base = tempfile::tempdir().unwrap();
    let [path, link] = ["run", "link"].map(|name| base.path().join(name));
    full_run(&path);
    symlink(&path, &link).unwrap();
    for overwrite in [false, true] {
        refused_untouched(base.path(), &link, overwrite, "link is a symbolic link");
        refused_untouched(base.path(), &link.join(""), overwrite, "link is a symbolic link");
    }
    symlink("nowhere", base.path().join("dangling")).unwrap();
    refused_untouched(base.path(), &base.path().join("dangling"), true, "dangling is a symbolic link");
    // A link of another name is as foreign as what it points to.
    symlink(base.path(), path.join("up")).unwrap();
    out(&path, true).unwrap();
    assert!(path.join("up").is_symlink());
    let precious = base.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    for name in
        ["result.json", ".result.json.tmp", ".config.toml.tmp", "metrics.jsonl", "tensorboard", "config.toml"]
    {
        let path = base.path().join(format!("with-{name}"));
        created(&path);
        if name == "config.toml" {
            fs::rename(path.join(name), base.path().join("settings")).unwrap();
            symlink(base.path().join("settings"), path.join(name)).unwrap();
        } else {
            symlink(&precious, path.join(name)).unwrap();
        }
        refused_untouched(base.path(), &path, true, &format!("{name} has the name"));
    }
    // Not even where the rest of the folder would do.
    let path = base.path().join("empty");
    fs::create_dir(&path).unwrap();
    symlink(&precious, path.join(".config.toml.tmp")).unwrap();
    refused_untouched(base.path(), &path, false, ".config.toml.tmp has the name");
}

#[test]
fn what_cannot_be_replaced_is_as_it_was() {
    let base = tempfile::tempdir().unwrap();
    // A folder in the place of a file; the settings cannot be written where one stands in their way.
    for name in ["model.safetensors", ".config.toml.tmp"] {
        let path = base.path().join(name);
        full_run(&path);
        fs::remove_file(path.join(name)).unwrap();
        fs::create_dir(path.join(name)).unwrap();
        refused_untouched(base.path(), &path, true, name);
    }
    // Folders that are no runs, also with a config.toml of something else.
    for (name, text) in [("site", ""), ("tool", "[server]\nport = 1\n")] {
        let other = base.path().join(name);
        fs::create_dir(&other).unwrap();
        fs::write(other.join("config.toml"), text).unwrap();
        refused_untouched(base.path(), &other, true, "runs only");
    }
    let mine = base.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("notes.txt"), "").unwrap();
    refused_untouched(base.path(), &mine, true, "runs only");
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    refused_untouched(base.path(), &file, true, "runs only");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_loses_nothing() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("run");
    full_run(&path);
    let number = fs::metadata(&path).unwrap().ino();
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    fs::remove_file(path.join(".config.toml.tmp")).unwrap();
    allow(0o555);
    // To root no folder is closed.
    if fs::write(path.join("probe"), "").is_err() {
        refused_untouched(base.path(), &path, true, "cannot be written");
    }
    allow(0o755);
    out(&path, true).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), number, "a mount point has to stay");
}

#[test]
fn a_run_that_is_being_replaced_is_the_old_or_the_new_one() {
    let base = tempfile::tempdir().unwrap();
    let old = {
        full_run(&base.path().join("old"));
        let found = snapshot(&base.path().join("old"));
        found.into_values().collect::<Vec<_>>()
    };
    let calls = faults::count(|| {
        out(
            &{
                full_run(&base.path().join("x"));
                base.path().join("x")
            },
            true,
        )
    })
    .1;
    let mut seen = [0; 2];
    for (fault, at) in
        [Fault::Kill, Fault::Error(28)].into_iter().flat_map(|f| (0..calls).map(move |at| (f, at)))
    {
        let path = base.path().join(format!("{fault:?}-{at}"));
        full_run(&path);
        let (made, _) = faults::with(at, fault, || out(&path, true));
        let seed = RunDir::open(&path).unwrap().config().unwrap().seed;
        assert!(made.is_err() || seed == 9, "{fault:?} at {at}");
        // A process that ended may have left what it had not decided.
        drop(Writing::open(&path).unwrap());
        match seed {
            0 => assert_eq!(snapshot(&path).into_values().collect::<Vec<_>>(), old, "{fault:?} at {at}"),
            _ => assert_eq!(besides_kept(&path).len(), 1, "{fault:?} at {at}"),
        }
        seen[usize::from(seed == 9)] += 1;
        assert_eq!(out(&path, true).unwrap().config().unwrap().seed, 9);
    }
    assert!(seen[0] > 5 && seen[1] > 5, "{seen:?}");
}

#[test]
fn a_folder_that_was_not_begun_is_taken() {
    let base = tempfile::tempdir().unwrap();
    for (i, overwrite) in [false, true].into_iter().enumerate() {
        for half in [false, true] {
            let path = base.path().join(format!("{i}-{half}"));
            fs::create_dir(&path).unwrap();
            if half {
                fs::write(path.join(".config.toml.tmp"), "seed = ").unwrap();
            }
            assert_eq!(out(&path, overwrite).unwrap().config().unwrap().seed, 9);
            assert_eq!(snapshot(&path).len(), 1);
        }
    }
}
