//! Keys, signed records, session proofs, envelopes and chunks: all cryptography but TLS.
//!
//! Bytes and keys in, bytes and verdicts out: nothing here reads a file, a socket or a clock (the times
//! that Fernet writes into its tokens are never looked at again). A server is built with the verifying
//! half only: no secret, no private key, nothing that opens or seals.
//!
//! What this does *not* protect against:
//!
//! - No forward secrecy by itself. RSA wrapping has none; what there is comes from message keys being
//!   replaced and their private halves destroyed, weeks later, and does not cover history on one's own disk.
//! - Metadata. The header of an envelope is signed, not hidden: its carrier sees who writes to whom, when,
//!   how much, and the counters.
//! - Deniability. An envelope's signature proves its author to anyone who is shown it.
//! - A device whose private keys were copied. Whoever has them can read and write as that device.
//! - Holding back. A dropped message shows only by a later one of the same chain.
//!
//! Map:
//!
//! - [`purpose`]: the tag in front of everything that is signed or hashed
//! - [`keys`]: RSA keys and what is done with them (RFC 8017: OAEP and PSS, both with SHA-256)
//! - [`fernet`]: the key of one message, and the tokens made with it
//! - [`checkpoint`]: signed heads of the transparency log
//! - [`certificate`]: whose the transparency log's key is
//! - [`proof`]: that the log holds a leaf, that it has only grown
//! - [`evidence`]: two signed heads, or two certificates, that can't both be true
//! - [`passphrase`]: secrets at rest
//! - [`record`]: the signed records of the shared directory
//! - [`room`]: the signed records of who is in a room
//! - [`safety`]: the digits that two people compare
//! - [`session`]: proofs that a connection belongs to a device
//! - [`envelope`]: one sealed message
//! - [`chunk`]: content that is too large for an envelope
//! - [`live`]: sound that is heard while it is being spoken

pub mod certificate;
pub mod checkpoint;
#[cfg(feature = "client")]
pub mod chunk;
#[cfg(feature = "client")]
pub mod envelope;
#[cfg(feature = "client")]
pub mod evidence;
#[cfg(feature = "client")]
pub mod fernet;
pub mod keys;
#[cfg(feature = "client")]
pub mod live;
#[cfg(feature = "client")]
pub mod passphrase;
#[cfg(feature = "client")]
pub mod proof;
pub mod purpose;
pub mod record;
pub mod room;
#[cfg(feature = "client")]
pub mod safety;
pub mod session;

pub use checkpoint::LogKey;
#[cfg(feature = "client")]
pub use evidence::{Evidence, LogWord, Proof, TwoLogKeys};
#[cfg(feature = "client")]
pub use fernet::MessageSecret;
#[cfg(feature = "client")]
pub use keys::PrivateKey;
pub use keys::{BadSignature, KeyError, PublicKey};
#[cfg(feature = "client")]
pub use passphrase::Passphrase;
pub use purpose::Purpose;
#[cfg(feature = "client")]
pub use safety::SafetyNumber;

/// A private-key operation or a token that did not come out right. There is no detail on purpose: what
/// failed must look alike from outside (RFC 8017, section 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be opened")]
pub struct CannotOpen;

/// Why something could not be signed or sealed. Never the fault of another person's bytes.
#[cfg(feature = "client")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The content is over [`limits::INLINE_CONTENT`](crate::model::limits::INLINE_CONTENT), or a chunk
    /// over [`limits::CHUNK`](crate::model::limits::CHUNK).
    #[error("too large to be sealed at once")]
    TooLarge,
    /// The content contradicts itself: a wrong hash, size or chunk count.
    #[error("the content contradicts itself")]
    Content,
    /// The private key refused to sign.
    #[error("the private key cannot sign")]
    Sign,
    /// The public key refused to wrap.
    #[error("the message key cannot be wrapped for")]
    Wrap,
    /// The token could not be made.
    #[error("the token could not be made")]
    Token,
}

#[cfg(test)]
#[cfg(feature = "client")]
mod secret_tests;
#[cfg(test)]
#[cfg(feature = "client")]
pub(crate) mod test_keys;
