//! People: who a name belongs to, which identity key is accepted for them, and what the directory last said.
//!
//! The first account met under a name is pinned, with its identity key. Another key under the name, of another
//! account or of the same one, is the pinned one's *rival* until a person has decided.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::crypto::record::Account;
use crate::model::log::record_hash;
use crate::model::{AccountId, Color, DirectoryEntry, KeyId, Millis, Nickname, from_canonical_cbor, to_cbor};

use super::messages::{self, parsed};
use super::{Sql, log, signed, unsigned};

/// A person as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) struct Stored {
    pub account: AccountId,
    pub nickname: Nickname,
    pub color: Color,
    /// CBOR of the directory's entry.
    pub entry: Vec<u8>,
    pub fetched_at: Millis,
    /// Whether the accepted key was compared and found right.
    pub verified: bool,
    /// Whether the name is this account's, as far as is known here.
    pub pinned: bool,
    /// The identity key that is accepted for a pinned account.
    pub identity: KeyId,
    /// On a pinned account: another key that has turned up.
    pub rival: Option<Rival>,
}

/// A key that has turned up under a pinned name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) struct Rival {
    /// Whose; that of the pinned account where its own records name the new key.
    pub account: AccountId,
    pub identity: KeyId,
    /// When it was seen first.
    pub since: Millis,
    /// Hash of the newest of the records that showed it.
    pub record: [u8; 32],
}

/// How an account and its identity key stand to the name that they carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::client) enum Pin {
    /// Accepted, from now on or as before.
    Holds,
    /// The accepted ones, but a rival of theirs has not been decided on.
    Disputed,
    /// Not the accepted ones, and this is seen for the first time. What is accepted.
    Changed(Box<Stored>),
    /// Not the accepted ones, as is known.
    StillChanged,
}

impl Stored {
    /// Whether nothing may be sent to it before a person has decided.
    pub(in crate::client) fn is_held(&self) -> bool {
        !self.pinned || self.rival.is_some()
    }
}

const COLUMNS: &str = "account, nickname, entry, fetched_at, verified, pinned, identity, rival, rival_identity, \
     rival_since, rival_record, color";

/// How what the directory says of an account stands to what is pinned. Of that, nothing changes but that it may have
/// a rival.
pub(in crate::client) fn weigh(
    db: &Connection,
    account: &Account,
    entry: &DirectoryEntry,
    now: Millis,
) -> Sql<Pin> {
    let identity = account.identity.id();
    let Some(known) = by_name(db, &account.nickname)? else { return Ok(Pin::Holds) };
    if known.account == account.id && known.identity == identity {
        return Ok(if known.rival.is_some() { Pin::Disputed } else { Pin::Holds });
    }
    let before = known.rival.filter(|rival| rival.identity == identity);
    db.prepare_cached(
        "UPDATE contacts SET rival = ?2, rival_identity = ?3, rival_since = ?4, rival_record = ?5
         WHERE account = ?1",
    )?
    .execute(params![
        known.account.as_bytes(),
        before.as_ref().map_or(account.id, |rival| rival.account).as_bytes(),
        identity.as_bytes(),
        signed(before.as_ref().map_or(now, |rival| rival.since).0),
        entry.chain.last().map(record_hash),
    ])?;
    Ok(if before.is_some() { Pin::StillChanged } else { Pin::Changed(Box::new(known)) })
}

/// Stores what the directory says of an account, and pins it at first contact.
pub(in crate::client) fn meet(
    db: &Connection,
    account: &Account,
    entry: &DirectoryEntry,
    now: Millis,
) -> Sql<Pin> {
    let pin = weigh(db, account, entry, now)?;
    // Whether someone is online is a matter of the moment.
    let entry = DirectoryEntry { online: false, ..entry.clone() };
    db.prepare_cached(
        "INSERT INTO contacts (account, nickname, folded, color, since, entry, fetched_at, pinned, identity)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
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
        matches!(pin, Pin::Holds | Pin::Disputed),
        account.identity.id().as_bytes(),
    ])?;
    Ok(pin)
}

/// Whoever uses the profile is shown this key beside the known one.
pub(in crate::client) fn note_shown(db: &Connection, name: &Nickname, identity: &KeyId) -> Sql<()> {
    db.prepare_cached("UPDATE contacts SET rival_shown = ?2 WHERE folded = ?1 AND pinned = 1")?
        .execute(params![name.folded(), identity.as_bytes()])
        .map(drop)
}

/// Whether this is the key that whoever uses the profile was last shown beside the known one.
pub(in crate::client) fn is_shown(db: &Connection, name: &Nickname, identity: &KeyId) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM contacts WHERE folded = ?1 AND pinned = 1 AND rival_shown = ?2")?
        .exists(params![name.folded(), identity.as_bytes()])
}

/// The rival takes the pinned key's place, whatever the transparency log has of the name by now: not compared with
/// anybody yet. `None`: it is not this one any more.
pub(in crate::client) fn accept_rival(
    db: &Connection,
    name: &Nickname,
    identity: &KeyId,
) -> Sql<Option<Rival>> {
    let Some(Stored { account, rival: Some(rival), .. }) = by_name(db, name)? else { return Ok(None) };
    if rival.identity != *identity {
        return Ok(None);
    }
    db.prepare_cached(
        "UPDATE contacts SET pinned = 0, verified = 0, rival = NULL, rival_identity = NULL, rival_since = NULL
         WHERE account = ?1",
    )?
    .execute([account.as_bytes()])?;
    db.prepare_cached("UPDATE contacts SET pinned = 1, verified = 0, identity = ?2 WHERE account = ?1")?
        .execute(params![rival.account.as_bytes(), rival.identity.as_bytes()])?;
    messages::accepted(db, &rival.account, &rival.identity)?;
    log::decide(db, name, &rival.record)?;
    Ok(Some(rival))
}

/// One's own account has this identity key now.
pub(in crate::client) fn set_own(db: &Connection, account: &AccountId, identity: &KeyId) -> Sql<()> {
    db.prepare_cached("UPDATE contacts SET identity = ?2 WHERE account = ?1 AND pinned = 1")?
        .execute(params![account.as_bytes(), identity.as_bytes()])
        .map(drop)
}

/// The pinned key was compared and found right: a rival of it is nobody's.
pub(in crate::client) fn set_verified(db: &Connection, account: &AccountId) -> Sql<()> {
    db.prepare_cached(
        "UPDATE contacts SET verified = 1, rival = NULL, rival_identity = NULL, rival_since = NULL
         WHERE account = ?1 AND pinned = 1",
    )?
    .execute([account.as_bytes()])
    .map(drop)
}

/// Hashes of an account's records, as the directory last had them.
pub(in crate::client) fn records(db: &Connection, account: &AccountId) -> Sql<Vec<[u8; 32]>> {
    let stored = by_account(db, account)?;
    let entry = stored.and_then(|stored| from_canonical_cbor::<DirectoryEntry>(&stored.entry).ok());
    Ok(entry.map(|entry| entry.chain.iter().map(record_hash).collect()).unwrap_or_default())
}

/// Every account that has carried a name.
pub(in crate::client) fn accounts_named(db: &Connection, name: &Nickname) -> Sql<Vec<AccountId>> {
    db.prepare_cached("SELECT account FROM contacts WHERE folded = ?1")?
        .query_map([name.folded()], |row| row.get(0).map(AccountId::new))?
        .collect()
}

/// Who a name is pinned to.
pub(in crate::client) fn by_name(db: &Connection, name: &Nickname) -> Sql<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM contacts WHERE folded = ?1 AND pinned = 1");
    db.prepare_cached(&sql)?.query_row([name.folded()], read).optional()
}

/// Everybody whose key was compared or is disputed.
pub(in crate::client) fn notable(db: &Connection) -> Sql<Vec<Stored>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM contacts WHERE pinned = 1 AND (verified = 1 OR rival IS NOT NULL) ORDER BY folded"
    );
    db.prepare_cached(&sql)?.query_map([], read)?.collect()
}

pub(in crate::client) fn by_account(db: &Connection, account: &AccountId) -> Sql<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM contacts WHERE account = ?1");
    db.prepare_cached(&sql)?.query_row([account.as_bytes()], read).optional()
}

/// Everybody's name.
pub(in crate::client) fn names(db: &Connection) -> Sql<Vec<Nickname>> {
    db.prepare_cached("SELECT nickname FROM contacts")?.query_map([], |row| parsed(row, 0))?.collect()
}

/// Everybody whom a name is pinned to, by name.
pub(in crate::client) fn pinned(db: &Connection) -> Sql<Vec<(AccountId, Nickname)>> {
    db.prepare_cached("SELECT account, nickname FROM contacts WHERE pinned = 1 ORDER BY folded")?
        .query_map([], |row| Ok((AccountId::new(row.get(0)?), parsed(row, 1)?)))?
        .collect()
}

/// The account that a name is pinned to, and what was chosen for its voice.
pub(in crate::client) fn voice(db: &Connection, name: &Nickname) -> Sql<Option<(AccountId, Option<String>)>> {
    db.prepare_cached("SELECT account, voice FROM contacts WHERE folded = ?1 AND pinned = 1")?
        .query_row([name.folded()], |row| Ok((AccountId::new(row.get(0)?), row.get(1)?)))
        .optional()
}

/// Keeps what was chosen for somebody's voice; whether the name is known.
pub(in crate::client) fn set_voice(db: &Connection, name: &Nickname, voice: Option<&str>) -> Sql<bool> {
    db.prepare_cached("UPDATE contacts SET voice = ?2 WHERE folded = ?1 AND pinned = 1")?
        .execute(params![name.folded(), voice])
        .map(|count| count > 0)
}

fn read(row: &Row<'_>) -> Sql<Stored> {
    let rival = match (row.get(7)?, row.get(8)?, row.get::<_, Option<i64>>(9)?) {
        (Some(account), Some(identity), since) => Some(Rival {
            account: AccountId::new(account),
            identity: KeyId::new(identity),
            since: Millis(unsigned(since.unwrap_or(0))),
            record: row.get::<_, Option<[u8; 32]>>(10)?.unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(Stored {
        account: AccountId::new(row.get(0)?),
        nickname: parsed(row, 1)?,
        color: parsed(row, 11)?,
        entry: row.get(2)?,
        fetched_at: Millis(unsigned(row.get(3)?)),
        verified: row.get(4)?,
        pinned: row.get(5)?,
        identity: KeyId::new(row.get(6)?),
        rival,
    })
}

#[cfg(test)]
#[path = "contacts_tests.rs"]
mod tests;
