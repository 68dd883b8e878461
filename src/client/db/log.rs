//! The transparency log as this profile has verified it: every leaf, signed checkpoints, and whose records may be relied
//! on by them.
//!
//! - `hashes`: those above the leaves
//! - `others`: what others say about the log
//! - `alarms`: what was found wrong

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tlog_tiles::{Hash, stored_hash_index};

use crate::model::log::record_hash;
use crate::model::{Head, Leaf, Millis, NameHash, Nickname, Signed, from_canonical_cbor};

use super::{Sql, signed, unsigned};

mod alarms;
mod hashes;
mod others;

pub(in crate::client) use self::alarms::{accept, alarms, raise, settle_name, settle_own_account};
pub(in crate::client) use self::hashes::Hashes;
pub(in crate::client) use self::others::{
    Standing, forget_word, heard, keep_word, settle, told, unchecked, word, words,
};

/// A checkpoint whose leaves have been verified and are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) struct Known {
    pub head: Head,
    pub note: String,
}

/// The newest checkpoint.
pub(in crate::client) fn newest(db: &Connection) -> Sql<Option<Known>> {
    db.prepare_cached("SELECT size, root, note FROM log_checkpoints ORDER BY size DESC LIMIT 1")?
        .query_row([], |row| {
            let head = Head { size: unsigned(row.get(0)?), root: row.get(1)? };
            Ok(Known { head, note: row.get(2)? })
        })
        .optional()
}

/// What a new leaf tells beside that it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Finding {
    /// The name has a leaf, and this begins another chain.
    SecondChain(NameHash),
    /// It names another leaf as the one before it than the name's newest.
    BrokenChain(NameHash),
    /// It is for one's own name, and not of one's own making.
    OwnName([u8; 32]),
}

impl Finding {
    /// Keeps it until it has been said.
    fn keep(self, db: &Connection) -> Sql<()> {
        let (finding, about) = match self {
            Self::SecondChain(name) => (1, name.0),
            Self::BrokenChain(name) => (2, name.0),
            Self::OwnName(record) => (3, record),
        };
        db.prepare_cached("INSERT INTO log_findings (finding, about) VALUES (?1, ?2)")?
            .execute(params![finding, about])
            .map(drop)
    }

    fn read(row: &Row<'_>) -> Sql<(i64, Self)> {
        let about: [u8; 32] = row.get(2)?;
        let finding = match row.get(1)? {
            1 => Self::SecondChain(NameHash(about)),
            2 => Self::BrokenChain(NameHash(about)),
            _ => Self::OwnName(about),
        };
        Ok((row.get(0)?, finding))
    }
}

/// What leaves have told and was not said yet, with its row.
pub(in crate::client) fn findings(db: &Connection) -> Sql<Vec<(i64, Finding)>> {
    let mut query = db.prepare_cached("SELECT place, finding, about FROM log_findings ORDER BY place")?;
    query.query_map([], Finding::read)?.collect()
}

/// It has been said, up to this row.
pub(in crate::client) fn said(db: &Connection, place: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM log_findings WHERE place <= ?1")?.execute([place]).map(drop)
}

/// Appends what was read behind the stored leaves, if that makes the signed head, and keeps what they tell in the same
/// transaction; whether they tell anything. `None` if it does not.
pub(in crate::client) fn extend(
    db: &Transaction<'_>,
    leaves: &[Leaf],
    next: &Known,
    me: NameHash,
) -> Sql<Option<bool>> {
    let size = newest(db)?.map_or(0, |known| known.head.size);
    let mut hashes = Hashes::stored(db, size);
    hashes.append(size, leaves)?;
    if hashes.head(size + leaves.len() as u64)? != next.head {
        return Ok(None);
    }
    let mut insert = db.prepare_cached("INSERT INTO log_hashes (place, hash) VALUES (?1, ?2)")?;
    for (place, Hash(hash)) in (stored_hash_index(0, size)..).zip(&hashes.fresh) {
        insert.execute(params![signed(place), hash])?;
    }
    let mut findings = Vec::new();
    for (place, leaf) in (size..).zip(leaves) {
        match (newest_of(db, leaf.name)?, leaf.previous) {
            (known, previous) if known == previous => {}
            (Some(_), None) => findings.push(Finding::SecondChain(leaf.name)),
            _ => findings.push(Finding::BrokenChain(leaf.name)),
        }
        if leaf.name == me && !is_own(db, &leaf.record)? {
            findings.push(Finding::OwnName(leaf.record));
        }
        db.prepare_cached("INSERT INTO log_leaves (place, name, previous, record) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![signed(place), leaf.name.0, leaf.previous.map(signed), leaf.record])?;
    }
    db.prepare_cached(
        "INSERT OR REPLACE INTO log_checkpoints (size, root, note, seen_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![signed(next.head.size), next.head.root, next.note, signed(Millis::now().0)])?;
    findings.iter().try_for_each(|finding| finding.keep(db))?;
    Ok(Some(!findings.is_empty()))
}

/// Forgets the verified log; what was found wrong stays.
pub(in crate::client) fn forget(db: &Transaction<'_>) -> Sql<()> {
    db.execute_batch(
        "DELETE FROM log_leaves; DELETE FROM log_hashes; DELETE FROM log_checkpoints; DELETE FROM log_heads",
    )
}

fn newest_of(db: &Connection, name: NameHash) -> Sql<Option<u64>> {
    db.prepare_cached("SELECT place FROM log_leaves WHERE name = ?1 ORDER BY place DESC LIMIT 1")?
        .query_row([name.0], |row| Ok(unsigned(row.get(0)?)))
        .optional()
}

/// How many names the log has.
pub(in crate::client) fn names(db: &Connection) -> Sql<u64> {
    db.prepare_cached("SELECT COUNT(DISTINCT name) FROM log_leaves")?
        .query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// Whether a chain of records is exactly what the log has of a name, beside what is disowned.
pub(in crate::client) fn has_chain(db: &Connection, name: &Nickname, chain: &[Signed]) -> Sql<bool> {
    let records: Vec<[u8; 32]> = chain.iter().map(record_hash).collect();
    has_records(db, name, &records)
}

fn has_records(db: &Connection, name: &Nickname, records: &[[u8; 32]]) -> Sql<bool> {
    let logged: Vec<[u8; 32]> = db
        .prepare_cached(
            "SELECT record FROM log_leaves l WHERE name = ?1 AND NOT EXISTS (
                 SELECT 1 FROM log_disowned d WHERE d.place = l.place AND d.record = l.record)
             ORDER BY place",
        )?
        .query_map([NameHash::of(name).0], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    Ok(logged == records)
}

/// Whether somebody's records, by their hashes, may be relied on: they are what the log has of the name; or they end
/// with one that a person has accepted, and the log has had nothing new of the name since; or all of them are one's
/// own.
pub(in crate::client) fn stands(db: &Connection, name: &Nickname, records: &[[u8; 32]]) -> Sql<bool> {
    let Some(newest) = records.last() else { return Ok(false) };
    if has_records(db, name, records)? {
        return Ok(true);
    }
    let decided = db
        .prepare_cached(
            "SELECT 1 FROM log_decided WHERE record = ?1
             AND leaves >= (SELECT COUNT(*) FROM log_leaves WHERE name = ?2)",
        )?
        .exists(params![newest, NameHash::of(name).0])?;
    if decided {
        return Ok(true);
    }
    for record in records {
        if !is_own(db, record)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A person has accepted the key that this record shows, seeing what the log has of the name by now.
pub(in crate::client) fn decide(db: &Connection, name: &Nickname, record: &[u8; 32]) -> Sql<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO log_decided (record, leaves)
         SELECT ?1, (SELECT COUNT(*) FROM log_leaves WHERE name = ?2)",
    )?
    .execute(params![record, NameHash::of(name).0])
    .map(drop)
}

/// Notes a record of one's own account as made by oneself: has to be durable before it is published.
pub(in crate::client) fn made(db: &Connection, record: &Signed) -> Sql<()> {
    db.prepare_cached("INSERT OR IGNORE INTO log_own (record) VALUES (?1)")?
        .execute([record_hash(record)])
        .map(drop)
}

/// Takes that back, for a record that never came into anybody else's hands to stay.
pub(in crate::client) fn unmade(db: &Connection, record: &Signed) -> Sql<()> {
    db.prepare_cached("DELETE FROM log_own WHERE record = ?1")?.execute([record_hash(record)]).map(drop)
}

/// Whether a record of one's own account was made by oneself.
pub(in crate::client) fn is_own(db: &Connection, record: &[u8; 32]) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM log_own WHERE record = ?1")?.exists([record])
}

/// Whether the log has a record.
pub(in crate::client) fn has(db: &Connection, record: &[u8; 32]) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM log_leaves WHERE record = ?1")?.exists([record])
}

/// How many of one's own records are known here, and how many of them the log has.
pub(in crate::client) fn own(db: &Connection) -> Sql<(u64, u64)> {
    db.prepare_cached(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE record IN (SELECT record FROM log_leaves)) FROM log_own",
    )?
    .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))
}

/// Notes everybody but oneself whose stored records are not what the log has: they are to be looked up.
pub(in crate::client) fn note_outdated(db: &Connection, me: &Nickname) -> Sql<()> {
    let mut query = db.prepare_cached("SELECT nickname, entry FROM contacts WHERE pinned = 1")?;
    let mut rows = query.query([])?;
    let mut note = db.prepare_cached("INSERT OR IGNORE INTO log_outdated (nickname) VALUES (?1)")?;
    while let Some(row) = rows.next()? {
        let name: Nickname = super::messages::parsed(row, 0)?;
        let entry: Vec<u8> = row.get(1)?;
        let entry: Option<crate::model::DirectoryEntry> = from_canonical_cbor(&entry).ok();
        if let Some(entry) = entry
            && name != *me
            && !has_chain(db, &name, &entry.chain)?
        {
            note.execute([name.as_str()])?;
        }
    }
    Ok(())
}

/// Somebody who is to be looked up.
pub(in crate::client) fn next_outdated(db: &Connection) -> Sql<Option<Nickname>> {
    db.prepare_cached("SELECT nickname FROM log_outdated ORDER BY RANDOM() LIMIT 1")?
        .query_row([], |row| super::messages::parsed(row, 0))
        .optional()
}

/// Somebody has been looked up.
pub(in crate::client) fn looked_up(db: &Connection, name: &Nickname) -> Sql<()> {
    db.prepare_cached("DELETE FROM log_outdated WHERE nickname = ?1")?.execute([name.as_str()]).map(drop)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
