//! The records of the shared directory. Each is signed as the bytes it travelled in; what a record may say
//! and who must have signed it is checked by `crypto::record` on every client and on the server alike.

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::{AccountId, Color, DeviceId, KeyId, Millis, Nickname};

/// Bytes and a signature over them: kept together, so that what was signed is what is decoded.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Signed {
    /// Deterministic CBOR of a record.
    #[n(0)]
    pub body: ByteVec,
    /// RSASSA-PSS (RFC 8017) over purpose tag and body.
    #[n(1)]
    pub signature: ByteVec,
}

/// One link of an account's chain. Signed by the account's identity key, as it is at that place.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct AccountRecord {
    /// Always 1.
    #[n(0)]
    pub version: u8,
    /// The account that the chain belongs to: the key id of its first identity key.
    #[n(1)]
    pub account: AccountId,
    /// Place in the chain, from 0.
    #[n(2)]
    pub index: u32,
    /// SHA-256 of the body before this one; absent at index 0.
    #[n(3)]
    pub previous: Option<ByteArray<32>>,
    /// When it was made, by its maker's clock.
    #[n(4)]
    pub made_at: Millis,
    /// What it says.
    #[n(5)]
    pub kind: AccountRecordKind,
}

/// What a link of the chain says. Kinds are only ever added.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum AccountRecordKind {
    /// The account begins: its name, its identity key and its first device.
    #[n(0)]
    #[cbor(map)]
    Registration {
        /// The name, as its owner writes it.
        #[n(0)]
        nickname: Nickname,
        /// SPKI (DER) of the identity key.
        #[n(1)]
        identity_key: ByteVec,
        /// SPKI (DER) of the first device's key.
        #[n(2)]
        device_key: ByteVec,
        /// The colour its owner chose, if one was chosen.
        #[n(3)]
        color: Option<Color>,
    },
    /// Another identity key takes the place of this one, which signs for it; all devices go, and one comes.
    #[n(1)]
    #[cbor(map)]
    Rekey {
        /// SPKI (DER) of the new identity key.
        #[n(0)]
        identity_key: ByteVec,
        /// SPKI (DER) of the new device's key.
        #[n(1)]
        device_key: ByteVec,
        /// By the new identity key: that it belongs here.
        #[n(2)]
        consent: ByteVec,
    },
    /// The account has another device from now on.
    #[n(2)]
    #[cbor(map)]
    DeviceAdded {
        /// SPKI (DER) of the device's key.
        #[n(0)]
        device_key: ByteVec,
        /// By the device's key: that it belongs here.
        #[n(1)]
        consent: ByteVec,
    },
    /// A device is the account's no longer.
    #[n(3)]
    #[cbor(map)]
    DeviceRemoved {
        /// Which.
        #[n(0)]
        device: DeviceId,
    },
    /// The account has ended. Nothing follows.
    #[n(4)]
    Revocation,
}

/// A key to wrap messages to one device for. Signed by that device's key; not part of the account's chain.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct MessageKeyRecord {
    /// Always 1.
    #[n(0)]
    pub version: u8,
    /// The account the device belongs to.
    #[n(1)]
    pub account: AccountId,
    /// The device that can unwrap.
    #[n(2)]
    pub device: DeviceId,
    /// SPKI (DER) of the message key.
    #[n(3)]
    pub key: ByteVec,
    /// Not to be sent to before.
    #[n(4)]
    pub from: Millis,
    /// Not to be sent to after.
    #[n(5)]
    pub until: Millis,
    /// The key that this one replaces; absent for a device's first.
    #[n(6)]
    pub supersedes: Option<KeyId>,
}

/// What the directory holds of one account: everything a client needs to check it and write to it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct DirectoryEntry {
    /// The account's chain of [`AccountRecord`]s, from index 0.
    #[n(0)]
    pub chain: Vec<Signed>,
    /// The newest [`MessageKeyRecord`] of each device.
    #[n(1)]
    pub message_keys: Vec<Signed>,
    /// Whether a device of the account is connected now: the server's word, not signed.
    #[n(2)]
    pub online: bool,
}
