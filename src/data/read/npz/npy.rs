//! The header of a numpy array: a mark, the version, a length and a Python dictionary in one line.

use std::io::Read;

const MARK: &[u8; 6] = b"\x93NUMPY";
/// A header has three short entries; no sound one is near this long.
const LONGEST: usize = 1 << 16;

/// The type of an element, with its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Unsigned(usize),
    Signed(usize),
    Float(usize),
}

impl Element {
    pub fn bytes(self) -> usize {
        match self {
            Element::Unsigned(bytes) | Element::Signed(bytes) | Element::Float(bytes) => bytes,
        }
    }

    /// As numpy calls it.
    pub fn words(self) -> String {
        let bits = 8 * self.bytes();
        match self {
            Element::Unsigned(_) => format!("uint{bits}"),
            Element::Signed(_) => format!("int{bits}"),
            Element::Float(_) => format!("float{bits}"),
        }
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub element: Element,
    big_endian: bool,
    pub shape: Vec<usize>,
    /// Bytes before the first element.
    pub header: u64,
}

impl Array {
    /// Bytes of all elements; none where that is more than can be.
    pub fn bytes(&self) -> Option<u64> {
        let mut sizes = self.shape.iter().map(|&size| size as u64).chain([self.element.bytes() as u64]);
        sizes.try_fold(1, u64::checked_mul)
    }

    /// An element's bits, the highest byte first.
    fn bits(&self, raw: &[u8]) -> u64 {
        let byte = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        if self.big_endian { raw.iter().fold(0, byte) } else { raw.iter().rev().fold(0, byte) }
    }

    /// An integer; what is beyond `i64` is as large as that goes.
    pub fn integer(&self, raw: &[u8]) -> i64 {
        let bits = self.bits(raw);
        match self.element {
            Element::Signed(bytes) => (bits << (64 - 8 * bytes)) as i64 >> (64 - 8 * bytes),
            _ => i64::try_from(bits).unwrap_or(i64::MAX),
        }
    }

    /// A float of 4 or 8 bytes.
    pub fn float(&self, raw: &[u8]) -> f64 {
        match raw.len() {
            4 => f64::from(f32::from_bits(self.bits(raw) as u32)),
            _ => f64::from_bits(self.bits(raw)),
        }
    }
}

/// Reads a header. What is wrong is to be put after the array's name and "that".
pub fn read_header(reader: &mut impl Read) -> Result<Array, String> {
    let cut = |error: std::io::Error| format!("is damaged or cut short ({error}); save it again");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(MARK) {
        return Err("is not an array of numpy".into());
    }
    let wide = match start[6] {
        1 => false,
        2 | 3 => true,
        version => return Err(format!("has version {version} of numpy's format; 1 to 3 are read")),
    };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..if wide { 4 } else { 2 }]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(format!("is damaged: its header promises {length} bytes of header"));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8(text).map_err(|_| "is damaged: its header is no text")?;
    let header = 8 + if wide { 4 } else { 2 } + length as u64;
    parse(&text, header)
}

fn parse(text: &str, header: u64) -> Result<Array, String> {
    let damaged = || format!("is damaged: its header reads {:?}", text.chars().take(80).collect::<String>());
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}'"))?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr").ok_or_else(damaged)?;
    if descr.starts_with('[') {
        return Err("has named fields; save plain numbers".into());
    }
    let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).ok_or_else(damaged)?.0;
    let kind = descr.get(1..2).ok_or_else(damaged)?;
    let bytes = descr.get(2..).and_then(|bytes| bytes.parse::<usize>().ok());
    let element = match (kind, bytes) {
        ("u" | "b", Some(bytes @ (1 | 2 | 4 | 8))) => Element::Unsigned(bytes),
        ("i", Some(bytes @ (1 | 2 | 4 | 8))) => Element::Signed(bytes),
        ("f", Some(bytes @ (2 | 4 | 8))) => Element::Float(bytes),
        ("O", _) => {
            return Err(
                "holds Python objects (a pickle), which are never read; save numbers: numpy.asarray(x, dtype)"
                    .into(),
            );
        }
        _ => return Err(format!("has elements of type {descr:?}; save bytes or integers")),
    };
    if !value("fortran_order").ok_or_else(damaged)?.starts_with("False") {
        return Err("is in Fortran's order; save numpy.ascontiguousarray(x)".into());
    }
    let shape =
        value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(damaged)?.0;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse::<usize>()).collect::<Result<_, _>>().map_err(|_| damaged())?;
    Ok(Array { element, big_endian: descr.starts_with('>'), shape, header })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_refused_in_words() {
        let read = |descr: &str, order: &str, shape: &str| {
            parse(&format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}  \n"), 128)
        };
        let array = read("|u1", "False", "(60000, 28, 28)").unwrap();
        assert_eq!((array.element, array.bytes()), (Element::Unsigned(1), Some(60_000 * 784)));
        assert_eq!(read("<i8", "False", "(7,)").unwrap().shape, [7]);
        assert_eq!(read("<i2", "False", "(1,)").unwrap().integer(&[0xff, 0xff]), -1);
        assert_eq!(read(">i2", "False", "(1,)").unwrap().integer(&[1, 2]), 258);
        assert_eq!(read("<u8", "False", "(1,)").unwrap().integer(&[0xff; 8]), i64::MAX);
        assert_eq!(read("<f4", "False", "(1,)").unwrap().float(&0.25_f32.to_le_bytes()), 0.25);
        let huge = read("<f8", "False", "(18446744073709551615, 4)").unwrap();
        assert_eq!(huge.bytes(), None);
        assert!(read("|O", "False", "(3,)").unwrap_err().contains("pickle"));
        assert!(read("|u1", "True", "(3, 2)").unwrap_err().contains("Fortran"));
        assert!(read("<c8", "False", "(3,)").unwrap_err().contains("<c8"));
        assert!(parse("{}", 10).unwrap_err().contains("damaged"));
        assert!(parse("{'descr': '<', 'fortran_order'", 10).unwrap_err().contains("damaged"));
    }
}
