//! Whose mail is not wanted. What the server drops leaves holes in chains that are nobody's loss: from a block
//! until the first message after its end they are noted, and never announced.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::model::{AccountId, DeviceId};

use super::Sql;

/// Blocks an account or no longer. Nothing changes where it is so already.
pub(in crate::client) fn set(db: &Connection, account: &AccountId, blocked: bool) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO blocks (account, blocked) SELECT ?1, 1 WHERE ?2
         ON CONFLICT (account) DO UPDATE SET blocked = 1, told = 0 WHERE blocked = 0",
    )?
    .execute(params![account.as_bytes(), blocked])?;
    if !blocked {
        db.prepare_cached(
            "UPDATE blocks SET blocked = 0, told = 0, ended = ended + 1 WHERE account = ?1 AND blocked = 1",
        )?
        .execute([account.as_bytes()])?;
    }
    Ok(())
}

/// What the server has not been told yet.
pub(in crate::client) fn untold(db: &Connection) -> Sql<Vec<(AccountId, bool)>> {
    db.prepare_cached("SELECT account, blocked FROM blocks WHERE told = 0")?
        .query_map([], |row| Ok((AccountId::new(row.get(0)?), row.get(1)?)))?
        .collect()
}

/// The server has been told, unless something else holds meanwhile.
pub(in crate::client) fn note_told(db: &Connection, account: &AccountId, blocked: bool) -> Sql<()> {
    db.prepare_cached("UPDATE blocks SET told = 1 WHERE account = ?1 AND blocked = ?2")?
        .execute(params![account.as_bytes(), blocked])
        .map(drop)
}

/// Everybody who is blocked.
pub(in crate::client) fn all(db: &Connection) -> Sql<HashSet<AccountId>> {
    db.prepare_cached("SELECT account FROM blocks WHERE blocked = 1")?
        .query_map([], |row| row.get(0).map(AccountId::new))?
        .collect()
}

/// Whether an account is blocked.
pub(in crate::client) fn is_blocked(db: &Connection, account: &AccountId) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM blocks WHERE account = ?1 AND blocked = 1")?.exists([account.as_bytes()])
}

/// Whether a hole in the chain from a device of the account is of this profile's own making: there is a block,
/// or there was one and this is the first hole after it.
pub(in crate::client) fn explains(
    db: &Connection,
    account: &AccountId,
    device: &DeviceId,
    chain: &[u8; 32],
) -> Sql<bool> {
    let found: Option<(bool, i64)> = db
        .prepare_cached("SELECT blocked, ended FROM blocks WHERE account = ?1")?
        .query_row([account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((blocked, ended)) = found else { return Ok(false) };
    if blocked {
        return Ok(true);
    }
    let chain = params![device.as_bytes(), chain, ended];
    let changed = db
        .prepare_cached("UPDATE chains SET forgiven = ?3 WHERE device = ?1 AND chain = ?2 AND forgiven < ?3")?
        .execute(chain)?;
    Ok(changed > 0)
}
