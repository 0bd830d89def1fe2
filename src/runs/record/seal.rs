//! The checksum in a record: of all its values, whatever blanks stand between them.
//!
//! Nothing else would tell a digit that changed on the disk from one that was measured. Records of earlier versions
//! have none, and who means to change one by hand takes it out.

use serde_json::Value;

use super::RunRecord;
use crate::data::hex_sha256;

/// The key that has it, the last of the document.
const KEY: &str = "sha256";

/// The document with its checksum.
///
/// # Errors
/// As [`serde_json::to_value`].
pub fn sealed(record: &RunRecord) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(record)?;
    let sum = checksum(&document);
    if let Some(keys) = document.as_object_mut() {
        keys.insert(KEY.into(), sum.into());
    }
    serde_json::to_string_pretty(&document)
}

/// Whether a document is as it was sealed, or has no checksum.
///
/// # Errors
/// Where the text is no JSON.
pub fn holds(text: &[u8]) -> serde_json::Result<bool> {
    let mut document: Value = serde_json::from_slice(text)?;
    let seal = document.as_object_mut().and_then(|keys| keys.shift_remove(KEY));
    Ok(seal.is_none_or(|seal| seal == checksum(&document)))
}

fn checksum(document: &Value) -> String {
    hex_sha256(document.to_string().as_bytes())
}
