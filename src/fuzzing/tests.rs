//! The inputs in `fuzz/corpus`: sound ones, and each that once was a fault.

use std::fs;
use std::path::Path;

use super::*;

#[test]
fn the_corpus_goes_through() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "nothing in {}", folder.display());
        for file in files {
            // Told by the test where it panics.
            println!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

/// Each byte of each sound network changed, and the file cut there: nothing panics.
#[test]
fn damaged_networks_go_through() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, file) in [("onnx", "gemm"), ("onnx", "conv"), ("onnx", "matmul"), ("safetensors", "network")] {
        let sound = fs::read(corpus.join(name).join(file)).unwrap();
        for at in 0..sound.len() {
            feed(name, &sound[..at]);
            for change in [1, 2, 0x7f, 0x80, 0xff] {
                let mut damaged = sound.clone();
                damaged[at] ^= change;
                feed(name, &damaged);
            }
        }
    }
}

/// What the targets of networks look at is there in the corpus.
#[test]
fn sound_networks_are_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let read = |name: &str| fs::read(corpus.join(name)).unwrap();
    for name in ["gemm", "conv", "matmul"] {
        onnx::decode(place(), &read(&format!("onnx/{name}")), IMAGE).unwrap();
    }
    foreign::safetensors::decode(place(), &read("safetensors/network"), IMAGE).unwrap();
}
