//! Opening envelopes: each step a type, so that none can be left out.

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};

use super::header::VERSION;
use super::{Content, Header};
use crate::crypto::record::Account;
use crate::crypto::room::Room;
use crate::crypto::{CannotOpen, MessageSecret, PrivateKey, PublicKey, Purpose};
use crate::model::{
    AccountId, Conversation, DeviceId, Entry, EnvelopeHash, MessageId, Wrap, from_canonical_cbor, limits,
};

/// Bytes that are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Over what fits into a frame with any head: [`limits::BODY`].
    #[error("an envelope over the size limit")]
    TooLarge,
    /// Parts that don't fit, or a header that is not the deterministic encoding of one.
    #[error("not an envelope")]
    Malformed,
    /// Made by a newer program.
    #[error("an envelope of version {0}, which is not known here")]
    Version(u8),
}

/// Why an envelope is refused before anything of it is decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The server delivered it under another name, sender or conversation than its header says.
    #[error("the envelope's header and its delivery differ")]
    Delivery,
    /// This very device made it.
    #[error("this device's own envelope came back")]
    Reflected,
    /// It is for someone else.
    #[error("the envelope is addressed to someone else")]
    NotForMe,
    /// It is for a room, and its sender or this account was not in that room then, or it says itself that its sender was
    /// gone when it was made; or no such room is known.
    #[error("the envelope is for a room that its sender or its receiver is not in")]
    NotInRoom,
    /// The sender's identity key has not certified the device.
    #[error("the sender does not have the device")]
    UncertifiedDevice,
    /// It says itself that it was made after the device was removed from the sender's account.
    #[error("the device had been removed when the envelope was made")]
    RemovedDevice,
    /// The device has not signed it.
    #[error("the envelope's signature does not verify")]
    Signature,
}

/// What the frame's head says of an envelope: the server's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// The sender.
    pub sender: AccountId,
    /// The sender's device.
    pub device: DeviceId,
    /// The message id.
    pub message: MessageId,
    /// Whom it is for.
    pub conversation: Conversation,
}

impl From<&Entry> for Delivered {
    fn from(entry: &Entry) -> Self {
        Self {
            sender: entry.sender,
            device: entry.device,
            message: entry.message,
            conversation: entry.conversation,
        }
    }
}

impl From<&Header> for Delivered {
    /// What its header says of an envelope.
    fn from(header: &Header) -> Self {
        Self {
            sender: header.account,
            device: header.device,
            message: header.message,
            conversation: header.recipient,
        }
    }
}

/// Who is about to open an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// One's own account.
    pub account: AccountId,
    /// This device.
    pub device: DeviceId,
}

/// An envelope of the right size, shape and version. Nothing that it says is known to be true.
#[derive(Clone, Debug)]
pub struct Parsed {
    header: Header,
    header_hash: [u8; 32],
    token_hash: [u8; 32],
    signature: Bytes,
    token: Bytes,
}

/// An envelope for this device that its sender's device has signed. Not decrypted yet: first the caller
/// looks whether it has stored it before.
#[derive(Clone, Debug)]
pub struct Verified {
    parsed: Parsed,
    me: Recipient,
}

/// An opened envelope.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What it says.
    pub content: Content,
    /// Its key, for the chunks of its content.
    pub secret: MessageSecret,
}

/// Takes a body apart: size, decoding, version, in this order.
///
/// # Errors
/// [`ParseError`] for anything but an envelope of version 1 with no byte too many.
pub fn parse(body: &Bytes) -> Result<Parsed, ParseError> {
    if body.len() > limits::BODY {
        return Err(ParseError::TooLarge);
    }
    let mut token = body.clone();
    let header_bytes = take(&mut token)?;
    let signature = take(&mut token)?;
    if token.is_empty() {
        return Err(ParseError::Malformed);
    }
    let header: Header = from_canonical_cbor(&header_bytes).map_err(|_| ParseError::Malformed)?;
    if header.version != VERSION {
        return Err(ParseError::Version(header.version));
    }
    let header_hash = Sha256::digest(&header_bytes).into();
    let token_hash = Sha256::digest(&token).into();
    Ok(Parsed { header, header_hash, token_hash, signature, token })
}

/// Whether sender and receiver were in a room when something was written to it.
fn is_in_room(header: &Header, me: AccountId, room: &Room) -> bool {
    let Conversation::Room { room: id, roster } = header.recipient else { return false };
    let members = room.members_at(&roster).filter(|_| room.id == id);
    // Clocks of two people may be apart.
    let gone = room.gone_since(&header.account, &roster).map(|at| at.plus(limits::FAREWELL));
    members.is_some_and(|members| members.contains(&header.account) && members.contains(&me))
        && gone.is_none_or(|gone| header.sent_at <= gone)
}

/// Takes a part with its length in front off the beginning.
fn take(bytes: &mut Bytes) -> Result<Bytes, ParseError> {
    let length = usize::from(bytes.try_get_u16().map_err(|_| ParseError::Malformed)?);
    if length > bytes.len() { Err(ParseError::Malformed) } else { Ok(bytes.split_to(length)) }
}

impl Parsed {
    /// What the header claims.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the header: what wraps and live sound are bound to.
    pub fn header_hash(&self) -> [u8; 32] {
        self.header_hash
    }

    /// The envelope's hash: what chains and forks compare.
    pub fn hash(&self) -> EnvelopeHash {
        EnvelopeHash::new(Purpose::Envelope.hash(&[&self.header_hash, &self.token_hash]))
    }

    /// Whether this key has signed it: whose envelope it is where no directory is needed to know that.
    pub fn is_signed_by(&self, device: &PublicKey) -> bool {
        device.verify(Purpose::Envelope, &[&self.header_hash, &self.token_hash], &self.signature).is_ok()
    }

    /// Checks, in this order: that the server's word and the header agree, that it is addressed to this
    /// device and not made by it, that the sender's pinned identity has certified the device, and the
    /// device's signature.
    ///
    /// Addressed to me is what is written to my account, and what another device of mine has written to
    /// anyone. What is written to a room is checked against that room's records, which the caller has to know:
    /// both of us were in it after the record that the header names.
    ///
    /// # Errors
    /// [`CheckError`]: the first check that failed.
    pub fn check(
        self,
        delivered: &Delivered,
        me: Recipient,
        sender: &Account,
        room: Option<&Room>,
    ) -> Result<Verified, CheckError> {
        let header = &self.header;
        if Delivered::from(header) != *delivered {
            return Err(CheckError::Delivery);
        }
        if header.device == me.device {
            return Err(CheckError::Reflected);
        }
        match header.recipient {
            Conversation::Account(account) if account == me.account || header.account == me.account => {}
            Conversation::Account(_) => return Err(CheckError::NotForMe),
            Conversation::Room { .. } => {
                let room = room.ok_or(CheckError::NotInRoom)?;
                if !is_in_room(header, me.account, room) {
                    return Err(CheckError::NotInRoom);
                }
            }
        }
        if sender.id != header.account {
            return Err(CheckError::UncertifiedDevice);
        }
        let device = match sender.device_at(&header.device, header.sent_at) {
            Some(device) => device,
            None if sender.removed_device(&header.device).is_some() => return Err(CheckError::RemovedDevice),
            None => return Err(CheckError::UncertifiedDevice),
        };
        if !self.is_signed_by(&device.key) {
            return Err(CheckError::Signature);
        }
        Ok(Verified { parsed: self, me })
    }
}

impl Verified {
    /// What the header says, vouched for by the sender's device.
    pub fn header(&self) -> &Header {
        self.parsed.header()
    }

    /// The envelope's hash.
    pub fn hash(&self) -> EnvelopeHash {
        self.parsed.hash()
    }

    /// Unwraps the Fernet key, compares it with the header's commitment, and only then opens the token.
    ///
    /// Takes milliseconds of computation: not for an async worker.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever the reason.
    pub fn open(&self, key: &PrivateKey, wrap: &Wrap) -> Result<Opened, CannotOpen> {
        let secret = self.unwrap_key(key, wrap)?;
        let content = Content::decode(&secret.open(&self.parsed.token)?)?;
        Ok(Opened { content, secret })
    }

    /// The Fernet key, if it is the one that the header commits to.
    pub(super) fn unwrap_key(&self, key: &PrivateKey, wrap: &Wrap) -> Result<MessageSecret, CannotOpen> {
        if wrap.device != self.me.device || wrap.key != key.public().id() {
            return Err(CannotOpen);
        }
        let secret = key.unwrap_key(&self.parsed.header_hash, &wrap.ciphertext)?;
        if secret.commitment() == self.parsed.header.commit { Ok(secret) } else { Err(CannotOpen) }
    }
}
