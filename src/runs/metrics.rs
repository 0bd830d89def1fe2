//! `metrics.jsonl`: one JSON object a logging step, appended, so that a run can be watched while it trains.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::files::{disk, write_whole};
use crate::{Error, Result};

/// The open file. Each line reaches the file in one write, so a reader never meets half of one while the run lives.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Opens the file for appending, or makes it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(path: &Path) -> Result<Metrics> {
        let file = disk::append(path).map_err(Error::io(path))?;
        Ok(Metrics { file, path: path.to_path_buf() })
    }

    /// Writes one object, which should have a `step`, as a line.
    ///
    /// # Errors
    /// [`Error::Io`], as for a full disk.
    pub fn write(&mut self, line: &Map<String, Value>) -> Result<()> {
        let mut text = serde_json::to_string(line)
            .map_err(|error| Error::run("the metrics cannot be written").because(error))?;
        text.push('\n');
        disk::write(&self.file, text.as_bytes()).map_err(Error::io(&self.path))
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn sync(&self) -> Result<()> {
        disk::sync(&self.file).map_err(Error::io(&self.path))
    }
}

/// Drops the lines of steps later than `step`, and a last line that a killed run left unfinished, so that a resumed
/// run writes them anew. A file that is not there is left so; nothing is written where nothing is dropped.
///
/// # Errors
/// [`Error::Request`] naming the line where another is no object with a `step`.
pub fn truncate_after(path: &Path, step: u64) -> Result<()> {
    match lines_until(path, step)? {
        Some((text, kept)) if kept != text => write_whole(path, &kept),
        _ => Ok(()),
    }
}

/// The objects of the file, in order; none where it is not there. An unfinished last line is left out.
///
/// # Errors
/// As [`truncate_after`].
pub fn read(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let Some((_, lines)) = lines_until(path, u64::MAX)? else { return Ok(Vec::new()) };
    Ok(lines.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Checks what [`truncate_after`] would.
///
/// # Errors
/// As [`truncate_after`].
pub fn check(path: &Path) -> Result<()> {
    lines_until(path, 0).map(|_| ())
}

/// The file's text, if there is one, and its whole lines of steps up to `step`.
fn lines_until(path: &Path, step: u64) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read(path).map_err(Error::io(path))?;
    let kept = whole_lines(path, &text, step)?;
    Ok(Some((text, kept)))
}

/// The whole lines of the file's text of steps up to `step`.
pub(crate) fn whole_lines(path: &Path, text: &[u8], step: u64) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(text.len());
    for (at, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        let value: Option<Value> = serde_json::from_slice(line).ok();
        match value.as_ref().and_then(|value| value.get("step")).and_then(Value::as_u64) {
            Some(found) if found > step => {}
            Some(_) => kept.extend_from_slice(line),
            None => {
                let what = format!("{}, line {}: not an object with a step", path.display(), at + 1);
                return Err(Error::request(what).with_hint("mend or remove the file to resume"));
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("step".into(), step.into());
        map.insert("loss".into(), 0.5.into());
        map
    }

    #[test]
    fn appends_and_drops_later_steps() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("metrics.jsonl");
        truncate_after(&path, 3).unwrap();
        assert!(!path.exists());
        let mut metrics = Metrics::append(&path).unwrap();
        for step in [1, 2, 3] {
            metrics.write(&line(step)).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().next(), Some(r#"{"step":1,"loss":0.5}"#));
        truncate_after(&path, 2).unwrap();
        Metrics::append(&path).unwrap().write(&line(5)).unwrap();
        let steps = |path: &Path| -> Vec<u64> {
            let text = fs::read_to_string(path).unwrap();
            text.lines()
                .map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap())
                .collect()
        };
        assert_eq!(steps(&path), [1, 2, 5]);
        let read: Vec<_> = read(&path).unwrap().iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(read, [1, 2, 5]);
        // What a kill left of a line goes too, whatever its step.
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str(r#"{"step":1"#);
        fs::write(&path, &text).unwrap();
        truncate_after(&path, 9).unwrap();
        assert_eq!(steps(&path), [1, 2, 5]);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\nhello\n").unwrap();
        let error = truncate_after(&path, 9).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(error.is_request());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\nhello\n");
    }
}
