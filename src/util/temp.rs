//! Directories and files of a test, which are gone when it is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A fresh directory below the system's temporary one; removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("toggle-operator-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a temporary directory can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A directory in it, made if it is not there.
    #[allow(dead_code, reason = "the integration tests have some")]
    pub fn sub(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file in a directory of its own.
pub struct TempFile {
    path: PathBuf,
    _directory: TempDir,
}

impl TempFile {
    pub fn new(content: impl AsRef<[u8]>) -> Self {
        let directory = TempDir::new();
        let path = directory.path().join("file");
        fs::write(&path, content).expect("a temporary file can be written");
        Self {
            path,
            _directory: directory,
        }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("it is UTF-8")
    }
}
