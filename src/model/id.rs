//! Ids. Key ids are the SHA-256 of a key's SPKI; accounts and devices are named by their keys.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct InvalidId(&'static str);

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id made of these bytes.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self).ok_or(InvalidId($what))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId($what))
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Self::try_from(d.bytes()?).map_err(minicbor::decode::Error::message)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id32!(
    /// The SHA-256 of a public key's SPKI (RFC 5280, section 4.1).
    KeyId,
    "a key id (64 hexadecimal digits)"
);
id32!(
    /// An account: the key id of its identity key.
    AccountId,
    "an account id (64 hexadecimal digits)"
);
id32!(
    /// A device: the key id of its device key.
    DeviceId,
    "a device id (64 hexadecimal digits)"
);
id32!(
    /// A server, or a cluster of nodes with one store: random bytes drawn at first start.
    ServerId,
    "a server id (64 hexadecimal digits)"
);
id32!(
    /// A blob of sealed chunks: random bytes drawn by its sender.
    BlobId,
    "a blob id (64 hexadecimal digits)"
);
id32!(
    /// A room: the hash of its first record.
    RoomId,
    "a room id (64 hexadecimal digits)"
);
id32!(
    /// A room as it was after one of its records: SHA-256 over tag and the record's body.
    RosterId,
    "the hash of a room's record (64 hexadecimal digits)"
);
id32!(
    /// SHA-256 over tag, SHA-256(header) and SHA-256(token) of an envelope: what chains and forks compare.
    EnvelopeHash,
    "an envelope hash (64 hexadecimal digits)"
);

impl KeyId {
    /// The form shown to people: `SHA256:` and unpadded base64, as SSH prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }

    /// Reads what [`KeyId::fingerprint`] prints.
    ///
    /// # Errors
    /// When the text is not `SHA256:` followed by 43 base64 characters.
    pub fn from_fingerprint(text: &str) -> Result<Self, InvalidId> {
        let error = InvalidId("a fingerprint (SHA256: and 43 characters of base64)");
        let digits = text.strip_prefix("SHA256:").ok_or(error.clone())?;
        let bytes = STANDARD_NO_PAD.decode(digits).map_err(|_| error.clone())?;
        Self::try_from(bytes.as_slice()).map_err(|_| error)
    }
}

impl From<AccountId> for KeyId {
    fn from(id: AccountId) -> Self {
        Self(id.0)
    }
}

impl From<KeyId> for AccountId {
    fn from(id: KeyId) -> Self {
        Self(id.0)
    }
}

impl From<DeviceId> for KeyId {
    fn from(id: DeviceId) -> Self {
        Self(id.0)
    }
}

impl From<KeyId> for DeviceId {
    fn from(id: KeyId) -> Self {
        Self(id.0)
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value * 16 + char::from(*digit).to_digit(16)?;
        }
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

/// A message's id: a UUIDv7 (RFC 9562), drawn by its sender. Its name is (sender device, message id).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(uuid::Uuid);

impl MessageId {
    /// A fresh id, made of the time and random bits.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The id made of these bytes; any 16 bytes are accepted, since the id is only ever compared.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self).map_err(|_| InvalidId("a message id (a UUID)"))
    }
}

impl<C> minicbor::Encode<C> for MessageId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(self.as_bytes())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for MessageId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self::from_bytes).map_err(|_| minicbor::decode::Error::message("not a message id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_and_nothing_else_does() {
        let id = KeyId::new([7; 32]);
        assert_eq!(KeyId::from_fingerprint(&id.fingerprint()).unwrap(), id);
        for wrong in ["", "SHA256:", "SHA256:AAAA", "MD5:AAAA", &id.to_string()] {
            assert!(KeyId::from_fingerprint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_reads_back_from_hexadecimal_and_cbor() {
        let id = AccountId::new([0xa5; 32]);
        assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
        let message = MessageId::generate();
        let bytes = crate::model::to_cbor(&message);
        assert_eq!(crate::model::from_canonical_cbor::<MessageId>(&bytes).unwrap(), message);
        assert!("a5".parse::<AccountId>().is_err());
        assert!("+5".repeat(32).parse::<AccountId>().is_err());
    }
}
