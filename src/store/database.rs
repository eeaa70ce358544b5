//! Opening the database, the exclusive lock, and beginning transactions.

use std::{
    cell::{Cell, RefCell},
    fs::{self, File, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use log::debug;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{
    error::Error, memory::Memory, open_error::OpenError, schema, transaction::Transaction,
};

const DATABASE: &str = "store.sqlite3";
const LOG: &str = "store.sqlite3-wal";

/// Longest wait of a transaction for that of another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

const LOCK: &str = "store.lock";

/// Prepared statements that are kept: all that a command takes, and some. One that
/// is not kept is parsed and planned again at each use, which costs more than
/// running it.
const PREPARED_STATEMENTS: usize = 192;

/// The open database. One process at a time; one transaction at a time.
pub struct Store {
    pub(super) connection: Connection,
    memory: Memory,
    /// The write-ahead log.
    pub(super) log: PathBuf,
    /// Held until the process ends: the kernel releases it even after SIGKILL.
    /// None beside the process that holds it.
    _lock: Option<File>,
}

impl Store {
    /// Opens the store in `directory`, making both where missing: the
    /// directory for its owner alone (0700), the files likewise (0600).
    ///
    /// # Errors
    /// The directory or its files cannot be made, another process has them, or their format
    /// is unknown.
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
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(directory.to_owned()),
            TryLockError::Error(error) => OpenError::NoLocks(directory.join(LOCK), error),
        })?;
        // SQLite gives its side files the mode of the database itself.
        create(DATABASE)?;
        let mut store = Self::connect(directory, Some(lock))?;
        // What a process that was killed has left there is read by nobody.
        if let Err(error) = store.checkpoint() {
            debug!("the write-ahead log stays for now: {error}");
        }
        Ok(store)
    }

    /// Opens a store that is there, beside the process that has it, for a
    /// transaction that leaves everything alone that this process keeps in
    /// memory. It must have this version's format.
    ///
    /// # Errors
    /// There is no store, or it has another format.
    pub fn open_beside(directory: &Path) -> Result<Self, OpenError> {
        fs::metadata(directory.join(DATABASE))
            .map_err(|error| OpenError::Missing(directory.to_owned(), error))?;
        Self::connect(directory, None)
    }

    /// Opens the database; with the lock, one of an earlier format is brought to this
    /// one.
    fn connect(directory: &Path, lock: Option<File>) -> Result<Self, OpenError> {
        let in_database = |error| OpenError::Database(directory.to_owned(), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(directory.join(DATABASE), flags).map_err(in_database)?;
        // Asked first: what a later version wrote is not even told how to keep its log.
        let found = schema::version(&connection).map_err(in_database)?;
        if found > schema::VERSION {
            return Err(OpenError::TooNew(directory.to_owned(), found));
        }
        configure(&connection).map_err(in_database)?;
        if lock.is_some() {
            schema::migrate(&mut connection).map_err(in_database)?;
        } else if found < schema::VERSION {
            return Err(OpenError::TooOld(directory.to_owned()));
        }
        Ok(Self {
            connection,
            memory: Memory::default(),
            log: directory.join(LOG),
            _lock: lock,
        })
    }

    /// Begins the only transaction there can be.
    ///
    /// # Errors
    /// The database is locked or broken.
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        self.memory.begin();
        let changes_before = self.connection.total_changes();
        let inner = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Transaction {
            inner,
            memory: &self.memory,
            full: RefCell::default(),
            dropped: RefCell::default(),
            changes_before,
            deferrable: Cell::default(),
        })
    }

    /// Folds the write-ahead log into the database and closes it.
    ///
    /// # Errors
    /// The log cannot be folded in.
    pub fn close(self) -> Result<(), Error> {
        Ok(self.connection.close().map_err(|(_, error)| error)?)
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
