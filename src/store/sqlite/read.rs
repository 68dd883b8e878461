//! Queries. Each runs on a connection for reading.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::model::{
    AccountId, BlobId, Conversation, DeviceId, Entry, MessageId, Millis, Nickname, RoomId, RosterId,
    ServerId, Signed, Wrap,
};
use crate::store::{Bounds, StoreError, StoredAccount};

/// The server's id and the epoch of its mailboxes.
pub fn identity(connection: &Connection) -> Result<(ServerId, u64), StoreError> {
    let mut query = connection.prepare("SELECT value FROM meta WHERE name = ?")?;
    let server_id: [u8; 32] = query.query_row(["server_id"], |row| row.get(0))?;
    let epoch: [u8; 7] = query.query_row(["epoch"], |row| row.get(0))?;
    let epoch = epoch.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok((ServerId::new(server_id), epoch))
}

pub fn account(connection: &Connection, account: AccountId) -> Result<Option<StoredAccount>, StoreError> {
    let chain =
        records(connection, "SELECT record FROM account_record WHERE account = ? ORDER BY place", &account)?;
    if chain.is_empty() {
        return Ok(None);
    }
    let message_keys = records(
        connection,
        "SELECT record FROM message_key WHERE device IN (SELECT id FROM device WHERE account = ?)",
        &account,
    )?;
    Ok(Some(StoredAccount { account, chain, message_keys }))
}

pub fn account_named(
    connection: &Connection,
    nickname: &Nickname,
) -> Result<Option<StoredAccount>, StoreError> {
    let id = connection
        .prepare_cached("SELECT id FROM account WHERE nickname = ?")?
        .query_row([nickname.folded()], |row| row.get(0).map(AccountId::new))
        .optional()?;
    id.map_or(Ok(None), |id| account(connection, id))
}

pub fn accounts(
    connection: &Connection,
    after: Option<&Nickname>,
    limit: usize,
) -> Result<Vec<StoredAccount>, StoreError> {
    let after = after.map_or("", Nickname::folded);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids: Vec<AccountId> = connection
        .prepare_cached("SELECT id FROM account WHERE nickname > ? ORDER BY nickname LIMIT ?")?
        .query_map((after, limit), |row| row.get(0).map(AccountId::new))?
        .collect::<Result<_, _>>()?;
    ids.into_iter().filter_map(|id| account(connection, id).transpose()).collect()
}

fn records(connection: &Connection, query: &str, account: &AccountId) -> Result<Vec<Signed>, StoreError> {
    let rows: Vec<Vec<u8>> = connection
        .prepare_cached(query)?
        .query_map([account.as_bytes()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    rows.iter().map(|row| decode(row)).collect()
}

pub fn decode<'a, T: minicbor::Decode<'a, ()>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    minicbor::decode(bytes).map_err(|_| StoreError::Failed("a row of the database is damaged".to_owned()))
}

pub fn bounds(connection: &Connection, account: AccountId, epoch: u64) -> Result<Bounds, StoreError> {
    let ends: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT pruned, max(newest, coalesce((SELECT max(seq) FROM mailbox WHERE account = id), 0))
             FROM account WHERE id = ?",
        )?
        .query_row([account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (pruned, newest) = ends.ok_or(StoreError::UnknownAccount)?;
    Ok(Bounds { epoch, pruned: pruned.cast_unsigned(), newest: newest.cast_unsigned() })
}

pub fn mailbox(
    connection: &Connection,
    account: AccountId,
    after: u64,
    bytes: usize,
) -> Result<Vec<Arc<Entry>>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut query = connection.prepare_cached(
        "SELECT seq, wraps, sender, device, message, conversation, accepted_at, body, roster
         FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
         WHERE account = ? AND seq > ? ORDER BY seq",
    )?;
    let mut rows = query.query((account.as_bytes(), after))?;
    let (mut entries, mut size) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        size += entry.size();
        entries.push(Arc::new(entry));
        if size >= bytes {
            break;
        }
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Entry, StoreError> {
    let wraps: Vec<u8> = row.get(1)?;
    let wraps: Vec<Wrap> = decode(&wraps)?;
    let (seq, accepted_at): (i64, i64) = (row.get(0)?, row.get(6)?);
    let conversation = match row.get(8)? {
        None => Conversation::Account(AccountId::new(row.get(5)?)),
        Some(roster) => Conversation::Room { room: RoomId::new(row.get(5)?), roster: RosterId::new(roster) },
    };
    Ok(Entry {
        seq: seq.cast_unsigned(),
        sender: AccountId::new(row.get(2)?),
        device: DeviceId::new(row.get(3)?),
        message: MessageId::from_bytes(row.get(4)?),
        conversation,
        wraps,
        accepted_at: Millis(accepted_at.cast_unsigned()),
        body: row.get::<_, Vec<u8>>(7)?.into(),
    })
}

/// Who made a sealed blob, and its chunks.
pub fn blob(connection: &Connection, blob: &BlobId) -> Result<Option<(DeviceId, u32)>, StoreError> {
    let found = connection
        .prepare_cached("SELECT device, chunks FROM blob WHERE id = ?")?
        .query_row([blob.as_bytes()], |row| Ok((DeviceId::new(row.get(0)?), row.get(1)?)))
        .optional()?;
    Ok(found)
}
