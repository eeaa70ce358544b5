//! Why a store cannot be opened, and what whoever runs the bot can do about it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    schema,
    volume::{self, Trouble},
};

/// `EIO` (`errno(3)`).
const IO: i32 = 5;

/// Why the store cannot be used. Each says what to change.
#[derive(Debug)]
pub enum OpenError {
    /// There is no directory, and none can be made.
    NoDirectory(PathBuf, io::Error),
    /// A file in it cannot be made or written.
    NotWritable(PathBuf, io::Error),
    /// The volume grants no lock on this file.
    NoLocks(PathBuf, io::Error),
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
            Self::NoDirectory(path, error) => no_directory(f, path, error),
            Self::NotWritable(path, error) => not_writable(f, path, error),
            Self::NoLocks(path, error) => write!(
                f,
                "no lock is to be had on {}: {error}{}; {}",
                path.display(),
                OnVolume(path),
                Trouble::NoLocks
            ),
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
            Self::Database(path, error) => {
                let trouble = Trouble::of(error);
                let act = match trouble {
                    Some(Trouble::NoRoom) => "written",
                    _ => "opened",
                };
                write!(
                    f,
                    "the store in {} cannot be {act}: {error}",
                    path.display()
                )?;
                match trouble {
                    Some(Trouble::Rights) => write!(
                        f,
                        "; give all files there to {}, by fsGroup or by chown -R on the node, and \
                         mount the volume without readOnly",
                        own_user()
                    ),
                    Some(trouble @ (Trouble::Damaged | Trouble::NotADatabase)) => {
                        write!(f, "; {trouble}")
                    }
                    Some(trouble) => write!(f, "{}; {trouble}", OnVolume(path)),
                    // A fault of this program's or of this machine's: nothing here
                    // is to be given up for it.
                    None => f.write_str("; keep its files, and report this"),
                }
            }
        }
    }
}

/// The kind of a path's file system, if it is known: behind an error.
struct OnVolume<'a>(&'a Path);

impl fmt::Display for OnVolume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match volume::kind(self.0) {
            Some(kind) => write!(f, " (file system {kind})"),
            None => Ok(()),
        }
    }
}

/// A file where the directory should be is not cured by a volume.
fn no_directory(f: &mut fmt::Formatter<'_>, path: &Path, error: &io::Error) -> fmt::Result {
    write!(
        f,
        "CRYPTO_STORE_PATH: there is no directory {}, and none can be made: {error}; ",
        path.display()
    )?;
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            f.write_str("there is a file in its place: give the path of a directory")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            write!(f, "{}", Trouble::NoRoom)
        }
        _ => write!(f, "mount a volume there that {} may write to", own_user()),
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
        io::ErrorKind::IsADirectory => {
            f.write_str("there is a directory in its place: give the bot a directory of its own")
        }
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::StaleNetworkFileHandle => write!(f, "{}", Trouble::NoRoom),
        _ if error.raw_os_error() == Some(IO) => write!(f, "{}", Trouble::NoRoom),
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
