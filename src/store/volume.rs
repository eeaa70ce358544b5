//! Faults of the volume that the store is on, as errors of SQLite's tell them, and
//! their cures.
//!
//! Result codes: <https://www.sqlite.org/rescode.html>. SQLite needs of a volume
//! what POSIX promises: locks (`fcntl`), memory shared through a file (`mmap`),
//! and `fsync`. Network file systems and FUSE often lack one of them.

use std::fs;
use std::path::Path;

use rusqlite::ffi;

use crate::util::printable;

/// The longest name of a file system that is shown, in bytes.
const MAX_KIND: usize = 32;

/// A fault of the volume, or of the files on it. `Display` is the cure,
/// without a full stop. Only where the file itself is damaged does it speak of
/// giving the store up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Locks are refused.
    #[error(
        "this volume knows no locks: use a block or local volume, not NFS, SMB or FUSE, \
         and move all files of the store there, if it has any"
    )]
    NoLocks,
    /// Somebody else has a lock, or locks are refused in a way that looks like it
    /// (`ENOLCK`).
    #[error(
        "either another process, such as a backup, has a lock on store.sqlite3: end it; \
         or this volume knows no locks: use a block or local volume, not NFS, SMB or FUSE"
    )]
    Locked,
    /// A file cannot be mapped into memory.
    #[error(
        "this volume lets no file be shared in memory: use a block or local volume, not \
         NFS, SMB or FUSE, and move all files of the store there, if it has any"
    )]
    NoSharedMemory,
    /// `fsync` fails.
    #[error(
        "this volume does not bring to the disk what was written (fsync): make room on \
         the volume of CRYPTO_STORE_PATH, or mend it, or use a block or local volume, not \
         NFS, SMB or FUSE"
    )]
    NoSync,
    /// It is full, or broken in another way.
    #[error(
        "make room on the volume of CRYPTO_STORE_PATH, or mend it: no command is run \
         until then"
    )]
    NoRoom,
    /// A file belongs to somebody else, or cannot be made: one of SQLite's own
    /// beside the store, since the store itself is looked at before.
    #[error(
        "let the user of this process write to all files of the store and to its \
         directory, and mount the volume without readOnly"
    )]
    Rights,
    /// The file was moved or removed while it was open.
    #[error(
        "store.sqlite3 was moved or removed while the bot had it: put it back with \
         store.sqlite3-wal, and start the bot again"
    )]
    Moved,
    /// The file is damaged.
    #[error(
        "store.sqlite3 is damaged: keep all files of the store, check the volume, and try \
         sqlite3's .recover or a copy of the whole directory. If nothing helps, move the \
         directory away: the bot then starts as a new device, and with a new identity \
         unless it is given a recovery key or a seed"
    )]
    Damaged,
    /// The file is none of SQLite's.
    #[error(
        "store.sqlite3 is not the bot's: check CRYPTO_STORE_PATH and whether another \
         program has written there, keep all files of the store, and try a copy of the \
         whole directory. If there is none, move the directory away: the bot then starts \
         as a new device, and with a new identity unless it is given a recovery key or a \
         seed"
    )]
    NotADatabase,
}

impl Trouble {
    /// None where an error says nothing of the volume.
    pub(super) fn of(error: &rusqlite::Error) -> Option<Self> {
        let code = error.sqlite_extended_error_code()?;
        Some(match code {
            ffi::SQLITE_IOERR_LOCK
            | ffi::SQLITE_IOERR_UNLOCK
            | ffi::SQLITE_IOERR_RDLOCK
            | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
            | ffi::SQLITE_IOERR_SHMLOCK => Self::NoLocks,
            ffi::SQLITE_IOERR_SHMOPEN | ffi::SQLITE_IOERR_SHMMAP => Self::NoSharedMemory,
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Self::NoSync,
            ffi::SQLITE_READONLY_DBMOVED => Self::Moved,
            _ => match code & 0xff {
                // The locks of the write-ahead log contradict each other; `EPERM`.
                ffi::SQLITE_PROTOCOL | ffi::SQLITE_PERM => Self::NoLocks,
                ffi::SQLITE_BUSY => Self::Locked,
                ffi::SQLITE_FULL | ffi::SQLITE_IOERR => Self::NoRoom,
                ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY => Self::Rights,
                ffi::SQLITE_CORRUPT => Self::Damaged,
                ffi::SQLITE_NOTADB => Self::NotADatabase,
                _ => return None,
            },
        })
    }
}

/// The kind of file system that a path is on, such as `ext4` or `nfs4`.
pub(super) fn kind(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_among(&mounts, &path).map(|kind| printable(kind, MAX_KIND))
}

/// The kind of the last mount of those that are nearest above the path
/// (`proc_pid_mountinfo(5)`: the fifth field, and the first behind ` - `).
fn kind_among<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let above = mounts.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let point = Path::new(mount.split(' ').nth(4)?);
        let kind = source.split(' ').next()?;
        path.starts_with(point)
            .then(|| (point.components().count(), kind))
    });
    above.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> Option<Trouble> {
        Trouble::of(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn each_code_of_sqlite_has_its_cure() {
        for (code, trouble) in [
            (ffi::SQLITE_IOERR_LOCK, Trouble::NoLocks),
            (ffi::SQLITE_IOERR_UNLOCK, Trouble::NoLocks),
            (ffi::SQLITE_IOERR_RDLOCK, Trouble::NoLocks),
            (ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, Trouble::NoLocks),
            (ffi::SQLITE_IOERR_SHMLOCK, Trouble::NoLocks),
            (ffi::SQLITE_PROTOCOL, Trouble::NoLocks),
            (ffi::SQLITE_PERM, Trouble::NoLocks),
            (ffi::SQLITE_BUSY, Trouble::Locked),
            (ffi::SQLITE_BUSY_RECOVERY, Trouble::Locked),
            (ffi::SQLITE_IOERR_SHMOPEN, Trouble::NoSharedMemory),
            (ffi::SQLITE_IOERR_SHMMAP, Trouble::NoSharedMemory),
            // What SQLite says where there is no room for its shared memory.
            (ffi::SQLITE_IOERR_SHMSIZE, Trouble::NoRoom),
            (ffi::SQLITE_IOERR_FSYNC, Trouble::NoSync),
            (ffi::SQLITE_IOERR_DIR_FSYNC, Trouble::NoSync),
            (ffi::SQLITE_FULL, Trouble::NoRoom),
            (ffi::SQLITE_IOERR_WRITE, Trouble::NoRoom),
            (ffi::SQLITE_IOERR_READ, Trouble::NoRoom),
            (ffi::SQLITE_CANTOPEN, Trouble::Rights),
            (ffi::SQLITE_CANTOPEN_ISDIR, Trouble::Rights),
            (ffi::SQLITE_READONLY, Trouble::Rights),
            (ffi::SQLITE_READONLY_DIRECTORY, Trouble::Rights),
            (ffi::SQLITE_READONLY_DBMOVED, Trouble::Moved),
            (ffi::SQLITE_CORRUPT, Trouble::Damaged),
            (ffi::SQLITE_CORRUPT_INDEX, Trouble::Damaged),
            (ffi::SQLITE_NOTADB, Trouble::NotADatabase),
        ] {
            assert_eq!(of(code), Some(trouble), "{code}");
            let cure = trouble.to_string();
            let is_damaged = matches!(trouble, Trouble::Damaged | Trouble::NotADatabase);
            assert_eq!(cure.contains("new device"), is_damaged, "{cure}");
        }
        assert_eq!(of(ffi::SQLITE_CONSTRAINT), None);
        assert_eq!(of(ffi::SQLITE_NOMEM), None);
        assert_eq!(Trouble::of(&rusqlite::Error::QueryReturnedNoRows), None);
    }

    #[test]
    fn the_kind_of_a_file_system_is_that_of_the_nearest_mount() {
        let mounts = "\
            22 1 0:20 / / rw - overlay overlay rw,lowerdir=/a\n\
            23 22 8:1 / /data rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            24 23 0:50 / /data/store rw - nfs4 host:/export rw,vers=4.2\n\
            25 23 0:51 / /data/store rw - fuse.sshfs host: rw\n\
            26 23 0:52 / /data/storeroom rw - tmpfs tmpfs rw\n";
        let kind = |path: &str| kind_among(mounts, Path::new(path));
        assert_eq!(kind("/"), Some("overlay"));
        assert_eq!(kind("/data/other"), Some("ext4"));
        assert_eq!(kind("/data/store/crypto"), Some("fuse.sshfs"), "the upper");
        assert_eq!(kind_among("", Path::new("/")), None);
        assert!(super::kind(Path::new("/proc")).is_some_and(|kind| kind == "proc"));
    }
}
