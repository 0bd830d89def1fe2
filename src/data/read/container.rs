//! A file's bytes, unpacked where it is a gzip archive, or the word for what it is instead of data.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use crate::{Error, Result, memory};

/// No archive that deflate makes unpacks to more than this many times its size.
pub const MOST_UNPACKED: u64 = 1032;
/// Beyond this many bytes, what is packed is unpacked once for its length and checksum before any of it is kept.
pub const MEASURED: u64 = 256 << 20;

/// Where bytes come from: a file, or the program itself under a file's name.
#[derive(Clone, Debug)]
pub struct Input {
    pub path: PathBuf,
    pub bytes: Option<Cow<'static, [u8]>>,
}

impl Input {
    pub fn file(path: impl Into<PathBuf>) -> Input {
        Input { path: path.into(), bytes: None }
    }
}

/// An opened input.
pub struct Opened<'a> {
    pub reader: Box<dyn BufRead + 'a>,
    /// The file's own size.
    size: u64,
    packed: bool,
}

/// What mends a file that came broken.
pub const FETCH: &str = "fetch it again";

/// One sentence about a file that cannot be used.
pub fn refuse(path: &Path, what: &str) -> Error {
    Error::file(path, what)
}

/// A failed read as a sentence: an archive that ends early or does not decode is named as such.
pub fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => refuse(path, "is missing"),
        ErrorKind::UnexpectedEof => refuse(path, "is truncated: it ends early").with_hint(FETCH),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            refuse(path, &format!("is damaged ({error})")).with_hint(FETCH)
        }
        _ => match error.get_ref() {
            Some(own) if own.is::<Trailing>() => refuse(path, &own.to_string()),
            // Its text, since the cause cannot be taken from a reference.
            _ => refuse(path, &format!("cannot be read: {error}")),
        },
    }
}

/// Opens a file and unpacks it on the way if it starts as a gzip archive does.
///
/// # Errors
/// [`Error::Request`] naming the file: unreadable, or a container or a page of another kind.
pub fn open(input: &Input) -> Result<Opened<'_>> {
    let path = &input.path;
    let failed = |error: io::Error| unreadable(path, &error);
    let (size, mut plain): (u64, Box<dyn BufRead + '_>) = match &input.bytes {
        Some(bytes) => (bytes.len() as u64, Box::new(Cursor::new(&bytes[..]))),
        None => {
            let file = File::open(path).map_err(failed)?;
            (file.metadata().map_err(failed)?.len(), Box::new(BufReader::new(file)))
        }
    };
    let start = plain.fill_buf().map_err(failed)?;
    if let Some(what) = other_kind(start) {
        return Err(refuse(path, what));
    }
    if !start.starts_with(&GZIP) {
        return Ok(Opened { reader: plain, size, packed: false });
    }
    let mut reader = Box::new(BufReader::new(Members(Some(GzDecoder::new(plain)))));
    let start = reader.fill_buf().map_err(failed)?;
    if start.starts_with(&GZIP) {
        return Err(refuse(path, "is packed with gzip twice: unpack it once (gunzip), then read it again"));
    }
    if let Some(what) = other_kind(start) {
        return Err(refuse(path, &format!("{what} (inside gzip)")));
    }
    Ok(Opened { reader, size, packed: true })
}

impl Opened<'_> {
    /// Refuses a header whose promise of `body` bytes after a `header` a file of this size does not keep, before any
    /// memory is taken for it.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file.
    pub fn check_promise(&self, path: &Path, header: u64, body: u64) -> Result<()> {
        if !self.packed {
            return compare(path, self.size.saturating_sub(header), body);
        }
        if body > self.size.saturating_mul(MOST_UNPACKED) {
            let there = format!("its archive of {} bytes cannot hold so many", self.size);
            return Err(short(path, body, &there));
        }
        Ok(())
    }

    /// The same by what is really there: where that is packed and large, it is unpacked once for its length and its
    /// checksum alone.
    ///
    /// # Errors
    /// [`Error::Request`] naming the file.
    pub fn measure(&self, input: &Input, header: u64, body: u64) -> Result<()> {
        if self.packed && body > MEASURED {
            let content = open(input)?.reader.take(header.saturating_add(body).saturating_add(1));
            let copied = io::copy(&mut { content }, &mut io::sink());
            let found = copied.map_err(|error| unreadable(&input.path, &error))?;
            return compare(&input.path, found.saturating_sub(header), body);
        }
        Ok(())
    }
}

fn short(path: &Path, expected: u64, there: &str) -> Error {
    let what = format!("is truncated: its header promises {expected} bytes of data, {there}");
    refuse(path, &what).with_hint(FETCH)
}

fn compare(path: &Path, found: u64, expected: u64) -> Result<()> {
    match found.cmp(&expected) {
        Ordering::Less => Err(short(path, expected, &format!("{found} are there"))),
        Ordering::Equal => Ok(()),
        Ordering::Greater => {
            let what = format!("has trailing bytes after the {expected} its header promises");
            Err(refuse(path, &what).with_hint(FETCH))
        }
    }
}

/// Reads exactly `expected` bytes up to the file's end; the promise was checked. Reading on to the end also makes the
/// decoder compare the archive's checksum.
pub fn read_body(reader: &mut dyn BufRead, path: &Path, expected: u64) -> Result<Vec<u8>> {
    let failed = |error: io::Error| unreadable(path, &error);
    let mut bytes = reserved(usize::try_from(expected).unwrap_or(usize::MAX))?;
    reader.take(expected).read_to_end(&mut bytes).map_err(failed)?;
    let more = reader.read(&mut [0]).map_err(failed)?;
    compare(path, (bytes.len() + more) as u64, expected)?;
    Ok(bytes)
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a file is by its first bytes, where it is no data and no gzip archive.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(match start {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => {
            "is a zip archive (or an .npz of numpy): unpack it, or name an .npz file itself"
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "is an xz archive: unpack it first (unxz)",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "is a bzip2 archive: unpack it first (bunzip2)",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "is a zstd archive: unpack it first (unzstd)",
        [b'7', b'z', 0xbc, 0xaf, ..] => "is a 7z archive: unpack it first",
        [b'R', b'a', b'r', b'!', ..] => "is a rar archive: unpack it first",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            "is an array of numpy (.npy): save x_train, y_train, x_test and y_test together with numpy.savez"
        }
        _ if start.get(257..262) == Some(b"ustar") => "is a tar archive: unpack it first (tar -xf)",
        _ if text.starts_with(b"version https://git-lfs") => {
            "is a pointer of Git LFS, not the data: fetch them with git lfs pull"
        }
        _ if text.starts_with(b"<") => "is a web page (it starts with '<'), not data: fetch the file again",
        _ => return None,
    })
}

/// What follows an archive and is neither another one nor padding.
#[derive(Debug, thiserror::Error)]
#[error("has trailing bytes after the archive's end; fetch it again, or cut them off")]
struct Trailing;

/// The members of a gzip file one after the other. Zeros after the last are padding, as gunzip and Python have it.
struct Members<R: BufRead>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(decoder) = self.0.take() else { break };
            let mut rest = decoder.into_inner();
            loop {
                let next = rest.fill_buf()?;
                match next.iter().position(|&byte| byte != 0) {
                    None if next.is_empty() => return Ok(0),
                    None => {
                        let zeros = next.len();
                        rest.consume(zeros);
                    }
                    Some(at) if next[at] == GZIP[0] => {
                        rest.consume(at);
                        self.0 = Some(GzDecoder::new(rest));
                        break;
                    }
                    Some(_) => return Err(io::Error::other(Trailing)),
                }
            }
        }
        Ok(0)
    }
}

/// An empty vector with room for `bytes` of images.
///
/// # Errors
/// [`Error::TooLarge`] where there is no memory for them.
pub fn reserved(bytes: usize) -> Result<Vec<u8>> {
    memory::reserved("a set of images", bytes).map_err(|error| {
        error.with_hint("give a smaller set with `data-dir`, or smaller images with `resize`")
    })
}

/// A whole file in memory, where it is no larger than `most` bytes.
///
/// # Errors
/// [`Error::Request`] naming the file.
pub fn read_small(path: &Path, most: u64) -> Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| unreadable(path, &error))?;
    match bytes.len() as u64 > most {
        true => Err(refuse(path, &format!("is larger than {most} bytes")).with_hint(FETCH)),
        false => Ok(bytes),
    }
}
