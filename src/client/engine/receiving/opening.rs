//! What is checked of an envelope before it is opened, and what it then is.

use std::sync::Arc;

use bytes::Bytes;

use crate::client::engine::{Keys, Person};
use crate::crypto::PrivateKey;
use crate::crypto::envelope::{CheckError, Content, Delivered, Header, Opened, Parsed, Recipient, parse};
use crate::crypto::room::{Room, What};
use crate::model::{AccountId, Conversation, EnvelopeHash, Millis, Position, RoomId, RosterId, Wrap, limits};

/// An envelope as it was pushed.
pub(super) struct Arrived {
    pub position: Position,
    pub delivered: Delivered,
    pub wrap: Option<Wrap>,
    pub accepted_at: Millis,
    pub body: Bytes,
}

/// What checking and opening it came to.
pub(super) enum Outcome {
    /// Stored before.
    Duplicate,
    /// The same name was stored with another content.
    Fork,
    /// Written by this very device.
    OwnCopy {
        hash: EnvelopeHash,
    },
    /// Said to be by this very device, which has not written it to itself.
    Reflected,
    /// What is known of its sender is not what the transparency log has: it is read again later.
    HeldBack,
    /// Somebody who is or was in a room names a record of it that the server does not show: it is read again later.
    HiddenRecord(RoomId, RosterId),
    /// It names a record of its room that could not be read or verified for now: it is read again later.
    Unread,
    /// Not to be opened.
    Broken,
    Opened(Box<Sound>),
}

/// An envelope that is what it should be.
pub(super) struct Sound {
    pub header: Header,
    pub hash: EnvelopeHash,
    pub header_hash: [u8; 32],
    pub opened: Opened,
    pub person: Arc<Person>,
    /// Of what is for a room: the place of the record that it names.
    pub roster: usize,
}

/// What is known of who may have written something, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub person: Option<&'a Arc<Person>>,
    /// The room that it is for.
    pub room: Option<&'a Arc<Room>>,
    /// Whether the server may show more of that room than could be read.
    pub unread: bool,
    /// The hash of what was stored under its name.
    pub hash: Option<EnvelopeHash>,
}

/// Size, decoding, version, addressed to me, certified device, signature, replay; only then decryption.
pub(super) fn open(
    arrived: &Arrived,
    Known { person, room, unread, hash: known }: Known<'_>,
    me: Recipient,
    own: &PrivateKey,
    keys: &Keys,
) -> Outcome {
    let Ok(parsed) = parse(&arrived.body) else { return Outcome::Broken };
    let (header, header_hash, hash) = (parsed.header().clone(), parsed.header_hash(), parsed.hash());
    if header.device == me.device && arrived.delivered.device == me.device {
        let mine = header.account == me.account
            && header.message == arrived.delivered.message
            && header.recipient == Conversation::Account(me.account)
            && parsed.is_signed_by(own.public());
        return match known {
            Some(known) if known == hash => Outcome::Duplicate,
            None if mine => Outcome::OwnCopy { hash },
            _ => Outcome::Reflected,
        };
    }
    if known == Some(hash) {
        return Outcome::Duplicate;
    }
    // Whoever has signed it, it is not what the server was told that it is.
    if Delivered::from(&header) != arrived.delivered {
        return Outcome::Broken;
    }
    let Some(person) = person else { return Outcome::Broken };
    if person.unlogged {
        return Outcome::HeldBack;
    }
    // Mail of a removed device waits for as long as servers keep mail, and no longer.
    let removed = person.account.removed_device(&header.device);
    if removed.is_some_and(|(_, at)| Millis::now().since(at) > limits::RETENTION) {
        return Outcome::Broken;
    }
    let roster = match (header.recipient, room) {
        (Conversation::Room { roster, .. }, Some(room)) => match room.place(&roster) {
            Some(_) if is_long_gone(room, &header.account, &roster) => return Outcome::Broken,
            Some(place) => place,
            None if !was_in_it(room, &person.account.id) || !is_by(&parsed, person) => {
                return Outcome::Broken;
            }
            None if unread => return Outcome::Unread,
            None => return Outcome::HiddenRecord(room.id, roster),
        },
        (Conversation::Room { .. }, None) if unread && is_by(&parsed, person) => return Outcome::Unread,
        _ => 0,
    };
    let verified = match parsed.check(&arrived.delivered, me, &person.account, room.map(Arc::as_ref)) {
        Ok(verified) => verified,
        Err(CheckError::Reflected) => return Outcome::Duplicate,
        Err(_) => return Outcome::Broken,
    };
    if known.is_some() {
        return Outcome::Fork;
    }
    let key = arrived.wrap.as_ref().and_then(|wrap| Some((keys.get(&wrap.key)?, wrap)));
    match key.map(|(key, wrap)| verified.open(key, wrap)) {
        Some(Ok(opened)) if !is_for(&opened.content, &header.recipient) => Outcome::Broken,
        Some(Ok(opened)) => {
            let person = person.clone();
            Outcome::Opened(Box::new(Sound { header, hash, header_hash, opened, person, roster }))
        }
        _ => Outcome::Broken,
    }
}

/// Whether such a thing is written to a room, or else to one person: live sound and ways into rooms are not for rooms.
fn is_for(content: &Content, recipient: &Conversation) -> bool {
    match (content, recipient) {
        (Content::Text(_) | Content::Voice(_) | Content::Void, _) | (_, Conversation::Account(_)) => true,
        (_, Conversation::Room { .. }) => false,
    }
}

/// Whether somebody has gone from a room so long ago that nothing of theirs can still be on its way.
fn is_long_gone(room: &Room, account: &AccountId, roster: &RosterId) -> bool {
    let gone = room.gone_since(account, roster);
    gone.is_some_and(|at| Millis::now().since(at) > limits::RETENTION)
}

/// Whether somebody is or was in a room: of nobody else it is believed that the server hides a record.
fn was_in_it(room: &Room, account: &AccountId) -> bool {
    let mut changes = room.changes.iter();
    changes.any(|change| matches!(change.what, What::Founded | What::Joined) && change.actor == *account)
}

/// Whether a device of somebody's has signed it.
fn is_by(parsed: &Parsed, person: &Person) -> bool {
    let header = parsed.header();
    let device = person.account.device_at(&header.device, header.sent_at);
    header.account == person.account.id && device.is_some_and(|device| parsed.is_signed_by(&device.key))
}
