//! Small files with secrets in them, read so that no copy stays behind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

/// All of a file, wiped from memory when it is dropped.
#[derive(Debug)]
pub struct BoundedFile {
    /// Its content.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The bits of its mode, as `chmod` takes them.
    pub mode: u32,
}

/// The reason why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FileError {
    /// It is not there, may not be read, or is no file.
    #[error("{0}")]
    Unreadable(io::ErrorKind),
    /// It is larger than this limit, in bytes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
}

impl FileError {
    /// The rest of a sentence that begins with the file.
    pub fn problem(self) -> String {
        match self {
            Self::Unreadable(kind) => format!("cannot be read ({kind})"),
            Self::TooLarge(limit) => format!("is larger than {limit} bytes"),
        }
    }
}

impl BoundedFile {
    /// Reads a file of at most `limit` bytes. A pipe is refused: to open one would
    /// wait for somebody to write to it.
    ///
    /// # Errors
    /// It cannot be read, or is larger.
    pub fn read(path: &Path, limit: usize) -> Result<Self, FileError> {
        let unreadable = |error: io::Error| FileError::Unreadable(error.kind());
        let kind = fs::metadata(path).map_err(unreadable)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(FileError::Unreadable(io::ErrorKind::InvalidInput));
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        // The room is made once, since a buffer that grows leaves copies behind: one
        // byte more than the limit is read, and another shows where the file ends.
        let size = usize::try_from(metadata.len()).unwrap_or(limit);
        let mut bytes = Zeroizing::new(Vec::with_capacity(size.min(limit) + 2));
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() > limit {
            return Err(FileError::TooLarge(limit));
        }
        Ok(Self {
            bytes,
            mode: metadata.permissions().mode() & 0o7777,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let path = std::env::temp_dir().join(format!("toggle-bounded-{}", std::process::id()));
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let read = BoundedFile::read(&path, 5).unwrap();
        assert_eq!((read.bytes.as_slice(), read.mode), (&b"12345"[..], 0o640));
        let larger = BoundedFile::read(&path, 4).unwrap_err();
        assert_eq!(larger, FileError::TooLarge(4));
        fs::remove_file(&path).unwrap();
        for (path, kind) in [
            (path.as_path(), io::ErrorKind::NotFound),
            (Path::new("/"), io::ErrorKind::IsADirectory),
            (Path::new("/dev/zero"), io::ErrorKind::InvalidInput),
        ] {
            let error = BoundedFile::read(path, 5).unwrap_err();
            assert_eq!(error, FileError::Unreadable(kind));
        }
    }
}
