//! The transparency log as this profile has verified it: every leaf, the hashes above them, signed checkpoints,
//! what others say about it, and what was found wrong.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tlog_tiles::{Hash, HashReader, stored_hash_count, stored_hash_index};

use crate::client::Alarm;
use crate::client::command::AlarmKind;
use crate::crypto::{LogWord, Proof};
use crate::model::log::record_hash;
use crate::model::{AccountId, Head, Leaf, Millis, NameHash, Nickname, Signed, from_canonical_cbor, to_cbor};

use super::{Sql, signed, unsigned};

/// Heads of one account that are kept at a time while they don't agree with one's own log, which is how often that
/// account can make this client ask.
const HEADS_OF_ONE: i64 = 64;
/// The same of all accounts. Beyond that, heads that were asked about give way to others.
const HEADS: i64 = 4096;
/// Words of one account that are kept at a time.
const WORDS_OF_ONE: i64 = 16;
/// The same of all accounts. Beyond that, words that were looked at give way to others.
const WORDS: i64 = 1024;

/// Hashes of the tree: those that are stored, and behind them some that are not yet.
pub(in crate::client) struct Hashes<'a> {
    db: Option<&'a Connection>,
    stored: u64,
    fresh: Vec<Hash>,
}

impl HashReader for Hashes<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let missing = || tlog_tiles::Error::IndexesNotInTree;
        let read = |place: &u64| {
            if let Some(place) = place.checked_sub(self.stored) {
                let place = usize::try_from(place).map_err(|_| missing())?;
                return self.fresh.get(place).copied().ok_or_else(missing);
            }
            let found =
                self.db.ok_or_else(missing)?.prepare_cached("SELECT hash FROM log_hashes WHERE place = ?1");
            let found = found.and_then(|mut query| query.query_row([signed(*place)], |row| row.get(0)));
            found.map(Hash).map_err(|error| tlog_tiles::Error::InvalidInput(error.to_string()))
        };
        places.iter().map(read).collect()
    }
}

impl<'a> Hashes<'a> {
    /// Of the log as it is stored.
    pub(in crate::client) fn stored(db: &'a Connection, size: u64) -> Self {
        Self { db: Some(db), stored: stored_hash_count(size), fresh: Vec::new() }
    }

    /// Of nothing yet.
    pub(in crate::client) fn empty() -> Self {
        Self { db: None, stored: 0, fresh: Vec::new() }
    }

    /// Adds leaves behind the first `size`.
    pub(in crate::client) fn append(&mut self, size: u64, leaves: &[Leaf]) -> Sql<()> {
        for (place, leaf) in (size..).zip(leaves) {
            let more = tlog_tiles::stored_hashes(place, &leaf.to_bytes(), self).map_err(failed)?;
            self.fresh.extend(more);
        }
        Ok(())
    }

    /// What the first `size` leaves hash to.
    pub(in crate::client) fn head(&self, size: u64) -> Sql<Head> {
        let Hash(root) = tlog_tiles::tree_hash(size, self).map_err(failed)?;
        Ok(Head { size, root })
    }

    /// That the first `size` leaves have grown out of the first `from`.
    pub(in crate::client) fn prove(&self, from: u64, size: u64) -> Sql<Vec<[u8; 32]>> {
        let proof = tlog_tiles::prove_tree(size, from, self).map_err(failed)?;
        Ok(proof.into_iter().map(|Hash(hash)| hash).collect())
    }
}

fn failed(error: tlog_tiles::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

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

/// Whether a record of one's own account was made by oneself.
pub(in crate::client) fn is_own(db: &Connection, record: &[u8; 32]) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM log_own WHERE record = ?1")?.exists([record])
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

/// A head that came with somebody's messages, and where the matter stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Standing {
    Unchecked = 0,
    /// One's own log had it.
    Agrees = 1,
    /// It did not, and its bearer's signed checkpoint has been asked for.
    Asked = 2,
    /// It did not, and its bearer could not be asked yet.
    Pending = 3,
}

/// Notes a head that came with a message, if it is new with its bearer: somebody else's answer is not theirs.
pub(in crate::client) fn heard(db: &Connection, account: &AccountId, head: &Head) -> Sql<()> {
    let agrees = db
        .prepare_cached("SELECT 1 FROM log_heads WHERE size = ?1 AND root = ?2 AND state = 1")?
        .exists(params![signed(head.size), head.root])?;
    if agrees {
        return Ok(());
    }
    let added = db
        .prepare_cached(
            "INSERT OR IGNORE INTO log_heads (size, root, account, state)
             SELECT ?1, ?2, ?3, ?6
             WHERE (SELECT COUNT(*) FROM log_heads WHERE account = ?3 AND state <> 1) < ?4
                 AND (SELECT COUNT(*) FROM log_heads WHERE state = 0) < ?5",
        )?
        .execute(params![
            signed(head.size),
            head.root,
            account.as_bytes(),
            HEADS_OF_ONE,
            HEADS,
            Standing::Unchecked as i64
        ])?;
    if added > 0 {
        db.prepare_cached(
            "DELETE FROM log_heads WHERE rowid IN (
                 SELECT rowid FROM log_heads WHERE state IN (2, 3) ORDER BY rowid
                 LIMIT MAX(0, (SELECT COUNT(*) FROM log_heads WHERE state <> 1) - ?1))",
        )?
        .execute([HEADS])?;
        // What agreed can be looked at again for little.
        db.prepare_cached(
            "DELETE FROM log_heads WHERE state = 1 AND rowid < (SELECT MAX(rowid) FROM log_heads) - 1000",
        )?
        .execute([])?;
    }
    Ok(())
}

/// Heads that are to be looked at, and who bears them: first those that nobody has looked at, then, in any order,
/// those whose bearers could not be asked.
pub(in crate::client) fn unchecked(db: &Connection) -> Sql<Vec<(Head, AccountId)>> {
    db.prepare_cached(
        "SELECT size, root, account FROM log_heads WHERE state IN (0, 3)
         ORDER BY state, CASE state WHEN 0 THEN rowid ELSE RANDOM() END",
    )?
    .query_map([], |row| {
        let head = Head { size: unsigned(row.get(0)?), root: row.get(1)? };
        Ok((head, AccountId::new(row.get(2)?)))
    })?
    .collect()
}

/// Notes where the matter stands with a head of one bearer; where it agrees, with the same head of everybody.
pub(in crate::client) fn settle(
    db: &Connection,
    head: &Head,
    account: &AccountId,
    standing: Standing,
) -> Sql<()> {
    db.prepare_cached(
        "UPDATE log_heads SET state = ?4 WHERE size = ?1 AND root = ?2 AND (account = ?3 OR ?4 = 1)",
    )?
    .execute(params![signed(head.size), head.root, account.as_bytes(), standing as i64])
    .map(drop)
}

/// Keeps what somebody says about the log until it is looked at.
pub(in crate::client) fn told(db: &Connection, account: &AccountId, word: &LogWord) -> Sql<()> {
    let added = db
        .prepare_cached(
            "INSERT INTO log_words (account, word)
             SELECT ?1, ?2 WHERE (SELECT COUNT(*) FROM log_words WHERE account = ?1) < ?3
                 AND (SELECT COUNT(*) FROM log_words WHERE heard = 0) < ?4",
        )?
        .execute(params![account.as_bytes(), to_cbor(word), WORDS_OF_ONE, WORDS])?;
    if added > 0 {
        db.prepare_cached(
            "DELETE FROM log_words WHERE place IN (
                 SELECT place FROM log_words WHERE heard = 1 ORDER BY place
                 LIMIT MAX(0, (SELECT COUNT(*) FROM log_words) - ?1))",
        )?
        .execute([WORDS])?;
    }
    Ok(())
}

/// The words that have to be looked at, by their rows: first those that nobody has looked at, then, in any order,
/// those that could not be answered.
pub(in crate::client) fn words(db: &Connection) -> Sql<Vec<i64>> {
    db.prepare_cached(
        "SELECT place FROM log_words ORDER BY heard, CASE heard WHEN 0 THEN place ELSE RANDOM() END",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// A word: whose it is, and what it says.
pub(in crate::client) fn word(db: &Connection, place: i64) -> Sql<Option<(AccountId, Option<LogWord>)>> {
    db.prepare_cached("SELECT account, word FROM log_words WHERE place = ?1")?
        .query_row([place], |row| {
            let word: Vec<u8> = row.get(1)?;
            Ok((AccountId::new(row.get(0)?), from_canonical_cbor(&word).ok()))
        })
        .optional()
}

/// A word was looked at, and its answer is still to be sent.
pub(in crate::client) fn keep_word(db: &Connection, place: i64) -> Sql<()> {
    db.prepare_cached("UPDATE log_words SET heard = 1 WHERE place = ?1")?.execute([place]).map(drop)
}

pub(in crate::client) fn forget_word(db: &Connection, place: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM log_words WHERE place = ?1")?.execute([place]).map(drop)
}

/// Keeps an alarm, once for each `about`, and of those about the whole log one of a kind until it is accepted. What
/// happens once more after it was accepted is one that nobody has accepted. Whether it is new.
pub(in crate::client) fn raise(
    db: &Connection,
    alarm: &Alarm,
    about: &[u8],
    proof: Option<&Proof>,
) -> Sql<bool> {
    let (logs, keys) = match proof {
        Some(Proof::Logs(evidence)) => (Some(to_cbor(evidence)), None),
        Some(Proof::Keys(proven)) => (None, Some(to_cbor(&**proven))),
        None => (None, None),
    };
    db.prepare_cached(
        "INSERT INTO log_alarms (kind, about, nickname, text, at, evidence, certificates)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?3 IS NOT NULL OR NOT EXISTS (
             SELECT 1 FROM log_alarms WHERE kind = ?1 AND nickname IS NULL AND accepted = 0)
         ON CONFLICT (kind, about) DO UPDATE SET
             text = excluded.text, at = excluded.at, evidence = excluded.evidence,
             certificates = excluded.certificates, accepted = 0
             WHERE accepted = 1 AND ?8",
    )?
    .execute(params![
        alarm.alarm.word(),
        about,
        alarm.nickname.as_ref().map(Nickname::as_str),
        alarm.text,
        signed(alarm.at.0),
        logs,
        keys,
        alarm.alarm.recurs(),
    ])
    .map(|rows| rows == 1)
}

/// All alarms, oldest first, with what proves them.
pub(in crate::client) fn alarms(db: &Connection) -> Sql<Vec<(Alarm, Option<Proof>)>> {
    db.prepare_cached(
        "SELECT kind, nickname, text, at, accepted, evidence, certificates FROM log_alarms ORDER BY place",
    )?
    .query_map([], read_alarm)?
    .collect()
}

/// Whoever uses this profile has seen the alarms and goes on.
pub(in crate::client) fn accept(db: &Connection) -> Sql<()> {
    db.execute("UPDATE log_alarms SET accepted = 1", []).map(drop)
}

/// A person has decided whose key is right for a name: alarms about it have been heard. A second account is said
/// in the audit all the same.
pub(in crate::client) fn settle_name(db: &Connection, name: &Nickname) -> Sql<()> {
    db.prepare_cached(
        "UPDATE log_alarms SET accepted = 1 WHERE nickname = ?1 AND kind IN ('not_in_log', 'second_chain')",
    )?
    .execute([name.as_str()])
    .map(drop)
}

/// The identity key with which somebody changed one's own account is worth nothing any more.
pub(in crate::client) fn settle_own_account(db: &Connection) -> Sql<()> {
    db.execute("UPDATE log_alarms SET accepted = 1 WHERE kind = 'own_account'", []).map(drop)
}

fn read_alarm(row: &Row<'_>) -> Sql<(Alarm, Option<Proof>)> {
    let kind: String = row.get(0)?;
    let nickname: Option<String> = row.get(1)?;
    let logs: Option<Vec<u8>> = row.get(5)?;
    let keys: Option<Vec<u8>> = row.get(6)?;
    let alarm = Alarm {
        alarm: AlarmKind::from_word(&kind),
        nickname: nickname.and_then(|name| name.parse().ok()),
        text: row.get(2)?,
        at: Millis(unsigned(row.get(3)?)),
        accepted: row.get(4)?,
    };
    let logs = logs.and_then(|bytes| from_canonical_cbor(&bytes).ok()).map(Proof::Logs);
    let keys = || keys.and_then(|bytes| from_canonical_cbor(&bytes).ok()).map(Box::new).map(Proof::Keys);
    Ok((alarm, logs.or_else(keys)))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
