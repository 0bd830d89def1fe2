use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

/// An IDX file: magic, dimensions, then `body`.
pub fn idx(magic: u32, dimensions: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    for dimension in dimensions {
        bytes.extend(dimension.to_be_bytes());
    }
    bytes.extend(body);
    bytes
}

pub fn images(count: u32, side: u32) -> Vec<u8> {
    let body: Vec<u8> = (0..count * side * side).map(|i| (i % 251) as u8).collect();
    idx(0x803, &[count, side, side], &body)
}

pub fn labels(values: &[u8]) -> Vec<u8> {
    idx(0x801, &[values.len() as u32], values)
}

pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A sound set: five training and two test images of 3x3, one file packed, one in the other spelling.
fn sound() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| fs::write(directory.path().join(name), bytes).unwrap();
    write("train-images-idx3-ubyte.gz", packed(&images(5, 3)));
    write("train-labels.idx1-ubyte", labels(&[0, 1, 2, 1, 0]));
    write("t10k-images-idx3-ubyte", images(2, 3));
    write("t10k-labels-idx1-ubyte", labels(&[2, 0]));
    directory
}

fn load(directory: &TempDir) -> Result<Dataset> {
    Dataset::load(&Source { name: "foreign", directory: Some(directory.path()), ..Source::default() })
}

/// Replaces one file of a sound set and returns the refusal, which must be a request naming the file.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let directory = sound();
    fs::write(directory.path().join(name), bytes).unwrap();
    match load(&directory) {
        Err(error) if error.is_request() => {
            let text = error.in_full();
            assert!(text.contains(name), "{text:?} does not name {name}");
            text
        }
        other => panic!("not refused as a request: {other:?}"),
    }
}

#[test]
fn reads_packed_and_plain_files_alike() {
    let set = load(&sound()).unwrap();
    assert_eq!((set.train.count(), set.test.count()), (5, 2));
    assert_eq!(set.train.images.shape(), [1, 3, 3]);
    assert_eq!(*set.train.images.bytes().unwrap(), images(5, 3)[16..]);
    assert_eq!(set.test.labels, [[2, 0]]);
    assert_eq!((set.name.as_str(), set.tasks), ("foreign", vec![Task { name: "label".into(), classes: 3 }]));
}

#[test]
fn refuses_damaged_files() {
    let whole = images(5, 3);
    let name = "train-images-idx3-ubyte.gz";
    assert!(refusal(name, &packed(&whole[..whole.len() - 1])).contains("truncated"));
    assert!(refusal(name, &whole[..10]).contains("truncated"));
    assert!(refusal(name, b"").contains("truncated"));
    let archive = packed(&whole);
    for cut in [3, 12, archive.len() / 2, archive.len() - 9, archive.len() - 1] {
        assert!(refusal(name, &archive[..cut]).contains("truncated"), "cut at {cut}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(refusal(name, &packed(&longer)).contains("trailing"));
    assert!(refusal(name, &longer).contains("trailing"));
    // Padding after an archive is none of its business, anything else is named.
    assert!(refusal(name, &[&archive[..], b"garbage"].concat()).contains("trailing bytes after the archive"));
    let mut flipped = archive.clone();
    let crc = flipped.len() - 8;
    flipped[crc] ^= 1;
    assert!(refusal(name, &flipped).contains("damaged"));
    assert!(refusal(name, &labels(&[0, 1, 2, 1, 0])).contains("magic number is 2049"));
    assert!(refusal("train-labels.idx1-ubyte", &images(5, 3)).contains("magic number is 2051"));
    assert!(refusal("train-labels.idx1-ubyte", &labels(&[0, 1, 2, 1])).contains("4 labels for the 5 images"));
    assert!(refusal(name, &idx(0x803, &[0, 3, 3], &[])).contains("no pixels"));
    assert!(refusal(name, &idx(0x803, &[5, 65, 1], &[0; 325])).contains("65x1"));
    // A header that promises a terabyte is refused without allocating it.
    assert!(refusal(name, &idx(0x803, &[u32::MAX, 64, 64], &[0; 9])).contains("truncated"));
}

#[test]
fn refuses_sets_that_do_not_fit_together() {
    let directory = sound();
    fs::write(directory.path().join("t10k-images-idx3-ubyte"), images(2, 4)).unwrap();
    assert!(
        load(&directory).unwrap_err().to_string().contains("training images of 3x3 and test images of 4x4")
    );
    let directory = sound();
    fs::write(directory.path().join("t10k-labels-idx1-ubyte"), labels(&[3, 0])).unwrap();
    assert!(load(&directory).unwrap_err().to_string().contains("t10k-labels-idx1-ubyte: label 0 is 3"));
    let directory = sound();
    fs::remove_file(directory.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let error = load(&directory).unwrap_err();
    assert!(error.is_request());
    assert!(error.to_string().contains("t10k-labels-idx1-ubyte is missing"));
}

#[test]
fn refuses_names_it_cannot_serve() {
    let refused = |name: &str, dir: Option<&Path>| match Dataset::load(&Source {
        name,
        directory: dir,
        ..Source::default()
    }) {
        Err(error) if error.is_request() => error.in_full(),
        other => panic!("{name}: {other:?}"),
    };
    assert!(refused("fashion", None).contains("`data-dir`"));
    assert!(refused("celeba", None).contains("celeba does not come with the program"));
    assert!(refused("celeba", Some(Path::new("nowhere"))).contains("nowhere is not a directory"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refused("color-mnist", Some(empty.path())).contains("train-images-idx3-ubyte is missing"));
    assert!(refused("../mnist", Some(Path::new("."))).contains("cannot name"));
    assert!(refused("", Some(Path::new("."))).contains("cannot name"));
    assert!(refused("fashion", Some(Path::new("nowhere/at/all"))).contains("not a directory"));
}

#[test]
fn holds_out_the_last_training_images() {
    let whole = load(&sound()).unwrap();
    let held = whole.clone().hold_out(2).unwrap();
    assert_eq!((held.train.count(), held.train.images.count), (3, 3));
    assert_eq!((held.test.count(), held.test.images.count), (2, 2));
    assert_eq!(held.test.labels, [[1, 0]]);
    assert_eq!(held.test.images.bytes().unwrap(), &whole.train.images.bytes().unwrap()[27..]);
    assert_eq!(held.train.images.bytes().unwrap(), &whole.train.images.bytes().unwrap()[..27]);
    assert_eq!(held.tasks, whole.tasks);
    assert_eq!(whole.clone().hold_out(0).unwrap(), whole);
    assert!(whole.hold_out(5).unwrap_err().to_string().contains("`holdout` 5"));
}

#[test]
fn the_committed_files_match_the_manifest() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    let manifest: toml::Table = fs::read_to_string(root.join("manifest.toml")).unwrap().parse().unwrap();
    let files = manifest["mnist"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 4);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    for file in files {
        let name = file["name"].as_str().unwrap();
        let bytes = fs::read(root.join("mnist").join(name)).unwrap();
        assert_eq!(bytes.len() as i64, file["bytes"].as_integer().unwrap(), "{name}");
        assert_eq!(hex(&bytes), file["sha256"].as_str().unwrap(), "{name}");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut content).unwrap();
        assert_eq!(hex(&content), file["content_sha256"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn loads_the_bundled_mnist() {
    let set = Dataset::load(&Source { name: "mnist", ..Source::default() }).unwrap();
    assert_eq!((set.train.count(), set.test.count()), (60_000, 10_000));
    assert_eq!(set.train.images.shape(), [1, 28, 28]);
    assert_eq!(set.tasks, [Task { name: "digit".into(), classes: 10 }]);
    assert_eq!(set.train.labels[0][..5], [5, 0, 4, 1, 9]);
    assert_eq!(set.test.labels[0][..5], [7, 2, 1, 0, 4]);
}

#[test]
fn every_digit_comes_in_seven_colours_and_is_stored_once() {
    let grey = Dataset::load(&Source { name: "mnist", ..Source::default() }).unwrap();
    let set = Dataset::load(&Source { name: "color-mnist", ..Source::default() }).unwrap();
    assert_eq!((set.train.count(), set.test.count()), (420_000, 70_000));
    assert_eq!(set.train.images.shape(), [3, 28, 28]);
    assert_eq!(
        set.train.images.bytes().unwrap(),
        grey.train.images.bytes().unwrap(),
        "nothing is stored seven times"
    );
    assert_eq!(set.tasks[0], Task { name: "digit".into(), classes: 10 });
    assert_eq!(set.tasks[1], Task { name: "color".into(), classes: 7 });
    assert_eq!(set.test.labels[0][..9], [7, 7, 7, 7, 7, 7, 7, 2, 2]);
    assert_eq!(set.test.labels[1][..9], [0, 1, 2, 3, 4, 5, 6, 0, 1]);
    // What each colour of the second digit has of red, green and blue.
    let lit = [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]];
    for (color, lit) in lit.into_iter().enumerate() {
        let (image, digit) =
            (set.test.images.floats(7 + color).unwrap(), grey.test.images.floats(1).unwrap());
        for (plane, lit) in image.chunks_exact(28 * 28).zip(lit) {
            assert!(plane.iter().zip(&digit).all(|(x, grey)| *x == lit as f32 * grey), "colour {color}");
        }
    }
    // To be attacked: every digit once, in another colour than its neighbours, before any comes again.
    assert_eq!(set.test.images.sample(9).collect::<Vec<_>>(), [0, 8, 16, 24, 32, 40, 48, 49, 57]);
    assert_eq!(set.test.images.sample(10_002).last(), Some(7 + 2));
    let mut all: Vec<usize> = set.test.images.sample(usize::MAX).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..70_000));
    assert_eq!(grey.test.images.sample(3).collect::<Vec<_>>(), [0, 1, 2]);
    let held = set.clone().hold_out(70).unwrap();
    assert_eq!((held.train.count(), held.test.count()), (419_930, 70));
    assert_eq!(held.test.images.floats(5).unwrap(), set.train.images.floats(419_935).unwrap());
    assert_eq!(held.test.labels[0][0], grey.train.labels[0][59_990]);
    assert!(set.hold_out(71).unwrap_err().in_full().contains("multiple of 7"));
}
