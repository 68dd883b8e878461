//! What a room's records change, in words, in the room itself.

use rusqlite::{Connection, Transaction};

use crate::client::db::inbox::{self, Noticed};
use crate::client::db::rooms::{self, LeftOut, Standing, Stored};
use crate::client::db::{Sql, contacts, messages};
use crate::client::engine::{Me, notice_in};
use crate::client::{Body, Event};
use crate::crypto::room::{Change, Room, What};
use crate::model::{AccountId, DeviceId, MessageId, RoomId, RoomName, RosterId};

/// Does here what records of a room say: those from a place on are new.
pub(super) fn follow(
    db: &Transaction<'_>,
    me: &Me,
    room: &Room,
    before: usize,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let stored = rooms::by_id(db, &room.id)?;
    let member = room.members.contains(&me.account);
    if let Some(Stored { name, standing: Standing::Member, .. }) = &stored {
        for place in before..room.changes.len() {
            remark(db, me, room, place, name, events)?;
        }
        if !member {
            rooms::set_standing(db, &room.id, Standing::Left)?;
        }
        return Ok(());
    }
    // One who has gone though the server did not show it comes in again by a record of one's own only.
    let comes = room
        .changes
        .iter()
        .skip(before)
        .any(|change| change.what == What::Joined && change.actor == me.account);
    if member && (comes || stored.is_none()) {
        return come_in(db, me, room, stored, events);
    }
    // Who has declined, or whose invitation was taken back, needs no way in.
    let gone = room.changes.iter().skip(before).any(|change| match change.what {
        What::Left => change.actor == me.account,
        What::Removed(account) => account == me.account,
        _ => false,
    });
    if gone && !room.knows(&me.account) { rooms::end_ways(db, &room.id) } else { Ok(()) }
}

/// Keeps what a record has changed, as said by whoever has made it. What one has done oneself one knows: it is kept only.
fn remark(
    db: &Transaction<'_>,
    me: &Me,
    room: &Room,
    place: usize,
    name: &RoomName,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let (Some(text), Some(change)) = (words(db, me, room, place, name)?, room.changes.get(place)) else {
        return Ok(());
    };
    let mine = change.actor == me.account;
    let known = if mine { None } else { contacts::by_account(db, &change.actor)? };
    let (from, color) = known.map_or((me.nickname.clone(), me.color), |known| (known.nickname, known.color));
    let (body, to) = (Body::Notice { text }, name.clone().into());
    let told = messages::New::told(me.device, color, &from, (&to, &to), &body);
    let arrival = messages::insert(db, &messages::New { sent_at: change.made_at, ..told })?;
    let message = messages::release(db, arrival)?;
    if mine {
        messages::mark_shown(db, &[message.number])
    } else {
        events.push(Event::Message(message));
        Ok(())
    }
}

/// One is in a room, and was not before.
fn come_in(
    db: &Transaction<'_>,
    me: &Me,
    room: &Room,
    stored: Option<Stored>,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let name = match stored {
        Some(stored) => {
            rooms::set_standing(db, &room.id, Standing::Member)?;
            stored.name
        }
        None => {
            let Some(wanted) = rooms::joining(db, &room.id)? else { return Ok(()) };
            let name = free_name(db, wanted, &room.id)?;
            rooms::begin(db, &Stored { id: room.id, name: name.clone(), standing: Standing::Member })?;
            name
        }
    };
    rooms::end_ways(db, &room.id)?;
    let mut others: Vec<AccountId> = Vec::new();
    for Change { actor, what, .. } in &room.changes {
        let came = matches!(what, What::Founded | What::Joined);
        if came && *actor != me.account && room.members.contains(actor) && !others.contains(actor) {
            others.push(*actor);
        }
    }
    let others = others.iter().map(|account| named(db, me, account)).collect::<Sql<Vec<_>>>()?;
    let text = match others.split_last() {
        None => format!("You are in #{name}; nobody else is yet"),
        Some((other, [])) => format!("You have joined #{name}: {other} is in it"),
        Some((last, others)) => {
            format!("You have joined #{name}: {} and {last} are in it", others.join(", "))
        }
    };
    events.push(Event::Message(notice_in(db, me, &name, text)?));
    Ok(())
}

/// A name that no room has here: the wanted one, unless another has taken it in the meantime.
fn free_name(db: &Connection, wanted: RoomName, id: &RoomId) -> Sql<RoomName> {
    if rooms::by_name(db, &wanted)?.is_none() {
        return Ok(wanted);
    }
    let id = id.to_string();
    Ok(format!("room-{}", id.get(..16).unwrap_or(&id)).parse().unwrap_or(wanted))
}

/// What an account is called.
pub(super) fn named(db: &Connection, me: &Me, account: &AccountId) -> Sql<String> {
    if *account == me.account {
        return Ok("you".to_owned());
    }
    Ok(match contacts::by_account(db, account)? {
        Some(stored) if stored.pinned => stored.nickname.to_string(),
        Some(stored) => format!("{} (not the one you know by that name)", stored.nickname),
        None => "somebody whom the server does not name".to_owned(),
    })
}

/// What a record has changed; nothing is said of a room's beginning.
fn words(db: &Connection, me: &Me, room: &Room, place: usize, name: &RoomName) -> Sql<Option<String>> {
    let Some(Change { actor, what, .. }) = room.changes.get(place).copied() else { return Ok(None) };
    let earlier = room.changes.get(..place).unwrap_or_default();
    let who = named(db, me, &actor)?;
    let mine = actor == me.account;
    let has = if mine { "You have".to_owned() } else { format!("{who} has") };
    Ok(match what {
        What::Founded => None,
        What::Invited(account) => Some(format!("{has} invited {}", named(db, me, &account)?)),
        What::Joined => {
            let inviter = earlier.iter().rev().find(|change| change.what == What::Invited(actor));
            let by = inviter.map(|change| named(db, me, &change.actor)).transpose()?;
            Some(match by {
                Some(by) => format!("{has} joined, invited by {by}"),
                None => format!("{has} joined"),
            })
        }
        What::Left if was_in(earlier, &actor) => Some(match mine {
            true => format!("You have left #{name}"),
            false => format!("{who} has left"),
        }),
        What::Left => Some(format!("{has} declined the invitation")),
        What::Removed(account) if !was_in(earlier, &account) => {
            Some(format!("{has} taken back the invitation of {}", named(db, me, &account)?))
        }
        What::Removed(account) if account == me.account => {
            Some(format!("{who} has removed you: you are not in #{name} any more"))
        }
        What::Removed(account) => Some(format!("{has} removed {}", named(db, me, &account)?)),
    })
}

/// Whether somebody whom the next record takes away was in the room, and not only invited.
fn was_in(earlier: &[Change], account: &AccountId) -> bool {
    let last = earlier.iter().rev().find(|change| match change.what {
        What::Founded | What::Joined => change.actor == *account,
        What::Invited(invited) => invited == *account,
        What::Left | What::Removed(_) => false,
    });
    last.is_some_and(|change| !matches!(change.what, What::Invited(_)))
}

/// Whether it is the first time that this is said of a room and one of its records.
fn is_first(db: &Connection, id: &RoomId, roster: &RosterId, what: Noticed) -> Sql<bool> {
    let room = MessageId::from_bytes(id.as_bytes().first_chunk().copied().unwrap_or_default());
    inbox::notice_once(db, &DeviceId::new(*roster.as_bytes()), &room, what)
}

/// Says something of a room that one is in, once; whether it was said.
fn say(
    db: &Transaction<'_>,
    me: &Me,
    (id, roster): (&RoomId, &RosterId),
    what: Noticed,
    events: &mut Vec<Event>,
    text: impl FnOnce(&RoomName) -> String,
) -> Sql<bool> {
    let Some(Stored { name, standing: Standing::Member, .. }) = rooms::by_id(db, id)? else {
        return Ok(false);
    };
    if !is_first(db, id, roster, what)? {
        return Ok(false);
    }
    events.push(Event::Message(notice_in(db, me, &name, text(&name))?));
    Ok(true)
}

/// The server shows records of a room that are not those which are known here.
pub(super) fn say_contradiction(
    db: &Transaction<'_>,
    me: &Me,
    id: &RoomId,
    shown: &RosterId,
    events: &mut Vec<Event>,
) -> Sql<bool> {
    say(db, me, (id, shown), Noticed::RoomRecords, events, |name| {
        format!(
            "WARNING: what the server shows of #{name} does not continue the records that are known here. Nothing of it \
             is believed; what is known stays in force. It may show the room differently to others: compare with them \
             who is in it (`tellal room members {name}`), and ask whoever runs the server whether it was restored from a backup"
        )
    })
}

/// The server shows nothing of a room that one is in.
pub(super) fn say_hidden(
    db: &Transaction<'_>,
    me: &Me,
    id: &RoomId,
    roster: &RosterId,
    events: &mut Vec<Event>,
) -> Sql<bool> {
    say(db, me, (id, roster), Noticed::RoomHidden, events, |name| {
        format!(
            "WARNING: the server no longer shows you #{name}, though nobody has removed you as far as its records are \
             known here. Ask whoever runs the server whether it was restored from a backup; another room can be founded \
             in its place"
        )
    })
}

/// Somebody in a room has signed what names a record that the server does not show.
pub(in crate::client::engine) fn say_hidden_record(
    db: &Transaction<'_>,
    me: &Me,
    (id, roster): (&RoomId, &RosterId),
    sender: &AccountId,
    events: &mut Vec<Event>,
) -> Sql<bool> {
    let sender = named(db, me, sender)?;
    say(db, me, (id, roster), Noticed::HiddenRecord, events, |name| {
        format!(
            "WARNING: {sender} has written to #{name} after a change of who is in it that the server does not show you: it \
             shows the room differently to different people. What {sender} wrote waits on the server until it shows \
             that. Compare with the others who is in it (`tellal room members {name}`), and ask whoever runs the server"
        )
    })
}

/// Says who does not get what is written to a room, and why, unless that was said.
pub(in crate::client::engine) fn left_out(
    db: &Transaction<'_>,
    me: &Me,
    id: &RoomId,
    by_server: bool,
    now: &[(AccountId, LeftOut)],
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Some(Stored { name, .. }) = rooms::by_id(db, id)? else { return Ok(()) };
    for (account, reason) in rooms::leave_out(db, id, by_server, now)? {
        let who = named(db, me, &account)?;
        let name_of = contacts::by_account(db, &account)?.map(|stored| stored.nickname.to_string());
        let verify = name_of.unwrap_or_else(|| who.clone());
        let why = match reason {
            LeftOut::KeyChanged => format!(
                "the key of {who} has changed, until you have compared the safety number or accepted the change \
                 (`tellal verify {verify}`)"
            ),
            LeftOut::NotInLog => format!(
                "the server's transparency log does not have {who} as its directory does, until the two agree (see \
                 `tellal audit`)"
            ),
            LeftOut::Ended => format!("{who} has ended the account"),
            LeftOut::NoKey => format!(
                "{who} was not online for so long that there is no key to write to, until {who} has been"
            ),
            LeftOut::MailboxFull => {
                format!("the mailbox of {who} is full, or your share of it, until they fetch their mail")
            }
        };
        let text = format!("{who} does not get what you write to #{name}: {why}");
        events.push(Event::Message(notice_in(db, me, &name, text)?));
    }
    Ok(())
}
