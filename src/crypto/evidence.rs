//! What two people who see different logs show each other: signed checkpoints and whose key has signed them, and the
//! proof that two of either can't both be true.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use super::{LogKey, certificate, proof};
use crate::model::{Head, LogCertificate};

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

/// Two log keys that one TLS key has signed for, as those of one server, which has only one: a CBOR map with the integer
/// keys 0 and 1. Whoever knows the TLS key can check it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct TwoLogKeys {
    /// What the server says to whoever keeps this.
    #[n(0)]
    pub one: LogCertificate,
    /// What it says to somebody else, or said at another time.
    #[n(1)]
    pub other: LogCertificate,
}

impl TwoLogKeys {
    /// Whether this really shows that one TLS key has signed for two log keys of one server.
    pub fn check(&self) -> bool {
        let Self { one, other } = self;
        one.tls_key == other.tls_key
            && one.server == other.server
            && one.log_key != other.log_key
            && certificate::verify(one).is_ok()
            && certificate::verify(other).is_ok()
    }
}

/// What shows that a server lies, for whoever wants to check it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Two signed logs.
    Logs(Evidence),
    /// Two log keys.
    Keys(Box<TwoLogKeys>),
}

/// What one says to somebody whose head of the log disagrees with one's own: a CBOR map with the integer keys
/// 0 to 3.
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
    /// Whose key has signed one's checkpoint.
    #[n(3)]
    pub certificate: LogCertificate,
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
