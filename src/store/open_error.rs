//! Why a store cannot be opened, and what whoever runs the bot can do about it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    database::{CURE, is_about_rights, is_about_the_volume},
    schema,
};

/// Why the store cannot be used. Each says what to change.
#[derive(Debug)]
pub enum OpenError {
    /// There is no directory, and none can be made.
    NoDirectory(PathBuf, io::Error),
    /// A file in it cannot be made or written.
    NotWritable(PathBuf, io::Error),
    /// Another process has it.
    InUse(PathBuf),
    /// It was written by a later version of this program.
    TooNew {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// There is none.
    Missing(PathBuf, io::Error),
    /// It was written by an earlier version, and not by this one since.
    TooOld(PathBuf),
    /// SQLite refuses it.
    Database(PathBuf, rusqlite::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(path, error) => write!(
                f,
                "CRYPTO_STORE_PATH: there is no directory {}, and none can be made: {error}; \
                 mount a volume there that {} may write to",
                path.display(),
                own_user()
            ),
            Self::NotWritable(path, error) => not_writable(f, path, error),
            Self::InUse(path) => write!(
                f,
                "another process is using the store in {}: stop it first, or wait until the old \
                 pod is gone, as the strategy Recreate does (two processes on one store would \
                 break its encryption)",
                path.display()
            ),
            Self::TooNew { path, found } => write!(
                f,
                "the store in {} has format {found}, this version knows up to {}: run the newer \
                 version again",
                path.display(),
                schema::VERSION
            ),
            Self::Missing(path, error) => write!(
                f,
                "there is no store in {}: {error}; set CRYPTO_STORE_PATH to the bot's, and start \
                 the bot once before",
                path.display()
            ),
            Self::TooOld(path) => write!(
                f,
                "the store in {} has an older format: start the bot with this version first",
                path.display()
            ),
            Self::Database(path, error) if is_about_the_volume(error) => write!(
                f,
                "the store in {} cannot be written: {error}; {CURE}",
                path.display()
            ),
            Self::Database(path, error) if is_about_rights(error) => write!(
                f,
                "the store in {} cannot be opened: {error}; give all files there to {}, by \
                 fsGroup or by chown -R on the node",
                path.display(),
                own_user()
            ),
            Self::Database(path, error) => write!(
                f,
                "the store in {} cannot be opened: {error}; restore it from a copy, or move it \
                 away to start as a new device",
                path.display()
            ),
        }
    }
}

/// A read-only volume, one of another user and a full one have different cures.
fn not_writable(f: &mut fmt::Formatter<'_>, path: &Path, error: &io::Error) -> fmt::Result {
    write!(
        f,
        "CRYPTO_STORE_PATH: cannot write to {}: {error}; ",
        path.display()
    )?;
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            write!(
                f,
                "the volume is mounted read-only: mount it without readOnly"
            )
        }
        io::ErrorKind::PermissionDenied => {
            if let Some((denied, owner)) = owner(path) {
                write!(f, "{} belongs to {owner}: ", denied.display())?;
            }
            write!(
                f,
                "give the volume to {}, by fsGroup or by chown -R on the node",
                own_user()
            )
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => f.write_str(CURE),
        _ => write!(f, "mount a volume there that {} may write to", own_user()),
    }
}

/// Whose the file is, or else its directory, and what others may do with it.
fn owner(path: &Path) -> Option<(&Path, String)> {
    [Some(path), path.parent()]
        .into_iter()
        .flatten()
        .find_map(|one| {
            let data = fs::metadata(one).ok()?;
            let (uid, mode) = (data.uid(), data.mode() & 0o7777);
            Some((one, format!("user id {uid} (mode {mode:04o})")))
        })
}

fn own_user() -> String {
    // Linux names the owner of /proc/self; no libc call is worth this line.
    fs::metadata("/proc/self").map_or_else(
        |_| "this process".to_owned(),
        |data| format!("user id {}", data.uid()),
    )
}
