//! What is checked of an envelope before it is opened, and what it then is.

use std::sync::Arc;

use bytes::Bytes;

use crate::client::engine::{Keys, Person};
use crate::crypto::PrivateKey;
use crate::crypto::envelope::{CheckError, Delivered, Header, Opened, Recipient, parse};
use crate::model::{Conversation, EnvelopeHash, Millis, Position, Wrap, limits};

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
}

/// Size, decoding, version, addressed to me, certified device, signature, replay; only then decryption.
pub(super) fn open(
    arrived: &Arrived,
    known: Option<EnvelopeHash>,
    me: Recipient,
    own: &PrivateKey,
    person: Option<&Arc<Person>>,
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
    let Some(person) = person else { return Outcome::Broken };
    if person.unlogged {
        return Outcome::HeldBack;
    }
    // Mail of a removed device waits for as long as servers keep mail, and no longer.
    let removed = person.account.removed_device(&header.device);
    if removed.is_some_and(|(_, at)| Millis::now().since(at) > limits::RETENTION) {
        return Outcome::Broken;
    }
    let verified = match parsed.check(&arrived.delivered, me, &person.account, None) {
        Ok(verified) => verified,
        Err(CheckError::Reflected) => return Outcome::Duplicate,
        Err(_) => return Outcome::Broken,
    };
    match known {
        Some(known) if known == hash => return Outcome::Duplicate,
        Some(_) => return Outcome::Fork,
        None => {}
    }
    let key = arrived.wrap.as_ref().and_then(|wrap| Some((keys.get(&wrap.key)?, wrap)));
    match key.map(|(key, wrap)| verified.open(key, wrap)) {
        Some(Ok(opened)) => {
            let person = person.clone();
            Outcome::Opened(Box::new(Sound { header, hash, header_hash, opened, person }))
        }
        _ => Outcome::Broken,
    }
}
