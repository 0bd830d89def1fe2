//! Tables as files.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::write_whole;

/// Writes a table with named columns as CSV, whole or not at all. Cells are quoted where they need it.
///
/// # Errors
/// [`Error::Io`] naming the file; [`Error::Run`] for a row that has not a cell for each column.
pub fn write_csv(path: &Path, columns: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut write = || -> csv::Result<()> {
        table.write_record(columns)?;
        rows.iter().try_for_each(|row| table.write_record(row))
    };
    let failed = || Error::run(format!("{} cannot be made", path.display()));
    write().map_err(|error| failed().because(error))?;
    write_whole(path, &table.into_inner().map_err(|error| failed().because(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_table_reads_back_as_it_was() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("table.csv");
        let rows =
            [["SE, eps 0.1", "\"quoted\"\nlines"], ["", " a b "]].map(|row| row.map(String::from).to_vec());
        write_csv(&path, &["series", "x,y"], &rows).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("series,\"x,y\"\n\"SE, eps 0.1\","), "{text}");
        let mut reader = csv::Reader::from_path(&path).unwrap();
        assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["series", "x,y"]));
        let read: Vec<Vec<String>> = reader.deserialize().map(|row| row.unwrap()).collect();
        assert_eq!(read, rows);
        assert!(write_csv(&path, &["one"], &rows).unwrap_err().to_string().contains("table.csv"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
