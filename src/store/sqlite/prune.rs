//! Forgetting what every device has, and what is too old.
//!
//! What is due is looked up beside the writer, which then removes it in small steps: however much mail
//! waits, submissions never wait long.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::apply::{ENTRY, NOBODY};
use crate::model::{AccountId, BlobId, Millis, limits};
use crate::store::StoreError;

/// Rows that one step removes, at most: a group's transaction stays short.
const STEP: i64 = 64;

/// How long a sealed blob may wait for the envelope that refers to it.
const UNUSED_BLOB: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Prune {
    /// Removes a mailbox's entries up to a seq.
    Mailbox(AccountId, u64),
    /// Removes the names of envelopes, and blobs, that are not needed at this time any more.
    Rest(Millis),
}

/// What a step has done.
#[derive(Debug, Default)]
pub struct Pruned {
    /// There may be more to do.
    pub more: bool,
    /// Blobs whose files can go.
    pub removed: Vec<BlobId>,
}

fn ago(now: Millis, span: std::time::Duration) -> i64 {
    Millis(now.0.saturating_sub(Millis(0).plus(span).0)).0.cast_signed()
}

/// Mailboxes that have something to remove, and up to where.
///
/// Only ever from the mailbox's beginning: an entry that seems old, because the clock was wrong for a while,
/// does not take with it what came before.
pub fn due(connection: &Connection, now: Millis) -> Result<Vec<(AccountId, u64)>, StoreError> {
    let horizon = ago(now, limits::RETENTION);
    let mut due: Vec<(AccountId, u64)> = connection
        .prepare_cached(
            "SELECT id, (SELECT min(acknowledged) FROM device WHERE device.account = account.id AND removed = 0)
                 AS up_to
             FROM account WHERE up_to > pruned",
        )?
        .query_map([], |row| Ok((AccountId::new(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned())))?
        .collect::<Result<_, _>>()?;
    for account in aged(connection, horizon)? {
        let mut entries = connection.prepare_cached(
            "SELECT seq, accepted_at FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
             WHERE account = ? ORDER BY seq",
        )?;
        let mut rows = entries.query([account.as_bytes()])?;
        let mut up_to = None;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= horizon {
                break;
            }
            up_to = Some(row.get::<_, i64>(0)?.cast_unsigned());
        }
        due.extend(up_to.map(|up_to| (account, up_to)));
    }
    let dropped = connection
        .prepare_cached("SELECT max(seq) FROM mailbox WHERE account = ?")?
        .query_row([NOBODY.as_bytes()], |row| row.get::<_, Option<i64>>(0))?;
    due.extend(dropped.map(|newest| (NOBODY, newest.cast_unsigned())));
    Ok(due)
}

/// Accounts whose oldest mail is older.
fn aged(connection: &Connection, horizon: i64) -> Result<Vec<AccountId>, StoreError> {
    // As a rule there is none, which can be seen at once.
    let any = connection
        .prepare_cached("SELECT 1 FROM envelope WHERE accepted_at < ? AND body IS NOT NULL")?
        .exists([horizon])?;
    if !any {
        return Ok(Vec::new());
    }
    let aged = connection
        .prepare_cached(
            "SELECT id FROM account WHERE
                 (SELECT accepted_at FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
                  WHERE mailbox.account = account.id ORDER BY seq LIMIT 1) < ?",
        )?
        .query_map([horizon], |row| row.get(0).map(AccountId::new))?
        .collect::<Result<_, _>>()?;
    Ok(aged)
}

/// One step in a mailbox that has come so far. Whether there may be more to do, and the bytes that it holds less of
/// which senders.
pub fn mailbox(
    transaction: &Transaction<'_>,
    account: &AccountId,
    up_to: u64,
    newest: u64,
) -> Result<(bool, Vec<(AccountId, u64)>), StoreError> {
    let up_to = i64::try_from(up_to.min(newest)).unwrap_or(i64::MAX);
    let entries: Vec<(i64, i64, i64, AccountId)> = transaction
        .prepare_cached(
            "SELECT seq, envelope, coalesce(length(body), 0) + length(wraps), sender
             FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
             WHERE account = ? AND seq <= ? ORDER BY seq LIMIT ?",
        )?
        .query_map((account.as_bytes(), up_to, STEP), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, AccountId::new(row.get(3)?)))
        })?
        .collect::<Result<_, _>>()?;
    for (seq, envelope, ..) in &entries {
        transaction
            .prepare_cached("DELETE FROM mailbox WHERE account = ? AND seq = ?")?
            .execute((account.as_bytes(), seq))?;
        if is_held(transaction, *envelope)? {
            continue;
        }
        transaction.prepare_cached("UPDATE envelope SET body = NULL WHERE id = ?")?.execute([envelope])?;
        transaction.prepare_cached("DELETE FROM blob_use WHERE envelope = ?")?.execute([envelope])?;
    }
    let more = entries.len() as i64 == STEP;
    let pruned = if more { entries.last().map_or(0, |(seq, ..)| *seq) } else { up_to };
    transaction
        .prepare_cached("UPDATE account SET pruned = max(pruned, ?) WHERE id = ?")?
        .execute((pruned, account.as_bytes()))?;
    let freed = entries.iter().map(|(.., bytes, sender)| (*sender, ENTRY + bytes.cast_unsigned()));
    Ok((more, freed.collect()))
}

/// Whether an envelope that has gone from a mailbox is in another one still.
fn is_held(transaction: &Transaction<'_>, envelope: i64) -> Result<bool, StoreError> {
    let others: Option<i64> = transaction
        .prepare_cached(
            "UPDATE envelope_share SET mailboxes = mailboxes - 1 WHERE envelope = ? RETURNING mailboxes",
        )?
        .query_row([envelope], |row| row.get(0))
        .optional()?;
    match others {
        // It was in one only.
        None => Ok(false),
        Some(1..) => Ok(true),
        Some(_) => {
            transaction
                .prepare_cached("DELETE FROM envelope_share WHERE envelope = ?")?
                .execute([envelope])?;
            Ok(false)
        }
    }
}

/// One step in everything else.
pub fn rest(transaction: &Transaction<'_>, now: Millis) -> Result<Pruned, StoreError> {
    transaction
        .prepare_cached("DELETE FROM invite WHERE uses = 0 OR expires_at < ?")?
        .execute([now.0.cast_signed()])?;
    let names = transaction
        .prepare_cached(
            "DELETE FROM envelope WHERE id IN
                 (SELECT id FROM envelope WHERE accepted_at < ? AND body IS NULL LIMIT ?)",
        )?
        .execute((ago(now, limits::RETENTION), STEP))?;
    let removed: Vec<BlobId> = transaction
        .prepare_cached(
            "DELETE FROM blob WHERE id IN
                 (SELECT id FROM blob WHERE sealed_at < ?
                  AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.blob = blob.id) LIMIT ?)
             RETURNING id",
        )?
        .query_map((ago(now, UNUSED_BLOB), STEP), |row| row.get(0).map(BlobId::new))?
        .collect::<Result<_, _>>()?;
    let more = [names, removed.len()].iter().any(|count| *count as i64 == STEP);
    let more = deserted(transaction, now)? || more;
    Ok(Pruned { more, removed })
}

/// Forgets a room that nobody has been in for long, if there is one. Who was invited comes into it no more.
fn deserted(transaction: &Transaction<'_>, now: Millis) -> Result<bool, StoreError> {
    let room: Option<[u8; 32]> = transaction
        .prepare_cached(
            "DELETE FROM room WHERE id IN (SELECT id FROM room WHERE empty_since < ? LIMIT 1) RETURNING id",
        )?
        .query_row([ago(now, limits::RETENTION)], |row| row.get(0))
        .optional()?;
    let Some(room) = room else { return Ok(false) };
    for statement in ["DELETE FROM room_record WHERE room = ?", "DELETE FROM room_account WHERE room = ?"] {
        transaction.prepare_cached(statement)?.execute([room])?;
    }
    Ok(true)
}
