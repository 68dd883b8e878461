//! Signed heads of the transparency log: a C2SP checkpoint (c2sp.org/tlog-checkpoint) in a signed note
//! (c2sp.org/signed-note) with one Ed25519 signature.
//!
//! ```text
//! tellal/5e5e…5e                                  the log's origin: `tellal/` and the server's id
//! 923748                                          leaves
//! nND/nri//U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=   root hash
//!
//! — tellal/5e5e…5e az3grlgt…                      key hash and signature
//! ```
//!
//! Not here: whether a head is consistent with another one. Only whoever has the leaves, or a proof, can tell.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tlog_tiles::{Checkpoint, Hash};

use super::BadSignature;
use crate::model::log::LOG_LIMIT;
use crate::model::{Head, ServerId};

/// Bytes of the largest note that is looked at.
pub const NOTE_LIMIT: usize = 2048;

/// The type byte of an Ed25519 key, in front of it where it is hashed or written.
const ED25519_KEY: u8 = 1;

/// The public half of a log's key, and whose log it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// The server, or cluster, whose log it signs.
    pub server: ServerId,
    /// An Ed25519 public key (RFC 8032).
    pub public: [u8; 32],
}

impl LogKey {
    /// The log's name.
    pub fn origin(&self) -> String {
        format!("tellal/{}", self.server)
    }

    /// The key as other tools of this kind take it: `name+hash+key`.
    pub fn verifier_key(&self) -> String {
        let hash: String = self.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let key = STANDARD.encode([&[ED25519_KEY], self.public.as_slice()].concat());
        format!("{}+{hash}+{key}", self.origin())
    }

    /// The four bytes that name the key in a signature.
    fn hash(&self) -> [u8; 4] {
        let hash = Sha256::new_with_prefix(self.origin())
            .chain_update([b'\n', ED25519_KEY])
            .chain_update(self.public)
            .finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
        [a, b, c, d]
    }

    /// What is signed for a head.
    pub fn text(&self, head: &Head) -> String {
        format!("{}\n{}\n{}\n", self.origin(), head.size, STANDARD.encode(head.root))
    }

    /// The whole note, from its text and this key's signature over it.
    pub fn note(&self, text: &str, signature: &[u8]) -> String {
        let signature = STANDARD.encode([self.hash().as_slice(), signature].concat());
        format!("{text}\n— {} {signature}\n", self.origin())
    }

    /// The head that this key has signed.
    ///
    /// # Errors
    /// [`BadSignature`] for anything but a checkpoint of this log with a good signature of this key. Signatures
    /// of others beside it are passed over.
    pub fn verify(&self, note: &str) -> Result<Head, BadSignature> {
        if note.len() > NOTE_LIMIT {
            return Err(BadSignature);
        }
        let (text, signatures) = note.split_once("\n\n").ok_or(BadSignature)?;
        // The text ends with the first of the two.
        let text = note.get(..text.len() + 1).ok_or(BadSignature)?;
        let checkpoint = Checkpoint::from_bytes(text.as_bytes()).map_err(|_| BadSignature)?;
        if checkpoint.origin() != self.origin() || checkpoint.size() > LOG_LIMIT {
            return Err(BadSignature);
        }
        let prefix = format!("— {} ", self.origin());
        let signature = |line: &str| {
            let bytes = STANDARD.decode(line.strip_prefix(&prefix)?).ok()?;
            bytes.strip_prefix(&self.hash()).map(<[u8]>::to_vec)
        };
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        let good = |signature: Vec<u8>| key.verify(text.as_bytes(), &signature).is_ok();
        if !signatures.ends_with('\n') || !signatures.lines().filter_map(signature).any(good) {
            return Err(BadSignature);
        }
        let Hash(root) = *checkpoint.hash();
        Ok(Head { size: checkpoint.size(), root })
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
