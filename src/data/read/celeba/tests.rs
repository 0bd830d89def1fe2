use crate::progress::Silent;
use std::fs;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use tempfile::TempDir;

use super::*;

/// Photograph `i` is a plane of grey `10 i`.
fn photo(i: usize, width: usize, height: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![10 * i as u8; 3 * width * height];
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.write_image(&pixels, width as u32, height as u32, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Parts of the photographs 1 to 9, not in order: three to test on, one to validate with.
const PARTS: [usize; 9] = [0, 2, 0, 1, 2, 0, 0, 2, 0];

/// Photograph `i` has every attribute whose number is a multiple of `i`.
fn attributes(i: usize) -> String {
    (0..40).map(|a| if (a as usize).is_multiple_of(i) { "  1" } else { " -1" }).collect()
}

fn text_lists() -> (String, String) {
    let line = |i: usize| format!("00000{i}.jpg {}\n", attributes(i));
    let lines: String = (1..=9).map(line).collect();
    let parts = (1..=9).map(|i| format!("00000{i}.jpg {}\n", PARTS[i - 1])).collect();
    (format!("9\n{}\n{lines}", ATTRIBUTES.join(" ")), parts)
}

fn sound() -> TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir(base.path().join(PHOTOS)).unwrap();
    for i in 1..=9 {
        fs::write(at(&base, i), photo(i, WIDTH, HEIGHT)).unwrap();
    }
    let (attributes, parts) = text_lists();
    fs::write(base.path().join(ATTRIBUTES_FILE), attributes).unwrap();
    fs::write(base.path().join(PARTITION_FILE), parts).unwrap();
    base
}

fn at(base: &TempDir, i: usize) -> PathBuf {
    base.path().join(PHOTOS).join(format!("00000{i}.jpg"))
}

fn read(base: &TempDir, skip_bad: bool) -> Result<Dataset> {
    load(base.path(), &Options { skip_bad, ..Options::default() }, &Silent)
}

#[track_caller]
fn refused(base: &TempDir, parts: &[&str]) {
    match read(base, false) {
        Err(error) if error.is_request() => {
            let text = error.in_full();
            parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text:?}"))
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// The grey level of each image.
fn levels(images: &Images) -> Vec<u8> {
    (0..images.count).map(|i| (images.floats(i).unwrap()[2000] * 25.5).round() as u8).collect()
}

#[track_caller]
fn check_sound(set: &Dataset) {
    assert_eq!((levels(&set.train.images), levels(&set.test.images)), (vec![1, 3, 6, 7, 9], vec![2, 5, 8]));
    assert_eq!((set.train.images.shape(), set.skipped, set.synthetic), ([3, 64, 64], 0, false));
    assert_eq!(set.tasks.len(), 17);
    // Bald is attribute 4, Male 20.
    assert_eq!(set.tasks[0], Task { name: "Bald".into(), classes: 2 });
    assert_eq!((&set.train.labels[0][..], &set.test.labels[0][..]), (&[1, 0, 0, 0, 0][..], &[1, 0, 0][..]));
    assert_eq!(set.test.labels[15], [1, 1, 0]);
}

#[test]
fn text_and_csv_lists_give_the_same() {
    let base = sound();
    check_sound(&read(&base, false).unwrap());
    let [attributes, parts] = [ATTRIBUTES_FILE, PARTITION_FILE].map(|name| {
        let text = fs::read_to_string(base.path().join(name)).unwrap();
        fs::remove_file(base.path().join(name)).unwrap();
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(",") + "\n")
            .collect::<Vec<_>>()
    });
    let attributes = format!("image_id,{}", attributes[1..].concat());
    fs::write(base.path().join("list_attr_celeba.csv"), attributes).unwrap();
    fs::write(base.path().join("list_eval_partition.csv"), format!("image_id,partition\n{}", parts.concat()))
        .unwrap();
    check_sound(&read(&base, false).unwrap());
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let edits: [(&str, &str, &str, &[&str]); 13] = [
        (ATTRIBUTES_FILE, " Bald", "", &["line 2", "Bald is missing"]),
        (ATTRIBUTES_FILE, " Young", " Young Tall", &["line 2", "\"Tall\" is none of"]),
        (ATTRIBUTES_FILE, " Young", " Young Bald", &["line 2", "Bald is there twice"]),
        (ATTRIBUTES_FILE, "9\n", "10\n", &["promises 10", "has 9"]),
        (ATTRIBUTES_FILE, "9\n", "", &["line 1", "number of photographs"]),
        (ATTRIBUTES_FILE, "000003.jpg   1", "000003.jpg ", &["line 5", "39 attributes", "000003.jpg"]),
        (ATTRIBUTES_FILE, "000003.jpg   1", "000003.jpg 2", &["line 5", "000003.jpg", "\"2\""]),
        (ATTRIBUTES_FILE, "000003.jpg", "000002.jpg", &["line 5", "twice"]),
        (ATTRIBUTES_FILE, "000003.jpg", "../x.jpg", &["line 5", "../x.jpg"]),
        (PARTITION_FILE, "000003.jpg 0\n", "", &[PARTITION_FILE, "000003.jpg"]),
        (PARTITION_FILE, "000003.jpg 0", "000003.jpg 3", &["line 3", "000003.jpg"]),
        (PARTITION_FILE, " 2\n", " 1\n", &[PARTITION_FILE, "no test images"]),
        (PARTITION_FILE, " 0\n", " 1\n", &[PARTITION_FILE, "no training images"]),
    ];
    for (name, from, to, parts) in edits {
        let base = sound();
        let path = base.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?}");
        fs::write(&path, text.replace(from, to)).unwrap();
        refused(&base, &[&[name], parts].concat());
    }
    for name in [ATTRIBUTES_FILE, PARTITION_FILE] {
        let base = sound();
        fs::remove_file(base.path().join(name)).unwrap();
        refused(&base, &[name, "missing"]);
    }
}

#[test]
fn bad_photographs_are_named_or_skipped() {
    let whole = photo(5, WIDTH, HEIGHT);
    let cases: [(Option<Vec<u8>>, &str); 5] = [
        (None, "is missing"),
        (Some(b"<html>".to_vec()), "is neither a JPEG nor a PNG"),
        (Some(Vec::new()), "is neither a JPEG nor a PNG"),
        (Some(whole[..whole.len() / 2].to_vec()), "is truncated"),
        (Some(photo(5, HEIGHT, WIDTH)), "is 218x178, must be 178x218"),
    ];
    for (content, why) in cases {
        let base = sound();
        match content {
            Some(bytes) => fs::write(at(&base, 5), bytes).unwrap(),
            None => fs::remove_file(at(&base, 5)).unwrap(),
        }
        refused(&base, &["000005.jpg", why, "`skip-bad`"]);
        assert!(!base.path().join(".smoothenc-148.cache").exists(), "{why}: a cache is left");
        assert_eq!(names(&base), LAYOUT, "{why}: something is left");
        for _ in 0..2 {
            let set = read(&base, true).unwrap();
            assert_eq!((levels(&set.test.images), set.skipped), (vec![2, 8], 1));
            assert_eq!(set.test.labels[15], [1, 0]);
        }
        // The cache that leaves it out is for those who asked for that.
        refused(&base, &["000005.jpg", why, "`skip-bad`"]);
        fs::write(at(&base, 5), &whole).unwrap();
        check_sound(&read(&base, false).unwrap());
    }
}

const LAYOUT: [&str; 3] = [PHOTOS, ATTRIBUTES_FILE, PARTITION_FILE];

/// What is in the set's folder.
fn names(base: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn cache_of(base: &TempDir) -> PathBuf {
    base.path().join(".smoothenc-148.cache")
}

#[test]
fn a_whole_cache_is_used_and_any_other_is_made_again() {
    let base = sound();
    check_sound(&read(&base, false).unwrap());
    let path = cache_of(&base);
    let whole = fs::read(&path).unwrap();
    let made = || fs::metadata(&path).unwrap().modified().unwrap();
    let first = made();
    let data = read(&base, false).unwrap();
    check_sound(&data);
    assert_eq!(made(), first, "a whole one is used");
    assert_eq!(check(base.path()).unwrap(), [Kept { path: path.clone(), wrong: None, ours: true }]);
    let again = |bytes: &[u8], told: &str| {
        fs::write(&path, bytes).unwrap();
        let found = check(&path).unwrap();
        assert!(found[0].wrong.is_some() && found[0].ours, "{told}");
        let set = read(&base, false).unwrap();
        check_sound(&set);
        assert_eq!(set.fingerprint, data.fingerprint, "{told}");
        assert!(fs::read(&path).unwrap() == whole, "{told}");
    };
    for length in [0, 10, 3 * SIDE * SIDE, whole.len() - 1] {
        again(&whole[..length], &format!("cut at {length}"));
    }
    // A byte here and there among the images, and each of what stands about them.
    let images = 8 * 3 * SIDE * SIDE;
    for at in (0..cache::FRONT).chain((0..images).step_by(9973)).chain(images..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        again(&flipped, &format!("flipped at {at} of {}", whole.len()));
    }
    again(&[&whole[..], b"more"].concat(), "longer");
    // What an interrupted build leaves is no cache, and goes.
    let left = base.path().join("..smoothenc-148.cache.tmp");
    for cached in [true, false] {
        fs::write(&left, &whole[..500]).unwrap();
        fs::write(base.path().join(crate::files::lock::NAME), "{\"host\"").unwrap();
        if !cached {
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(check(base.path()).unwrap().len(), usize::from(cached) + 1);
        check_sound(&read(&base, false).unwrap());
        assert_eq!(names(&base), [&[".smoothenc-148.cache"][..], &LAYOUT].concat());
    }
    // Another photograph makes it anew, another crop beside it.
    fs::write(at(&base, 1), photo(4, WIDTH, HEIGHT)).unwrap();
    assert!(check(base.path()).unwrap()[0].wrong.as_deref().unwrap().contains("other photographs"));
    assert_eq!(levels(&read(&base, false).unwrap().train.images), [4, 3, 6, 7, 9]);
    load(base.path(), &Options { crop: 100, ..Options::default() }, &Silent).unwrap();
    assert!(base.path().join(".smoothenc-100.cache").exists() && path.exists());
    assert!(check(base.path()).unwrap().iter().all(|kept| kept.wrong.is_none()));
}

/// Only what has the name and the mark is removed or replaced.
#[test]
fn files_of_others_stay_what_they_are() {
    let base = sound();
    read(&base, false).unwrap();
    let whole = fs::read(cache_of(&base)).unwrap();
    fs::remove_file(cache_of(&base)).unwrap();
    for (name, content) in [
        (".smoothenc-148.cache", &b"mine"[..]),
        (".smoothenc-148.cache", b"a longer text than a mark has"),
        ("..smoothenc-148.cache.tmp", b"mine"),
    ] {
        let path = base.path().join(name);
        fs::write(&path, content).unwrap();
        let found = check(base.path()).unwrap();
        assert!(found[0].wrong.as_deref().unwrap().contains("left alone") && !found[0].ours, "{found:?}");
        assert!(check(&path).unwrap_err().is_request() && remove(&path).unwrap_err().is_request());
        refused(&base, &[name, "move it away"]);
        assert_eq!(fs::read(&path).unwrap(), content);
        fs::remove_file(&path).unwrap();
    }
    // One that lies under another name is checked, and stays.
    let copy = base.path().join("copy");
    for (content, wrong) in [(&whole[..], false), (&whole[..5000], true)] {
        fs::write(&copy, content).unwrap();
        let found = check(&copy).unwrap();
        assert_eq!((found[0].wrong.is_some(), found[0].ours), (wrong, false));
        assert!(remove(&copy).is_err() && copy.exists());
    }
    fs::write(&copy, "").unwrap();
    assert!(check(&copy).unwrap_err().is_request());
    // Of an early version, which had no mark at its front.
    let old = [&whole[cache::FRONT..whole.len() - 1], b"2"].concat();
    fs::write(cache_of(&base), old).unwrap();
    let found = check(base.path()).unwrap();
    assert!(found[0].wrong.as_deref().unwrap().contains("another version") && found[0].ours, "{found:?}");
    remove(&cache_of(&base)).unwrap();
    #[cfg(unix)]
    {
        fs::write(&copy, &whole[..5000]).unwrap();
        std::os::unix::fs::symlink(&copy, cache_of(&base)).unwrap();
        refused(&base, &[".smoothenc-148.cache", "move it away"]);
        assert!(remove(&cache_of(&base)).is_err() && copy.exists());
    }
}

/// The images are read as they are needed, so a cache may be cut short under them.
#[test]
fn a_cache_that_is_cut_while_it_is_in_use_is_an_error_that_names_it() {
    let base = sound();
    let set = read(&base, false).unwrap();
    fs::File::options().write(true).open(cache_of(&base)).unwrap().set_len(20_000).unwrap();
    assert_eq!(set.train.images.floats(0).unwrap().len(), 3 * SIDE * SIDE);
    let told = set.train.images.floats(4).unwrap_err();
    assert!(!told.is_request(), "{told}");
    assert!(told.to_string().contains(".smoothenc-148.cache was cut short"), "{told}");
    assert!(set.test.images.bytes().is_err());
    check_sound(&read(&base, false).unwrap());
}

/// What the system fails at says nothing of a photograph, so none is left out for it.
#[cfg(unix)]
#[test]
fn a_passing_fault_of_the_system_is_never_kept() {
    let base = sound();
    fs::remove_file(at(&base, 5)).unwrap();
    std::os::unix::fs::symlink(at(&base, 5), at(&base, 5)).unwrap();
    for skip_bad in [false, true] {
        match read(&base, skip_bad) {
            Err(Error::Io { path, .. }) => assert_eq!(path, at(&base, 5)),
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&base), LAYOUT);
    }
    fs::remove_file(at(&base, 5)).unwrap();
    // What was left out is tried again, also where its name, size and time stay what they were.
    let whole = photo(5, WIDTH, HEIGHT);
    let mut damaged = whole.clone();
    damaged[0] = 0;
    let put = |bytes: &[u8]| {
        fs::write(at(&base, 5), bytes).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(at(&base, 5)).unwrap().set_modified(time).unwrap();
    };
    put(&damaged);
    assert_eq!(read(&base, true).unwrap().skipped, 1);
    put(&whole);
    check_sound(&read(&base, true).unwrap());
}

/// Lists as R, pandas and Windows write them.
#[test]
fn lists_of_other_writers_give_the_same() {
    let (attributes, parts) = text_lists();
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_string).collect()).collect()
    };
    let mut attributes_rows = rows(&attributes);
    attributes_rows.remove(0);
    attributes_rows[0].insert(0, "image_id".into());
    let parts_rows = [vec![vec!["image_id".to_string(), "partition".into()]], rows(&parts)].concat();
    let quoted =
        |_: usize, row: &[String]| row.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(",");
    let numbered = |i: usize, row: &[String]| match i {
        0 => format!(",{}", row.join(",")),
        _ => format!("{},{}", i - 1, row.join(",")),
    };
    let floats = |i: usize, row: &[String]| match i {
        0 => row.join(","),
        _ => format!("{},{}.0", row[0], row[1..].join(".0,")),
    };
    type Writer<'a> = &'a dyn Fn(usize, &[String]) -> String;
    let writers: [Writer; 3] = [&quoted, &numbered, &floats];
    for writer in writers {
        let base = sound();
        for (name, rows) in [(ATTRIBUTES_FILE, &attributes_rows), (PARTITION_FILE, &parts_rows)] {
            let path = base.path().join(name);
            let lines: String = rows.iter().enumerate().map(|(i, row)| writer(i, row) + "\r\n").collect();
            fs::remove_file(&path).unwrap();
            fs::write(path.with_extension("csv"), format!("\u{feff}{lines}")).unwrap();
        }
        check_sound(&read(&base, false).unwrap());
    }
    let base = sound();
    for (name, text) in [(ATTRIBUTES_FILE, attributes), (PARTITION_FILE, parts)] {
        fs::write(base.path().join(name), format!("\u{feff}{text}")).unwrap();
    }
    check_sound(&read(&base, false).unwrap());
}

#[test]
fn the_folders_of_the_official_drive_are_found() {
    let base = sound();
    let moves = [("Anno", ATTRIBUTES_FILE), ("Eval", PARTITION_FILE), ("Img", PHOTOS)];
    for (folder, name) in moves {
        fs::create_dir(base.path().join(folder)).unwrap();
        fs::rename(base.path().join(name), base.path().join(folder).join(name)).unwrap();
    }
    assert!(missing(base.path()).is_empty());
    check_sound(&read(&base, false).unwrap());
}

#[test]
fn aligned_pngs_are_read_whatever_the_lists_call_them() {
    let base = sound();
    for i in 1..=9 {
        let picture = image::open(at(&base, i)).unwrap();
        picture.save(at(&base, i).with_extension("png")).unwrap();
        fs::remove_file(at(&base, i)).unwrap();
    }
    check_sound(&read(&base, false).unwrap());
    for name in [ATTRIBUTES_FILE, PARTITION_FILE] {
        let text = fs::read_to_string(base.path().join(name)).unwrap();
        fs::write(base.path().join(name), text.replace(".jpg", ".png")).unwrap();
    }
    check_sound(&read(&base, false).unwrap());
    fs::rename(base.path().join(PHOTOS), base.path().join(PNG_PHOTOS)).unwrap();
    fs::write(base.path().join(PNG_PHOTOS).join("000005.png"), b"cut").unwrap();
    refused(&base, &["000005.png", "neither a JPEG nor a PNG"]);
    assert_eq!(levels(&read(&base, true).unwrap().test.images), [2, 8]);
}

#[test]
fn what_follows_a_photograph_does_not_matter_and_half_of_one_does() {
    let whole = photo(5, WIDTH, HEIGHT);
    let base = sound();
    for tail in [&b"\n"[..], b"\x7f", &whole[..400]] {
        fs::write(at(&base, 5), [&whole, tail].concat()).unwrap();
        check_sound(&read(&base, false).unwrap());
    }
    let scan = whole.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    let header = 2 + usize::from(whole[scan + 3]);
    // Half of the scan, none of it, and not even its header.
    for (cut, why) in
        [(whole.len() * 3 / 4, "is truncated"), (scan + header, "is truncated"), (scan, "does not decode")]
    {
        fs::write(at(&base, 5), [&whole[..cut], &[0xff, 0xd9]].concat()).unwrap();
        refused(&base, &["000005.jpg", why, "`skip-bad`"]);
    }
}

#[test]
fn the_cache_lies_where_it_is_to() {
    let (base, elsewhere) = (sound(), tempfile::tempdir().unwrap());
    let cache = elsewhere.path().join("deep/er");
    check_sound(
        &load(base.path(), &Options { cache: Some(cache.clone()), ..Options::default() }, &Silent).unwrap(),
    );
    assert!(!base.path().join(".smoothenc-148.cache").exists());
    let own: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(own.len() == 1 && own[0].join(".smoothenc-148.cache").exists(), "{own:?}");
    // A place that cannot be made is named.
    let file = elsewhere.path().join("file");
    fs::write(&file, "").unwrap();
    let error = load(base.path(), &Options { cache: Some(file), ..Options::default() }, &Silent).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("file/celeba-"), "{error}");
}
