//! The transparency log: a leaf for each account record, in the transaction that appends the record, and the
//! hashes above it (`tlog_tiles` numbers and computes them).

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use tlog_tiles::{Hash, HashReader};

use crate::model::log::record_hash;
use crate::model::{AccountRecord, Head, Leaf, NameHash, Signed};
use crate::store::{ProvenLeaf, StoreError};

/// Where the hashes are.
struct Hashes<'a>(&'a Connection);

impl HashReader for Hashes<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let read = || {
            let mut query = self.0.prepare_cached("SELECT hash FROM log_hash WHERE place = ?")?;
            let hash = |place: &u64| query.query_row([place.cast_signed()], |row| row.get(0).map(Hash));
            places.iter().map(hash).collect::<Result<Vec<_>, rusqlite::Error>>()
        };
        read().map_err(|error| tlog_tiles::Error::InvalidInput(error.to_string()))
    }
}

impl From<tlog_tiles::Error> for StoreError {
    fn from(error: tlog_tiles::Error) -> Self {
        Self::Failed(format!("the transparency log is damaged: {error}"))
    }
}

/// An account record has been appended, at this place of its account's chain: its leaf. `size` is the log's
/// before it; it is returned as it is then.
pub fn append(
    transaction: &Transaction<'_>,
    size: u64,
    folded: &str,
    place: u32,
    record: &Signed,
) -> Result<u64, StoreError> {
    let name = NameHash::of_folded(folded);
    let previous = if place == 0 { None } else { newest(transaction, name, size)?.map(|(place, _)| place) };
    let leaf = Leaf { name, previous, record: record_hash(record) };
    transaction
        .prepare_cached("INSERT INTO log_leaf (place, name, previous, record) VALUES (?, ?, ?, ?)")?
        .execute((size.cast_signed(), name.0, previous.map(u64::cast_signed), leaf.record))?;
    let hashes = tlog_tiles::stored_hashes(size, &leaf.to_bytes(), &Hashes(transaction))?;
    let mut insert = transaction.prepare_cached("INSERT INTO log_hash (place, hash) VALUES (?, ?)")?;
    for (place, Hash(hash)) in (tlog_tiles::stored_hash_index(0, size)..).zip(hashes) {
        insert.execute((place.cast_signed(), hash))?;
    }
    Ok(size + 1)
}

/// How many leaves there are.
pub fn size(connection: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT place FROM log_leaf ORDER BY place DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(newest.map_or(0, |newest| newest.cast_unsigned() + 1))
}

/// The log's head, and leaves from a place on.
pub fn read(connection: &Connection, from: u64, limit: usize) -> Result<(Head, Vec<Leaf>), StoreError> {
    let size = size(connection)?;
    let Hash(root) = tlog_tiles::tree_hash(size, &Hashes(connection))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    // What was appended meanwhile is not in this head.
    let leaves = connection
        .prepare_cached(
            "SELECT place, name, previous, record FROM log_leaf WHERE place >= ?1 AND place < ?2
             ORDER BY place LIMIT ?3",
        )?
        .query_map((from, size.cast_signed(), limit), |row| leaf(row).map(|(_, leaf)| leaf))?
        .collect::<Result<_, _>>()?;
    Ok((Head { size, root }, leaves))
}

/// The newest leaf of a name among the first `size`, and the proof that it is one of them.
pub fn prove_leaf(
    connection: &Connection,
    name: NameHash,
    size: u64,
) -> Result<Option<ProvenLeaf>, StoreError> {
    if size > self::size(connection)? {
        return Err(StoreError::Conflict);
    }
    let Some((place, leaf)) = newest(connection, name, size)? else { return Ok(None) };
    let proof = tlog_tiles::prove_record(size, place, &Hashes(connection))?;
    Ok(Some(ProvenLeaf { place, leaf, proof: proof.into_iter().map(|Hash(hash)| hash).collect() }))
}

/// The proof that the first `from` leaves of the first `to` are what they were.
pub fn prove_growth(connection: &Connection, from: u64, to: u64) -> Result<Vec<[u8; 32]>, StoreError> {
    if from == 0 || from > to || to > size(connection)? {
        return Err(StoreError::Conflict);
    }
    let proof = tlog_tiles::prove_tree(to, from, &Hashes(connection))?;
    Ok(proof.into_iter().map(|Hash(hash)| hash).collect())
}

fn newest(connection: &Connection, name: NameHash, size: u64) -> Result<Option<(u64, Leaf)>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT place, name, previous, record FROM log_leaf WHERE name = ? AND place < ?
             ORDER BY place DESC LIMIT 1",
        )?
        .query_row((name.0, size.cast_signed()), leaf)
        .optional()?;
    Ok(found)
}

fn leaf(row: &Row<'_>) -> Result<(u64, Leaf), rusqlite::Error> {
    let (place, previous): (i64, Option<i64>) = (row.get(0)?, row.get(2)?);
    let leaf =
        Leaf { name: NameHash(row.get(1)?), previous: previous.map(i64::cast_unsigned), record: row.get(3)? };
    Ok((place.cast_unsigned(), leaf))
}

/// Makes leaves for the accounts of a store that had no log yet, in the order in which they registered: that
/// of the times in their records, by their own clocks.
pub fn fill(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    if size(transaction)? > 0 {
        return Ok(());
    }
    let mut records = Vec::new();
    let mut query = transaction.prepare(
        "SELECT account, place, nickname, record FROM account_record JOIN account ON account.id = account
         ORDER BY account, place",
    )?;
    let mut rows = query.query([])?;
    let mut made_at = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (account, place, folded): (Vec<u8>, u32, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let record: Signed = super::read::decode(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let said: Option<AccountRecord> = minicbor::decode(&record.body).ok();
        let said = said.map_or(0, |record| record.made_at.0);
        // A chain's records keep their order, whatever its maker's clock did.
        let before = if made_at.0 == account { made_at.1 } else { 0 };
        made_at = (account.clone(), said.max(before));
        records.push((made_at.1, account, place, folded, record));
    }
    records.sort_by(|one, other| (one.0, &one.1, one.2).cmp(&(other.0, &other.1, other.2)));
    let mut size = 0;
    for (_, _, place, folded, record) in &records {
        size = append(transaction, size, folded, *place, record)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
