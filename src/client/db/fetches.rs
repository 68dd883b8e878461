//! Sound of received voice notes that is still on the server.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::crypto::MessageSecret;
use crate::crypto::chunk::Expected;
use crate::model::{BlobId, DeviceId, MessageId, Position};

use super::{Sql, listening, signed, unsigned};

/// A blob to be fetched.
pub(in crate::client) struct Fetch {
    /// The row of its message.
    pub arrival: i64,
    pub message: MessageId,
    /// The sender's.
    pub device: DeviceId,
    pub blob: BlobId,
    pub secret: MessageSecret,
    pub expected: Expected,
    /// Chunks that are here.
    pub done: u32,
}

/// Notes that a message's sound is to be fetched.
pub(in crate::client) fn begin(
    db: &Connection,
    arrival: i64,
    (blob, expected): (BlobId, Expected),
    secret: &MessageSecret,
    position: Position,
) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO fetches (message, blob, secret, chunks, sha256, epoch, seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        arrival,
        blob.as_bytes(),
        secret.expose_key_bytes(),
        expected.chunks,
        expected.sha256,
        position.epoch.cast_signed(),
        signed(position.seq),
    ])
    .map(drop)
}

/// The oldest one.
pub(in crate::client) fn next(db: &Connection) -> Sql<Option<Fetch>> {
    db.prepare_cached(
        "SELECT f.message, m.id, m.device, f.blob, f.secret, m.size, f.chunks, f.sha256,
             (SELECT COUNT(*) FROM attachments a WHERE a.message = f.message)
         FROM fetches f JOIN messages m ON m.arrival = f.message ORDER BY f.message LIMIT 1",
    )?
    .query_row([], |row| {
        Ok(Fetch {
            arrival: row.get(0)?,
            message: MessageId::from_bytes(row.get(1)?),
            device: DeviceId::new(row.get(2)?),
            blob: BlobId::new(row.get(3)?),
            secret: row.get(4)?,
            expected: Expected { size: unsigned(row.get(5)?), chunks: row.get(6)?, sha256: row.get(7)? },
            done: row.get(8)?,
        })
    })
    .optional()
}

/// The sound is here, or never will be.
pub(in crate::client) fn end(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM fetches WHERE message = ?1")?.execute([arrival])?;
    db.prepare_cached("UPDATE messages SET complete = 1 WHERE arrival = ?1")?.execute([arrival]).map(drop)
}

/// Throws away what came of it, and leaves a notice in the message's place.
pub(in crate::client) fn fail(db: &Connection, arrival: i64, notice: &str) -> Sql<()> {
    db.prepare_cached("DELETE FROM attachments WHERE message = ?1")?.execute([arrival])?;
    db.prepare_cached("UPDATE messages SET kind = 3, text = ?2, size = 0 WHERE arrival = ?1")?
        .execute(params![arrival, notice])?;
    end(db, arrival)
}

/// How far the server may forget: before the oldest message whose sound is still there, or whose sender nobody could
/// vouch for yet.
pub(in crate::client) fn keep_from(db: &Connection, epoch: u64) -> Sql<Option<u64>> {
    db.prepare_cached(
        "SELECT MIN(seq) FROM (SELECT epoch, seq FROM fetches UNION ALL SELECT epoch, seq FROM listening
             UNION ALL SELECT epoch, seq FROM held_back)
         WHERE epoch = ?1",
    )?
    .query_row([epoch.cast_signed()], |row| Ok(row.get::<_, Option<i64>>(0)?.map(unsigned)))
}

/// Whether sound of notes that are over is still to come.
pub(in crate::client) fn any(db: &Connection) -> Sql<bool> {
    let any = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM fetches)")?.query_row([], |row| row.get(0))?;
    Ok(any || listening::any_over(db)?)
}
