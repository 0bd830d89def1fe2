//! What can be done with finished runs: `encode`, the pictures, `runs`, `compare`; and `completions` and `man`.

mod common;

use std::fs;

use common::{Lab, TEST, TRAIN};

const LATENT: usize = 4;

/// A NumPy file's matrix: its two sizes and its numbers.
#[track_caller]
fn npy(bytes: &[u8]) -> ([usize; 2], Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(end.is_multiple_of(64) && header.ends_with('\n'), "{header:?}");
    let shape =
        header.trim_end().strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (").unwrap();
    let (rows, columns) = shape.strip_suffix("), }").unwrap().split_once(", ").unwrap();
    let (words, rest) = bytes[end..].as_chunks();
    assert!(rest.is_empty());
    let values = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    ([rows.parse().unwrap(), columns.parse().unwrap()], values)
}

#[test]
fn codes_are_written_for_other_tools() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    let printed = lab.ok("encode run --out test.npy");
    assert!(printed.contains("test.npy") && printed.contains(&format!("{TEST} images")), "{printed}");
    let (shape, means) = npy(&lab.read("test.npy"));
    assert_eq!((shape, means.len()), ([TEST, LATENT], TEST * LATENT));
    assert!(means.iter().all(|mean| mean.is_finite()) && means.iter().any(|mean| *mean != means[0]));

    lab.ok("encode run --out test.safetensors --split test --device cpu");
    let (tensors, _) = lab.tensors("test.safetensors");
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["log_variance", "mean"]);
    assert_eq!(tensors["mean"], (vec![TEST, LATENT], means.clone()));
    let log_variances = &tensors["log_variance"];
    assert_eq!(log_variances.0, [TEST, LATENT]);
    assert_ne!(log_variances.1, means);

    lab.ok("encode run --out train.npy --split train");
    assert_eq!(npy(&lab.read("train.npy")).0, [TRAIN, LATENT]);
    // The same again is the same file, but only where that is wished.
    let first = lab.read("test.npy");
    lab.refused(2, "encode run --out test.npy", &["test.npy", "exists", "--overwrite"]);
    lab.ok("encode run --out test.npy --overwrite");
    assert_eq!(lab.read("test.npy"), first);
}

#[test]
fn an_out_file_that_cannot_be_is_refused_before_any_work() {
    let lab = Lab::new();
    // Where the run is not there either, the file is named first: it needs no reading.
    lab.refused(2, "encode run --out codes.csv", &["codes.csv", ".npy", ".safetensors"]);
    lab.refused(2, "encode run --out codes", &["codes", ".npy"]);
    lab.refused(2, "encode run --out none/codes.npy", &["none/codes.npy", "no such folder"]);
    lab.refused(2, "encode run --out codes.npy", &["run is not a run"]);
    lab.refused(2, "encode set --out codes.npy", &["set is not a run"]);
    lab.refused(2, "encode run --out codes.npy --device tpu", &["tpu"]);
    fs::create_dir(lab.path("folder.npy")).unwrap();
    lab.refused(2, "encode run --out folder.npy --overwrite", &["folder.npy", "folder"]);
    for command in ["reconstruct", "sample", "traverse"] {
        lab.refused(2, &format!("{command} run --out a.jpg"), &["a.jpg", ".png"]);
        lab.refused(2, &format!("{command} run --out a.png"), &["run is not a run"]);
        lab.refused(2, &format!("{command} run --out a.png --count 0"), &["--count", "1 to 1000"]);
    }
}

#[test]
fn pictures_are_drawn_and_repeat() {
    let lab = Lab::new();
    lab.train("run", "--no-attack --iterations 20");
    let size = |name: &str| {
        let picture = image::load_from_memory(&lab.read(name)).unwrap();
        (picture.width(), picture.height())
    };
    for command in ["reconstruct", "sample", "traverse"] {
        let draw = |file: &str, more: &str| {
            let printed = lab.ok(&format!("{command} run --out {file} {more}"));
            assert!(printed.contains(file), "{printed}");
            lab.read(file)
        };
        let file = |n: usize| format!("{command}-{n}.png");
        let first = draw(&file(1), "");
        assert!(first == draw(&file(2), "--count 8"), "{command}: the default is 8");
        assert!(first != draw(&file(3), "--seed 7"), "{command}: a seed changes it");
        assert!(draw(&file(3), "--seed 7 --overwrite") == draw(&file(4), "--seed 7"), "{command}: repeats");
        let fewer = draw(&file(5), "--count 2");
        assert!(first != fewer && size(&file(5)) < size(&file(1)), "{command}");
        lab.refused(2, &format!("{command} run --out {}", file(1)), &["exists", "--overwrite"]);
        // More than there are: all of them.
        draw(&file(6), "--count 70");
        assert!(size(&file(6)).1 >= size(&file(1)).1, "{command}");
    }
}
