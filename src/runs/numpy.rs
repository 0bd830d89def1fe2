//! NumPy's files: arrays (`.npy`) and archives of them (`.npz`).

use std::io::{Cursor, Write};

use crate::error::{Error, Result};

/// An array as a NumPy file of version 1.0, row by row. `descr` is its element type, such as `<f4`.
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    /// Magic number and version.
    const START: &[u8] = b"\x93NUMPY\x01\x00";
    /// The format asks for data at a multiple of this, so that a file can be mapped.
    const ALIGNMENT: usize = 64;
    let before_header = START.len() + 2;
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // A tuple of one has a comma, one of more has none at its end.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    // With the line's end, the header closes at the alignment.
    let end = (before_header + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', end - before_header - header.len() - 1));
    header.push('\n');
    let mut bytes = START.to_vec();
    // A few sides and letters: the length always fits 16 bits.
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

/// An archive of arrays by their names. The same arrays give the same bytes.
///
/// # Errors
/// [`Error::Run`] where the archive cannot be made.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let failed =
        |error: &dyn std::fmt::Display| Error::run(format!("the archive of arrays cannot be made: {error}"));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let options = options.last_modified_time(zip::DateTime::default());
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), options).map_err(|error| failed(&error))?;
        archive.write_all(array).map_err(|error| failed(&error))?;
    }
    archive.finish().map(Cursor::into_inner).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_numpys() {
        let header = |shape: &[usize]| {
            let bytes = npy("<f4", shape, &[]);
            assert_eq!(bytes.len() % 64, 0);
            String::from_utf8(bytes[10..].to_vec()).unwrap().trim_end().to_string()
        };
        assert_eq!(header(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(header(&[3, 4]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
    }
}
