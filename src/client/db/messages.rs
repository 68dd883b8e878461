//! The history.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::client::{Body, Delivery, Message, MessageRef};
use crate::model::{AccountId, Address, Color, DeviceId, KeyId, MessageId, Millis, Nickname};

use super::live_sound::Stage;
use super::{Sql, signed, unsigned};

/// How much waits to be heard, at most.
const TO_HEAR: usize = 1000;

const TEXT: i64 = 1;
const VOICE: i64 = 2;
pub(super) const NOTICE: i64 = 3;
const INVITATION: i64 = 4;

/// Columns of a message, as [`read`] takes them.
const COLUMNS: &str = "m.id, m.number, m.sender, m.recipient, m.kind, m.text, m.duration_ms, m.sample_rate, \
     m.size, m.peaks, m.sent_at, m.received_at, m.seq, m.state, m.reason, m.late, m.color, \
     m.own = 0 AND m.kind <> 3 AND EXISTS (SELECT 1 FROM contacts c WHERE c.account = m.account AND c.pinned = 1 \
     AND c.verified = 1 AND c.rival IS NULL AND c.identity = m.certified_by), m.live, m.listened, \
     CASE WHEN m.live = 2 AND m.to_hear = 2 THEN 0 ELSE m.position_ms END, \
     CASE WHEN m.account IS NULL THEN m.key_changed ELSE NOT EXISTS (SELECT 1 FROM contacts c \
     WHERE c.account = m.account AND c.pinned = 1 \
     AND (c.identity = m.certified_by OR m.key_changed = 0)) END";

/// A message that is about to be stored.
pub(in crate::client) struct New<'a> {
    pub id: MessageId,
    pub device: DeviceId,
    pub own: bool,
    /// The other person of the conversation, or its room.
    pub peer: &'a Address,
    pub from: &'a Nickname,
    pub to: &'a Address,
    pub color: Color,
    pub body: &'a Body,
    pub sent_at: Millis,
    pub received_at: Option<Millis>,
    pub seq: Option<u64>,
    /// Its place in its sender's chain, if it is in one.
    pub counter: Option<u64>,
    /// That chain, and where it stands among those of the same device in the same conversation.
    pub chain: Option<([u8; 32], usize)>,
    pub delivery: Option<&'a Delivery>,
    pub late: bool,
    /// Of what was received: whose account, and which identity key has certified the device that signed it. Whether
    /// that is the accepted one, and was compared, is seen whenever the message is shown.
    pub signer: Option<(AccountId, Option<KeyId>)>,
    /// Whether it came under an identity key that was not the accepted one by then. A former key of the same account
    /// that was accepted is no changed one later.
    pub key_changed: bool,
    /// Whether its sound is here too.
    pub complete: bool,
}

impl<'a> New<'a> {
    /// What is told here in a conversation: nobody's mail.
    pub(in crate::client) fn told(
        device: DeviceId,
        color: Color,
        from: &'a Nickname,
        (peer, to): (&'a Address, &'a Address),
        body: &'a Body,
    ) -> Self {
        let now = Millis::now();
        Self {
            id: MessageId::generate(),
            device,
            own: false,
            peer,
            from,
            to,
            color,
            body,
            sent_at: now,
            received_at: Some(now),
            seq: None,
            counter: None,
            chain: None,
            delivery: None,
            late: false,
            signer: None,
            key_changed: false,
            complete: true,
        }
    }
}

/// Stores a message; its row. It has no number yet.
pub(in crate::client) fn insert(db: &Connection, new: &New<'_>) -> Sql<i64> {
    let empty: &[u8] = &[];
    let (kind, text, duration, rate, size, peaks) = match new.body {
        Body::Text { text } => (TEXT, text.as_str(), 0, 0, 0, empty),
        Body::Voice { duration_ms, sample_rate, size, peaks, .. } => {
            (VOICE, "", *duration_ms, *sample_rate, *size, peaks.as_slice())
        }
        Body::Notice { text } => (NOTICE, text.as_str(), 0, 0, 0, empty),
        Body::Invitation { room } => (INVITATION, room.as_str(), 0, 0, 0, empty),
    };
    let live = match new.body {
        Body::Voice { live: true, .. } => Stage::Live,
        Body::Voice { cut_off: true, .. } => Stage::CutOff,
        _ => Stage::Whole,
    };
    let (state, reason) = match new.delivery {
        None => (None, ""),
        Some(Delivery::Queued) => (Some(0), ""),
        Some(Delivery::Accepted) => (Some(1), ""),
        Some(Delivery::Refused { reason }) => (Some(2), reason.as_str()),
    };
    db.prepare_cached(
        "INSERT INTO messages (id, device, own, peer, sender, recipient, color, kind, text, duration_ms,
             sample_rate, size, peaks, sent_at, received_at, seq, state, reason, late, complete, shown, live,
             key_changed, account, certified_by, counter, chain, roster)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
             ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
    )?
    .execute(params![
        new.id.as_bytes(),
        new.device.as_bytes(),
        new.own,
        new.peer.folded(),
        new.from.as_str(),
        new.to.written(),
        new.color.to_string(),
        kind,
        text,
        signed(duration),
        rate,
        signed(size),
        peaks,
        signed(new.sent_at.0),
        new.received_at.map(|time| signed(time.0)),
        new.seq.map(signed),
        state,
        reason,
        new.late,
        new.complete,
        // One's own words need no showing.
        new.own,
        live as i64,
        new.key_changed,
        new.signer.as_ref().map(|(account, _)| account.as_bytes()),
        new.signer.as_ref().and_then(|(_, identity)| identity.as_ref()).map(KeyId::as_bytes),
        new.counter.map(signed),
        new.chain.map(|(chain, _)| chain),
        signed(new.chain.map_or(0, |(_, place)| place as u64)),
    ])?;
    Ok(db.last_insert_rowid())
}

/// A notice tells of this key, which has turned up beside the known one.
pub(in crate::client) fn tells_of(db: &Connection, notice: &Message, identity: &KeyId) -> Sql<()> {
    db.prepare_cached("UPDATE messages SET certified_by = ?2 WHERE number = ?1")?
        .execute(params![signed(notice.number), identity.as_bytes()])
        .map(drop)
}

/// A person has accepted this identity key of an account: what came under it before counts as if it had come since.
pub(in crate::client) fn accepted(db: &Connection, account: &AccountId, identity: &KeyId) -> Sql<()> {
    db.prepare_cached("UPDATE messages SET key_changed = 0 WHERE account = ?1 AND certified_by = ?2")?
        .execute(params![account.as_bytes(), identity.as_bytes()])
        .map(drop)
}

/// Gives a stored message its number: from now on it is part of the history.
pub(in crate::client) fn release(db: &Connection, arrival: i64) -> Sql<Message> {
    db.prepare_cached(
        "UPDATE messages SET number = (SELECT COALESCE(MAX(number), 0) + 1 FROM messages) WHERE arrival = ?1",
    )?
    .execute([arrival])?;
    by_arrival(db, arrival)
}

/// Releases what a device has sent, in each conversation in the order that it was written in, up to the first message
/// whose sound is not here yet, or before which one is missing and was not announced yet: that one may only be late.
pub(in crate::client) fn release_ready(db: &Connection, device: &DeviceId) -> Sql<Vec<Message>> {
    let mut ready = Vec::new();
    {
        let mut statement = db.prepare_cached(
            "SELECT arrival, complete AND NOT EXISTS (SELECT 1 FROM gaps WHERE gaps.device = messages.device
                 AND gaps.chain = COALESCE(messages.chain, gaps.chain)
                 AND gaps.announced = 0 AND gaps.last < messages.counter), peer
             FROM messages WHERE device = ?1 AND number IS NULL ORDER BY peer, roster, counter, arrival",
        )?;
        let mut rows = statement.query([device.as_bytes()])?;
        let mut waits: Option<String> = None;
        while let Some(row) = rows.next()? {
            let peer: String = row.get(2)?;
            if waits.as_ref() == Some(&peer) {
                continue;
            }
            if row.get(1)? {
                ready.push(row.get(0)?);
            } else {
                waits = Some(peer);
            }
        }
    }
    ready.into_iter().map(|arrival| release(db, arrival)).collect()
}

/// The same for everybody: what was missing has been announced.
pub(in crate::client) fn release_all_ready(db: &Connection) -> Sql<Vec<Message>> {
    let devices = db
        .prepare_cached("SELECT DISTINCT device FROM messages WHERE number IS NULL")?
        .query_map([], |row| Ok(DeviceId::new(row.get(0)?)))?
        .collect::<Sql<Vec<_>>>()?;
    let released = devices.iter().map(|device| release_ready(db, device)).collect::<Sql<Vec<_>>>()?;
    Ok(released.into_iter().flatten().collect())
}

/// A message whose sound has not come for too long.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::client) struct Late {
    pub device: DeviceId,
    pub message: MessageId,
    pub sender: Nickname,
    /// The conversation.
    pub peer: Address,
    /// What its device sent after it there, and is here.
    pub behind: Vec<i64>,
}

/// Messages whose sound is not here though they came before this time, and which hold up others.
pub(in crate::client) fn overtaken(db: &Connection, before: Millis) -> Sql<Vec<Late>> {
    let mut statement = db.prepare_cached(
        "SELECT arrival, device, id, sender, complete, COALESCE(received_at, 0),
             CASE WHEN recipient LIKE 'room:%' THEN recipient ELSE sender END FROM messages
         WHERE number IS NULL ORDER BY device, peer, roster, counter, arrival",
    )?;
    let mut rows = statement.query([])?;
    let mut found: Vec<Late> = Vec::new();
    // Of which device what follows in which conversation waits still, and rightly.
    let mut waits = None;
    while let Some(row) = rows.next()? {
        let (device, peer): (_, Address) = (DeviceId::new(row.get(1)?), parsed(row, 6)?);
        if waits.as_ref() == Some(&(device, peer.clone())) {
            continue;
        }
        let late = found.last_mut().filter(|late| late.device == device && late.peer == peer);
        match (row.get::<_, bool>(4)?, late) {
            (true, Some(late)) => late.behind.push(row.get(0)?),
            (true, None) => {}
            (false, _) if row.get::<_, i64>(5)? > signed(before.0) => waits = Some((device, peer)),
            (false, Some(_)) => {}
            (false, None) => {
                let message = MessageId::from_bytes(row.get(2)?);
                found.push(Late { device, message, sender: parsed(row, 3)?, peer, behind: Vec::new() });
            }
        }
    }
    found.retain(|late| !late.behind.is_empty());
    Ok(found)
}

pub(in crate::client) fn by_arrival(db: &Connection, arrival: i64) -> Sql<Message> {
    let sql = format!("SELECT {COLUMNS} FROM messages m WHERE m.arrival = ?1");
    db.prepare_cached(&sql)?.query_row([arrival], read)
}

/// The row of one's own message with this id.
pub(in crate::client) fn own(db: &Connection, id: &MessageId) -> Sql<Option<i64>> {
    db.prepare_cached("SELECT arrival FROM messages WHERE id = ?1 AND own = 1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()
}

/// What `last` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Kind {
    Text,
    Voice,
}

/// The message that someone means, and its row.
pub(in crate::client) fn find(db: &Connection, which: MessageRef, last: Kind) -> Sql<Option<(i64, Message)>> {
    let row: Option<i64> = match which {
        // Of a note to oneself, the one that was written.
        MessageRef::Id(id) => db
            .prepare_cached(
                "SELECT arrival FROM messages WHERE id = ?1 AND number IS NOT NULL ORDER BY own DESC LIMIT 1",
            )?
            .query_row([id.as_bytes()], |row| row.get(0)),
        MessageRef::Number(number) => db
            .prepare_cached("SELECT arrival FROM messages WHERE number = ?1")?
            .query_row([signed(number)], |row| row.get(0)),
        MessageRef::Last => db
            .prepare_cached(
                "SELECT arrival FROM messages WHERE kind = ?1 AND own = 0 AND number IS NOT NULL
                 ORDER BY number DESC LIMIT 1",
            )?
            .query_row([if last == Kind::Voice { VOICE } else { TEXT }], |row| row.get(0)),
    }
    .optional()?;
    row.map(|row| Ok((row, by_arrival(db, row)?))).transpose()
}

/// The newest messages, oldest of them first.
pub(in crate::client) fn history(
    db: &Connection,
    with: Option<&Address>,
    search: Option<&str>,
    limit: u32,
) -> Sql<Vec<Message>> {
    let words: Vec<String> = search.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m
         WHERE m.number IS NOT NULL AND (?1 IS NULL OR m.peer = ?1) ORDER BY m.number DESC"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([with.map(Address::folded)])?;
    let mut found = Vec::new();
    while found.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        let Some(row) = rows.next()? else { break };
        let message = read(row)?;
        // SQLite's LIKE knows no case beyond ASCII.
        let matches = match &message.body {
            _ if words.is_empty() => true,
            Body::Text { text } => {
                let text = text.to_lowercase();
                words.iter().all(|word| text.contains(word))
            }
            _ => false,
        };
        if matches {
            found.push(message);
        }
    }
    found.reverse();
    Ok(found)
}

/// Messages numbered above this one, oldest first.
pub(in crate::client) fn since(db: &Connection, number: u64) -> Sql<Vec<Message>> {
    list(db, "m.number > ?1", signed(number))
}

/// Received messages that nobody has been shown.
pub(in crate::client) fn unshown(db: &Connection) -> Sql<Vec<Message>> {
    list(db, "m.number > ?1 AND m.shown = 0", 0)
}

fn list(db: &Connection, condition: &str, number: i64) -> Sql<Vec<Message>> {
    let sql = format!("SELECT {COLUMNS} FROM messages m WHERE {condition} ORDER BY m.number");
    db.prepare_cached(&sql)?.query_map([number], read)?.collect()
}

pub(in crate::client) fn mark_shown(db: &Connection, numbers: &[u64]) -> Sql<()> {
    let mut shown = db.prepare_cached("UPDATE messages SET shown = 1 WHERE number = ?1")?;
    let mut key = db.prepare_cached(
        "UPDATE contacts SET rival_shown = m.certified_by FROM messages m
         WHERE m.number = ?1 AND m.kind = ?2 AND m.certified_by IS NOT NULL
             AND contacts.folded = m.peer AND contacts.pinned = 1",
    )?;
    numbers.iter().try_for_each(|number| {
        shown.execute([signed(*number)])?;
        key.execute(params![signed(*number), NOTICE]).map(drop)
    })
}

/// How far a message was heard. What was heard to its end is not to be heard any more; if that is as far as it has
/// come, it is once more of it comes: until then `to_hear` is 2, and where it was cut off it begins anew.
pub(in crate::client) fn mark_heard(
    db: &Connection,
    number: u64,
    position_ms: u64,
    listened: bool,
) -> Sql<()> {
    db.prepare_cached(
        "UPDATE messages SET
             position_ms = CASE WHEN ?3 AND whole THEN 0 ELSE ?2 END,
             listened = MAX(listened, ?3 AND whole),
             to_hear = CASE WHEN NOT ?3 THEN to_hear WHEN whole THEN 0 ELSE 2 END
         FROM (SELECT arrival AS row, NOT EXISTS (SELECT 1 FROM listening WHERE message = arrival) AS whole
               FROM messages WHERE number = ?1)
         WHERE arrival = row",
    )?
    .execute(params![signed(number), signed(position_ms), listened])
    .map(drop)
}

/// Messages that are to be heard by themselves, as far as there is room for more, or need not be any more.
pub(in crate::client) fn mark_to_hear(db: &Connection, numbers: &[u64], to_hear: bool) -> Sql<()> {
    let waiting: i64 = db
        .prepare_cached("SELECT COUNT(*) FROM messages WHERE to_hear = 1")?
        .query_row([], |row| row.get(0))?;
    let mut room = TO_HEAR.saturating_sub(usize::try_from(waiting).unwrap_or(TO_HEAR));
    let mut statement =
        db.prepare_cached("UPDATE messages SET to_hear = ?2 WHERE number = ?1 AND to_hear <> ?2")?;
    for number in numbers {
        if to_hear && room == 0 {
            break;
        }
        room = room.saturating_sub(statement.execute(params![signed(*number), to_hear])?);
    }
    Ok(())
}

/// What was to be heard and was not, of one conversation or of all, oldest first.
pub(in crate::client) fn to_hear(db: &Connection, from: Option<&Address>) -> Sql<Vec<Message>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m
         WHERE m.to_hear = 1 AND (?1 IS NULL OR m.peer = ?1) ORDER BY m.number"
    );
    db.prepare_cached(&sql)?.query_map([from.map(Address::folded)], read)?.collect()
}

/// The voice note after this message in the same conversation that was received and not listened to.
pub(in crate::client) fn next_voice(db: &Connection, after: u64) -> Sql<Option<Message>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m
         WHERE m.number > ?1 AND m.kind = ?2 AND m.own = 0 AND m.listened = 0
           AND m.peer = (SELECT peer FROM messages WHERE number = ?1)
         ORDER BY m.number LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row(params![signed(after), VOICE], read).optional()
}

/// Unshown messages by conversation.
pub(in crate::client) fn unread(db: &Connection) -> Sql<Vec<(Address, u64)>> {
    db.prepare_cached(
        "SELECT CASE WHEN recipient LIKE 'room:%' THEN recipient ELSE sender END, COUNT(*) FROM messages WHERE number IS NOT NULL AND shown = 0 AND own = 0
         GROUP BY peer ORDER BY MAX(number)",
    )?
    .query_map([], |row| Ok((parsed(row, 0)?, unsigned(row.get(1)?))))?
    .collect()
}

/// Where a message of one's own stands now.
pub(in crate::client) fn settle(
    db: &Connection,
    arrival: i64,
    delivery: &Delivery,
    at: Option<Millis>,
) -> Sql<()> {
    let (state, reason) = match delivery {
        Delivery::Queued => (0, ""),
        Delivery::Accepted => (1, ""),
        Delivery::Refused { reason } => (2, reason.as_str()),
    };
    db.prepare_cached("UPDATE messages SET state = ?2, reason = ?3, received_at = ?4 WHERE arrival = ?1")?
        .execute(params![arrival, state, reason, at.map(|time| signed(time.0))])
        .map(drop)
}

fn read(row: &Row<'_>) -> Sql<Message> {
    let body = match row.get::<_, i64>(4)? {
        TEXT => Body::Text { text: row.get(5)? },
        VOICE => Body::Voice {
            duration_ms: unsigned(row.get(6)?),
            sample_rate: row.get(7)?,
            size: unsigned(row.get(8)?),
            peaks: row.get(9)?,
            live: row.get::<_, i64>(18)? == Stage::Live as i64,
            cut_off: row.get::<_, i64>(18)? == Stage::CutOff as i64,
            listened: row.get(19)?,
            position_ms: unsigned(row.get(20)?),
        },
        INVITATION => Body::Invitation { room: parsed(row, 5)? },
        _ => Body::Notice { text: row.get(5)? },
    };
    let delivery = match row.get::<_, Option<i64>>(13)? {
        None => None,
        Some(0) => Some(Delivery::Queued),
        Some(1) => Some(Delivery::Accepted),
        Some(_) => Some(Delivery::Refused { reason: row.get(14)? }),
    };
    Ok(Message {
        id: MessageId::from_bytes(row.get(0)?),
        number: unsigned(row.get::<_, Option<i64>>(1)?.unwrap_or(0)),
        from: parsed(row, 2)?,
        to: parsed(row, 3)?,
        body,
        sent_at: Millis(unsigned(row.get(10)?)),
        received_at: row.get::<_, Option<i64>>(11)?.map(|time| Millis(unsigned(time))),
        verified: row.get(17)?,
        key_changed: row.get(21)?,
        seq: row.get::<_, Option<i64>>(12)?.map(unsigned),
        delivery,
        late: row.get(15)?,
        color: parsed(row, 16)?,
    })
}

/// A column of text that was made by `Display`.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> Sql<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
