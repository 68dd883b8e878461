//! Forgetting what every device has, and what is too old.

use rusqlite::Transaction;

use crate::model::{BlobId, Millis, limits};
use crate::store::StoreError;

/// Rows that one step removes, at most: a group's transaction stays short.
const STEP: i64 = 1000;

/// How long a sealed blob may wait for the envelope that refers to it.
const UNUSED_BLOB: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// One step. Returns whether there may be more to do; `removed` gets the blobs whose files can go.
pub fn step(
    transaction: &Transaction<'_>,
    now: Millis,
    removed: &mut Vec<BlobId>,
) -> Result<bool, StoreError> {
    let horizon = Millis(now.0.saturating_sub(Millis(0).plus(limits::RETENTION).0)).0.cast_signed();
    let entries: Vec<([u8; 32], i64, i64)> = transaction
        .prepare_cached(
            "SELECT mailbox.account, seq, envelope FROM mailbox
             JOIN envelope ON envelope.id = mailbox.envelope
             WHERE envelope.accepted_at < ?1
                OR seq <= (SELECT min(acknowledged) FROM device WHERE device.account = mailbox.account)
             LIMIT ?2",
        )?
        .query_map((horizon, STEP), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (account, seq, envelope) in &entries {
        transaction
            .prepare_cached("DELETE FROM mailbox WHERE account = ? AND seq = ?")?
            .execute((account, seq))?;
        transaction
            .prepare_cached("UPDATE account SET pruned = max(pruned, ?) WHERE id = ?")?
            .execute((seq, account))?;
        transaction
            .prepare_cached(
                "UPDATE envelope SET body = NULL
                 WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM mailbox WHERE envelope = ?1)",
            )?
            .execute([envelope])?;
        transaction
            .prepare_cached(
                "DELETE FROM blob_use
                 WHERE envelope = ?1 AND NOT EXISTS (SELECT 1 FROM mailbox WHERE envelope = ?1)",
            )?
            .execute([envelope])?;
    }
    let names = transaction
        .prepare_cached(
            "DELETE FROM envelope WHERE id IN
                 (SELECT id FROM envelope WHERE accepted_at < ? AND body IS NULL LIMIT ?)",
        )?
        .execute((horizon, STEP))?;
    let unused = Millis(now.0.saturating_sub(Millis(0).plus(UNUSED_BLOB).0)).0.cast_signed();
    let blobs: Vec<[u8; 32]> = transaction
        .prepare_cached(
            "DELETE FROM blob WHERE id IN
                 (SELECT id FROM blob WHERE sealed_at < ?
                  AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.blob = blob.id) LIMIT ?)
             RETURNING id",
        )?
        .query_map((unused, STEP), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let full = usize::try_from(STEP).is_ok_and(|step| [entries.len(), names, blobs.len()].contains(&step));
    removed.extend(blobs.into_iter().map(BlobId::new));
    Ok(full)
}
