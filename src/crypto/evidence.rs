//! What two people who see different logs show each other: signed checkpoints, and the proof that two of them
//! can't both be true.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use super::{LogKey, proof};
use crate::model::Head;

/// Two checkpoints that one log key has signed and that no append-only log can both have had: a CBOR map with
/// the integer keys 0 to 3. Whoever has the log's public key can check it, without the log.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Evidence {
    /// The signed checkpoint of the smaller log, or of either where both are of one size.
    #[n(0)]
    pub smaller: String,
    /// The other one.
    #[n(1)]
    pub larger: String,
    /// What the larger log's first leaves, as many as the smaller has, hash to.
    #[n(2)]
    pub root: ByteArray<32>,
    /// The consistency proof from there to the larger one (RFC 6962, section 2.1.2).
    #[n(3)]
    pub proof: Vec<ByteArray<32>>,
}

impl Evidence {
    /// The two heads, if this really shows that the log's key has signed both and that they contradict each other.
    pub fn check(&self, key: &LogKey) -> Option<(Head, Head)> {
        let (smaller, larger) = (key.verify(&self.smaller).ok()?, key.verify(&self.larger).ok()?);
        let claimed = Head { size: smaller.size, root: *self.root };
        if !proof::has_grown(&claimed, &larger, &self.proof) {
            return None;
        }
        (*self.root != smaller.root).then_some((smaller, larger))
    }
}

/// What one says to somebody whose head of the log disagrees with one's own: a CBOR map with the integer keys
/// 0 to 2.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LogWord {
    /// One's own newest signed checkpoint.
    #[n(0)]
    pub checkpoint: String,
    /// What was found out, if it was.
    #[n(1)]
    pub evidence: Option<Evidence>,
    /// Whether the other's checkpoint is wanted in return.
    #[n(2)]
    pub asks: bool,
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
