//! Sets as they are met in the field: other names, folders, types and containers, npz files, folders of pictures.

use std::fs;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::tests::{idx, images, labels, packed};
use super::*;

fn put(base: &TempDir, name: &str, bytes: &[u8]) {
    let path = base.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn load_as(name: &str, place: &Path, resize: Option<usize>) -> Result<Dataset> {
    Dataset::load(&Source { name, directory: Some(place), resize, ..Source::default() })
}

#[track_caller]
fn refused(result: Result<Dataset>, parts: &[&str]) {
    let text = match result {
        Err(error) if error.is_request() => error.in_full(),
        other => panic!("not refused: {other:?}"),
    };
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text:?}"));
}

/// Five training and two test images under these names.
fn set(names: [&str; 4]) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    let files = [images(5, 3), labels(&[0, 1, 2, 1, 0]), images(2, 3), labels(&[2, 0])];
    names.iter().zip(files).for_each(|(name, bytes)| put(&base, name, &bytes));
    base
}

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

#[test]
fn other_names_and_folders_in_between_are_found() {
    let sound = load_as("x", set(NAMES).path(), None).unwrap();
    let nested = |folder: &str| NAMES.map(|name| format!("{folder}{name}"));
    let own = NAMES.map(|name| format!("{name}/{name}"));
    let emnist = ["train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"]
        .map(|n| format!("emnist-letters-{n}-ubyte"));
    let qmnist = [
        "train-images-idx3-ubyte",
        "train-labels-idx2-int",
        "test-images-idx3-ubyte",
        "test-labels-idx2-int",
    ]
    .map(|n| format!("qmnist-{n}"));
    for names in [nested("MNIST/raw/"), nested("raw/"), own, emnist.clone(), qmnist] {
        let base = set(names.each_ref().map(String::as_str));
        assert_eq!(load_as("x", base.path(), None).unwrap(), sound, "{names:?}");
    }
    // Of two sets in one folder that which is named; else both are told.
    let base = set(emnist.each_ref().map(String::as_str));
    for (name, bytes) in emnist.iter().zip([images(4, 3), labels(&[0; 4]), images(1, 3), labels(&[0])]) {
        put(&base, &name.replace("letters", "digits"), &bytes);
    }
    assert_eq!(load_as("emnist-letters", base.path(), None).unwrap().train, sound.train);
    assert_eq!(load_as("emnist-digits", base.path(), None).unwrap().train.count(), 4);
    refused(
        load_as("x", base.path(), None),
        &["several files of training images", "emnist-letters-train-images", "rename"],
    );
    // Half a set names what lacks and what is there.
    let base = set(emnist.each_ref().map(String::as_str));
    fs::remove_file(base.path().join(&emnist[3])).unwrap();
    refused(
        load_as("x", base.path(), None),
        &["t10k-labels-idx1-ubyte is missing", "emnist-letters-test-images"],
    );
    // Two whole sets in two folders.
    let base = set(nested("A/raw/").each_ref().map(String::as_str));
    for name in NAMES {
        let bytes = fs::read(base.path().join("A/raw").join(name)).unwrap();
        put(&base, &format!("B/raw/{name}"), &bytes);
    }
    refused(load_as("x", base.path(), None), &["several sets", "A/raw", "B/raw", "`data-dir`"]);
}

#[test]
fn files_of_other_kinds_are_read_or_called_what_they_are() {
    let replaced = |name: &str, bytes: &[u8]| {
        let base = set(NAMES);
        put(&base, name, bytes);
        load_as("x", base.path(), None)
    };
    let [x, y, ..] = NAMES;
    // Integers of other widths, and QMNIST's columns with the class in the first.
    let wide = |columns: usize| -> Vec<u8> {
        let row = |class: u8| [vec![0, 0, 0, class], [0, 0, 1, 9].repeat(columns - 1)].concat();
        [0, 1, 2, 1, 0].into_iter().flat_map(row).collect()
    };
    for sound in
        [idx(0xc02, &[5, 8], &wide(8)), idx(0xc01, &[5], &wide(1)), idx(0x802, &[5, 1], &[0, 1, 2, 1, 0])]
    {
        assert_eq!(replaced(y, &sound).unwrap().train.labels, [[0, 1, 2, 1, 0]]);
    }
    let tar = [vec![b'a'; 257], b"ustar".to_vec(), vec![0; 250]].concat();
    let twice = packed(&packed(&images(5, 3)));
    let little = [&[3, 8, 0, 0][..], &images(5, 3)[4..]].concat();
    let cases: [(&str, Vec<u8>, &[&str]); 16] = [
        (y, idx(0xc02, &[5, 7], &wide(7)), &["32-bit integers, 5 x 7", "the class of each image"]),
        (y, idx(0x802, &[5, 3], &[0; 15]), &["unsigned bytes, 5 x 3", "one dimension"]),
        (y, idx(0xd01, &[5], &[0; 20]), &["32-bit floats, 5", "must be integers"]),
        (y, idx(0xc01, &[5], &[255; 20]), &["label 0 is -1"]),
        (x, idx(0xd03, &[5, 3, 3], &[0; 180]), &["32-bit floats, 5 x 3 x 3", "must be unsigned bytes"]),
        (x, idx(0xb03, &[5, 3, 3], &[0; 90]), &["16-bit integers, 5 x 3 x 3"]),
        (x, idx(0x903, &[5, 3, 3], &[0; 45]), &["signed bytes, 5 x 3 x 3"]),
        (x, idx(0x804, &[5, 3, 3, 3], &[0; 135]), &["5 x 3 x 3 x 3", "colour images go into an .npz"]),
        (x, little, &["little-endian header"]),
        (x, twice, &["gzip twice", "unpack it once"]),
        (x, b"PK\x03\x04....".to_vec(), &["zip archive"]),
        (x, b"\xfd7zXZ\0....".to_vec(), &["xz archive"]),
        (x, b" <!DOCTYPE html>".to_vec(), &["web page"]),
        (x, packed(b"<html>"), &["web page", "inside gzip"]),
        (x, packed(&tar), &["tar archive"]),
        (x, b"version https://git-lfs.github.com/spec/v1".to_vec(), &["Git LFS"]),
    ];
    for (name, bytes, parts) in cases {
        refused(replaced(name, &bytes), &[&[name], parts].concat());
    }
    let padded = [packed(&images(5, 3)), vec![0; 512]].concat();
    assert!(replaced(x, &padded).is_ok());
    let members = [packed(&images(5, 3)[..20]), packed(&images(5, 3)[20..])].concat();
    assert!(replaced(x, &members).is_ok());
}

/// An archive of zeros that promises more than it has, or more than it could have, is refused without keeping any.
#[test]
fn bombs_are_refused_early() {
    let base = set(NAMES);
    let zeros = |header: Vec<u8>| packed(&[header, vec![0; 20 << 20]].concat());
    for (count, why) in [(6000, "5 labels for the 6000 images"), (1 << 20, "truncated")] {
        put(&base, NAMES[0], &zeros(idx(0x803, &[count, 64, 64], &[])));
        refused(load_as("x", base.path(), None), &[NAMES[0], why]);
    }
    put(&base, NAMES[0], &zeros(idx(0x803, &[5, 3, 3], &[])));
    refused(load_as("x", base.path(), None), &[NAMES[0], "trailing bytes"]);
}

#[test]
fn classes_without_images_are_remarked() {
    let base = set(NAMES);
    put(&base, NAMES[1], &labels(&[1, 2, 255, 4, 1]));
    put(&base, NAMES[3], &labels(&[1, 2]));
    let data = load_as("x", base.path(), None).unwrap();
    assert_eq!(data.tasks[0].classes, 256);
    assert_eq!(
        data.remarks(),
        ["x: of the 256 classes of label, 252 have no training image: 0, 3, 5 to 254"]
    );
    assert!(load_as("x", set(NAMES).path(), None).unwrap().remarks().is_empty());
}

/// A numpy array of these bytes.
fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), body].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    let mut zip = ZipWriter::new(fs::File::create(base.path().join("set.npz")).unwrap());
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    base
}

/// The arrays of a set of three and two colour images of 2x4.
fn arrays() -> Vec<(&'static str, Vec<u8>)> {
    let pixels: Vec<u8> = (0..72).collect();
    vec![
        ("x_train", npy("|u1", "(3, 2, 4, 3)", &pixels)),
        ("y_train", npy("<i8", "(3, 1)", &[2_i64, 0, 1].map(i64::to_le_bytes).concat())),
        ("x_test", npy("|u1", "(2, 3, 2, 4)", &pixels[..48])),
        ("y_test", npy(">u2", "(2,)", &[0, 1, 0, 2])),
    ]
}

#[test]
fn npz_files_are_read_in_every_layout() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let base = npz(&arrays(), method);
        let data = load_as("x", base.path(), None).unwrap();
        assert_eq!(data, load_as("x", &base.path().join("set.npz"), None).unwrap());
        assert_eq!((data.train.images.shape(), data.test.images.shape()), ([3, 2, 4], [3, 2, 4]));
        assert_eq!(data.train.images.stored_image(1).unwrap()[..9], [24, 27, 30, 33, 36, 39, 42, 45, 25]);
        assert_eq!(data.test.images.stored_image(1).unwrap()[..3], [24, 25, 26]);
        assert_eq!((&data.train.labels[0][..], &data.test.labels[0][..]), (&[2, 0, 1][..], &[1, 2][..]));
        let small = load_as("x", base.path(), Some(2)).unwrap();
        assert_eq!(small.train.images.shape(), [3, 2, 2]);
        // The middle of a row of 0 3 6 9 is 3 6.
        assert_eq!(small.train.images.stored_image(0).unwrap()[..2], [3, 6]);
    }
    let mut floats = arrays();
    let of = |f: fn(u8) -> f32| (0..72).flat_map(|k| f(k).to_le_bytes()).collect::<Vec<u8>>();
    floats[0].1 = npy("<f4", "(3, 2, 4, 3)", &of(|k| f32::from(k) / 255.0));
    let read = load_as("x", npz(&floats, CompressionMethod::Stored).path(), None).unwrap();
    assert_eq!(read, load_as("x", npz(&arrays(), CompressionMethod::Stored).path(), None).unwrap());
    floats[0].1 = npy("<f4", "(3, 2, 4, 3)", &of(|k| f32::from(k) / 256.0));
    refused(
        load_as("x", npz(&floats, CompressionMethod::Stored).path(), None),
        &["x_train", "k/255", "image 0"],
    );
}

#[test]
fn npz_files_that_cannot_be_used_say_why() {
    let cases: [(usize, Vec<u8>, &[&str]); 9] = [
        (0, npy("|u1", "(3, 24)", &[0; 72]), &["x_train", "[3, 24]"]),
        (0, npy("<i4", "(1, 2, 3)", &[0; 24]), &["x_train", "int32", "uint8"]),
        (0, npy("|u1", "(3, 70, 1)", &[0; 210]), &["70x1", "`resize`"]),
        (0, npy("|u1", "(3, 2, 2)", &[0; 11]), &["x_train", "damaged"]),
        (0, npy("|u1", "(4000000000, 64, 64)", &[0; 12]), &["x_train", "damaged"]),
        (1, npy("|O", "(3,)", &[0; 24]), &["y_train", "pickle"]),
        (1, npy("<f4", "(3,)", &[0; 12]), &["y_train", "float32", "integers"]),
        (1, npy("|u1", "(2,)", &[0; 2]), &["2 labels for the 3 images of x_train"]),
        (3, npy("|i1", "(2,)", &[255, 0]), &["y_test", "label 0 is -1"]),
    ];
    for (place, bytes, parts) in cases {
        let mut arrays = arrays();
        arrays[place].1 = bytes;
        refused(
            load_as("x", npz(&arrays, CompressionMethod::Deflated).path(), None),
            &[&["set.npz"], parts].concat(),
        );
    }
    let base = npz(&arrays()[..3], CompressionMethod::Stored);
    refused(load_as("x", base.path(), None), &["no array y_test", "x_train"]);
    let whole = fs::read(base.path().join("set.npz")).unwrap();
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(base.path().join("set.npz"), &whole[..cut]).unwrap();
        assert!(load_as("x", base.path(), None).unwrap_err().is_request());
    }
    fs::copy(base.path().join("set.npz"), base.path().join("more.npz")).unwrap();
    refused(load_as("x", base.path(), None), &["several .npz files", "more.npz"]);
    refused(
        load_as("color-mnist", npz(&arrays(), CompressionMethod::Stored).path(), None),
        &["in colour already"],
    );
}

fn picture(base: &TempDir, name: &str, side: (u32, u32), level: u8, colour: bool) {
    let path = base.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match colour {
        true => {
            image::RgbImage::from_pixel(side.0, side.1, image::Rgb([level, 0, level])).save(path).unwrap()
        }
        false => image::GrayImage::from_pixel(side.0, side.1, image::Luma([level])).save(path).unwrap(),
    }
}

fn pictures(colour: bool) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    for (name, level) in
        [("train/dog/b.png", 3), ("train/cat/a.PNG", 1), ("train/cat/c.png", 2), ("test/dog/x.png", 4)]
    {
        picture(&base, name, (6, 4), level, colour && level == 2);
    }
    base
}

#[test]
fn folders_of_pictures_are_read_in_the_order_of_names() {
    let data = load_as("pets", pictures(false).path(), None).unwrap();
    assert_eq!((data.train.images.shape(), data.tasks[0].name.as_str()), ([1, 4, 6], "label"));
    assert_eq!(data.class_names, ["cat", "dog"]);
    assert_eq!((&data.train.labels[0][..], &data.test.labels[0][..]), (&[0, 1, 0][..], &[1][..]));
    let firsts: Vec<u8> = (0..3).map(|i| data.train.images.stored_image(i).unwrap()[0]).collect();
    assert_eq!(firsts, [1, 3, 2], "the classes are spread, and each is in the order of names");
    // One in colour makes all have three channels.
    let data = load_as("pets", pictures(true).path(), None).unwrap();
    assert_eq!(data.train.images.shape(), [3, 4, 6]);
    let of = |i: usize| [0, 24, 48].map(|at| data.train.images.stored_image(i).unwrap()[at]);
    assert_eq!([of(0), of(2)], [[1, 1, 1], [2, 0, 2]]);
    let data = load_as("pets", pictures(true).path(), Some(5)).unwrap();
    assert_eq!(data.test.images.shape(), [3, 5, 5]);
}

#[test]
fn folders_of_pictures_that_cannot_be_used_say_why() {
    let base = pictures(false);
    picture(&base, "train/dog/odd.jpg", (4, 4), 9, false);
    refused(load_as("x", base.path(), None), &["odd.jpg is 4x4", "6x4", "`resize`"]);
    assert!(load_as("x", base.path(), Some(4)).is_ok());
    put(&base, "train/dog/odd.jpg", b"no picture");
    refused(load_as("x", base.path(), Some(4)), &["odd.jpg", "neither a JPEG nor a PNG"]);
    let base = pictures(false);
    picture(&base, "train/ant/a.png", (80, 70), 9, false);
    refused(load_as("x", base.path(), None), &["train/ant/a.png is 80x70", "`resize`"]);
    let base = pictures(false);
    picture(&base, "test/emu/a.png", (6, 4), 9, false);
    refused(load_as("x", base.path(), None), &["test/emu is a class without"]);
    let base = tempfile::tempdir().unwrap();
    picture(&base, "cat/a.png", (6, 4), 9, false);
    refused(load_as("x", base.path(), None), &["does not say which are to train", "train/CLASS"]);
    picture(&base, "train/cat/a.png", (6, 4), 9, false);
    refused(load_as("x", base.path(), None), &["has no folder test"]);
    let flat = tempfile::tempdir().unwrap();
    picture(&flat, "a.png", (6, 4), 9, false);
    refused(load_as("x", flat.path(), None), &["has pictures, but no train/CLASS", "train/CLASS/*.png"]);
    let one = load_images(&flat.path().join("a.png"), 1, None).unwrap_err().in_full();
    assert!(one.contains("a.png is a file; `images` takes a folder of pictures, or an .npz file"), "{one}");
    refused(load_as("x", base.path(), Some(65)), &["`resize`", "65"]);
}

#[test]
fn a_fingerprint_is_of_the_content_alone() {
    let sound = load_as("x", set(NAMES).path(), None).unwrap();
    let moved = set(NAMES);
    assert_eq!(sound.fingerprint, load_as("y", moved.path(), None).unwrap().fingerprint);
    put(&moved, NAMES[1], &labels(&[0, 1, 2, 1, 1]));
    assert_ne!(sound.fingerprint, load_as("x", moved.path(), None).unwrap().fingerprint);
}

/// What is sorted by class is spread, and whatever form it comes in is the same set then.
#[test]
fn sorted_sets_are_spread_alike_in_every_form() {
    let base = tempfile::tempdir().unwrap();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (class, n) in [("ant", 4), ("bee", 2), ("cat", 6)] {
        for k in 0..n {
            let level = (x.len() / 24) as u8;
            for part in ["train", "test"] {
                picture(&base, &format!("{part}/{class}/{k}.png"), (6, 4), level, false);
            }
            x.extend([level; 24]);
            y.push(class.as_bytes()[0] - b'a');
        }
    }
    let array = |x: &[u8], y: &[u8]| {
        let n = y.len();
        let (x, y) = (npy("|u1", &format!("({n}, 4, 6)"), x), npy("|u1", &format!("({n},)"), y));
        [("x_train", x.clone()), ("y_train", y.clone()), ("x_test", x), ("y_test", y)]
    };
    let folders = load_as("x", base.path(), None).unwrap();
    let sorted = npz(&array(&x, &y), CompressionMethod::Stored);
    assert_eq!(folders.fingerprint, load_as("x", sorted.path(), None).unwrap().fingerprint);
    assert_eq!(folders.train.labels, [[2, 0, 1, 2, 0, 2, 2, 0, 1, 2, 0, 2]]);
    assert_eq!(folders.train, folders.test);
    // What is held out has every class; what lacks one is said to.
    let held = folders.hold_out(4).unwrap();
    assert!(held.lacks("the 4 images held out", &[0, 1, 2, 3]).is_empty());
    assert_eq!(
        held.lacks("the 1 images attacked", &[0]),
        ["x: the 1 images attacked have no image of 2 classes of label that are trained on: 0, 2"]
    );
    // A set that is mixed stays as it is.
    let mixed = [2, 0, 1, 0, 2, 1, 0, 2, 2, 2, 2, 0];
    let kept = load_as("x", npz(&array(&x, &mixed), CompressionMethod::Stored).path(), None).unwrap();
    assert_eq!(kept.train.labels, [mixed.map(u32::from)]);
}
