//! Tables as files.

use crate::error::{Error, Result};

/// The file `name` of a table with named columns, as CSV. Cells are quoted where they need it.
///
/// # Errors
/// [`Error::Run`] naming the file, for a row that has not a cell for each column.
pub fn csv_file(name: &str, columns: &[&str], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut write = || -> csv::Result<()> {
        table.write_record(columns)?;
        rows.iter().try_for_each(|row| table.write_record(row))
    };
    let failed = || Error::run(format!("{name} cannot be made"));
    write().map_err(|error| failed().because(error))?;
    table.into_inner().map_err(|error| failed().because(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_read_back() {
        let rows = vec![vec!["SE, eps 0.1".to_string(), "1".into()], vec!["say \"x\"".into(), "2\n3".into()]];
        let file = csv_file("table.csv", &["series", "x,y"], &rows).unwrap();
        assert!(file.starts_with(b"series,\"x,y\"\n\"SE, eps 0.1\","), "{}", String::from_utf8_lossy(&file));
        let mut reader = csv::Reader::from_reader(&file[..]);
        assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["series", "x,y"]));
        let read: Vec<Vec<String>> = reader.deserialize().map(|row| row.unwrap()).collect();
        assert_eq!(read, rows);
        assert!(csv_file("table.csv", &["one"], &rows).unwrap_err().to_string().contains("table.csv"));
    }
}
