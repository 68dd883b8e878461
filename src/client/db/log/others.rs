//! What others say about the log: heads that come with their messages, and words of theirs.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::client::db::{Sql, signed, unsigned};
use crate::crypto::LogWord;
use crate::model::{AccountId, Head, from_canonical_cbor, to_cbor};

/// Heads of one account that are kept at a time while they don't agree with one's own log, which is how often that
/// account can make this client ask.
const HEADS_OF_ONE: i64 = 64;
/// The same of all accounts. Beyond that, heads that were asked about give way to others.
const HEADS: i64 = 4096;
/// Words of one account that are kept at a time.
const WORDS_OF_ONE: i64 = 16;
/// The same of all accounts. Beyond that, words that were looked at give way to others.
const WORDS: i64 = 1024;

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
