//! The local store: history, outbox, contacts and all counters, in one encrypted SQLite file (SQLCipher
//! with a random key of its own).
//!
//! The database lives on a thread of its own; what is to be done with it is sent there as a closure. A
//! closure that changes several things does so in one transaction, which is durable when it returns.
//!
//! - [`schema`]: tables, and how older files become newer ones
//! - [`messages`]: the history
//! - [`attachments`]: the sound of voice notes
//! - [`blocks`]: whose mail is not wanted
//! - [`contacts`]: who people are, and which key is theirs
//! - [`log`]: the transparency log as it was verified, and what was found wrong with it
//! - [`disowned`]: what the log has under a name and is known to be somebody else's
//! - [`outbox`]: what is on its way out
//! - [`inbox`]: what has come in: names, chains and gaps, the cursor
//! - [`rooms`]: what rooms are called here, and their records
//! - [`fetches`]: sound that is on its way in
//! - [`speaking`], [`listening`]: voice notes that are heard while they are spoken; [`live_sound`]: their sound
//! - [`threads`]: the databases' threads, none of which may outlive the process's end

pub(super) mod attachments;
pub(super) mod blocks;
pub(super) mod contacts;
pub(super) mod disowned;
pub(super) mod fetches;
pub(super) mod inbox;
pub(super) mod listening;
pub(super) mod live_sound;
pub(super) mod log;
pub(super) mod messages;
pub(super) mod outbox;
pub(super) mod rooms;
mod schema;
pub(super) mod speaking;
mod threads;

use std::sync::mpsc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::ClientError;
use super::profile::{Home, damaged};
use crate::crypto::MessageSecret;

pub(super) use rusqlite::Result as Sql;
pub use threads::all_closed;
pub(in crate::client) use threads::computing;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;
type Connect = fn(&Home) -> Result<Connection, ClientError>;

/// The database's thread.
pub(super) struct Db {
    jobs: std::sync::Mutex<Option<mpsc::Sender<Job>>>,
    thread: std::sync::Mutex<Option<threads::Handle>>,
    home: Home,
}

impl Db {
    /// Opens the history. A registered profile has one: where it is gone, an empty one in its place would forget the
    /// outbox and whom to trust, and nobody would know.
    pub(super) async fn open(home: Home) -> Result<Self, ClientError> {
        Self::start(home, open).await
    }

    /// Begins a history for a profile that is being registered, unless it has one.
    pub(super) async fn begin(home: Home) -> Result<Self, ClientError> {
        Self::start(home, begin).await
    }

    async fn start(home: Home, connect: Connect) -> Result<Self, ClientError> {
        let (jobs, receiver) = mpsc::channel::<Job>();
        let (ready, opened) = oneshot::channel();
        let folder = home.clone();
        let thread = threads::spawn(move || {
            let mut connection = match connect(&folder) {
                Ok(connection) => connection,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            for job in receiver {
                job(&mut connection);
            }
            // Folds the write-ahead log into the file.
            let _ = connection.close();
        });
        let thread = thread.map_err(|error| home.error(&home.database(), &error))?;
        opened.await.map_err(|_| gone())??;
        Ok(Self { jobs: Some(jobs).into(), thread: Some(thread).into(), home })
    }

    /// Does something on the database's thread, which goes on if nobody waits for it any more.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Sql<T> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = reply.send(work(connection));
        });
        {
            let jobs = self.jobs.lock().map_err(|_| gone())?;
            jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        }
        result.await.map_err(|_| gone())?.map_err(|error| explain(&self.home, &error))
    }

    /// Does something in one transaction, durable when this returns.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Sql<T> + Send + 'static,
    {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    /// Folds the write-ahead log into the file and empties it: what has been overwritten there is in neither then.
    pub(super) async fn fold(&self) -> Result<(), ClientError> {
        self.run(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).await
    }

    /// Finishes what has been begun and closes the file.
    pub(super) async fn close(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.take();
        }
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn gone() -> ClientError {
    ClientError::Internal("the history is closed".to_owned())
}

fn open(home: &Home) -> Result<Connection, ClientError> {
    let key = home.history_key()?;
    if std::fs::metadata(home.database()).map_or(0, |file| file.len()) == 0 {
        return Err(damaged("the history is missing", &home.database()));
    }
    connect(home, &key)
}

fn begin(home: &Home) -> Result<Connection, ClientError> {
    connect(home, &home.begin_history()?)
}

fn connect(home: &Home, key: &str) -> Result<Connection, ClientError> {
    let open = || {
        home.make_private(&home.database());
        let mut connection = Connection::open(home.database())?;
        // What goes wrong is told by the errors, not on stderr.
        connection.execute_batch("PRAGMA cipher_log_level = NONE")?;
        // SQLCipher: a raw key, so that opening costs no key derivation. It is hexadecimal digits only.
        let pragma = zeroize::Zeroizing::new(format!("PRAGMA key = \"x'{key}'\""));
        connection.execute_batch(&pragma)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = ON;",
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        Ok(connection)
    };
    open().map_err(|error| explain(home, &error))
}

/// What went wrong with the database, for a person: never with values in it.
fn explain(home: &Home, error: &rusqlite::Error) -> ClientError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => home.disk_full(),
        Some(ErrorCode::SystemIoFailure) if is_for_want_of_space(error) => home.disk_full(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            damaged("the history can't be read with its key", &home.database())
        }
        Some(code @ (ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly)) => {
            let path = home.database().display().to_string();
            ClientError::File { path, cause: format!("{code:?}") }
        }
        Some(code) => ClientError::Internal(format!("the history failed with {code:?}")),
        None => ClientError::Internal(format!("the history holds something unexpected ({})", kind(error))),
    }
}

/// Growing a file is what fails first: SQLite reports it as an error of input and output where it can't tell.
fn is_for_want_of_space(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let code = error.sqlite_extended_error_code();
    let growing = [ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_TRUNCATE];
    code.is_some_and(|code| growing.contains(&code))
}

fn kind(error: &rusqlite::Error) -> &'static str {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) => "a value",
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..) => "a type",
        rusqlite::Error::QueryReturnedNoRows => "a missing row",
        _ => "a statement",
    }
}

/// Out of the row at once into the place where it stays.
impl FromSql for MessageSecret {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        let length = |_| FromSqlError::InvalidBlobSize { expected_size: 32, blob_size: bytes.len() };
        bytes.try_into().map(Self::from_bytes).map_err(length)
    }
}

/// Unsigned numbers as SQLite keeps them. Times and sizes stay below 2^63; what is larger becomes that.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What [`signed`] made.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
pub(super) fn memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    connection
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
