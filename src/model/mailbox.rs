//! Mailboxes: append-only logs of sealed envelopes, one for each account, read by each device from its cursor.

use bytes::Bytes;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{AccountId, BlobId, Conversation, DeviceId, KeyId, MessageId, Millis};

/// A place in a mailbox. A restored or migrated mailbox has a new epoch; within one, seq counts from 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(array)]
pub struct Position {
    /// Drawn anew whenever the log can no longer be relied on to continue the old one.
    #[n(0)]
    pub epoch: u64,
    /// The entry at this place; 0 is before the first.
    #[n(1)]
    pub seq: u64,
}

/// A Fernet key, sealed with RSA-OAEP for one message key of one device.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Wrap {
    /// The device that can open it.
    #[n(0)]
    pub device: DeviceId,
    /// Which of that device's message keys.
    #[n(1)]
    pub key: KeyId,
    /// The ciphertext: as long as the key's modulus.
    #[n(2)]
    pub ciphertext: ByteVec,
}

/// One account that an envelope goes to, and the wraps for its devices.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Recipient {
    /// Whose mailbox.
    #[n(0)]
    pub account: AccountId,
    /// One for each device of that account which the sender knew.
    #[n(1)]
    pub wraps: Vec<Wrap>,
}

/// An envelope on its way into mailboxes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// The account that the session belongs to.
    pub sender: AccountId,
    /// The device that the session belongs to.
    pub device: DeviceId,
    /// Together with `device` the envelope's name.
    pub message: MessageId,
    /// Whom the sender wrote to, for the receiver's eyes: compared with the sealed header.
    pub conversation: Conversation,
    /// The mailboxes it goes to: the conversation's (of a room, those of as many of its members as it is wrapped for), and the sender's own where it has other devices.
    pub recipients: Vec<Recipient>,
    /// Blobs that the content refers to: kept as long as the envelope.
    pub blobs: Vec<BlobId>,
    /// Header, signature and token, as opaque bytes.
    pub body: Bytes,
}

/// An envelope in one mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place, in the mailbox's present epoch.
    pub seq: u64,
    /// As the server's session had it.
    pub sender: AccountId,
    /// As the server's session had it.
    pub device: DeviceId,
    /// Together with `device` the envelope's name.
    pub message: MessageId,
    /// As in the [`Submission`].
    pub conversation: Conversation,
    /// The wraps for this mailbox's devices.
    pub wraps: Vec<Wrap>,
    /// When the server accepted it, by the server's clock.
    pub accepted_at: Millis,
    /// Header, signature and token, as they came.
    pub body: Bytes,
}

impl Entry {
    /// About how many bytes it takes in memory, and in a frame at most.
    pub fn size(&self) -> usize {
        let wraps = self.wraps.iter().map(|wrap| wrap.ciphertext.len() + size_of::<Wrap>());
        self.body.len() + wraps.sum::<usize>() + 256
    }
}
