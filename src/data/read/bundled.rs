//! MNIST as it comes with the program: inside it with the feature `mnist`, else in the user's folder of data.
//!
//! Either way its bytes are compared with the checksums in `datasets/manifest.toml`, so that another set never passes
//! for it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::container::{self, Input, refuse};
use super::hex_sha256;
use crate::{Error, Result, files};

const MANIFEST: &str = include_str!("../../../datasets/manifest.toml");

#[cfg(feature = "mnist")]
const INSIDE: [&[u8]; 4] = [
    include_bytes!("../../../datasets/mnist/train-images-idx3-ubyte.gz"),
    include_bytes!("../../../datasets/mnist/train-labels-idx1-ubyte.gz"),
    include_bytes!("../../../datasets/mnist/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../../../datasets/mnist/t10k-labels-idx1-ubyte.gz"),
];
#[cfg(not(feature = "mnist"))]
const INSIDE: [&[u8]; 0] = [];

#[derive(Deserialize)]
struct Manifest {
    mnist: Set,
}

#[derive(Deserialize)]
struct Set {
    /// In the order training images and labels, test images and labels.
    files: Vec<Packed>,
}

#[derive(Deserialize)]
struct Packed {
    name: String,
    bytes: u64,
    sha256: String,
}

/// The four files of MNIST.
///
/// # Errors
/// [`Error::Request`] where they did not come with this program and are not in the user's folder either, or are not
/// MNIST's.
pub fn mnist() -> Result<[Input; 4]> {
    let manifest: Manifest = toml::from_str(MANIFEST)
        .map_err(|error| Error::run("datasets/manifest.toml does not read").because(error))?;
    let files = manifest.mnist.files;
    let mut inputs = Vec::new();
    for (i, file) in files.iter().enumerate() {
        inputs.push(match INSIDE.get(i) {
            Some(bytes) => inside(bytes, file)?,
            None => beside(&folder()?, file)?,
        });
    }
    inputs.try_into().map_err(|_| Error::run("datasets/manifest.toml: mnist must have four files"))
}

/// Where the files lie that did not come with the program.
fn folder() -> Result<PathBuf> {
    let without =
        || Error::request("mnist is not in this program").with_hint("give its folder with `data-dir`");
    files::user_data().map(|data| data.join("mnist")).ok_or_else(without)
}

fn inside(bytes: &'static [u8], file: &Packed) -> Result<Input> {
    let path = PathBuf::from(format!("{} (in the program)", file.name));
    match hex_sha256(bytes) == file.sha256 {
        true => Ok(Input { path, bytes: Some(bytes.into()) }),
        false => Err(refuse(&path, "is damaged").with_hint("build the program again")),
    }
}

fn beside(folder: &Path, file: &Packed) -> Result<Input> {
    let path = folder.join(&file.name);
    if !path.is_file() {
        let what = "is missing, and mnist is not in this program (built without the feature mnist)";
        let hint = "put the file there, or give the set's folder with `data-dir`";
        return Err(refuse(&path, what).with_hint(hint));
    }
    let bytes = container::read_small(&path, file.bytes)?;
    match hex_sha256(&bytes) == file.sha256 {
        true => Ok(Input { path, bytes: Some(bytes.into()) }),
        false => {
            Err(refuse(&path, "is not MNIST's: its checksum is another")
                .with_hint("put the right file there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies in the user's folder is taken for MNIST by its checksum alone.
    #[test]
    fn files_beside_the_program_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = hex_sha256(b"right");
        let file = Packed { name: "x.gz".into(), bytes: 5, sha256 };
        let refused = |folder: &Path| beside(folder, &file).unwrap_err().to_string();
        assert!(refused(folder.path()).contains("x.gz is missing"));
        std::fs::write(folder.path().join("x.gz"), "wrong").unwrap();
        assert!(refused(folder.path()).contains("checksum is another"));
        std::fs::write(folder.path().join("x.gz"), "too long").unwrap();
        assert!(refused(folder.path()).contains("larger than 5 bytes"));
        std::fs::write(folder.path().join("x.gz"), "right").unwrap();
        assert_eq!(beside(folder.path(), &file).unwrap().bytes.unwrap().as_ref(), b"right");
    }
}
