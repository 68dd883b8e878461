//! The transparency log of account records: its leaves and its head.
//!
//! Every record of an account, not those of message keys, is a leaf of one append-only Merkle tree (RFC 6962,
//! section 2.1). Whoever has all leaves can compute the head of every earlier size, and see who has a key under
//! which name.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use super::{KeyId, Nickname, ServerId, Signed};

/// In front of a name that is hashed.
const NAME_TAG: &[u8] = b"tellal log name v1\0";

/// More leaves than any log has: what arithmetic on sizes is safe below.
pub const LOG_LIMIT: u64 = 1 << 40;

/// The hash of a name, in the form that names are compared in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameHash(pub [u8; 32]);

impl NameHash {
    /// Of a name.
    pub fn of(nickname: &Nickname) -> Self {
        Self::of_folded(nickname.folded())
    }

    /// Of a name that is folded already.
    pub fn of_folded(folded: &str) -> Self {
        Self(Sha256::new_with_prefix(NAME_TAG).chain_update(folded).finalize().into())
    }
}

/// The hash that stands for a record: SHA-256 of its body, as in the chain that it belongs to.
pub fn record_hash(record: &Signed) -> [u8; 32] {
    Sha256::digest(record.body.as_slice()).into()
}

/// One leaf: that a record was appended for a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Whose name.
    pub name: NameHash,
    /// The place of the name's leaf before this one; none where a chain of records begins.
    pub previous: Option<u64>,
    /// [`record_hash`] of the record.
    pub record: [u8; 32],
}

impl Leaf {
    /// Bytes of a leaf.
    pub const SIZE: usize = 72;

    /// `name || previous: u64, big-endian || record`; 2^64 - 1 where there is none before.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let (name, rest) = bytes.split_at_mut(32);
        let (previous, record) = rest.split_at_mut(8);
        name.copy_from_slice(&self.name.0);
        previous.copy_from_slice(&self.previous.unwrap_or(u64::MAX).to_be_bytes());
        record.copy_from_slice(&self.record);
        bytes
    }

    /// Reads what [`Leaf::to_bytes`] makes. Any bytes are a leaf; whether it is a true one is another matter.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (mut name, mut previous, mut record) = ([0; 32], [0; 8], [0; 32]);
        let (head, rest) = bytes.split_at(32);
        let (middle, tail) = rest.split_at(8);
        name.copy_from_slice(head);
        previous.copy_from_slice(middle);
        record.copy_from_slice(tail);
        let previous = Some(u64::from_be_bytes(previous)).filter(|place| *place != u64::MAX);
        Self { name: NameHash(name), previous, record }
    }

    /// The leaves in a row of bytes; `None` when they don't come out even.
    pub fn all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (leaves, rest) = bytes.as_chunks::<{ Self::SIZE }>();
        rest.is_empty().then(|| leaves.iter().map(Self::from_bytes).collect())
    }
}

/// A state of the log: how many leaves, and what they hash to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Head {
    /// Leaves.
    #[n(0)]
    pub size: u64,
    /// The Merkle tree hash of them.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub root: [u8; 32],
}

/// What a server's TLS key says of the key that its log is signed with: a CBOR map with the integer keys 0 to 4. See
/// [`certificate`](crate::crypto::certificate).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LogCertificate {
    /// Whose log it is.
    #[n(0)]
    pub server: ServerId,
    /// An Ed25519 public key (RFC 8032).
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub log_key: [u8; 32],
    /// The SPKI of the server's TLS key (RFC 5280, section 4.1), in DER.
    #[n(2)]
    pub tls_key: ByteVec,
    /// How that key has signed: a TLS SignatureScheme (RFC 8446, section 4.2.3).
    #[n(3)]
    pub scheme: u16,
    /// Its signature.
    #[n(4)]
    pub signature: ByteVec,
}

impl LogCertificate {
    /// The id of the TLS key, as clients pin it.
    pub fn tls_key_id(&self) -> KeyId {
        KeyId::new(Sha256::digest(self.tls_key.as_slice()).into())
    }

    /// The id of the log's key, for people to compare: SHA-256 of its 32 bytes.
    pub fn log_key_id(&self) -> KeyId {
        KeyId::new(Sha256::digest(self.log_key).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_reads_back_and_takes_72_bytes() {
        let name = NameHash::of(&"Ayşe".parse().unwrap());
        assert_eq!(name, NameHash::of(&"ayşe".parse().unwrap()), "names are compared folded");
        for previous in [None, Some(0), Some(77)] {
            let leaf = Leaf { name, previous, record: [3; 32] };
            let bytes = leaf.to_bytes();
            assert_eq!(Leaf::from_bytes(&bytes), leaf);
            assert_eq!(Leaf::all(&[bytes, bytes].concat()), Some(vec![leaf, leaf]));
            assert_eq!(Leaf::all(&bytes[1..]), None);
        }
    }
}
