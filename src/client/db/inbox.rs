//! What has come in: the names of messages, other people's chains and their gaps, and the cursor.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::model::{AccountId, Address, DeviceId, EnvelopeHash, MessageId, Millis, Nickname, Position};

use super::blocks;
use super::messages::parsed;
use super::{Sql, signed, unsigned};

/// The hash of the message of this name, if it has been received.
pub(in crate::client) fn known(
    db: &Connection,
    device: &DeviceId,
    id: &MessageId,
) -> Sql<Option<EnvelopeHash>> {
    db.prepare_cached("SELECT hash FROM names WHERE device = ?1 AND id = ?2")?
        .query_row(params![device.as_bytes(), id.as_bytes()], |row| Ok(EnvelopeHash::new(row.get(0)?)))
        .optional()
}

/// Notes a name for good.
pub(in crate::client) fn remember(
    db: &Connection,
    device: &DeviceId,
    id: &MessageId,
    hash: &EnvelopeHash,
) -> Sql<()> {
    db.prepare_cached("INSERT INTO names (device, id, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![device.as_bytes(), id.as_bytes(), hash.as_bytes()])
        .map(drop)
}

/// What can be noticed about a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Noticed {
    /// It does not open.
    Broken = 1,
    /// It came with two contents.
    Fork = 2,
    /// Of an account, not of a message: its records are not what they were.
    Records = 4,
    /// Part of its sound is another's.
    Live = 3,
    /// This device has made it, for somebody else.
    Reflected = 5,
    /// Its sound is so late that what came after it is shown before it.
    Overtaken = 6,
    /// Of an identity key: that it has turned up in the place of another.
    Rival = 7,
    /// Nobody can vouch for its sender yet.
    HeldBack = 8,
    /// Of an account: that it claims to be shown another transparency log.
    OtherLog = 9,
    /// Of a message key of one's own: that it should have been replaced long ago.
    OldKey = 10,
    /// Of a record of a room: that the server shows it, and it does not continue those that are known.
    RoomRecords = 11,
    /// Of the newest known record of a room: that the server shows none any more.
    RoomHidden = 12,
    /// Of a record of a room: that somebody in it names it, and the server does not show it.
    HiddenRecord = 13,
    /// It is for a room not all of whose records could be read or verified yet.
    Unread = 14,
}

/// Whether this is the first time.
pub(in crate::client) fn notice_once(
    db: &Connection,
    device: &DeviceId,
    id: &MessageId,
    what: Noticed,
) -> Sql<bool> {
    db.prepare_cached("INSERT OR IGNORE INTO noticed (device, id, what) VALUES (?1, ?2, ?3)")?
        .execute(params![device.as_bytes(), id.as_bytes(), what as i64])
        .map(|rows| rows == 1)
}

/// A message's place in its sender's chain.
pub(in crate::client) struct Place<'a> {
    /// The sender's.
    pub account: AccountId,
    pub device: DeviceId,
    /// Whom the chain is to.
    pub chain: [u8; 32],
    pub counter: u64,
    pub previous: EnvelopeHash,
    pub hash: EnvelopeHash,
    /// It stands where another message stood, which the next one's previous-hash may still mean.
    pub void: bool,
    pub sender: &'a Nickname,
    /// The conversation.
    pub peer: &'a Address,
}

/// How a message fits into its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Fit {
    /// The next one, or one that was missing.
    Fits,
    /// Numbers before it are missing; they are noted.
    Gap,
    /// It does not follow the one before it, or its number was used before.
    Wrong,
}

/// Puts a message into its chain.
pub(in crate::client) fn link(db: &Connection, place: &Place<'_>, now: Millis) -> Sql<Fit> {
    let (device, chain) = (place.device.as_bytes(), &place.chain);
    let (next, hash): (i64, Option<[u8; 32]>) = db
        .prepare_cached("SELECT next, hash FROM chains WHERE device = ?1 AND chain = ?2")?
        .query_row(params![device, chain], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or((0, Some([0; 32])));
    let (next, counter) = (unsigned(next), place.counter);
    // Counters from which there would be no next one are nobody's.
    if counter >= i64::MAX.cast_unsigned() {
        return Ok(Fit::Wrong);
    }
    if counter < next {
        return fill(db, place);
    }
    let after = if place.void { None } else { Some(*place.hash.as_bytes()) };
    db.prepare_cached(
        "INSERT INTO chains (device, chain, next, hash) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (device, chain) DO UPDATE SET next = excluded.next, hash = excluded.hash",
    )?
    .execute(params![device, chain, signed(counter + 1), after])?;
    if counter > next {
        // One that a block explains is noted, so that it can be filled, and never announced.
        let explained = blocks::explains(db, &place.account, &place.device, &place.chain)?;
        add_gap(db, place, next, counter - 1, now, explained)?;
        return Ok(Fit::Gap);
    }
    match hash {
        Some(hash) if hash != *place.previous.as_bytes() => Ok(Fit::Wrong),
        _ => Ok(Fit::Fits),
    }
}

fn add_gap(
    db: &Connection,
    place: &Place<'_>,
    first: u64,
    last: u64,
    since: Millis,
    announced: bool,
) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO gaps (device, chain, first, last, since, sender, announced, peer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        place.device.as_bytes(),
        place.chain,
        signed(first),
        signed(last),
        signed(since.0),
        place.sender.as_str(),
        announced,
        place.peer.written(),
    ])
    .map(drop)
}

/// A lower number has come: a gap becomes smaller, or two.
fn fill(db: &Connection, place: &Place<'_>) -> Sql<Fit> {
    let counter = place.counter;
    let gap = db
        .prepare_cached(
            "SELECT rowid, first, last, since, announced FROM gaps
             WHERE device = ?1 AND chain = ?2 AND ?3 BETWEEN first AND last",
        )?
        .query_row(params![place.device.as_bytes(), place.chain, signed(counter)], |row| {
            let (first, last) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
            Ok((row.get::<_, i64>(0)?, first, last, row.get::<_, i64>(3)?, row.get::<_, bool>(4)?))
        })
        .optional()?;
    let Some((row, first, last, since, announced)) = gap else { return Ok(Fit::Wrong) };
    db.prepare_cached("DELETE FROM gaps WHERE rowid = ?1")?.execute([row])?;
    for (first, last) in [(first, counter.saturating_sub(1)), (counter + 1, last)] {
        if first <= last && !(first..=last).contains(&counter) {
            add_gap(db, place, first, last, Millis(unsigned(since)), announced)?;
        }
    }
    Ok(Fit::Fits)
}

/// Gaps that have stood since before this time and were not announced; now they are. Sender, conversation, and how many
/// messages are missing.
pub(in crate::client) fn announce_gaps(
    db: &Connection,
    before: Millis,
) -> Sql<Vec<(Nickname, Address, u64)>> {
    let found = db
        .prepare_cached("SELECT sender, COALESCE(peer, sender), last - first + 1 FROM gaps WHERE announced = 0 AND since <= ?1")?
        .query_map([signed(before.0)], |row| Ok((parsed(row, 0)?, parsed(row, 1)?, unsigned(row.get(2)?))))?
        .collect::<Sql<Vec<_>>>()?;
    if !found.is_empty() {
        db.prepare_cached("UPDATE gaps SET announced = 1 WHERE announced = 0 AND since <= ?1")?
            .execute([signed(before.0)])?;
    }
    Ok(found)
}

/// The last entry of the mailbox that is stored here.
pub(in crate::client) fn cursor(db: &Connection) -> Sql<Option<Position>> {
    db.prepare_cached("SELECT epoch, seq FROM cursor")?
        .query_row([], |row| {
            Ok(Position { epoch: row.get::<_, i64>(0)?.cast_unsigned(), seq: unsigned(row.get(1)?) })
        })
        .optional()
}

/// Has the entry at this place read again later.
pub(in crate::client) fn hold_back(db: &Connection, position: Position) -> Sql<()> {
    db.prepare_cached("INSERT OR IGNORE INTO held_back (epoch, seq) VALUES (?1, ?2)")?
        .execute(params![position.epoch.cast_signed(), signed(position.seq)])
        .map(drop)
}

/// The entry at this place was read, or the server no longer has it and what was before it.
pub(in crate::client) fn release_held_back(db: &Connection, position: Position, before: bool) -> Sql<()> {
    let sql = if before {
        "DELETE FROM held_back WHERE epoch <> ?1 OR seq <= ?2"
    } else {
        "DELETE FROM held_back WHERE epoch = ?1 AND seq = ?2"
    };
    db.prepare_cached(sql)?.execute(params![position.epoch.cast_signed(), signed(position.seq)]).map(drop)
}

/// Goes back to before the first entry that was held back; whether there is one.
pub(in crate::client) fn go_back(db: &Connection) -> Sql<bool> {
    let Some(now) = cursor(db)? else { return Ok(false) };
    let first: Option<i64> = db
        .prepare_cached("SELECT MIN(seq) FROM held_back WHERE epoch = ?1")?
        .query_row([now.epoch.cast_signed()], |row| row.get(0))?;
    let Some(first) = first.map(unsigned) else { return Ok(false) };
    set_cursor(db, Position { seq: now.seq.min(first.saturating_sub(1)), ..now })?;
    Ok(true)
}

pub(in crate::client) fn set_cursor(db: &Connection, position: Position) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO cursor (only, epoch, seq) VALUES (1, ?1, ?2)
         ON CONFLICT (only) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq",
    )?
    .execute(params![position.epoch.cast_signed(), signed(position.seq)])
    .map(drop)
}
