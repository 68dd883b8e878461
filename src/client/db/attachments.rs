//! The sound of voice notes, in pieces of a chunk's size.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::model::limits;

use super::Sql;

/// Stores sound, in pieces of a chunk's size.
pub(in crate::client) fn put_all(db: &Connection, arrival: i64, sound: &[u8]) -> Sql<()> {
    for (place, data) in sound.chunks(limits::CHUNK).enumerate() {
        put(db, arrival, u32::try_from(place).unwrap_or(u32::MAX), data)?;
    }
    Ok(())
}

pub(in crate::client) fn put(db: &Connection, arrival: i64, place: u32, data: &[u8]) -> Sql<()> {
    db.prepare_cached("INSERT OR REPLACE INTO attachments (message, place, data) VALUES (?1, ?2, ?3)")?
        .execute(params![arrival, place, data])
        .map(drop)
}

/// All of a message's sound.
pub(in crate::client) fn all(db: &Connection, arrival: i64) -> Sql<Vec<u8>> {
    let mut statement =
        db.prepare_cached("SELECT data FROM attachments WHERE message = ?1 ORDER BY place")?;
    let mut rows = statement.query([arrival])?;
    let mut sound = Vec::new();
    while let Some(row) = rows.next()? {
        sound.extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(sound)
}

/// A message's sound as its manifest tells of it.
#[derive(Default)]
pub(in crate::client) struct Measured {
    pub size: u64,
    pub sha256: [u8; 32],
    /// All of it, where it fits into the envelope itself; otherwise nothing.
    pub inline: Option<Vec<u8>>,
}

/// Measures a message's sound piece by piece: it may be large.
pub(in crate::client) fn measure(db: &Connection, arrival: i64) -> Sql<Measured> {
    let mut statement =
        db.prepare_cached("SELECT data FROM attachments WHERE message = ?1 ORDER BY place")?;
    let mut rows = statement.query([arrival])?;
    let (mut size, mut hash, mut inline) = (0, Sha256::new(), Some(Vec::new()));
    while let Some(row) = rows.next()? {
        let piece = row.get_ref(0)?.as_blob()?;
        size += piece.len() as u64;
        hash.update(piece);
        inline = inline.filter(|_| size <= limits::INLINE_CONTENT as u64);
        inline.iter_mut().for_each(|all: &mut Vec<u8>| all.extend_from_slice(piece));
    }
    Ok(Measured { size, sha256: hash.finalize().into(), inline })
}

/// One piece of a message's sound.
pub(in crate::client) fn piece(db: &Connection, arrival: i64, place: u32) -> Sql<Option<Vec<u8>>> {
    db.prepare_cached("SELECT data FROM attachments WHERE message = ?1 AND place = ?2")?
        .query_row(params![arrival, place], |row| row.get(0))
        .optional()
}
