//! Who is in which room, and what each may read of it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _};

use super::read::decode;
use crate::model::{AccountId, RoomId, RosterId};
use crate::store::{Standing, StoreError, StoredRoom};

/// The newest record of a room.
pub struct Newest {
    pub roster: RosterId,
    pub place: u32,
}

/// A standing as its column has it.
pub fn number(standing: Standing) -> i64 {
    match standing {
        Standing::Invited => 0,
        Standing::Member => 1,
        Standing::Former => 2,
    }
}

pub fn newest(connection: &Connection, room: &RoomId) -> Result<Option<Newest>, StoreError> {
    let newest = connection
        .prepare_cached("SELECT newest, place FROM room WHERE id = ?")?
        .query_row([room.as_bytes()], |row| {
            Ok(Newest { roster: RosterId::new(row.get(0)?), place: row.get(1)? })
        })
        .optional()?;
    Ok(newest)
}

pub fn members(connection: &Connection, room: &RoomId) -> Result<HashSet<AccountId>, StoreError> {
    let members = connection
        .prepare_cached("SELECT account FROM room_account WHERE room = ? AND standing = ?")?
        .query_map((room.as_bytes(), number(Standing::Member)), |row| row.get(0).map(AccountId::new))?
        .collect::<Result<_, _>>()?;
    Ok(members)
}

/// In how many other rooms an account is, or which it has begun.
pub fn count(connection: &Connection, account: &AccountId, but: &RoomId) -> Result<u32, StoreError> {
    let count = connection
        .prepare_cached(
            "SELECT count(*) FROM room_account WHERE account = ? AND room <> ? AND (standing = ? OR founder)",
        )?
        .query_row((account.as_bytes(), but.as_bytes(), number(Standing::Member)), |row| row.get(0))?;
    Ok(count)
}

/// What an account may read of a room.
pub fn read(
    connection: &Connection,
    room: &RoomId,
    reader: &AccountId,
    from: u32,
    bytes: usize,
) -> Result<Option<StoredRoom>, StoreError> {
    // Of one moment: who goes in between reads no further.
    let moment = connection.unchecked_transaction()?;
    let known: Option<(i64, u32)> = moment
        .prepare_cached(
            "SELECT standing, coalesce(gone, place) FROM room_account JOIN room ON room.id = room
             WHERE room = ? AND account = ?",
        )?
        .query_row((room.as_bytes(), reader.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((standing, last)) = known else { return Ok(None) };
    let standing = match standing {
        0 => Standing::Invited,
        1 => Standing::Member,
        _ => Standing::Former,
    };
    let mut query = moment.prepare_cached(
        "SELECT record FROM room_record WHERE room = ? AND place BETWEEN ? AND ? ORDER BY place",
    )?;
    let mut rows = query.query((room.as_bytes(), from, last))?;
    let (mut records, mut size, mut more) = (Vec::new(), 0, false);
    while let Some(row) = rows.next()? {
        if size >= bytes {
            more = true;
            break;
        }
        let record: Vec<u8> = row.get(0)?;
        size += record.len();
        records.push(decode(&record)?);
    }
    Ok(Some(StoredRoom { standing, records, more }))
}
