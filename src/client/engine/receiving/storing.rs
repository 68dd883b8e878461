//! What has come of an envelope goes into the history, with everything that follows from it, in one transaction.

use std::time::Duration;

use rusqlite::Transaction;

use crate::client::db::inbox::{self, Fit, Noticed, Place};
use crate::client::db::rooms::{self, Standing, Way};
use crate::client::db::{Sql, attachments, blocks, contacts, fetches, listening, messages};
use crate::client::engine::allowance::Allowance;
use crate::client::engine::rooms::say_hidden_record;
use crate::client::engine::{Me, Person, notice_to};
use crate::client::{Body, Delivery, Event};
use crate::crypto::envelope::{Content, Delivered, Invitation, LiveClosing, LiveEnd, VoiceData};
use crate::model::{AccountId, Address, Conversation, DeviceId, MessageId, Millis, Nickname, Position};

use super::opening::{Arrived, Outcome, Sound};

/// A date further than this from the arrival is marked.
const LATE: Duration = Duration::from_secs(10 * 60);

/// Stores one, with everything that follows from it.
pub(super) fn store(
    db: &Transaction<'_>,
    me: &Me,
    arrived: &Arrived,
    outcome: &Outcome,
    allowance: &mut Allowance,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Delivered { device, message, sender, conversation } = arrived.delivered;
    let say = (sender, device, message, conversation);
    if !matches!(outcome, Outcome::HeldBack | Outcome::HiddenRecord(..) | Outcome::Unread) {
        inbox::release_held_back(db, arrived.position, false)?;
    }
    match outcome {
        Outcome::Duplicate => Ok(()),
        Outcome::HeldBack => {
            inbox::hold_back(db, arrived.position)?;
            say_once(db, me, say, Noticed::HeldBack, allowance, events)
        }
        Outcome::Unread => {
            inbox::hold_back(db, arrived.position)?;
            say_once(db, me, say, Noticed::Unread, allowance, events)
        }
        Outcome::HiddenRecord(room, roster) => {
            inbox::hold_back(db, arrived.position)?;
            if allowance.left_of(&sender) > 0 && say_hidden_record(db, me, (room, roster), &sender, events)? {
                allowance.use_up_of(sender);
            }
            Ok(())
        }
        Outcome::Broken => say_once(db, me, say, Noticed::Broken, allowance, events),
        Outcome::Fork => say_once(db, me, say, Noticed::Fork, allowance, events),
        Outcome::Reflected => say_once(db, me, say, Noticed::Reflected, allowance, events),
        Outcome::OwnCopy { hash } => {
            if inbox::known(db, &device, &message)?.is_none() {
                inbox::remember(db, &device, &message, hash)?;
                store_own_copy(db, me, arrived, events)?;
            }
            Ok(())
        }
        Outcome::Opened(sound) => match inbox::known(db, &device, &message)? {
            // Twice in one batch.
            Some(hash) if hash == sound.hash => Ok(()),
            Some(_) => say_once(db, me, say, Noticed::Fork, allowance, events),
            None => store_opened(db, me, arrived, sound, events),
        },
    }
}

fn store_opened(
    db: &Transaction<'_>,
    me: &Me,
    arrived: &Arrived,
    sound: &Sound,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Sound { header, hash, header_hash, opened, person, roster } = sound;
    let Delivered { device, message, .. } = arrived.delivered;
    let Some((peer, to)) = conversation(db, me, &header.recipient, person)? else { return Ok(()) };
    let chain = header.recipient.chain();
    inbox::remember(db, &device, &message, hash)?;
    let name = &person.account.nickname;
    let now = Millis::now();
    let blocked = blocks::is_blocked(db, &person.account.id)?;
    if let Some(counter) = header.counter {
        let void = opened.content == Content::Void;
        let (previous, hash) = (header.previous, *hash);
        let place = Place {
            account: person.account.id,
            device,
            chain,
            counter,
            previous,
            hash,
            void,
            sender: name,
            peer: &peer,
        };
        if inbox::link(db, &place, now)? == Fit::Wrong && !blocked {
            let text = format!(
                "A message from {name} does not follow the one before it: something may be missing or \
                 out of place"
            );
            events.push(Event::Message(notice_to(db, me, &peer, text)?));
        }
    }
    // Came before the server was told: as if it had been dropped there.
    if blocked {
        return Ok(());
    }
    let body = match &opened.content {
        Content::Void | Content::Log(_) => return Ok(()),
        Content::Invitation(way) => match keep_way(db, way, person, now)? {
            true => Body::Invitation { room: way.name.clone() },
            false => return Ok(()),
        },
        Content::Text(text) => Body::Text { text: text.clone() },
        Content::Voice(manifest) => {
            Body::voice(manifest.duration_ms, manifest.sample_rate, manifest.size, manifest.peaks.to_vec())
        }
        Content::LiveOpening(opening) => Body::live(opening.sample_rate),
        Content::LiveClosing(closing) => {
            return close_live(db, (device, name), closing, arrived.position, events);
        }
    };
    let mine = person.account.id == me.account;
    let blob = match &opened.content {
        Content::Voice(manifest) => manifest.blob(),
        _ => None,
    };
    let known = contacts::by_account(db, &person.account.id)?;
    let certified_by = person.account.device_at(&device, header.sent_at).map(|device| device.certified_by);
    let accepted = known.is_some_and(|known| known.pinned && Some(known.identity) == certified_by);
    let late = now.since(header.sent_at) > LATE || header.sent_at.since(now) > LATE;
    let arrival = messages::insert(
        db,
        &messages::New {
            id: message,
            device,
            own: false,
            peer: &peer,
            from: name,
            to: &to,
            color: person.account.color,
            body: &body,
            sent_at: header.sent_at,
            received_at: Some(if mine { arrived.accepted_at } else { now }),
            seq: Some(arrived.position.seq),
            counter: header.counter,
            chain: header.counter.map(|_| (chain, *roster)),
            delivery: mine.then_some(&Delivery::Accepted),
            late,
            signer: Some((person.account.id, certified_by)),
            key_changed: !accepted,
            complete: blob.is_none(),
        },
    )?;
    match &opened.content {
        Content::Voice(manifest) => match (&manifest.data, blob) {
            (VoiceData::Inline(wav), _) => attachments::put_all(db, arrival, wav)?,
            (VoiceData::Blob { .. }, Some(blob)) => {
                fetches::begin(db, arrival, blob, &opened.secret, arrived.position)?;
            }
            (VoiceData::Blob { .. }, None) => {}
        },
        Content::LiveOpening(opening) => {
            listening::begin(db, arrival, &person.account.id, opening, header_hash, &opened.secret)?;
            if let Some(closing) = listening::early_closing(db, &device, &message)? {
                close_live(db, (device, name), &closing, arrived.position, events)?;
            }
        }
        Content::Text(_)
        | Content::Void
        | Content::LiveClosing(_)
        | Content::Log(_)
        | Content::Invitation(_) => {}
    }
    events.extend(messages::release_ready(db, &device)?.into_iter().map(Event::Message));
    Ok(())
}

/// The conversation that something belongs to, and whom it is written to; `None` for a room that has no name here.
fn conversation(
    db: &Transaction<'_>,
    me: &Me,
    recipient: &Conversation,
    sender: &Person,
) -> Sql<Option<(Address, Address)>> {
    let recipient = match recipient {
        Conversation::Account(recipient) => recipient,
        Conversation::Room { room, .. } => {
            let room = rooms::by_id(db, room)?.map(|room| Address::Room(room.name));
            return Ok(room.map(|room| (room.clone(), room)));
        }
    };
    let other = if *recipient == me.account { None } else { contacts::by_account(db, recipient)? };
    let to: Address = other.map_or_else(|| me.nickname.clone(), |stored| stored.nickname).into();
    let mine = sender.account.id == me.account;
    Ok(Some((if mine { to.clone() } else { sender.account.nickname.clone().into() }, to)))
}

/// Keeps the way into a room; `false` where one is in it already.
fn keep_way(db: &Transaction<'_>, way: &Invitation, inviter: &Person, now: Millis) -> Sql<bool> {
    if rooms::by_id(db, &way.room)?.is_some_and(|room| room.standing == Standing::Member) {
        return Ok(false);
    }
    let way = Way { room: way.room, inviter: inviter.account.id, name: way.name.clone() };
    rooms::keep_way(db, &way, now)?;
    Ok(true)
}

/// A note that was heard while it was spoken is over. It is told once all of its sound is here.
fn close_live(
    db: &Transaction<'_>,
    (device, name): (DeviceId, &Nickname),
    closing: &LiveClosing,
    position: Position,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Some(arrival) = listening::close(db, &device, closing, position)? else { return Ok(()) };
    if closing.end == LiveEnd::Withdrawn {
        listening::withdraw(db, arrival, name.as_str())?;
        events.push(Event::LiveEnded(messages::by_arrival(db, arrival)?));
    }
    Ok(())
}

/// A note to oneself has come back: what was written is what has been received.
fn store_own_copy(db: &Transaction<'_>, me: &Me, arrived: &Arrived, events: &mut Vec<Event>) -> Sql<()> {
    let Some(original) = messages::own(db, &arrived.delivered.message)? else { return Ok(()) };
    let message = messages::by_arrival(db, original)?;
    let to = me.nickname.clone().into();
    let own = messages::New::told(me.device, me.color, &me.nickname, (&to, &to), &message.body);
    let (id, sent_at, seq) = (message.id, message.sent_at, Some(arrived.position.seq));
    let arrival = messages::insert(db, &messages::New { id, sent_at, seq, ..own })?;
    attachments::put_all(db, arrival, &attachments::all(db, original)?)?;
    events.push(Event::Message(messages::release(db, arrival)?));
    Ok(())
}

/// Says of a name what is wrong with it; each thing once. Nothing that came over the wire is in it.
fn say_once(
    db: &Transaction<'_>,
    me: &Me,
    (sender, device, message, conversation): (AccountId, DeviceId, MessageId, Conversation),
    what: Noticed,
    allowance: &mut Allowance,
    events: &mut Vec<Event>,
) -> Sql<()> {
    if blocks::is_blocked(db, &sender)? {
        return Ok(());
    }
    // Names are anybody's to make up: what can't be opened is not said without end.
    if allowance.left_of(&sender) == 0 || !inbox::notice_once(db, &device, &message, what)? {
        return Ok(());
    }
    allowance.use_up_of(sender);
    let known: Option<Nickname> = contacts::by_account(db, &sender)?.map(|stored| stored.nickname);
    let text = match (what, &known) {
        (Noticed::Reflected, _) => {
            "The server has delivered a message to you that this device has sent: nothing of it was taken in"
                .to_owned()
        }
        (Noticed::HeldBack, Some(name)) => format!(
            "A message has come from {name}, whose keys the server shows otherwise than its transparency log has \
             them: it waits on the server until the two agree, see `tellal audit`"
        ),
        (Noticed::HeldBack, None) => {
            "A message has come from somebody whom the server's transparency log does not have: it waits on the \
             server until the log is in order, see `tellal audit`"
                .to_owned()
        }
        (Noticed::Unread, name) => {
            let name = name.as_ref().map_or("somebody", Nickname::as_str);
            format!(
                "A message has come from {name} to a room whose newest records can't be read or verified for now: it \
                 waits on the server until they can, see `tellal audit`"
            )
        }
        (Noticed::Fork, Some(name)) => format!(
            "{name}'s device has sent two different messages under one id: it may be copied or restored \
             from a backup; the first one is kept"
        ),
        (Noticed::Fork, None) => "An unknown device has sent two different messages under one id".to_owned(),
        (_, Some(name)) => {
            format!("A message from {name} could not be opened: ask {name} to send it again")
        }
        (_, None) => "A message from an unknown sender could not be opened".to_owned(),
    };
    let text = match (allowance.left(), allowance.left_of(&sender), &known) {
        (0, ..) => format!("{text}. No more of this kind is told for an hour"),
        (_, 0, Some(name)) => format!("{text}. No more of this kind is told of {name} for an hour"),
        (_, 0, None) => format!("{text}. No more of this kind is told of the same sender for an hour"),
        _ => text,
    };
    let room = match conversation {
        Conversation::Room { room, .. } => rooms::by_id(db, &room)?.map(|room| room.name.into()),
        Conversation::Account(_) => None,
    };
    let peer = room.unwrap_or_else(|| known.unwrap_or_else(|| me.nickname.clone()).into());
    events.push(Event::Message(notice_to(db, me, &peer, text)?));
    Ok(())
}
