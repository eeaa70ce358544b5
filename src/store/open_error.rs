//! Errors of opening a store, with their cures for whoever runs the bot.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    schema,
    volume::{self, Trouble},
};

/// `EIO` (`errno(3)`).
const IO: i32 = 5;

/// Error of opening the store. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no directory, and none can be made.
    #[error(
        "CRYPTO_STORE_PATH: there is no directory {}, and none can be made: {}; {}",
        .0.display(), .1, directory_cure(.1)
    )]
    NoDirectory(PathBuf, io::Error),
    /// A file in it cannot be made or written.
    #[error("CRYPTO_STORE_PATH: cannot write to {}: {}; {}", .0.display(), .1, file_cure(.0, .1))]
    NotWritable(PathBuf, io::Error),
    /// The volume grants no lock on this file.
    #[error(
        "no lock is to be had on {}: {}{}; {}",
        .0.display(), .1, on_volume(.0), Trouble::NoLocks
    )]
    NoLocks(PathBuf, io::Error),
    /// Another process has it.
    #[error(
        "another process is using the store in {}: stop it first, or wait until the old pod is \
         gone, as the strategy Recreate does (two processes on one store would break its \
         encryption)",
        .0.display()
    )]
    InUse(PathBuf),
    /// It was written by a later version of this program.
    #[error(
        "the store in {} has format {}, this version knows up to {}: run the newer version \
         again",
        .0.display(), .1, schema::VERSION
    )]
    TooNew(PathBuf, i64),
    /// There is none.
    #[error(
        "there is no store in {}: {}; set CRYPTO_STORE_PATH to the bot's, and start the bot once \
         before",
        .0.display(), .1
    )]
    Missing(PathBuf, io::Error),
    /// It was written by an earlier version, and not by this one since.
    #[error(
        "the store in {} has an older format: start the bot with this version first",
        .0.display()
    )]
    TooOld(PathBuf),
    /// SQLite refuses it.
    #[error("{}", refusal(.0, .1))]
    Database(PathBuf, rusqlite::Error),
}

fn refusal(path: &Path, error: &rusqlite::Error) -> String {
    let trouble = Trouble::of(error);
    let act = match trouble {
        Some(Trouble::NoRoom) => "written",
        _ => "opened",
    };
    let cure = match trouble {
        Some(Trouble::Rights) => format!(
            "; give all files there to {}, by fsGroup or by chown -R on the node, and mount the \
             volume without readOnly",
            own_user()
        ),
        Some(trouble @ (Trouble::Damaged | Trouble::NotADatabase)) => format!("; {trouble}"),
        Some(trouble) => format!("{}; {trouble}", on_volume(path)),
        // A fault of this program's or of this machine's: nothing here is to be given
        // up for it.
        None => "; keep its files, and report this".to_owned(),
    };
    format!(
        "the store in {} cannot be {act}: {error}{cure}",
        path.display()
    )
}

/// The kind of a path's file system, if it is known: behind an error.
fn on_volume(path: &Path) -> String {
    volume::kind(path).map_or_else(String::new, |kind| format!(" (file system {kind})"))
}

/// A file where the directory should be is not cured by a volume.
fn directory_cure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "there is a file in its place: give the path of a directory".to_owned()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::NoRoom.to_string(),
        _ => volume_cure(),
    }
}

/// A read-only volume, one of another user and a full one have different cures.
fn file_cure(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "the volume is mounted read-only: mount it without readOnly".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "{}give the volume to {}, by fsGroup or by chown -R on the node",
                owner(path).unwrap_or_default(),
                own_user()
            )
        }
        io::ErrorKind::IsADirectory => {
            "there is a directory in its place: give the bot a directory of its own".to_owned()
        }
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::StaleNetworkFileHandle => Trouble::NoRoom.to_string(),
        _ if error.raw_os_error() == Some(IO) => Trouble::NoRoom.to_string(),
        _ => volume_cure(),
    }
}

fn volume_cure() -> String {
    format!("mount a volume there that {} may write to", own_user())
}

/// Owner and mode of the file, or else of its directory.
fn owner(path: &Path) -> Option<String> {
    path.ancestors().take(2).find_map(|one| {
        let data = fs::metadata(one).ok()?;
        let (uid, mode) = (data.uid(), data.mode() & 0o7777);
        let one = one.display();
        Some(format!(
            "{one} belongs to user id {uid} (mode {mode:04o}): "
        ))
    })
}

fn own_user() -> String {
    // Linux names the owner of /proc/self; no libc call is worth this line.
    fs::metadata("/proc/self").map_or_else(
        |_| "this process".to_owned(),
        |data| format!("user id {}", data.uid()),
    )
}
