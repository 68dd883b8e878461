//! What is on its way out, in order, until the server has taken or refused it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::crypto::MessageSecret;
use crate::crypto::envelope::{Header, SealedEnvelope};
use crate::model::{
    AccountId, Address, BlobId, Conversation, EnvelopeHash, MessageId, Nickname, RoomId, RosterId,
};

use super::messages::parsed;
use super::{Sql, signed, unsigned};

/// Columns of a row, as [`read`] takes them.
const COLUMNS: &str = "place, COALESCE(message, closes), id, recipient, chain, counter, previous, body, header_hash, \
     secret, blob, chunks, uploaded, closes IS NOT NULL, room";

/// A row of the outbox.
pub(in crate::client) struct Item {
    pub place: i64,
    /// The row of its message; none for a void.
    pub arrival: Option<i64>,
    /// It closes that message, which was opened before.
    pub closes: bool,
    pub id: MessageId,
    pub to: Address,
    /// Its place in its chain, once it has one.
    pub link: Option<Link>,
    pub sealed: Option<Sealed>,
    /// What there is already of a voice note that was unsealed.
    pub sound: Option<Sound>,
}

/// Sound that was sealed for one room as it was, and may be at the server.
pub(in crate::client) struct Sound {
    pub sealed_for: Conversation,
    pub secret: MessageSecret,
    pub blob: BlobId,
    /// Whether the server has all of it.
    pub uploaded: bool,
}

/// A place in a chain, taken for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) struct Link {
    /// Whom it was sealed for; its chain is to this.
    pub to: Conversation,
    pub counter: u64,
    pub previous: EnvelopeHash,
}

/// An envelope that is ready to leave, as often as it takes.
#[derive(Clone)]
pub(in crate::client) struct Sealed {
    pub body: Bytes,
    pub header_hash: [u8; 32],
    pub secret: MessageSecret,
    /// Sound beside it, and its chunks.
    pub blob: Option<(BlobId, u32)>,
    /// Whether the server has all of the sound.
    pub uploaded: bool,
}

/// Appends a message, or with a link and no message the void that takes a refused one's place.
pub(in crate::client) fn append(
    db: &Connection,
    arrival: Option<i64>,
    id: &MessageId,
    to: &Address,
) -> Sql<()> {
    db.prepare_cached("INSERT INTO outbox (message, id, recipient) VALUES (?1, ?2, ?3)")?
        .execute(params![arrival, id.as_bytes(), to.written()])
        .map(drop)
}

/// Appends a message that had been taken from another device.
pub(in crate::client) fn append_again(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO outbox (message, id, recipient) SELECT arrival, id, recipient FROM messages WHERE arrival = ?1",
    )?
    .execute([arrival])
    .map(drop)
}

/// Whether a message is on its way out.
pub(in crate::client) fn has(db: &Connection, arrival: i64) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM outbox WHERE message = ?1")?.exists([arrival])
}

/// Appends the envelope that closes a live note, which has a name of its own.
pub(in crate::client) fn append_closing(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached(
        "INSERT INTO outbox (closes, id, recipient) SELECT arrival, ?2, recipient FROM messages WHERE arrival = ?1",
    )?
    .execute(params![arrival, MessageId::generate().as_bytes()])
    .map(drop)
}

/// The message will never be opened, so that it need not be closed either.
pub(in crate::client) fn remove_closing(db: &Connection, arrival: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM outbox WHERE closes = ?1 AND body IS NULL")?.execute([arrival]).map(drop)
}

/// The first row behind a place.
pub(in crate::client) fn next(db: &Connection, after: i64) -> Sql<Option<Item>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE place > ?1 ORDER BY place LIMIT 1");
    db.prepare_cached(&sql)?.query_row([after], read).optional()
}

/// The first one behind a place that is sealed, and may be at the server.
pub(in crate::client) fn next_sealed(db: &Connection, after: i64) -> Sql<Option<Item>> {
    let sql =
        format!("SELECT {COLUMNS} FROM outbox WHERE place > ?1 AND body IS NOT NULL ORDER BY place LIMIT 1");
    db.prepare_cached(&sql)?.query_row([after], read).optional()
}

/// The first row to this address behind a place, up to another.
pub(in crate::client) fn next_to(db: &Connection, to: &Address, after: i64, until: i64) -> Sql<Option<Item>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox WHERE place > ?1 AND place <= ?2 AND recipient = ?3 ORDER BY place LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row(params![after, until, to.written()], read).optional()
}

pub(in crate::client) fn count(db: &Connection) -> Sql<u64> {
    db.prepare_cached("SELECT COUNT(*) FROM outbox WHERE COALESCE(message, closes) IS NOT NULL")?
        .query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// Whether anything was ever sealed for an account: by this device, or by one whose place it has taken.
pub(in crate::client) fn has_written_to(db: &Connection, account: AccountId) -> Sql<bool> {
    db.prepare_cached(
        "SELECT 1 FROM own_chains WHERE chain = ?1
         UNION ALL
         SELECT 1 FROM messages JOIN contacts ON contacts.folded = messages.peer AND contacts.pinned = 1
         WHERE contacts.account = ?1 AND messages.own = 1 AND messages.kind <> 3",
    )?
    .exists([account.as_bytes()])
}

/// The place in the chain to an account, or to a room as it is, that the next envelope takes.
pub(in crate::client) fn next_link(db: &Connection, to: Conversation) -> Sql<Link> {
    let found = db
        .prepare_cached("SELECT next, hash FROM own_chains WHERE chain = ?1")?
        .query_row([to.chain()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        Some((next, hash)) => Link { to, counter: unsigned(next), previous: EnvelopeHash::new(hash) },
        None => Link { to, counter: 0, previous: Header::NONE_BEFORE },
    })
}

/// Stores an envelope together with the counter that it has used, before it leaves for the first time.
pub(in crate::client) fn store_sealed(
    db: &Connection,
    place: i64,
    link: &Link,
    envelope: &SealedEnvelope,
    blob: Option<(BlobId, u32)>,
) -> Sql<()> {
    db.prepare_cached(
        "UPDATE outbox SET chain = ?2, counter = ?3, previous = ?4, body = ?5, header_hash = ?6, secret = ?7,
             blob = ?8, chunks = ?9, uploaded = uploaded AND blob IS ?8, room = ?10 WHERE place = ?1",
    )?
    .execute(params![
        place,
        link.to.chain(),
        signed(link.counter),
        link.previous.as_bytes(),
        envelope.body.as_ref(),
        envelope.header_hash,
        envelope.secret.expose_key_bytes(),
        blob.map(|(id, _)| *id.as_bytes()),
        blob.map_or(0, |(_, chunks)| chunks),
        room_of(&link.to).map(|room| *room.as_bytes()),
    ])?;
    // A void comes after others have built on what it replaces: the chain's end stays theirs.
    db.prepare_cached(
        "INSERT INTO own_chains (chain, next, hash) VALUES (?1, ?2, ?3)
         ON CONFLICT (chain) DO UPDATE SET next = excluded.next, hash = excluded.hash
         WHERE excluded.next > own_chains.next",
    )?
    .execute(params![link.to.chain(), signed(link.counter + 1), envelope.hash.as_bytes()])
    .map(drop)
}

pub(in crate::client) fn mark_uploaded(db: &Connection, place: i64, uploaded: bool) -> Sql<()> {
    db.prepare_cached("UPDATE outbox SET uploaded = ?2 WHERE place = ?1")?
        .execute(params![place, uploaded])
        .map(drop)
}

/// What was sealed for another account than this is sealed anew, for this one: a person has accepted that it has
/// the name now. A void holds a place in a chain that nobody reads any more.
pub(in crate::client) fn readdress(db: &Connection, name: &Nickname, account: &AccountId) -> Sql<()> {
    let rows: Vec<(i64, Address)> = db
        .prepare_cached("SELECT place, recipient FROM outbox WHERE chain IS NOT NULL AND chain <> ?1")?
        .query_map([account.as_bytes()], |row| Ok((row.get(0)?, parsed(row, 1)?)))?
        .collect::<Sql<_>>()?;
    for (place, _) in rows.iter().filter(|(_, recipient)| *recipient == *name) {
        unseal(db, *place)?;
    }
    Ok(())
}

/// What was sealed and will not be taken as it is becomes what it was before. A void holds a place in a chain that nobody
/// reads any more.
pub(in crate::client) fn unseal(db: &Connection, place: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM outbox WHERE place = ?1 AND message IS NULL")?.execute([place])?;
    db.prepare_cached(
        "UPDATE outbox SET chain = NULL, room = NULL, counter = NULL, previous = NULL, body = NULL,
             header_hash = NULL, secret = NULL, blob = NULL, chunks = 0, uploaded = 0 WHERE place = ?1",
    )?
    .execute([place])
    .map(drop)
}

/// The same where a room has changed. The sound of a voice note stays what it is.
pub(in crate::client) fn unseal_for_room(db: &Connection, place: i64) -> Sql<()> {
    let kept = db
        .prepare_cached(
            "UPDATE outbox SET counter = NULL, previous = NULL, body = NULL, header_hash = NULL
             WHERE place = ?1 AND message IS NOT NULL AND room IS NOT NULL AND blob IS NOT NULL",
        )?
        .execute([place])?;
    if kept == 0 { unseal(db, place) } else { Ok(()) }
}

/// The room of a chain that is one's.
fn room_of(to: &Conversation) -> Option<RoomId> {
    match to {
        Conversation::Room { room, .. } => Some(*room),
        Conversation::Account(_) => None,
    }
}

/// Another device sends from now on: nothing is sealed yet, and its chains begin.
pub(in crate::client) fn begin_anew(db: &Connection) -> Sql<()> {
    db.execute_batch(
        "DELETE FROM outbox WHERE chain IS NOT NULL AND message IS NULL AND closes IS NULL;
         UPDATE outbox SET chain = NULL, room = NULL, counter = NULL, previous = NULL, body = NULL,
             header_hash = NULL, secret = NULL, blob = NULL, chunks = 0, uploaded = 0;
         DELETE FROM own_chains;",
    )
}

/// It has arrived, or never will. Whether it was there still.
pub(in crate::client) fn remove(db: &Connection, place: i64) -> Sql<bool> {
    Ok(db.prepare_cached("DELETE FROM outbox WHERE place = ?1")?.execute([place])? > 0)
}

/// Turns a refused message into the void that fills its place in the chain.
pub(in crate::client) fn make_void(db: &Connection, place: i64) -> Sql<()> {
    db.prepare_cached(
        "UPDATE outbox SET message = NULL, closes = NULL, id = ?2, body = NULL, header_hash = NULL, secret = NULL,
             blob = NULL, chunks = 0, uploaded = 0 WHERE place = ?1",
    )?
    .execute(params![place, MessageId::generate().as_bytes()])
    .map(drop)
}

fn read(row: &Row<'_>) -> Sql<Item> {
    let room: Option<[u8; 32]> = row.get(14)?;
    let to = row.get::<_, Option<[u8; 32]>>(4)?.map(|chain| match room {
        Some(room) => Conversation::Room { room: RoomId::new(room), roster: RosterId::new(chain) },
        None => Conversation::Account(AccountId::new(chain)),
    });
    let link = match (to, row.get::<_, Option<i64>>(5)?, row.get(6)?) {
        (Some(to), Some(counter), Some(previous)) => {
            Some(Link { to, counter: unsigned(counter), previous: EnvelopeHash::new(previous) })
        }
        _ => None,
    };
    let secret: Option<MessageSecret> = row.get(9)?;
    let blob = row.get::<_, Option<[u8; 32]>>(10)?.map(BlobId::new);
    let uploaded = row.get(12)?;
    let (sealed, sound) = match (row.get::<_, Option<Vec<u8>>>(7)?, row.get(8)?, secret) {
        (Some(body), Some(header_hash), Some(secret)) => {
            let chunks = row.get(11)?;
            let blob = blob.map(|id| (id, chunks));
            (Some(Sealed { body: body.into(), header_hash, secret, blob, uploaded }), None)
        }
        (None, _, Some(secret)) => {
            let sound = to.zip(blob);
            (None, sound.map(|(sealed_for, blob)| Sound { sealed_for, secret, blob, uploaded }))
        }
        _ => (None, None),
    };
    Ok(Item {
        place: row.get(0)?,
        arrival: row.get(1)?,
        closes: row.get(13)?,
        id: MessageId::from_bytes(row.get(2)?),
        to: parsed(row, 3)?,
        link,
        sealed,
        sound,
    })
}
