//! Making envelopes and wraps.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::header::VERSION;
use super::{Content, Header};
use crate::crypto::record::MessageKey;
use crate::crypto::{MessageSecret, PrivateKey, Purpose, SealError};
use crate::model::{AccountId, Conversation, EnvelopeHash, Head, MessageId, Millis, Wrap, to_cbor};

/// What the sender decides of a header; the rest follows from the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// A fresh id.
    pub message: MessageId,
    /// The sender's account.
    pub account: AccountId,
    /// Whom it is for.
    pub recipient: Conversation,
    /// Place in the chain, from 0; `None` outside chains.
    pub counter: Option<u64>,
    /// Hash of the envelope before; [`Header::NONE_BEFORE`] where there is none.
    pub previous: EnvelopeHash,
    /// Now.
    pub sent_at: Millis,
    /// The newest head of the transparency log, where there is one.
    pub log: Option<Head>,
}

/// An envelope, and what its sender keeps of it until it has been accepted.
#[derive(Clone, Debug)]
pub struct SealedEnvelope {
    /// Header, signature and token, as they travel.
    pub body: Bytes,
    /// What the next envelope of the chain carries as `previous`.
    pub hash: EnvelopeHash,
    /// SHA-256 of the header: what wraps are bound to.
    pub header_hash: [u8; 32],
    /// The key, for wrapping.
    pub secret: MessageSecret,
}

impl SealedEnvelope {
    /// Wraps the envelope's key for a message key.
    ///
    /// # Errors
    /// [`SealError::Wrap`] when the library refuses.
    pub fn wrap_for(&self, key: &MessageKey) -> Result<Wrap, SealError> {
        wrap(&self.secret, &self.header_hash, key)
    }
}

/// Seals content under a key made for this message alone (with which its chunks, if it has any, have been
/// sealed already).
///
/// # Errors
/// [`SealError`] when the content is too large or contradicts itself, or a key refuses.
pub fn seal(
    device_key: &PrivateKey,
    draft: &Draft,
    content: &Content,
    secret: MessageSecret,
) -> Result<SealedEnvelope, SealError> {
    let header = to_cbor(&Header {
        version: VERSION,
        message: draft.message,
        account: draft.account,
        device: device_key.public().id().into(),
        recipient: draft.recipient,
        counter: draft.counter,
        previous: draft.previous,
        commit: secret.commitment(),
        sent_at: draft.sent_at,
        log: draft.log,
    });
    let token = secret.seal(&content.encode()?)?;
    let header_hash: [u8; 32] = Sha256::digest(&header).into();
    let token_hash: [u8; 32] = Sha256::digest(&token).into();
    let signature = device_key.sign(Purpose::Envelope, &[&header_hash, &token_hash])?;
    let body = assemble(&header, &signature, &token)?;
    let hash = EnvelopeHash::new(Purpose::Envelope.hash(&[&header_hash, &token_hash]));
    Ok(SealedEnvelope { body, hash, header_hash, secret })
}

/// Wraps the key of an envelope whose header has this SHA-256 for a message key. Can be done again, for a
/// newer key, without touching the envelope.
///
/// # Errors
/// [`SealError::Wrap`] when the library refuses.
pub fn wrap(secret: &MessageSecret, header_hash: &[u8; 32], key: &MessageKey) -> Result<Wrap, SealError> {
    let ciphertext = key.key.wrap(header_hash, secret)?.into();
    Ok(Wrap { device: key.device, key: key.key.id(), ciphertext })
}

/// Puts the parts of a body together.
pub(super) fn assemble(header: &[u8], signature: &[u8], token: &[u8]) -> Result<Bytes, SealError> {
    let length = |part: &[u8]| u16::try_from(part.len()).map_err(|_| SealError::TooLarge);
    let (header_length, signature_length) = (length(header)?.to_be_bytes(), length(signature)?.to_be_bytes());
    Ok([&header_length, header, &signature_length, signature, token].concat().into())
}
