//! Directories and files of a test, which are gone when it is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The place of files that live in memory: the tests commit some ten thousand times, and none of them
/// pulls the plug.
const IN_MEMORY: &str = "/dev/shm";

/// The least size of it that does, in KiB. That of a container can be 64 MiB.
const LEAST_KIB: u64 = 1024 * 1024;

/// The place of the files of tests: in memory where there is room, and where `TMPDIR` says
/// nothing else. What is measured with a release binary (`BOT_BINARY`) is on a disk: there
/// a commit has its price, and a file is no part of the bot's memory.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let has_room = mounts.lines().any(|mount| {
        let mut columns = mount.split(' ').skip(1);
        let (place, kind) = (columns.next(), columns.next());
        let options = columns.next().unwrap_or_default();
        // Without a size it is half of the machine's memory.
        let size = options
            .split(',')
            .find_map(|option| option.strip_prefix("size="));
        let size = size.map(|size| size.trim_end_matches('k').parse().unwrap_or(0));
        let is_large = size.is_none_or(|kib: u64| kib >= LEAST_KIB);
        place == Some(IN_MEMORY) && kind == Some("tmpfs") && is_large
    });
    let is_asked_for = ["TMPDIR", "BOT_BINARY"].map(|name| std::env::var_os(name).is_some());
    match has_room && !is_asked_for.contains(&true) {
        true => PathBuf::from(IN_MEMORY),
        false => std::env::temp_dir(),
    }
});

/// A fresh directory; removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("toggle-operator-test-{}-{number}", std::process::id());
        let path = PLACE.join(name);
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
