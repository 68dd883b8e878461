//! The signed records of the shared directory: made by their owner, checked by everyone alike.
//!
//! An account *is* its identity key: the account id is that key's id, and the key certifies the account's
//! devices and does nothing else. A device's key signs the device's message keys. What is checked here is
//! that records say what they may and are signed by whom they must be; whether an account is the *same
//! person* as before is the business of pinning, and whether a record is the *newest* that of the server.

use sha2::{Digest as _, Sha256};

use super::{BadSignature, KeyError, PublicKey, Purpose};
use crate::model::{
    AccountId, AccountRecord, AccountRecordKind, Color, DeviceId, MessageKeyRecord, Millis, Nickname, Signed,
    from_canonical_cbor, limits,
};
#[cfg(feature = "client")]
use {
    super::{PrivateKey, SealError},
    crate::model::{KeyId, to_cbor},
};

/// The one version of records.
const VERSION: u8 = 1;

/// An account whose chain of records has been verified.
#[derive(Clone, Debug)]
pub struct Account {
    /// The id of the identity key.
    pub id: AccountId,
    /// The name, as its owner writes it.
    pub nickname: Nickname,
    /// Chosen, or else derived from the id.
    pub color: Color,
    /// Certifies devices.
    pub identity: PublicKey,
    /// The devices that the identity key has certified.
    pub devices: Vec<Device>,
    /// When the account began, by its maker's clock.
    pub since: Millis,
}

/// A device of an account.
#[derive(Clone, Debug)]
pub struct Device {
    /// The id of its key.
    pub id: DeviceId,
    /// Signs envelopes, logins and message keys.
    pub key: PublicKey,
}

/// A message key whose record has been verified.
#[derive(Clone, Debug)]
pub struct MessageKey {
    /// The device that can unwrap.
    pub device: DeviceId,
    /// What to wrap for.
    pub key: PublicKey,
    /// Not to be sent to before.
    pub from: Millis,
    /// Not to be sent to after.
    pub until: Millis,
    /// The key that this one replaces.
    pub supersedes: Option<crate::model::KeyId>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not the deterministic encoding of a record, or of a version that is not known here.
    #[error("not a record")]
    Malformed,
    /// Records that do not follow one another: a wrong index or hash, or no registration first.
    #[error("a broken chain of records")]
    Chain,
    /// A record of another account, or a key that is used as two.
    #[error("a record that does not belong to its account")]
    Account,
    /// The device is none of the account's.
    #[error("a record by a device that the account does not have")]
    Device,
    /// A time of use that ends before it begins, or is longer than 37 days.
    #[error("a message key with an impossible time of use")]
    Period,
    /// A key that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not signed by who must have.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl Account {
    /// The device with this id, if it is one of the account's.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == *id)
    }
}

impl MessageKey {
    /// Whether it may be wrapped for at this time.
    pub fn usable_at(&self, time: Millis) -> bool {
        (self.from..=self.until).contains(&time)
    }
}

/// Checks an account's chain from its first record to its last.
///
/// # Errors
/// [`RecordError`] when any record of the chain is not what it has to be at its place.
pub fn verify_account(chain: &[Signed]) -> Result<Account, RecordError> {
    let (first, later) = chain.split_first().ok_or(RecordError::Chain)?;
    let record: AccountRecord = from_canonical_cbor(&first.body).map_err(|_| RecordError::Malformed)?;
    if record.version != VERSION {
        return Err(RecordError::Malformed);
    }
    if record.index != 0 || record.previous.is_some() {
        return Err(RecordError::Chain);
    }
    let AccountRecordKind::Registration { nickname, identity_key, device_key, color } = record.kind;
    let identity = PublicKey::from_spki(&identity_key)?;
    let key = PublicKey::from_spki(&device_key)?;
    if record.account != identity.id().into() || identity == key {
        return Err(RecordError::Account);
    }
    identity.verify(Purpose::AccountRecord, &[&first.body], &first.signature)?;
    let account = Account {
        id: record.account,
        color: color.unwrap_or_else(|| Color::derived(&record.account)),
        nickname,
        identity,
        devices: vec![Device { id: key.id().into(), key }],
        since: record.made_at,
    };
    verify_later(&account, first, later)?;
    Ok(account)
}

/// Checks what follows a registration. There is no kind of record yet that may, so that a chain which has
/// one is refused, for its place in the chain or for what it says.
fn verify_later(account: &Account, first: &Signed, later: &[Signed]) -> Result<(), RecordError> {
    let Some(next) = later.first() else { return Ok(()) };
    let record: AccountRecord = from_canonical_cbor(&next.body).map_err(|_| RecordError::Malformed)?;
    let previous: [u8; 32] = Sha256::digest(first.body.as_slice()).into();
    if record.account != account.id {
        return Err(RecordError::Account);
    }
    if record.index != 1 || record.previous.is_none_or(|hash| *hash != previous) {
        return Err(RecordError::Chain);
    }
    account.identity.verify(Purpose::AccountRecord, &[&next.body], &next.signature)?;
    match record.kind {
        AccountRecordKind::Registration { .. } => Err(RecordError::Chain),
    }
}

/// Checks the record of a message key against the account that it hangs beneath.
///
/// # Errors
/// [`RecordError`] when it is not one of that account's, made by the device that it is for.
pub fn verify_message_key(account: &Account, record: &Signed) -> Result<MessageKey, RecordError> {
    let said: MessageKeyRecord = from_canonical_cbor(&record.body).map_err(|_| RecordError::Malformed)?;
    if said.version != VERSION {
        return Err(RecordError::Malformed);
    }
    if said.account != account.id {
        return Err(RecordError::Account);
    }
    let device = account.device(&said.device).ok_or(RecordError::Device)?;
    if said.until <= said.from || said.until.since(said.from) > limits::MESSAGE_KEY_LIFE {
        return Err(RecordError::Period);
    }
    let key = PublicKey::from_spki(&said.key)?;
    if key == account.identity
        || account.devices.iter().any(|other| other.key == key)
        || said.supersedes == Some(key.id())
    {
        return Err(RecordError::Account);
    }
    device.key.verify(Purpose::MessageKey, &[&record.body], &record.signature)?;
    Ok(MessageKey {
        device: said.device,
        key,
        from: said.from,
        until: said.until,
        supersedes: said.supersedes,
    })
}

/// Signs a link of an account's chain with its identity key.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn sign_account_record(identity: &PrivateKey, record: &AccountRecord) -> Result<Signed, SealError> {
    sign(identity, Purpose::AccountRecord, to_cbor(record))
}

/// Signs the record of a message key with its device's key.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn sign_message_key(device: &PrivateKey, record: &MessageKeyRecord) -> Result<Signed, SealError> {
    sign(device, Purpose::MessageKey, to_cbor(record))
}

/// The record that begins an account.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn register(
    identity: &PrivateKey,
    device: &PublicKey,
    nickname: Nickname,
    color: Option<Color>,
    now: Millis,
) -> Result<Signed, SealError> {
    let record = AccountRecord {
        version: VERSION,
        account: identity.public().id().into(),
        index: 0,
        previous: None,
        made_at: now,
        kind: AccountRecordKind::Registration {
            nickname,
            identity_key: identity.public().spki().to_vec().into(),
            device_key: device.spki().to_vec().into(),
            color,
        },
    };
    sign_account_record(identity, &record)
}

/// The record of a message key that may be sent to from `from` on, for as long as one may live.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn announce_message_key(
    device: &PrivateKey,
    account: AccountId,
    key: &PublicKey,
    from: Millis,
    supersedes: Option<KeyId>,
) -> Result<Signed, SealError> {
    let record = MessageKeyRecord {
        version: VERSION,
        account,
        device: device.public().id().into(),
        key: key.spki().to_vec().into(),
        from,
        until: from.plus(limits::MESSAGE_KEY_LIFE),
        supersedes,
    };
    sign_message_key(device, &record)
}

#[cfg(feature = "client")]
fn sign(key: &PrivateKey, purpose: Purpose, body: Vec<u8>) -> Result<Signed, SealError> {
    let signature = key.sign(purpose, &[&body])?;
    Ok(Signed { body: body.into(), signature: signature.into() })
}

#[cfg(test)]
#[cfg(feature = "client")]
#[path = "record_tests.rs"]
mod tests;
