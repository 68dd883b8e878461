//! One's own voice notes that are heard while they are spoken, until their closing has been accepted.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::crypto::MessageSecret;
use crate::crypto::envelope::{LiveClosing, LiveEnd, LiveManifest, LiveOpening};
use crate::model::{BlobId, MessageId, Millis, limits};

use super::live_sound::{self, Stage};
use super::{Sql, outbox, signed};

/// How a note has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Ended {
    /// Not yet.
    No = 0,
    /// Its speaker was done.
    Done = 1,
    /// A fault cut it off.
    CutOff = 2,
    /// Its speaker took it back.
    Withdrawn = 3,
}

/// A note that is being spoken, or was and is not all at the server.
pub(in crate::client) struct Speaking {
    /// The row of its message.
    pub arrival: i64,
    pub message: MessageId,
    pub blob: BlobId,
    pub secret: MessageSecret,
    /// SHA-256 of the opening's header, once that is sealed.
    pub opening: Option<[u8; 32]>,
    pub ended: Ended,
    /// Groups that are stored; the last one among them once it has ended.
    pub groups: u32,
}

/// Begins one.
pub(in crate::client) fn begin(db: &Connection, arrival: i64, now: Millis) -> Sql<()> {
    let mut blob = [0_u8; 32];
    rand::fill(&mut blob);
    db.prepare_cached("INSERT INTO speaking (message, blob, secret, touched_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![arrival, blob, MessageSecret::generate().expose_key_bytes(), signed(now.0)])
        .map(drop)
}

const COLUMNS: &str = "s.message, m.id, s.blob, s.secret, s.opening, s.ended,
    (SELECT COUNT(*) FROM attachments a WHERE a.message = s.message AND a.place >= 1)
    FROM speaking s JOIN messages m ON m.arrival = s.message";

pub(in crate::client) fn of(db: &Connection, arrival: i64) -> Sql<Option<Speaking>> {
    let sql = format!("SELECT {COLUMNS} WHERE s.message = ?1");
    db.prepare_cached(&sql)?.query_row([arrival], read).optional()
}

/// Those whose sound may leave.
pub(in crate::client) fn opened(db: &Connection) -> Sql<Vec<i64>> {
    db.prepare_cached(
        "SELECT message FROM speaking WHERE opening IS NOT NULL AND ended <> 3 ORDER BY message",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Its opening is sealed.
pub(in crate::client) fn set_opening(db: &Connection, arrival: i64, header_hash: &[u8; 32]) -> Sql<()> {
    db.prepare_cached("UPDATE speaking SET opening = ?2 WHERE message = ?1")?
        .execute(params![arrival, header_hash])
        .map(drop)
}

/// Adds a group, or finds it there. `false`: it is not the next one, or there is room for no more.
pub(in crate::client) fn add(
    db: &Connection,
    note: &Speaking,
    index: u32,
    samples: &[u8],
    now: Millis,
) -> Sql<bool> {
    let full = u64::from(index).saturating_add(1) * limits::LIVE_GROUP as u64 > limits::LIVE_SIZE;
    if index > note.groups || full {
        return Ok(false);
    }
    if index == note.groups {
        live_sound::put(db, note.arrival, index, samples)?;
    }
    db.prepare_cached("UPDATE speaking SET touched_at = ?2 WHERE message = ?1")?
        .execute(params![note.arrival, signed(now.0)])?;
    Ok(true)
}

/// Ends one with its last samples, fewer than a group, and puts its closing into the outbox.
pub(in crate::client) fn end(db: &Connection, note: &Speaking, ended: Ended, rest: &[u8]) -> Sql<()> {
    let arrival = note.arrival;
    db.prepare_cached("UPDATE speaking SET ended = ?2 WHERE message = ?1")?
        .execute(params![arrival, ended as i64])?;
    if ended == Ended::Withdrawn {
        live_sound::forget(db, arrival, "You took this voice note back while speaking")?;
    } else {
        live_sound::put(db, arrival, note.groups, rest)?;
        let stage = if ended == Ended::CutOff { Stage::CutOff } else { Stage::Whole };
        live_sound::settle(db, arrival, &live_sound::digest(db, arrival)?, stage)?;
    }
    outbox::append_closing(db, arrival)
}

/// Those that nothing was added to since before this time.
pub(in crate::client) fn stale(db: &Connection, before: Millis) -> Sql<Vec<i64>> {
    db.prepare_cached("SELECT message FROM speaking WHERE ended = 0 AND touched_at < ?1")?
        .query_map([signed(before.0)], |row| row.get(0))?
        .collect()
}

/// Another device sends from now on: what is not all at the server leaves as a note of its own, from its opening on. What
/// was taken back has nothing to leave.
pub(in crate::client) fn begin_anew(db: &Connection) -> Sql<()> {
    let notes: Vec<(i64, bool)> = db
        .prepare_cached("SELECT message, ended <> 0 FROM speaking WHERE ended <> 3 ORDER BY message")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Sql<_>>()?;
    for (arrival, has_ended) in notes {
        let mut blob = [0_u8; 32];
        rand::fill(&mut blob);
        db.prepare_cached("UPDATE speaking SET opening = NULL, blob = ?2 WHERE message = ?1")?
            .execute(params![arrival, blob])?;
        if outbox::has(db, arrival)? {
            continue;
        }
        outbox::remove_closing(db, arrival)?;
        outbox::append_again(db, arrival)?;
        if has_ended {
            outbox::append_closing(db, arrival)?;
        }
    }
    Ok(())
}

/// The server has all of it, or won't have it.
pub(in crate::client) fn remove(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM speaking WHERE message = ?1")?.execute([arrival]).map(drop)
}

impl Speaking {
    /// What its first envelope says.
    pub fn opening_content(&self) -> LiveOpening {
        LiveOpening { blob: self.blob, sample_rate: limits::LIVE_RATE }
    }

    /// What its last envelope says.
    pub fn closing_content(&self, db: &Connection) -> Sql<LiveClosing> {
        let manifest = || -> Sql<LiveManifest> {
            let live_sound::Digest { size, sha256, peaks } = live_sound::digest(db, self.arrival)?;
            Ok(LiveManifest { size, sha256, peaks: peaks.into() })
        };
        let end = match self.ended {
            Ended::Done => LiveEnd::Done(manifest()?),
            Ended::No | Ended::CutOff => LiveEnd::CutOff(manifest()?),
            Ended::Withdrawn => LiveEnd::Withdrawn,
        };
        Ok(LiveClosing { opening: self.message, end })
    }
}

fn read(row: &Row<'_>) -> Sql<Speaking> {
    Ok(Speaking {
        arrival: row.get(0)?,
        message: MessageId::from_bytes(row.get(1)?),
        blob: BlobId::new(row.get(2)?),
        secret: row.get(3)?,
        opening: row.get(4)?,
        ended: match row.get::<_, i64>(5)? {
            0 => Ended::No,
            1 => Ended::Done,
            2 => Ended::CutOff,
            _ => Ended::Withdrawn,
        },
        groups: row.get(6)?,
    })
}
