//! Other people's voice notes that are heard while they are spoken, until all of their sound is here.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::crypto::MessageSecret;
use crate::crypto::envelope::{LiveClosing, LiveEnd, LiveManifest, LiveOpening};
use crate::crypto::live::Note;
use crate::model::{AccountId, BlobId, DeviceId, MessageId, Millis, Position, from_canonical_cbor, to_cbor};

use super::live_sound::{self, Digest, Stage};
use super::{Sql, signed, unsigned};

/// A note whose sound is coming.
#[derive(Clone)]
pub(in crate::client) struct Listening {
    /// The row of its message.
    pub arrival: i64,
    /// Its sender.
    pub account: AccountId,
    pub device: DeviceId,
    pub note: Note,
    pub blob: BlobId,
    pub secret: MessageSecret,
    /// Groups that are here.
    pub here: u32,
    /// The last of them says that it is the last.
    pub last: bool,
    /// What its sender said of it at its end.
    pub closing: Option<LiveClosing>,
}

/// Notes that a note's sound is coming.
pub(in crate::client) fn begin(
    db: &Connection,
    arrival: i64,
    account: &AccountId,
    opening: &LiveOpening,
    header_hash: &[u8; 32],
    secret: &MessageSecret,
) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO listening (message, account, blob, secret, opening, touched_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        arrival,
        account.as_bytes(),
        opening.blob.as_bytes(),
        secret.expose_key_bytes(),
        header_hash,
        signed(Millis::now().0),
    ])
    .map(drop)
}

const COLUMNS: &str = "l.message, l.account, m.device, l.opening, m.id, l.blob, l.secret, l.last, l.closing,
    (SELECT COUNT(*) FROM attachments a WHERE a.message = l.message AND a.place >= 1)
    FROM listening l JOIN messages m ON m.arrival = l.message";

/// What is to be listened to: notes that are over, oldest first, and of each device the newest of the others. A
/// device speaks one at a time; whoever begins many takes nobody else's place.
pub(in crate::client) fn due(db: &Connection, over: u32, live: u32) -> Sql<Vec<Listening>> {
    let mut due = Vec::new();
    for (condition, limit) in [
        ("l.closing IS NOT NULL ORDER BY l.message", over),
        (
            "l.closing IS NULL AND l.message IN (SELECT MAX(n.message) FROM listening n
                 JOIN messages o ON o.arrival = n.message GROUP BY o.device)
             ORDER BY l.message DESC",
            live,
        ),
    ] {
        let sql = format!("SELECT {COLUMNS} WHERE {condition} LIMIT ?1");
        let mut statement = db.prepare_cached(&sql)?;
        due.extend(statement.query_map([limit], read)?.collect::<Sql<Vec<_>>>()?);
    }
    Ok(due)
}

pub(in crate::client) fn of(db: &Connection, arrival: i64) -> Sql<Option<Listening>> {
    let sql = format!("SELECT {COLUMNS} WHERE l.message = ?1");
    db.prepare_cached(&sql)?.query_row([arrival], read).optional()
}

/// Whether its sender's device has begun another one since.
pub(in crate::client) fn is_superseded(db: &Connection, note: &Listening) -> Sql<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM listening l JOIN messages m ON m.arrival = l.message
         WHERE m.device = ?1 AND l.message > ?2)",
    )?
    .query_row(params![note.device.as_bytes(), note.arrival], |row| row.get(0))
}

/// Stores the next group.
pub(in crate::client) fn add(
    db: &Connection,
    arrival: i64,
    index: u32,
    samples: &[u8],
    last: bool,
) -> Sql<()> {
    live_sound::put(db, arrival, index, samples)?;
    live_sound::resume(db, arrival)?;
    db.prepare_cached("UPDATE listening SET touched_at = ?2, last = max(last, ?3) WHERE message = ?1")?
        .execute(params![arrival, signed(Millis::now().0), last])
        .map(drop)
}

/// Ends of notes whose openings are not here yet, that are kept: of one device, and of all.
const EARLY_OF_ONE: i64 = 16;
const EARLY: i64 = 1000;

/// Its sender has said how it ended. Where the opening is not here yet, that is kept for it. The note's row.
pub(in crate::client) fn close(
    db: &Connection,
    device: &DeviceId,
    closing: &LiveClosing,
    position: Position,
) -> Sql<Option<i64>> {
    let found: Option<i64> = db
        .prepare_cached(
            "SELECT l.message FROM listening l JOIN messages m ON m.arrival = l.message
             WHERE m.device = ?1 AND m.id = ?2",
        )?
        .query_row(params![device.as_bytes(), closing.opening.as_bytes()], |row| row.get(0))
        .optional()?;
    let (epoch, seq) = (position.epoch.cast_signed(), signed(position.seq));
    match found {
        Some(arrival) => db
            .prepare_cached("UPDATE listening SET closing = ?2, epoch = ?3, seq = ?4 WHERE message = ?1")?
            .execute(params![arrival, to_cbor(closing), epoch, seq])?,
        None => {
            db.prepare_cached("INSERT OR IGNORE INTO closings (device, id, closing) VALUES (?1, ?2, ?3)")?
                .execute(params![device.as_bytes(), closing.opening.as_bytes(), to_cbor(closing)])?;
            // Nobody sees them: the newest are kept.
            db.prepare_cached(
                "DELETE FROM closings WHERE rowid IN
                     (SELECT rowid FROM closings WHERE device = ?1 ORDER BY rowid DESC LIMIT -1 OFFSET ?2)
                     OR rowid IN (SELECT rowid FROM closings ORDER BY rowid DESC LIMIT -1 OFFSET ?3)",
            )?
            .execute(params![device.as_bytes(), EARLY_OF_ONE, EARLY])?
        }
    };
    Ok(found)
}

/// What was said of a note's end before its opening came.
pub(in crate::client) fn early_closing(
    db: &Connection,
    device: &DeviceId,
    id: &MessageId,
) -> Sql<Option<LiveClosing>> {
    let found: Option<Vec<u8>> = db
        .prepare_cached("DELETE FROM closings WHERE device = ?1 AND id = ?2 RETURNING closing")?
        .query_row(params![device.as_bytes(), id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.and_then(|bytes| from_canonical_cbor(&bytes).ok()))
}

/// Those that nothing has come of since before this time, though their end was not said: cut off, as far as can be
/// told now.
pub(in crate::client) fn cut_off_stale(db: &Connection, before: Millis) -> Sql<Vec<i64>> {
    let stale: Vec<i64> = db
        .prepare_cached(
            "SELECT l.message FROM listening l JOIN messages m ON m.arrival = l.message
             WHERE l.closing IS NULL AND l.touched_at < ?1 AND m.live = 1",
        )?
        .query_map([signed(before.0)], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    for arrival in &stale {
        live_sound::settle(db, *arrival, &live_sound::digest(db, *arrival)?, Stage::CutOff)?;
    }
    Ok(stale)
}

/// Whether sound is still to be fetched of notes that are over.
pub(in crate::client) fn any_over(db: &Connection) -> Sql<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM listening WHERE closing IS NOT NULL)")?
        .query_row([], |row| row.get(0))
}

/// All that its sender's device has signed is here. `false`: what it signed at the end is something else, and all
/// of it is thrown away.
pub(in crate::client) fn finish(
    db: &Connection,
    note: &Listening,
    manifest: &LiveManifest,
    cut_off: bool,
    sender: &str,
) -> Sql<bool> {
    let digest = live_sound::digest(db, note.arrival)?;
    let whole = digest.size == manifest.size && digest.sha256 == manifest.sha256;
    if whole {
        let stage = if cut_off { Stage::CutOff } else { Stage::Whole };
        let digest = Digest { peaks: manifest.peaks.to_vec(), ..digest };
        live_sound::settle(db, note.arrival, &digest, stage)?;
    } else {
        let text = format!(
            "What {sender}'s device signed at the end of this voice note is not what it had sent before: do not \
             rely on what was heard; the sound was thrown away"
        );
        live_sound::forget(db, note.arrival, &text)?;
    }
    remove(db, note.arrival)?;
    Ok(whole)
}

/// There will be no more of it: what is here is kept.
pub(in crate::client) fn give_up(db: &Connection, arrival: i64) -> Sql<()> {
    live_sound::settle(db, arrival, &live_sound::digest(db, arrival)?, Stage::CutOff)?;
    remove(db, arrival)
}

/// Its sender took it back.
pub(in crate::client) fn withdraw(db: &Connection, arrival: i64, sender: &str) -> Sql<()> {
    live_sound::forget(db, arrival, &format!("{sender} took this voice note back while speaking"))?;
    remove(db, arrival)
}

fn remove(db: &Connection, arrival: i64) -> Sql<()> {
    // What was heard as far as it had come was heard to its end, if no more came.
    db.prepare_cached(
        "UPDATE messages SET listened = 1, position_ms = 0, to_hear = 0 WHERE arrival = ?1 AND to_hear = 2",
    )?
    .execute([arrival])?;
    db.prepare_cached("DELETE FROM listening WHERE message = ?1")?.execute([arrival]).map(drop)
}

impl Listening {
    /// What all of it is, and whether that was cut off, once that was said.
    pub fn manifest(&self) -> Option<(&LiveManifest, bool)> {
        match &self.closing.as_ref()?.end {
            LiveEnd::Done(manifest) => Some((manifest, false)),
            LiveEnd::CutOff(manifest) => Some((manifest, true)),
            LiveEnd::Withdrawn => None,
        }
    }
}

fn read(row: &Row<'_>) -> Sql<Listening> {
    let closing: Option<Vec<u8>> = row.get(8)?;
    Ok(Listening {
        arrival: row.get(0)?,
        account: AccountId::new(row.get(1)?),
        device: DeviceId::new(row.get(2)?),
        note: Note { opening: row.get(3)?, message: MessageId::from_bytes(row.get(4)?) },
        blob: BlobId::new(row.get(5)?),
        secret: row.get(6)?,
        last: row.get(7)?,
        closing: closing.and_then(|bytes| from_canonical_cbor(&bytes).ok()),
        here: unsigned(row.get(9)?).try_into().unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
#[path = "listening_tests.rs"]
mod tests;
