//! The vocabulary that every layer shares: ids, nicknames, times, directory records, limits.
//!
//! Plain data with its encoding, nothing else: no keys that can sign or open, no sockets, no files.
//!
//! - [`id`]: the 32-byte ids of keys, accounts, devices, servers and blobs, and the message id
//! - [`nickname`]: what a person may be called, and when two names are the same
//! - [`time`]: milliseconds since the Unix epoch
//! - [`color`]: a person's colour
//! - [`record`]: the signed records of the shared directory
//! - [`log`]: leaves and heads of the transparency log, and whose its key is
//! - [`room`]: what rooms are called and made of, whom something is written to
//! - [`mailbox`]: positions in a mailbox, what a mailbox holds, what is put into it
//! - [`invite`]: invitations to a server
//! - [`limits`]: sizes that both ends hold each other to

pub mod color;
pub mod id;
pub mod invite;
pub mod limits;
pub mod log;
pub mod mailbox;
pub mod nickname;
pub mod record;
pub mod room;
pub mod time;

pub use color::Color;
pub use id::{AccountId, BlobId, DeviceId, EnvelopeHash, KeyId, MessageId, RoomId, RosterId, ServerId};
pub use log::{Head, Leaf, LogCertificate, NameHash};
pub use mailbox::{Entry, Position, Recipient, Submission, Wrap};
pub use nickname::{Nickname, NicknameError};
pub use record::{AccountRecord, AccountRecordKind, DirectoryEntry, MessageKeyRecord, Signed};
pub use room::{Address, Conversation, RoomName, RoomRecord, RoomRecordKind};
pub use time::Millis;

/// Encodes a value whose encoding cannot fail, because it is written to memory.
pub fn to_cbor<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    // Room for what is encoded most often, the wraps of a message for one device.
    let mut bytes = Vec::with_capacity(512);
    // Encoding fails only when the writer does, and a `Vec` never does.
    let _ = minicbor::encode(value, &mut bytes);
    bytes
}

/// Decodes deterministic CBOR (RFC 8949, section 4.2) and nothing else.
///
/// Unknown keys, doubled keys, keys out of order, lengths that are not the shortest and trailing bytes
/// are all refused by one rule: what was decoded must encode to exactly the bytes that came.
///
/// # Errors
/// [`NotCanonical`] for anything but the one encoding of a `T`.
pub fn from_canonical_cbor<'b, T>(bytes: &'b [u8]) -> Result<T, NotCanonical>
where
    T: minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let value: T = minicbor::decode(bytes).map_err(|_| NotCanonical)?;
    if to_cbor(&value) == bytes { Ok(value) } else { Err(NotCanonical) }
}

/// Bytes that are not the deterministic encoding of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the deterministic CBOR encoding of what belongs here")]
pub struct NotCanonical;
