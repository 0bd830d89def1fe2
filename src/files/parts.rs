//! A file of which parts are read when they are needed.
//!
//! It is read and not mapped: where a mapped file is cut short, whoever looks at the lost part is killed.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// An open file that threads may read at once.
#[derive(Debug)]
pub struct Parts {
    file: File,
    path: PathBuf,
}

impl Parts {
    /// Of an open file, which `path` named.
    pub fn of(file: File, path: &Path) -> Parts {
        Parts { file, path: path.to_path_buf() }
    }

    /// The name that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length now.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills `bytes` with what stands at `offset`.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::UnexpectedEof`] where the file ends before.
    pub fn read(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match read_at(&self.file, bytes, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes = &mut bytes[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same of a file that was found whole when it was opened.
    ///
    /// # Errors
    /// [`Error::Run`] where it was cut short since then; [`Error::Io`].
    pub fn take(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                Error::run(format!("{} was cut short while it was in use", self.path.display()))
                    .with_hint("the next command that needs it makes it again")
            }
            _ => Error::io(&self.path)(error),
        })?;
        Ok(bytes)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_a_cut_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, (0..100).collect::<Vec<u8>>()).unwrap();
        let parts = Parts::of(File::open(&path).unwrap(), &path);
        assert_eq!(parts.take(98, 2).unwrap(), [98, 99]);
        File::options().write(true).open(&path).unwrap().set_len(50).unwrap();
        assert_eq!(parts.take(48, 2).unwrap(), [48, 49]);
        let told = parts.take(49, 2).unwrap_err();
        assert!(!told.is_request() && told.to_string().contains("file was cut short while"), "{told}");
    }
}
