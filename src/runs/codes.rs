//! Codes of images in a file: what `encode` writes.

use std::path::Path;

use crate::data::Images;
use crate::engine::nn::{NamedTensor, TensorData};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::method::robustness::{Codes, encode_codes};
use crate::runs::LoadedRun;
use crate::runs::checkpoint::{self, Metadata};
use crate::runs::numpy::npy;

/// How a file holds codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's: the means alone.
    Npy,
    /// The tensors `mean` and `log_variance`.
    Safetensors,
}

impl Format {
    /// The file endings there are, with the formats they stand for.
    pub const ENDINGS: [(&str, Format); 2] = [("npy", Format::Npy), ("safetensors", Format::Safetensors)];

    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Error::Request`] for any other ending.
    pub fn of(path: &Path) -> Result<Format> {
        let ending = path.extension().unwrap_or_default();
        let found = Format::ENDINGS.iter().find(|(known, _)| *known == ending);
        found.map(|(_, format)| *format).ok_or_else(|| {
            Error::file(
                path,
                "has another ending than .npy (the means) or .safetensors (means and log-variances)",
            )
            .with_hint("give the file one of these endings")
        })
    }
}

impl LoadedRun {
    /// The codes of images of the size that the run was trained on.
    ///
    /// # Errors
    /// [`Error::Request`] for images of another size.
    pub fn encode(&mut self, images: &Images) -> Result<Codes> {
        let (wanted, given) = (self.data.train.images.shape(), images.shape());
        if wanted != given {
            let words = |[c, h, w]: [usize; 3]| format!("{c} x {h} x {w}");
            return Err(Error::request(format!(
                "the run's images are {} (channels, height, width), those to encode {}",
                words(wanted),
                words(given)
            )));
        }
        encode_codes(&mut self.session, &self.vae, images)
    }
}

/// Writes codes, whole or not at all.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn save(path: &Path, codes: &Codes, format: Format) -> Result<()> {
    let shape = [codes.count, codes.latent];
    match format {
        Format::Npy => {
            let data: Vec<u8> = codes.means.iter().flat_map(|value| value.to_le_bytes()).collect();
            write_whole(path, &npy("<f4", &shape, &data))
        }
        Format::Safetensors => {
            let tensor = |name: &str, values: &[f32]| NamedTensor {
                name: name.into(),
                shape: shape.to_vec(),
                data: TensorData::F32(values.to_vec()),
            };
            let tensors = [tensor("mean", &codes.means), tensor("log_variance", &codes.log_variances)];
            write_whole(path, &checkpoint::encode(&tensors, &Metadata::new())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_the_format() {
        assert_eq!(Format::of(Path::new("a/codes.npy")).unwrap(), Format::Npy);
        assert_eq!(Format::of(Path::new("codes.safetensors")).unwrap(), Format::Safetensors);
        for name in ["codes", "codes.npz", "codes.NPY", ".npy"] {
            let error = Format::of(Path::new(name)).unwrap_err();
            assert!(error.is_request());
            assert!(error.to_string().contains(".safetensors"), "{error}");
        }
    }

    #[test]
    fn data_of_a_numpy_file_starts_at_a_multiple_of_64() {
        for shape in [[0, 1], [1, 1], [60, 4], [202_599, 128], [usize::MAX, usize::MAX]] {
            let file = npy("<f4", &shape, &1.5_f32.to_le_bytes());
            assert_eq!((file.len() - 4) % 64, 0, "{shape:?}");
            let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
            assert_eq!((10 + length, file[file.len() - 5]), (file.len() - 4, b'\n'));
            assert_eq!(file[file.len() - 4..], 1.5f32.to_le_bytes());
        }
    }
}
