//! The tables, and opening them. Migrations are only ever appended.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;

const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- nickname: folded. newest, pruned: the ends of the account's mailbox.
CREATE TABLE account (
    id BLOB PRIMARY KEY NOT NULL,
    nickname TEXT NOT NULL UNIQUE,
    newest INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- record: CBOR of body and signature, as is message_key.record.
CREATE TABLE account_record (
    account BLOB NOT NULL,
    place INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    id BLOB PRIMARY KEY NOT NULL,
    account BLOB NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX device_account ON device (account);

CREATE TABLE message_key (
    device BLOB PRIMARY KEY NOT NULL,
    key BLOB NOT NULL,
    until INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- (device, message) is an envelope's name, hash the SHA-256 of its body. Both outlive the body, which goes
-- when no mailbox refers to it any more: a repeated submission is recognised for the whole retention time.
CREATE TABLE envelope (
    id INTEGER PRIMARY KEY,
    device BLOB NOT NULL,
    message BLOB NOT NULL,
    sender BLOB NOT NULL,
    conversation BLOB NOT NULL,
    hash BLOB NOT NULL,
    accepted_at INTEGER NOT NULL,
    body BLOB
) STRICT;
CREATE UNIQUE INDEX envelope_name ON envelope (device, message);
CREATE INDEX envelope_age ON envelope (accepted_at);

-- wraps: CBOR of the wraps for the account's devices.
CREATE TABLE mailbox (
    account BLOB NOT NULL,
    seq INTEGER NOT NULL,
    envelope INTEGER NOT NULL,
    wraps BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX mailbox_envelope ON mailbox (envelope);

CREATE TABLE blob (
    id BLOB PRIMARY KEY NOT NULL,
    device BLOB NOT NULL,
    chunks INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_use (
    blob BLOB NOT NULL,
    envelope INTEGER NOT NULL,
    PRIMARY KEY (blob, envelope)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_use_envelope ON blob_use (envelope);
",
    "
-- bytes: of bodies and wraps in the account's mailbox.
ALTER TABLE account ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE account SET bytes = (
    SELECT coalesce(sum(coalesce(length(envelope.body), 0) + length(mailbox.wraps)), 0)
    FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope WHERE mailbox.account = account.id);

-- bytes: of the file, about.
ALTER TABLE blob ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE blob SET bytes = chunks * 65640;

-- hash: of the invitation, which itself is kept nowhere.
CREATE TABLE invite (
    hash BLOB PRIMARY KEY NOT NULL,
    uses INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- account drops what other submits.
CREATE TABLE block (
    account BLOB NOT NULL,
    other BLOB NOT NULL,
    PRIMARY KEY (account, other)
) STRICT, WITHOUT ROWID;
",
    "
-- A device that is its account's no longer: what was wrapped for it is to be wrapped anew.
ALTER TABLE device ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
",
    "
-- The transparency log. name: hash of the folded nickname; previous: place of its leaf before; record: hash of
-- the account record.
CREATE TABLE log_leaf (
    place INTEGER PRIMARY KEY NOT NULL,
    name BLOB NOT NULL,
    previous INTEGER,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX log_leaf_name ON log_leaf (name, place);
-- The hashes of its tree, by their places as tlog_tiles numbers them.
CREATE TABLE log_hash (
    place INTEGER PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL
) STRICT;
",
    "
-- account.bytes: each entry counts 512 bytes beside its body and wraps.
UPDATE account SET bytes = (
    SELECT coalesce(sum(512 + coalesce(length(envelope.body), 0) + length(mailbox.wraps)), 0)
    FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope WHERE mailbox.account = account.id);
",
    "
-- account.newest, account.bytes: of the mailbox up to newest; it may have come further, and what is behind that
-- is counted when it is asked for.

-- Message ids begin with the time: names that come together are side by side, whoever made them.
DROP INDEX envelope_name;
CREATE UNIQUE INDEX envelope_name ON envelope (message, device);

-- How many mailboxes an envelope is in, where they were several at first. Any other is in one, or in none.
CREATE TABLE envelope_share (
    envelope INTEGER PRIMARY KEY NOT NULL,
    mailboxes INTEGER NOT NULL
) STRICT;
INSERT INTO envelope_share (envelope, mailboxes)
    SELECT envelope, count(*) FROM mailbox GROUP BY envelope HAVING count(*) > 1;
DROP INDEX mailbox_envelope;
",
    "
-- What account.bytes has of one sender. No row: nothing.
CREATE TABLE mailbox_sender (
    account BLOB NOT NULL,
    sender BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (account, sender)
) STRICT, WITHOUT ROWID;
INSERT INTO mailbox_sender (account, sender, bytes)
    SELECT account.id, envelope.sender, sum(512 + coalesce(length(envelope.body), 0) + length(mailbox.wraps))
    FROM account JOIN mailbox ON mailbox.account = account.id AND mailbox.seq <= account.newest
    JOIN envelope ON envelope.id = mailbox.envelope GROUP BY account.id, envelope.sender;
",
    "
-- Of what is for a room: after which of the room's records, whose id conversation then is; and the accounts whose
-- mailboxes were full, 32 bytes each.
ALTER TABLE envelope ADD COLUMN roster BLOB;
ALTER TABLE envelope ADD COLUMN left_out BLOB;

-- newest: of its records, and its place. empty_since: since when nobody is in it.
CREATE TABLE room (
    id BLOB PRIMARY KEY NOT NULL,
    newest BLOB NOT NULL,
    place INTEGER NOT NULL,
    empty_since INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX room_empty ON room (empty_since) WHERE empty_since IS NOT NULL;

CREATE TABLE room_record (
    room BLOB NOT NULL,
    place INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (room, place)
) STRICT, WITHOUT ROWID;

-- standing: 0 invited, 1 in it, 2 neither any more since the record at the place `gone`. founder: has begun it.
CREATE TABLE room_account (
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    standing INTEGER NOT NULL,
    gone INTEGER,
    founder INTEGER NOT NULL,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_account_account ON room_account (account);
",
];

/// Opens the database for its one writer, making or migrating it.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    // The files beside it take their mode from it.
    std::fs::File::options().append(true).create(true).mode(0o600).open(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // 16 MiB: the names of envelopes are looked up all over.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection)?;
    Ok(connection)
}

/// Draws another epoch for the mailboxes.
pub fn draw_epoch(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE meta SET value = randomblob(7) WHERE name = 'epoch'", [])?;
    Ok(())
}

/// Opens the database to move what is in its write-ahead log.
pub fn open_mover(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The log and the database are synced before either is relied on.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

/// Opens the database for reading.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // 512 KiB: there are several, and the system keeps the file's pages anyway.
    connection.pragma_update(None, "cache_size", -512)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// Whether a database has the tables of this version: nothing is changed by opening it.
pub fn is_current(path: &Path) -> Result<bool, StoreError> {
    let done: u32 = open_reader(path)?.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(done as usize == MIGRATIONS.len())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = done as usize;
    if done > MIGRATIONS.len() {
        return Err(StoreError::Failed(
            "the database was written by a newer version of tellal: use that version".to_owned(),
        ));
    }
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    // What names this server and its mailboxes' epoch is drawn once.
    let mut draw =
        transaction.prepare("INSERT OR IGNORE INTO meta (name, value) VALUES (?, randomblob(?))")?;
    draw.execute(("server_id", 32))?;
    draw.execute(("epoch", 7))?;
    drop(draw);
    // A store of before there was a log.
    super::log::fill(&transaction)?;
    transaction.commit()?;
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
            _ => error.to_string(),
        })
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
