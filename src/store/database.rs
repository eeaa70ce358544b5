//! Opening the database, the exclusive lock, and transactions.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use log::debug;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig, types::Type,
};

use super::{
    account_revision::AccountRevision,
    crash,
    gauge::{Fullness, Gauges},
    open_error::OpenError,
    schema,
    volume::Trouble,
};

const DATABASE: &str = "store.sqlite3";
const LOG: &str = "store.sqlite3-wal";

/// How long a transaction waits for that of another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

const LOCK: &str = "store.lock";

/// Prepared statements that are kept: all that a command takes, and some. One that
/// is not kept is parsed and planned again at each use, which costs more than
/// running it.
const PREPARED_STATEMENTS: usize = 192;

/// Why a statement failed.
#[derive(Debug)]
pub enum Error {
    /// SQLite: disk full, IO, a constraint.
    Sqlite(rusqlite::Error),
    /// A row that this program wrote cannot be read back.
    Corrupt(&'static str),
    /// The write-ahead log cannot be overwritten. What was committed is safe.
    Log(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => match Trouble::of(error) {
                Some(trouble) => write!(f, "the store cannot be written: {error}; {trouble}"),
                None => write!(f, "the store refuses: {error}"),
            },
            Self::Corrupt(what) => write!(f, "the store is damaged: {what} cannot be read"),
            Self::Log(error) => write!(f, "the write-ahead log cannot be overwritten: {error}"),
        }
    }
}

impl Error {
    /// Whether somebody else is writing just now, which says nothing about the disk.
    pub fn is_busy(&self) -> bool {
        let Self::Sqlite(error) = self else {
            return false;
        };
        error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
    }

    /// Whether somebody else has the database just now, for reading or writing.
    pub(super) fn is_locked(&self) -> bool {
        let Self::Sqlite(error) = self else {
            return false;
        };
        let code = error.sqlite_error_code();
        matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The open database. One process at a time; one transaction at a time.
pub struct Store {
    pub(super) connection: Connection,
    gauges: Gauges,
    account: AccountRevision,
    /// The write-ahead log.
    pub(super) log: PathBuf,
    /// Held until the process ends: the kernel releases it even after SIGKILL.
    /// None beside the process that holds it.
    _lock: Option<File>,
}

/// Everything between two commits. Dropped without [`Transaction::commit`], it
/// never happened.
pub struct Transaction<'a> {
    pub(super) inner: rusqlite::Transaction<'a>,
    pub(super) gauges: &'a Gauges,
    pub(super) fullness: Fullness,
    pub(super) account: &'a AccountRevision,
    changes_before: u64,
}

impl Store {
    /// Opens the store in `directory`, making both where missing: the
    /// directory for its owner alone (0700), the files likewise (0600).
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| OpenError::NoDirectory(directory.to_owned(), error))?;
        let create = |name: &str| {
            let path = directory.join(name);
            fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| OpenError::NotWritable(path, error))
        };
        let lock = create(LOCK)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse(directory.to_owned()));
            }
            Err(TryLockError::Error(error)) => {
                return Err(OpenError::NoLocks(directory.join(LOCK), error));
            }
        }
        // SQLite gives its side files the mode of the database itself.
        create(DATABASE)?;
        let in_database = |error| OpenError::Database(directory.to_owned(), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(directory.join(DATABASE), flags).map_err(in_database)?;
        // Asked first: what a later version wrote is not even told how to keep its log.
        let found = schema::version(&connection).map_err(in_database)?;
        if found > schema::VERSION {
            return Err(OpenError::TooNew {
                path: directory.to_owned(),
                found,
            });
        }
        configure(&connection).map_err(in_database)?;
        schema::migrate(&mut connection).map_err(in_database)?;
        let mut store = Self {
            connection,
            gauges: Gauges::default(),
            account: AccountRevision::default(),
            log: directory.join(LOG),
            _lock: Some(lock),
        };
        // What a process that was killed has left there is read by nobody.
        if let Err(error) = store.checkpoint() {
            debug!("the write-ahead log stays for now: {error}");
        }
        Ok(store)
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
                gauges: Gauges::default(),
                account: AccountRevision::default(),
                log: directory.join(LOG),
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
        self.gauges.begin();
        self.account.begin();
        let changes_before = self.connection.total_changes();
        let inner = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Transaction {
            inner,
            gauges: &self.gauges,
            fullness: Fullness::default(),
            account: &self.account,
            changes_before,
        })
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
        crash::around(|| self.inner.commit())?;
        self.gauges.commit();
        self.account.commit();
        Ok(())
    }

    /// Whether there is anything to commit. A commit of nothing writes nothing, and
    /// so says nothing about the disk.
    pub fn has_changes(&self) -> bool {
        self.inner.total_changes() != self.changes_before
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
    // page cache is kept small, the working set is a few dozen pages. The log is cut
    // by `Store::checkpoint`; that SQLite itself folds it in at 4 MiB is for a
    // transaction as large as a first sync.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -256;
         PRAGMA mmap_size = 0;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA wal_autocheckpoint = 1000;",
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Plans do not depend on the values that are bound: those of partial indexes
    // would, and such a statement is parsed and planned anew with each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
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
