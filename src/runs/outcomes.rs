//! What came of each attacked image, in a run's folder `outcomes/`: an `.npz` with one row an image.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use crate::data::read::npz::npy::{self as header, Array, Element};
use crate::error::{Error, Result};
use crate::method::robustness::Outcome;
use crate::runs::numpy::{npy, npz};

/// The file with the outcomes of an attack on the probe of `task`, the `number`-th evaluation of the run: `label` (u4),
/// `clean` (bool), `broken_at` (f4, NaN where no attack succeeded), `attack` (the name of the one that did first),
/// `restart` and `iteration` (i4, its restart and the steps to the point, from 0; -1 where none did) and, where there
/// are certificates, `certified` (f4, the radius in which the answer stays right, NaN where there is none).
/// Returns the path relative to the run, and the content.
///
/// # Errors
/// [`Error::Run`](crate::Error::Run) where the archive cannot be made.
pub fn file(
    task: &str,
    number: usize,
    outcomes: &[Outcome],
    certified: &[Option<f32>],
) -> Result<(String, Vec<u8>)> {
    Ok((format!("{FOLDER}/{task}-{number}.npz"), bytes(outcomes, certified)?))
}

/// For each image of a file of outcomes the radius from which on it is wrong: 0 where it is so without an attack,
/// infinity where it stands.
///
/// # Errors
/// [`Error::Request`] naming a file that is no file of outcomes.
pub fn broken_from(path: &Path) -> Result<Vec<f32>> {
    let content = std::fs::read(path).map_err(Error::io(path))?;
    let refused = |what: String| {
        let hint = "it was changed since the attack: attack again";
        Error::request(format!("{}: {what}", path.display())).with_hint(hint)
    };
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(|error| refused(error.to_string()))?;
    let mut array = |name: &str, element: Element| -> Result<(Array, Vec<u8>)> {
        let mut entry =
            archive.by_name(&format!("{name}.npy")).map_err(|error| refused(error.to_string()))?;
        let array = header::read_header(&mut entry).map_err(|what| refused(format!("{name} {what}")))?;
        let mut values = Vec::new();
        entry.read_to_end(&mut values).map_err(|error| refused(error.to_string()))?;
        let whole = array.bytes() == Some(values.len() as u64) && array.element == element;
        if whole { Ok((array, values)) } else { Err(refused(format!("{name} is no array of outcomes"))) }
    };
    let (_, clean) = array("clean", Element::Unsigned(1))?;
    let (floats, broken) = array("broken_at", Element::Float(4))?;
    if broken.len() != 4 * clean.len() {
        return Err(refused("its arrays differ in length".into()));
    }
    let from = |(clean, broken): (&u8, &[u8])| match (*clean != 0, floats.float(broken) as f32) {
        (false, _) => 0.0,
        (true, broken) if broken.is_nan() => f32::INFINITY,
        (true, broken) => broken,
    };
    Ok(clean.iter().zip(broken.chunks_exact(4)).map(from).collect())
}

/// The folder in a run.
pub const FOLDER: &str = "outcomes";

/// Whether a record's file of this name is one of outcomes. The record may be anyone's, so no name leads elsewhere.
pub fn is_name(name: &str) -> bool {
    let file = name.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
    file.is_some_and(|file| file.ends_with(".npz") && !file.contains(['/', '\\']))
}

fn bytes(outcomes: &[Outcome], certified: &[Option<f32>]) -> Result<Vec<u8>> {
    let shape = [outcomes.len()];
    let labels: Vec<u8> = outcomes.iter().flat_map(|o| o.label.to_le_bytes()).collect();
    let clean: Vec<u8> = outcomes.iter().map(|o| u8::from(o.clean)).collect();
    let radius = |o: &Outcome| o.broken.map_or(f32::NAN, |broken| broken.radius);
    let broken: Vec<u8> = outcomes.iter().flat_map(|o| radius(o).to_le_bytes()).collect();
    // Restarts and steps are far fewer than 2^31.
    let restart = |o: &Outcome| o.broken.map_or(-1, |broken| broken.restart as i32);
    let restarts: Vec<u8> = outcomes.iter().flat_map(|o| restart(o).to_le_bytes()).collect();
    let iteration = |o: &Outcome| o.broken.map_or(-1, |broken| broken.iteration as i32);
    let iterations: Vec<u8> = outcomes.iter().flat_map(|o| iteration(o).to_le_bytes()).collect();
    // NumPy's texts have four bytes a letter.
    let name = |o: &Outcome| o.broken.map_or("", |broken| broken.method.name());
    let longest = outcomes.iter().map(|o| name(o).len()).max().unwrap_or(0).max(1);
    let attack = |o: &Outcome| {
        let letters = name(o).chars().map(u32::from).chain(std::iter::repeat(0)).take(longest);
        letters.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
    };
    let attacks: Vec<u8> = outcomes.iter().flat_map(attack).collect();
    let certified: Vec<u8> = certified.iter().flat_map(|r| r.unwrap_or(f32::NAN).to_le_bytes()).collect();
    let mut arrays = vec![
        ("label", npy("<u4", &shape, &labels)),
        ("clean", npy("|b1", &shape, &clean)),
        ("broken_at", npy("<f4", &shape, &broken)),
        ("attack", npy(&format!("<U{longest}"), &shape, &attacks)),
        ("restart", npy("<i4", &shape, &restarts)),
        ("iteration", npy("<i4", &shape, &iterations)),
    ];
    if !certified.is_empty() {
        arrays.push(("certified", npy("<f4", &shape, &certified)));
    }
    npz(&arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::robustness::{Broken, Method};

    #[test]
    fn outcomes_are_read_back_and_others_refused() {
        let outcome = |label, clean, broken| Outcome { label, clean, broken };
        let broken = Some(Broken { radius: 0.1, method: Method::Margin, restart: 2, iteration: 7 });
        let outcomes = [outcome(7, true, broken), outcome(2, false, None), outcome(1, true, None)];
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("label-1.npz");
        let made = bytes(&outcomes, &[]).unwrap();
        std::fs::write(&path, &made).unwrap();
        assert_eq!(broken_from(&path).unwrap(), [0.1, 0.0, f32::INFINITY]);
        for content in
            [&made[..made.len() / 2], b"PK", &npz(&[("clean", npy("<f4", &[1], &[0; 4]))]).unwrap()]
        {
            std::fs::write(&path, content).unwrap();
            let error = broken_from(&path).unwrap_err().to_string();
            assert!(error.contains("label-1.npz"), "{error}");
        }
    }

    #[test]
    fn only_files_of_the_folder_are_outcomes() {
        assert!(is_name("outcomes/digit-1.npz"));
        for name in
            ["outcomes/../../mine.npz", "outcomes/..\\mine.npz", "mine.npz", "outcomes.npz", "outcomes/a.txt"]
        {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_archive_has_a_row_an_image() {
        let outcome = |label, clean, broken| Outcome { label, clean, broken };
        let broken = Some(Broken { radius: 0.1, method: Method::Margin, restart: 2, iteration: 7 });
        let outcomes = [outcome(7, true, broken), outcome(2, false, None), outcome(1, true, None)];
        let certified = [Some(0.05), None, None];
        let made = bytes(&outcomes, &certified).unwrap();
        assert_eq!(made, bytes(&outcomes, &certified).unwrap(), "the same outcomes give the same bytes");
        let mut archive = zip::ZipArchive::new(Cursor::new(made)).unwrap();
        let mut data = |name: &str, len: usize| {
            let mut array = Vec::new();
            archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut array).unwrap();
            assert!(array.starts_with(b"\x93NUMPY"));
            array[array.len() - len..].to_vec()
        };
        assert_eq!(data("clean", 3), [1, 0, 1]);
        assert_eq!(data("label", 12), [7, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
        let broken = data("broken_at", 12);
        let broken: Vec<f32> = broken.chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
        assert!(broken[0] == 0.1 && broken[1].is_nan() && broken[2].is_nan());
        assert_eq!(data("certified", 12)[..4], 0.05_f32.to_le_bytes());
        assert_eq!(data("attack", 3 * 4 * 6)[..12], *b"m\0\0\0a\0\0\0r\0\0\0");
        assert_eq!(data("restart", 12), [2, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(data("iteration", 12), [7, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    }
}
