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
