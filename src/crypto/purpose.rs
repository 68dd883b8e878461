//! The tag in front of everything that is signed, hashed or used as a label, so that no signature or hash
//! made for one purpose can stand for another.

use sha2::{Digest as _, Sha256};

/// Tags and purposes in one list, so that none is without the other, and none is missing in [`Purpose::ALL`].
macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident = $tag:literal,)*) => {
        /// What a signature, a hash or a label is for.
        ///
        /// The input is always `tag || 0x00 || parts`. Tags contain no zero byte, and of the parts only the last may
        /// vary in length, so that no two inputs coincide.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Purpose {
            $($(#[$doc])* $name,)*
        }

        impl Purpose {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The tag: ASCII, without a zero byte.
            pub const fn tag(self) -> &'static [u8] {
                match self {
                    $(Self::$name => $tag,)*
                }
            }
        }
    };
}

purposes! {
    /// SHA-256(header), SHA-256(token): signed by the device key; its SHA-256 is the envelope's hash.
    Envelope = b"tellal envelope v1",
    /// SHA-256(header): the OAEP label of a wrap.
    Wrap = b"tellal wrap v1",
    /// The Fernet key: hashed into the header's `commit`.
    Commitment = b"tellal commitment v1",
    /// SHA-256(opening header), index, SHA-256(token): a group of sound, signed by the device key.
    LiveSound = b"tellal live sound v1",
    /// A [`SessionProof`](crate::protocol::message::SessionProof) that logs a device in.
    Login = b"tellal login v1",
    /// A [`SessionProof`](crate::protocol::message::SessionProof) that comes with a registration.
    Registration = b"tellal registration v1",
    /// The body of an [`AccountRecord`](crate::model::AccountRecord).
    AccountRecord = b"tellal account record v1",
    /// The body of a [`MessageKeyRecord`](crate::model::MessageKeyRecord).
    MessageKey = b"tellal message key v1",
    /// The body of a [`RoomRecord`](crate::model::RoomRecord): signed by the device key; its SHA-256 is the
    /// [`RosterId`](crate::model::RosterId).
    RoomRecord = b"tellal room record v1",
    /// Account id, hash of the record before, id of the new key: signed by a key that a record brings in.
    Consent = b"tellal consent v1",
    /// Id of an identity key, folded nickname: where one side of a safety number begins.
    SafetyNumber = b"tellal safety number v1",
    /// Server id, public key of its log: signed by the server's TLS key.
    LogKey = b"tellal log key v1",
}

impl Purpose {
    /// `tag || 0x00 || parts`.
    pub(crate) fn input(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut input = [self.tag(), &[0]].concat();
        parts.iter().for_each(|part| input.extend_from_slice(part));
        input
    }

    /// SHA-256 of `tag || 0x00 || parts`.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> [u8; 32] {
        let start = Sha256::new_with_prefix(self.tag()).chain_update([0]);
        parts.iter().fold(start, |hash, part| hash.chain_update(part)).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_is_another_and_none_holds_a_zero_byte() {
        for (place, purpose) in Purpose::ALL.iter().enumerate() {
            assert!(!purpose.tag().contains(&0));
            assert!(Purpose::ALL[..place].iter().all(|other| other.tag() != purpose.tag()));
        }
    }

    #[test]
    fn the_hash_is_that_of_the_input() {
        let parts: [&[u8]; 2] = [b"one", b"two"];
        let input = Purpose::Login.input(&parts);
        assert_eq!(input, b"tellal login v1\0onetwo");
        assert_eq!(Purpose::Login.hash(&parts), <[u8; 32]>::from(Sha256::digest(&input)));
    }
}
