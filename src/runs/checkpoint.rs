//! Tensors on the disk, as safetensors: `model.safetensors` and `checkpoint.safetensors`.
//!
//! The header is written here rather than by the crate, which orders metadata by a random hash: the same contents
//! give the same bytes, so that two runs can be compared with `cmp`. A checkpoint is sealed with a checksum, since a
//! flipped bit would otherwise train on unseen; a model is not, so that scripts may change its weights.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::data::{hex, hex_sha256};
use crate::engine::nn::{NamedTensor, TensorData};
use crate::files::write_whole;
use crate::{Error, Result, memory};

/// The metadata key of the checksum.
const SEAL: &str = "sha256";

/// The metadata key of the checksum of the metadata alone, for those who read no more.
const SEAL_OF_METADATA: &str = "metadata-sha256";

/// The metadata keys of what fixed the numbers: the settings as a `config.toml`, the fingerprint of the data, and the
/// version of the program.
pub const SETTINGS: &str = "settings";
pub const DATA: &str = "data";
pub const PROGRAM: &str = "program";

const DAMAGED: &str = "is damaged or not a file of this program";

fn type_name(data: &TensorData) -> &'static str {
    match data {
        TensorData::F32(_) => "F32",
        TensorData::U32(_) => "U32",
    }
}

/// The bytes in the file's order, which is little-endian.
fn bytes_of(data: &TensorData) -> Cow<'_, [u8]> {
    let native: &[u8] = match data {
        TensorData::F32(values) => bytemuck::cast_slice(values),
        TensorData::U32(values) => bytemuck::cast_slice(values),
    };
    match cfg!(target_endian = "little") {
        true => Cow::Borrowed(native),
        false => native.chunks_exact(4).flat_map(|word| word.iter().rev().copied()).collect(),
    }
}

/// What a file holds beside its tensors.
pub type Metadata = BTreeMap<String, String>;

/// Writes what [`encode_sealed`] gives, whole or not at all.
///
/// # Errors
/// [`Error::Io`]; those of [`encode`].
pub fn save_sealed(path: &Path, tensors: &[NamedTensor], metadata: &Metadata) -> Result<()> {
    write_whole(path, &encode_sealed(tensors, metadata)?)
}

/// The file's bytes as by [`encode`], with a checksum over everything that [`decode_sealed`] compares.
///
/// # Errors
/// Those of [`encode`].
pub fn encode_sealed(tensors: &[NamedTensor], metadata: &Metadata) -> Result<Vec<u8>> {
    let mut metadata = metadata.clone();
    metadata.remove(SEAL);
    metadata.remove(SEAL_OF_METADATA);
    metadata.insert(SEAL_OF_METADATA.into(), checksum_of(&metadata)?);
    metadata.insert(SEAL.into(), checksum(tensors, &metadata)?);
    encode(tensors, &metadata)
}

/// Reads tensors, sorted by name, and metadata.
///
/// # Errors
/// [`Error::Request`] naming the file: missing, not a safetensors file, damaged, or of other types than f32 and u32.
pub fn load(path: &Path) -> Result<(Vec<NamedTensor>, Metadata)> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, "cannot be read").because(error))?;
    decode(path, &bytes)
}

/// The same of the content of the file at `path`.
///
/// # Errors
/// As [`load`].
pub fn decode(path: &Path, bytes: &[u8]) -> Result<(Vec<NamedTensor>, Metadata)> {
    let damaged = |why: String| Error::file(path, DAMAGED).because(why);
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    // The crate takes the last of two tensors of one name. The header follows its length, which has eight bytes.
    let names = bytes.get(8..8 + length).unwrap_or_default();
    serde_json::from_slice::<UniqueNames>(names).map_err(|error| damaged(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        let words = view.data().as_chunks().0.iter();
        let data = match view.dtype() {
            Dtype::F32 => TensorData::F32(words.map(|&word| f32::from_le_bytes(word)).collect()),
            Dtype::U32 => TensorData::U32(words.map(|&word| u32::from_le_bytes(word)).collect()),
            other => return Err(damaged(format!("{name} has type {other:?}, only f32 and u32 are known"))),
        };
        tensors.push(NamedTensor { name: name.to_string(), shape: view.shape().to_vec(), data });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok((tensors, metadata))
}

/// The keys of a JSON object, none of which is there twice.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = UniqueNames;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<UniqueNames, A::Error> {
                let mut seen = BTreeSet::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if seen.contains(&name) {
                        return Err(A::Error::custom(format!("{name} is there twice")));
                    }
                    seen.insert(name);
                }
                Ok(UniqueNames)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Refuses numbers that are not finite, in the file at `path`.
///
/// # Errors
/// [`Error::Request`] naming the file and the tensor.
pub fn check_finite(path: &Path, tensors: &[NamedTensor]) -> Result<()> {
    for NamedTensor { name, data, .. } in tensors {
        if let TensorData::F32(values) = data
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return Err(Error::file(path, format!("`{name}` has {} as number {at}", values[at])));
        }
    }
    Ok(())
}

/// Reads the metadata alone, without the tensors: quick, and no check of the rest. The checksums are left out.
///
/// # Errors
/// [`Error::Request`] naming the file: missing, without a header of this format, or with metadata that their own
/// checksum does not match.
pub fn peek(path: &Path) -> Result<Metadata> {
    let header = File::open(path).and_then(read_header);
    parse_header(path, &header.map_err(|error| Error::file(path, "cannot be read").because(error))?)
}

fn parse_header(path: &Path, header: &[u8]) -> Result<Metadata> {
    let damaged = |error: serde_json::Error| Error::file(path, DAMAGED).because(error);
    let Header { mut metadata } = serde_json::from_slice(header).map_err(damaged)?;
    if let Some(expected) = metadata.remove(SEAL_OF_METADATA) {
        metadata.remove(SEAL);
        if checksum_of(&metadata)? != expected {
            return Err(Error::file(path, "is damaged: the checksum of its metadata does not match them"));
        }
    }
    Ok(metadata)
}

fn checksum_of(metadata: &Metadata) -> Result<String> {
    let text = serde_json::to_vec(metadata)
        .map_err(|error| Error::run("the metadata cannot be written").because(error))?;
    Ok(hex_sha256(&text))
}

/// What [`peek`] wants of a header.
#[derive(serde::Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: Metadata,
}

/// [`peek`] of a file's content.
///
/// # Errors
/// As [`peek`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn peek_at(path: &Path, bytes: &[u8]) -> Result<Metadata> {
    let header = read_header(bytes);
    parse_header(path, &header.map_err(|error| Error::file(path, "cannot be read").because(error))?)
}

fn read_header(mut file: impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(LONGEST_HEADER)).read_to_end(&mut header)?;
    Ok(header)
}

/// In bytes; what the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads what [`save_sealed`] wrote and compares the checksum, which is left out of the metadata.
///
/// # Errors
/// As [`load`], and for a checksum that is missing or another.
pub fn load_sealed(path: &Path) -> Result<(Vec<NamedTensor>, Metadata)> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, "cannot be read").because(error))?;
    decode_sealed(path, &bytes)
}

/// The same of the content of the file at `path`.
///
/// # Errors
/// As [`load_sealed`].
pub fn decode_sealed(path: &Path, bytes: &[u8]) -> Result<(Vec<NamedTensor>, Metadata)> {
    let (tensors, mut metadata) = decode(path, bytes)?;
    let Some(expected) = metadata.remove(SEAL) else {
        return Err(Error::file(path, "was not written by this program: it has no checksum"));
    };
    if checksum(&tensors, &metadata)? != expected {
        return Err(Error::file(path, "is damaged: its checksum does not match its contents")
            .with_hint("go back to a copy, or start again"));
    }
    metadata.remove(SEAL_OF_METADATA);
    Ok((tensors, metadata))
}

/// The file's bytes: the header's length, the header (metadata, then tensors by name), the data.
///
/// # Errors
/// [`Error::Run`] for a name twice or a shape that is not that of its data; [`Error::TooLarge`].
pub fn encode(tensors: &[NamedTensor], metadata: &Metadata) -> Result<Vec<u8>> {
    let sorted = by_name(tensors);
    let header = header(&sorted, metadata)?;
    let size = header.len() + sorted.iter().map(|tensor| bytes_of(&tensor.data).len()).sum::<usize>();
    let mut bytes = memory::reserved("a file of weights", size)?;
    bytes.extend(header);
    sorted.iter().for_each(|tensor| bytes.extend_from_slice(&bytes_of(&tensor.data)));
    Ok(bytes)
}

/// The checksum of what [`encode`] gives, without room for it.
fn checksum(tensors: &[NamedTensor], metadata: &Metadata) -> Result<String> {
    let sorted = by_name(tensors);
    let mut hash = Sha256::new_with_prefix(header(&sorted, metadata)?);
    sorted.iter().for_each(|tensor| hash.update(bytes_of(&tensor.data)));
    Ok(hex(&hash.finalize()))
}

fn by_name(tensors: &[NamedTensor]) -> Vec<&NamedTensor> {
    let mut sorted: Vec<&NamedTensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted
}

/// The header's length and the header.
fn header(sorted: &[&NamedTensor], metadata: &Metadata) -> Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for NamedTensor { name, shape, data } in sorted {
        let count: usize = shape.iter().product();
        if count != data.len() {
            let values = data.len();
            return Err(Error::run(format!("{name}: shape {shape:?} does not hold {values} values")));
        }
        let start = end;
        end += bytes_of(data).len();
        let entry: Value = json!({"dtype": type_name(data), "shape": shape, "data_offsets": [start, end]});
        if header.insert(name.clone(), entry).is_some() {
            return Err(Error::run(format!("two tensors are called {name}")));
        }
    }
    let mut text = serde_json::to_vec(&header)
        .map_err(|error| Error::run("the weights cannot be written").because(error))?;
    // The format asks for data aligned to 8 bytes, and allows spaces after the header.
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<NamedTensor>, Metadata) {
        let tensor =
            |name: &str, shape: &[usize], data| NamedTensor { name: name.into(), shape: shape.into(), data };
        let tensors = vec![
            tensor("a.weight", &[2, 3], TensorData::F32(vec![1.0, -2.5, f32::MIN_POSITIVE, 0.0, -0.0, 3e38])),
            tensor("b.empty", &[0], TensorData::F32(vec![])),
            tensor("c.step", &[1], TensorData::U32(vec![u32::MAX])),
        ];
        let metadata = [("arch", "mlp"), ("note", "π \"quoted\"\n")];
        (tensors, metadata.into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn reads_back_what_was_written_bit_for_bit() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("x.safetensors");
        let (tensors, metadata) = sample();
        write_whole(&path, &encode(&tensors, &metadata).unwrap()).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(load(&path).unwrap(), (tensors.clone(), metadata.clone()));
        // The order given does not matter to the bytes.
        let reversed: Vec<_> = tensors.iter().cloned().rev().collect();
        write_whole(&path, &encode(&reversed, &metadata).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        save_sealed(&path, &tensors, &metadata).unwrap();
        assert_eq!(load_sealed(&path).unwrap(), (tensors, metadata.clone()));
        let peeked = peek(&path).unwrap();
        assert!(metadata.iter().all(|(key, value)| peeked.get(key) == Some(value)));
        assert_eq!((first.len() - 6 * 4 - 4) % 8, 0, "data is aligned");
    }

    #[test]
    fn any_damage_to_a_checkpoint_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("checkpoint.safetensors");
        let (tensors, metadata) = sample();
        save_sealed(&path, &tensors, &metadata).unwrap();
        let whole = fs::read(&path).unwrap();
        let refused = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            // Whatever it says, it says it in peace.
            let _ = peek(&path);
            match load_sealed(&path) {
                Err(error) if error.is_request() => {
                    let text = error.in_full();
                    assert!(text.contains("checkpoint.safetensors"), "{what}: {text}")
                }
                other => panic!("{what} is not refused: {other:?}"),
            }
        };
        for cut in 0..whole.len() {
            refused(&whole[..cut], &format!("cut at {cut}"));
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("bit at {at} flipped"));
        }
        refused(b"PK\x03\x04 something else entirely", "a foreign file");
        refused(&[&whole[..], &b"more"[..]].concat(), "trailing bytes");
        write_whole(&path, &encode(&tensors, &metadata).unwrap()).unwrap();
        assert!(load_sealed(&path).unwrap_err().to_string().contains("no checksum"));
        assert!(load(&base.path().join("none")).unwrap_err().to_string().contains("none cannot be read"));
    }

    #[test]
    fn faults_of_the_caller_are_errors() {
        let (mut tensors, metadata) = sample();
        let path = Path::new("never-written.safetensors");
        tensors[0].shape = vec![7];
        assert!(matches!(encode(&tensors, &metadata), Err(Error::Run(_))));
        let (mut tensors, metadata) = sample();
        tensors[1].name = "a.weight".into();
        assert!(matches!(encode(&tensors, &metadata), Err(Error::Run(_))));
        assert!(!path.exists());
    }
}
