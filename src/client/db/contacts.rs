//! People: who a name belongs to, and what the directory last said of them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::crypto::record::Account;
use crate::model::{AccountId, DirectoryEntry, Millis, Nickname, to_cbor};

use super::messages::parsed;
use super::{Sql, signed, unsigned};

/// A person as stored.
#[derive(Clone, Debug)]
pub(in crate::client) struct Stored {
    pub account: AccountId,
    pub nickname: Nickname,
    /// CBOR of the directory's entry.
    pub entry: Vec<u8>,
    pub fetched_at: Millis,
    pub verified: bool,
    /// Whether the name is pinned to another account, or to this one and another has turned up.
    pub changed: bool,
}

/// How an account stands to the name that it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Pin {
    /// The name's account, from now on or as before.
    Holds,
    /// The name was pinned to another account, and this is said for the first time.
    Changed,
    /// The name was pinned to another account, which has been said.
    StillChanged,
}

const COLUMNS: &str = "account, nickname, entry, fetched_at, verified, pinned, changed";

/// Stores what the directory says of an account, and pins it at first contact.
pub(in crate::client) fn meet(
    db: &Connection,
    account: &Account,
    entry: &DirectoryEntry,
    now: Millis,
) -> Sql<Pin> {
    let pinned: Option<([u8; 32], bool)> = db
        .prepare_cached("SELECT account, changed FROM contacts WHERE folded = ?1 AND pinned = 1")?
        .query_row([account.nickname.folded()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let pin = match pinned {
        Some((known, changed)) if known != *account.id.as_bytes() => {
            db.prepare_cached("UPDATE contacts SET changed = 1 WHERE folded = ?1 AND pinned = 1")?
                .execute([account.nickname.folded()])?;
            if changed { Pin::StillChanged } else { Pin::Changed }
        }
        _ => Pin::Holds,
    };
    // Whether someone is online is a matter of the moment.
    let entry = DirectoryEntry { online: false, ..entry.clone() };
    db.prepare_cached(
        "INSERT INTO contacts (account, nickname, folded, color, since, entry, fetched_at, pinned)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (account) DO UPDATE SET entry = excluded.entry, fetched_at = excluded.fetched_at",
    )?
    .execute(params![
        account.id.as_bytes(),
        account.nickname.as_str(),
        account.nickname.folded(),
        account.color.to_string(),
        signed(account.since.0),
        to_cbor(&entry),
        signed(now.0),
        pin == Pin::Holds,
    ])?;
    Ok(pin)
}

/// The directory has answered for a pinned name with the pinned account: nothing is changed (any more).
pub(in crate::client) fn confirm(db: &Connection, account: &AccountId) -> Sql<()> {
    db.prepare_cached("UPDATE contacts SET changed = 0 WHERE account = ?1 AND pinned = 1 AND changed = 1")?
        .execute([account.as_bytes()])
        .map(drop)
}

/// Who a name is pinned to.
pub(in crate::client) fn by_name(db: &Connection, name: &Nickname) -> Sql<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM contacts WHERE folded = ?1 AND pinned = 1");
    db.prepare_cached(&sql)?.query_row([name.folded()], read).optional()
}

pub(in crate::client) fn by_account(db: &Connection, account: &AccountId) -> Sql<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM contacts WHERE account = ?1");
    db.prepare_cached(&sql)?.query_row([account.as_bytes()], read).optional()
}

/// Everybody's name.
pub(in crate::client) fn names(db: &Connection) -> Sql<Vec<Nickname>> {
    db.prepare_cached("SELECT nickname FROM contacts")?.query_map([], |row| parsed(row, 0))?.collect()
}

fn read(row: &Row<'_>) -> Sql<Stored> {
    let (pinned, changed): (bool, bool) = (row.get(5)?, row.get(6)?);
    Ok(Stored {
        account: AccountId::new(row.get(0)?),
        nickname: parsed(row, 1)?,
        entry: row.get(2)?,
        fetched_at: Millis(unsigned(row.get(3)?)),
        verified: row.get(4)?,
        changed: changed || !pinned,
    })
}

#[cfg(test)]
#[path = "contacts_tests.rs"]
mod tests;
