//! The numbers of `metrics.jsonl` as an event file for TensorBoard.
//!
//! A file of TFRecords: a little-endian length (8 bytes) and its checksum, then an `Event` in protobuf and its
//! checksum, the checksums CRC-32C, rotated and shifted. Only what scalars need is written:
//!
//! ```text
//! Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }
//! Summary { repeated Value value = 1 }    Value { string tag = 1; float simple_value = 2 }
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::files::{disk, write_whole};
use crate::runs::metrics;
use crate::{Error, Result};

/// The file's name; TensorBoard looks for `tfevents` in it.
pub const NAME: &str = "events.out.tfevents.smoothenc";

/// The open file.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
    /// When the run's clock of `seconds` stood at 0, in seconds since 1970.
    started: f64,
}

impl EventFile {
    /// Makes the file in `directory` from the lines that `metrics.jsonl` at `metrics` has already, so that a resumed
    /// run's file has each step once. `seconds` is where the run's clock stands.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; [`Error::Request`] for metrics that do not read.
    pub fn follow(directory: &Path, metrics: &Path, seconds: f64) -> Result<EventFile> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let started = now - seconds;
        let mut bytes = record(&[&double(1, started)[..], &text(3, "brain.Event:2")].concat());
        for line in metrics::read(metrics)? {
            bytes.extend(event(started, &line));
        }
        disk::create_directories(directory).map_err(Error::io(directory))?;
        let path = directory.join(NAME);
        write_whole(&path, &bytes)?;
        let file = disk::append(&path).map_err(Error::io(&path))?;
        Ok(EventFile { file, path, started })
    }

    /// Adds a line of the metrics.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, line: &Map<String, Value>) -> Result<()> {
        let bytes = event(self.started, line);
        disk::write(&self.file, &bytes).map_err(Error::io(&self.path))
    }
}

/// The record of a line: every number but its step and time, by its name.
fn event(started: f64, line: &Map<String, Value>) -> Vec<u8> {
    let number = |key: &str| line.get(key).and_then(Value::as_f64);
    let step = line.get("step").and_then(Value::as_u64).unwrap_or(0);
    let mut summary = Vec::new();
    for (tag, value) in line.iter().filter(|(tag, _)| !matches!(tag.as_str(), "step" | "seconds")) {
        if let Some(value) = value.as_f64() {
            let value = [&text(1, tag)[..], &[0x15], &(value as f32).to_le_bytes()].concat();
            summary.extend(bytes(1, &value));
        }
    }
    let time = double(1, started + number("seconds").unwrap_or(0.0));
    record(&[&time[..], &[0x10], &varint(step), &bytes(5, &summary)].concat())
}

/// A protobuf number: seven bits a byte, lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A protobuf field of bytes.
fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2], &varint(content.len() as u64)[..], content].concat()
}

fn text(field: u8, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1], &value.to_le_bytes()[..]].concat()
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

/// The checksum as TFRecords have it.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a line of metrics has a few hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    let shifted = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !data.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| shifted(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_numbers_are_the_known_ones() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        // The protobuf encoding guide's example.
        assert_eq!(varint(150), [0x96, 0x01]);
        assert_eq!(varint(0), [0]);
    }
}
