//! What is in a set: how many images of each class, which classes have none or are missing in a part,
//! and a checksum of it all.

use sha2::{Digest, Sha256};

use super::{Dataset, Split};
use crate::Result;

impl Split {
    /// How many examples of each of `classes` classes there are for task number `task`.
    pub fn counts(&self, task: usize, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels[task].iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }
}

impl Dataset {
    /// What a user should know of a set that is sound: classes without a training image, one sentence for each task.
    pub fn remarks(&self) -> Vec<String> {
        let remark = |(task, about): (usize, &super::Task)| {
            let counts = self.train.counts(task, about.classes);
            let empty: Vec<usize> = (0..about.classes).filter(|&class| counts[class] == 0).collect();
            let (name, task) = (&self.name, &about.name);
            (!empty.is_empty()).then(|| {
                format!(
                    "{name}: of the {} classes of {task}, {} {} no training image: {}",
                    about.classes,
                    empty.len(),
                    if empty.len() == 1 { "has" } else { "have" },
                    ranges(&empty)
                )
            })
        };
        self.tasks.iter().enumerate().filter_map(remark).collect()
    }

    /// What a part of the test images lacks: the classes that have training images and none among test images
    /// `numbers`, one sentence for each task. `part` names the part: "the 100 images attacked".
    pub fn lacks(&self, part: &str, numbers: &[usize]) -> Vec<String> {
        let sentence = |(task, about): (usize, &super::Task)| {
            let mut there = vec![false; about.classes];
            numbers.iter().for_each(|&i| there[self.test.labels[task][i] as usize] = true);
            let trained = self.train.counts(task, about.classes);
            let lacking: Vec<usize> = (0..about.classes).filter(|&c| trained[c] > 0 && !there[c]).collect();
            let (name, task, count) = (&self.name, &about.name, lacking.len());
            let classes = if count == 1 { "class" } else { "classes" };
            let which = ranges(&lacking);
            (count > 0).then(|| {
                format!(
                    "{name}: {part} have no image of {count} {classes} of {task} that are trained on: {which}"
                )
            })
        };
        self.tasks.iter().enumerate().filter_map(sentence).collect()
    }

    /// With its fingerprint.
    pub(super) fn sealed(self) -> Result<Self> {
        if !self.fingerprint.is_empty() {
            return Ok(self);
        }
        let digest = |split: &Split| Ok(sha256(&split.images.bytes()?));
        let (train, test) = rayon::join(|| digest(&self.train), || digest(&self.test));
        Ok(self.sealed_by([train?, test?]))
    }

    /// With its fingerprint, made from the digests of its splits' images. Those in colours are stored grey, and their
    /// shape says so.
    pub(super) fn sealed_by(mut self, digests: [Sum; 2]) -> Self {
        let mut hash = Sha256::new();
        for (split, digest) in [&self.train, &self.test].into_iter().zip(digests) {
            let shape = [split.images.count, split.images.channels, split.images.height, split.images.width];
            shape.iter().for_each(|&size| hash.update((size as u64).to_le_bytes()));
            hash.update(digest);
            for labels in &split.labels {
                labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
            }
        }
        self.fingerprint = hex(&hash.finalize());
        self
    }
}

impl Dataset {
    /// The first 16 digits of the fingerprint, which records have.
    pub fn short_fingerprint(&self) -> String {
        self.fingerprint.get(..16).unwrap_or_default().into()
    }
}

/// A SHA-256.
pub type Sum = [u8; 32];

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// The same as it is written.
pub fn hex_sha256(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ascending numbers in words, those in a row as one range.
fn ranges(numbers: &[usize]) -> String {
    let rows = numbers.chunk_by(|a, b| a + 1 == *b);
    let word = |row: &[usize]| match row {
        [only] => only.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    };
    rows.map(word).collect::<Vec<_>>().join(", ")
}
