//! Opening the database, the exclusive lock, and transactions.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, types::Type};

use super::{crash, schema};

const DATABASE: &str = "store.sqlite3";
const LOCK: &str = "store.lock";

/// Why the store cannot be used. Each says what to change.
#[derive(Debug)]
pub enum OpenError {
    /// The directory cannot be made or its files not written.
    Directory(PathBuf, io::Error),
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
            Self::Directory(path, error) => write!(
                f,
                "CRYPTO_STORE_PATH: cannot write to {}: {error}; mount a volume there that user \
                 id {} may write to",
                path.display(),
                // Linux names the owner of /proc/self; no libc call is worth this line.
                own_uid().map_or_else(|| "of this process".to_owned(), |uid| uid.to_string()),
            ),
            Self::InUse(path) => write!(
                f,
                "another process is using the store in {}: stop it first (two processes on one \
                 store would break its encryption)",
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
            Self::Database(path, error) => write!(
                f,
                "the store in {} cannot be opened: {error}; restore it from a copy, or move it \
                 away to start as a new device",
                path.display()
            ),
        }
    }
}

/// What helps when the volume is full or broken.
const CURE: &str = "make room on the volume of CRYPTO_STORE_PATH, or mend it: no command is run \
    until then";

fn is_about_the_volume(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

fn own_uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").ok().map(|data| data.uid())
}

/// Why a statement failed.
#[derive(Debug)]
pub enum Error {
    /// SQLite: disk full, IO, a constraint.
    Sqlite(rusqlite::Error),
    /// A row that this program wrote cannot be read back.
    Corrupt(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) if is_about_the_volume(error) => {
                write!(f, "the store cannot be written: {error}; {CURE}")
            }
            Self::Sqlite(error) => write!(f, "the store refuses: {error}"),
            Self::Corrupt(what) => write!(f, "the store is damaged: {what} cannot be read"),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The open database. One process at a time; one transaction at a time.
pub struct Store {
    connection: Connection,
    /// Held until the process ends: the kernel releases it even after SIGKILL.
    /// None beside the process that holds it.
    _lock: Option<File>,
}

/// Everything between two commits. Dropped without [`Transaction::commit`], it
/// never happened.
pub struct Transaction<'a> {
    pub(super) inner: rusqlite::Transaction<'a>,
}

impl Store {
    /// Opens the store in `directory`, making both where missing: the
    /// directory for its owner alone (0700), the files likewise (0600).
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let in_directory = |error| OpenError::Directory(directory.to_owned(), error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(in_directory)?;
        let create = |name: &str| {
            fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o600)
                .open(directory.join(name))
        };
        let lock = create(LOCK).map_err(in_directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse(directory.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(in_directory(error)),
        }
        // SQLite gives its side files the mode of the database itself.
        create(DATABASE).map_err(in_directory)?;
        let in_database = |error| OpenError::Database(directory.to_owned(), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(directory.join(DATABASE), flags).map_err(in_database)?;
        configure(&connection).map_err(in_database)?;
        match schema::migrate(&mut connection).map_err(in_database)? {
            schema::Migrated::Ready => Ok(Self {
                connection,
                _lock: Some(lock),
            }),
            schema::Migrated::TooNew(found) => Err(OpenError::TooNew {
                path: directory.to_owned(),
                found,
            }),
        }
    }

    /// Opens a store that is there, beside the process that has it, for a
    /// transaction that leaves everything alone that this process keeps in
    /// memory. It must have this version's format.
    pub fn open_beside(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(DATABASE);
        fs::metadata(&path).map_err(|error| OpenError::Missing(directory.to_owned(), error))?;
        let in_database = |error| OpenError::Database(directory.to_owned(), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(in_database)?;
        configure(&connection).map_err(in_database)?;
        match schema::version(&connection).map_err(in_database)? {
            schema::VERSION => Ok(Self {
                connection,
                _lock: None,
            }),
            found if found > schema::VERSION => Err(OpenError::TooNew {
                path: directory.to_owned(),
                found,
            }),
            _ => Err(OpenError::TooOld(directory.to_owned())),
        }
    }

    /// Begins the only transaction there can be.
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        let inner = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Transaction { inner })
    }

    /// Folds the write-ahead log into the database and closes it.
    pub fn close(self) -> Result<(), Error> {
        self.connection
            .close()
            .map_err(|(_, error)| Error::Sqlite(error))
    }
}

impl Transaction<'_> {
    /// Makes everything since [`Store::begin`] durable: one fsync.
    pub fn commit(self) -> Result<(), Error> {
        Ok(crash::around(|| self.inner.commit())?)
    }

    pub(super) fn execute(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<usize, Error> {
        Ok(self.inner.prepare_cached(sql)?.execute(parameters)?)
    }

    pub(super) fn one<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        match rows.next()? {
            Some(row) => Ok(Some(map(row)?)),
            None => Ok(None),
        }
    }

    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, map)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // FULL: a commit is on the disk before anything is done because of it. No
    // temporary files: the root file system is read-only and has no /tmp. The
    // page cache is kept small, the working set is a few dozen pages. A checkpoint
    // costs three more waits for the disk: the log may grow to 4 MiB, some forty
    // commands, and keeps that room.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -256;
         PRAGMA mmap_size = 0;
         PRAGMA busy_timeout = 3000;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA wal_autocheckpoint = 1000;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Reads a text column into an identifier that parses itself.
pub(super) fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    T::try_from(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
