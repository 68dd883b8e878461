//! Rooms: what they are called here, how one stands to them, and their records, each of which was verified before it came
//! here.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::model::{AccountId, Millis, RoomId, RoomName, Signed, from_canonical_cbor, to_cbor};

use super::messages::parsed;
use super::{Sql, signed};

/// Ways into rooms that are kept of one account: the newest.
const INVITATIONS_OF_ONE: i64 = 32;

/// How one stands to a room oneself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Standing {
    /// It was begun here, and the server may not know of it yet.
    Founding = 0,
    Member = 1,
    /// Not in it any more.
    Left = 2,
}

/// A room that has a name here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) struct Stored {
    pub id: RoomId,
    /// What it is called here.
    pub name: RoomName,
    pub standing: Standing,
}

/// A way into a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) struct Way {
    pub room: RoomId,
    /// Who has shown it.
    pub inviter: AccountId,
    /// What they call it.
    pub name: RoomName,
}

/// Why somebody in a room does not get what is written there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::client) enum LeftOut {
    /// Their key has changed, and nobody has decided about it.
    KeyChanged = 0,
    /// The transparency log does not have them as the directory does.
    NotInLog = 1,
    /// They have ended their account.
    Ended = 2,
    /// There is no key of theirs that may be written to now.
    NoKey = 3,
    /// Their mailbox is full, or one's own share of it: the server's word.
    MailboxFull = 4,
}

/// The room with a name.
pub(in crate::client) fn by_name(db: &Connection, name: &RoomName) -> Sql<Option<Stored>> {
    db.prepare_cached("SELECT id, name, standing FROM rooms WHERE folded = ?1")?
        .query_row([name.folded()], read)
        .optional()
}

pub(in crate::client) fn by_id(db: &Connection, id: &RoomId) -> Sql<Option<Stored>> {
    db.prepare_cached("SELECT id, name, standing FROM rooms WHERE id = ?1")?
        .query_row([id.as_bytes()], read)
        .optional()
}

/// All that have a name, in its order.
pub(in crate::client) fn all(db: &Connection) -> Sql<Vec<Stored>> {
    db.prepare_cached("SELECT id, name, standing FROM rooms ORDER BY folded")?.query_map([], read)?.collect()
}

/// Gives a room a name that no other has here.
pub(in crate::client) fn begin(db: &Connection, room: &Stored) -> Sql<()> {
    db.prepare_cached("INSERT INTO rooms (id, name, folded, standing) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![room.id.as_bytes(), room.name.as_str(), room.name.folded(), room.standing as i64])
        .map(drop)
}

pub(in crate::client) fn set_standing(db: &Connection, id: &RoomId, standing: Standing) -> Sql<()> {
    db.prepare_cached("UPDATE rooms SET standing = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), standing as i64])
        .map(drop)
}

/// There is no such room after all.
pub(in crate::client) fn forget(db: &Connection, id: &RoomId) -> Sql<()> {
    db.prepare_cached("DELETE FROM room_records WHERE room = ?1")?.execute([id.as_bytes()])?;
    db.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([id.as_bytes()]).map(drop)
}

/// A room's records, the first one first.
pub(in crate::client) fn chain(db: &Connection, id: &RoomId) -> Sql<Vec<Signed>> {
    db.prepare_cached("SELECT record FROM room_records WHERE room = ?1 ORDER BY place")?
        .query_map([id.as_bytes()], |row| {
            from_canonical_cbor(row.get_ref(0)?.as_blob()?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
        })?
        .collect()
}

/// Adds records behind those that are there. So many have to be.
pub(in crate::client) fn append(db: &Connection, id: &RoomId, after: usize, records: &[Signed]) -> Sql<()> {
    let mut insert =
        db.prepare_cached("INSERT INTO room_records (room, place, record) VALUES (?1, ?2, ?3)")?;
    (after as u64..).zip(records).try_for_each(|(place, record)| {
        insert.execute(params![id.as_bytes(), signed(place), to_cbor(record)]).map(drop)
    })
}

/// Keeps a way into a room. One that the same account has shown to the same room before is replaced.
pub(in crate::client) fn keep_way(db: &Connection, way: &Way, now: Millis) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO ways_into_rooms (room, inviter, name, folded, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (room, inviter) DO UPDATE SET name = excluded.name, folded = excluded.folded, at = excluded.at",
    )?
    .execute(params![
        way.room.as_bytes(),
        way.inviter.as_bytes(),
        way.name.as_str(),
        way.name.folded(),
        signed(now.0)
    ])?;
    db.prepare_cached(
        "DELETE FROM ways_into_rooms WHERE inviter = ?1 AND room IN
             (SELECT room FROM ways_into_rooms WHERE inviter = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![way.inviter.as_bytes(), INVITATIONS_OF_ONE])
    .map(drop)
}

/// All ways into rooms, the newest one first.
pub(in crate::client) fn ways(db: &Connection) -> Sql<Vec<Way>> {
    db.prepare_cached("SELECT room, inviter, name FROM ways_into_rooms ORDER BY at DESC, room")?
        .query_map([], |row| {
            let (room, inviter) = (RoomId::new(row.get(0)?), AccountId::new(row.get(1)?));
            Ok(Way { room, inviter, name: parsed(row, 2)? })
        })?
        .collect()
}

/// One is about to come into a room, which is to have this name.
pub(in crate::client) fn set_joining(db: &Connection, room: &RoomId, name: &RoomName) -> Sql<()> {
    db.prepare_cached("UPDATE ways_into_rooms SET joining = ?2 WHERE room = ?1")?
        .execute(params![room.as_bytes(), name.as_str()])
        .map(drop)
}

/// What a room is to be called that one has come into, whatever was shown since that was decided.
pub(in crate::client) fn joining(db: &Connection, room: &RoomId) -> Sql<Option<RoomName>> {
    db.prepare_cached(
        "SELECT COALESCE(joining, name) FROM ways_into_rooms WHERE room = ?1 ORDER BY joining IS NULL, at DESC",
    )?
        .query_row([room.as_bytes()], |row| parsed(row, 0))
        .optional()
}

/// No way into a room is needed any more, or leads there.
pub(in crate::client) fn end_ways(db: &Connection, room: &RoomId) -> Sql<()> {
    db.prepare_cached("DELETE FROM ways_into_rooms WHERE room = ?1")?.execute([room.as_bytes()]).map(drop)
}

/// These are left out now, by this profile or `by_server`, and nobody else; whom that is new of.
pub(in crate::client) fn leave_out(
    db: &Connection,
    room: &RoomId,
    by_server: bool,
    now: &[(AccountId, LeftOut)],
) -> Sql<Vec<(AccountId, LeftOut)>> {
    let of_server = |reason: i64| (reason == LeftOut::MailboxFull as i64) == by_server;
    let before: Vec<([u8; 32], i64)> = db
        .prepare_cached("SELECT account, reason FROM room_left_out WHERE room = ?1")?
        .query_map([room.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Sql<_>>()?;
    let is_now = |account: &[u8; 32], reason: i64| {
        now.iter().any(|(one, why)| one.as_bytes() == account && *why as i64 == reason)
    };
    let mut delete =
        db.prepare_cached("DELETE FROM room_left_out WHERE room = ?1 AND account = ?2 AND reason = ?3")?;
    for (account, reason) in before.iter().filter(|(_, reason)| of_server(*reason)) {
        if !is_now(account, *reason) {
            delete.execute(params![room.as_bytes(), account, reason])?;
        }
    }
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO room_left_out (room, account, reason) VALUES (?1, ?2, ?3)")?;
    let mut new = Vec::new();
    for (account, reason) in now {
        if insert.execute(params![room.as_bytes(), account.as_bytes(), *reason as i64])? > 0 {
            new.push((*account, *reason));
        }
    }
    Ok(new)
}

fn read(row: &Row<'_>) -> Sql<Stored> {
    let standing = match row.get(2)? {
        0_i64 => Standing::Founding,
        1 => Standing::Member,
        _ => Standing::Left,
    };
    Ok(Stored { id: RoomId::new(row.get(0)?), name: parsed(row, 1)?, standing })
}

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
