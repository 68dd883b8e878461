//! The part of an envelope that is signed but not hidden.

use minicbor::{Decode, Encode};

use crate::model::{AccountId, Conversation, DeviceId, EnvelopeHash, Head, MessageId, Millis};

/// The one version of envelopes.
pub(super) const VERSION: u8 = 1;

/// Who says what to whom, and where in a chain: a CBOR map with the integer keys 0 to 9.
///
/// What is compared and hashed are always the bytes as received, never an encoding made anew.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    /// Always 1.
    #[n(0)]
    pub version: u8,
    /// Together with `device` the message's name.
    #[n(1)]
    pub message: MessageId,
    /// The sender's account.
    #[n(2)]
    pub account: AccountId,
    /// The sender's device, whose key has signed.
    #[n(3)]
    pub device: DeviceId,
    /// Whom it is for.
    #[n(4)]
    pub recipient: Conversation,
    /// Place in the chain of this device to this recipient ([`Conversation::chain`]), from 0; absent outside chains (receipts).
    #[n(5)]
    pub counter: Option<u64>,
    /// Hash of the envelope before this one in the chain; 32 zero bytes where there is none.
    #[n(6)]
    pub previous: EnvelopeHash,
    /// [`MessageSecret::commitment`](crate::crypto::MessageSecret::commitment) of the token's key.
    #[n(7)]
    #[cbor(with = "minicbor::bytes")]
    pub commit: [u8; 32],
    /// When it was sealed, by the sender's clock.
    #[n(8)]
    pub sent_at: Millis,
    /// The newest head of the transparency log that the sender has verified: a hint, to be checked beside the
    /// message. Absent where there is no log.
    #[n(9)]
    pub log: Option<Head>,
}

impl Header {
    /// `previous` where nothing came before.
    pub const NONE_BEFORE: EnvelopeHash = EnvelopeHash::new([0; 32]);
}
