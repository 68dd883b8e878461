//! The signed records of the shared directory: made by their owner, checked by everyone alike.
//!
//! An account *is* its identity key: the account id is that key's id, and the key certifies the account's
//! devices and does nothing else. A device's key signs the device's message keys. What is checked here is
//! that records say what they may and are signed by whom they must be; whether an account is the *same
//! person* as before is the business of pinning, and whether a record is the *newest* that of the server.

use sha2::{Digest as _, Sha256};

use super::{BadSignature, KeyError, PublicKey, Purpose};
use crate::model::{
    AccountId, AccountRecord, AccountRecordKind, Color, DeviceId, KeyId, MessageKeyRecord, Millis, Nickname,
    Signed, from_canonical_cbor, limits,
};
#[cfg(feature = "client")]
use {
    super::{PrivateKey, SealError},
    crate::model::to_cbor,
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
    /// Certifies devices. The first one, whose id the account's is, or one that took its place.
    pub identity: PublicKey,
    /// The devices that the account has.
    pub devices: Vec<Device>,
    /// Devices that it had, each with when it was removed, by its remover's clock.
    pub removed: Vec<(Device, Millis)>,
    /// When the account began, by its maker's clock.
    pub since: Millis,
    /// When it ended, if it has.
    pub revoked: Option<Millis>,
    /// SHA-256 of its newest record.
    pub head: [u8; 32],
    /// How many records there are.
    pub length: u32,
}

/// A device of an account.
#[derive(Clone, Debug)]
pub struct Device {
    /// The id of its key.
    pub id: DeviceId,
    /// Signs envelopes, logins and message keys.
    pub key: PublicKey,
    /// The identity key that has certified it.
    pub certified_by: KeyId,
    /// When it was added, by the clock of whoever added it.
    pub since: Millis,
    /// SHA-256 of the record that added it.
    pub record: [u8; 32],
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
    pub supersedes: Option<KeyId>,
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
    /// A record of a kind that its place in the chain is not for.
    #[error("a chain of records with no place left for this one")]
    Full,
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

    /// A device that the account had, and when it was removed.
    pub fn removed_device(&self, id: &DeviceId) -> Option<(&Device, Millis)> {
        self.removed.iter().find(|(device, _)| device.id == *id).map(|(device, at)| (device, *at))
    }

    /// The device that may have signed something at this time: one of the account's, or one that was by then.
    pub fn device_at(&self, id: &DeviceId, time: Millis) -> Option<&Device> {
        let removed = || self.removed_device(id).filter(|(_, at)| time <= *at).map(|(device, _)| device);
        self.device(id).or_else(removed)
    }

    /// Whether a device can still come or go: its record has a place in the chain.
    pub fn takes_devices(&self) -> bool {
        (self.length as usize) < limits::CHAIN_OF_DEVICES
    }

    /// Whether new keys can still take the places of these: their record has a place in the chain.
    pub fn takes_keys(&self) -> bool {
        (self.length as usize) < limits::CHAIN - 1
    }

    /// Whether a key has been used for the account before.
    fn knows(&self, key: &PublicKey) -> bool {
        let mut devices = self.devices.iter().chain(self.removed.iter().map(|(device, _)| device));
        self.identity == *key
            || KeyId::from(self.id) == key.id()
            || devices.any(|device| device.key == *key || device.certified_by == key.id())
    }

    /// Takes up a device's key that a record brings in.
    fn add(&mut self, key: PublicKey, since: Millis, record: [u8; 32]) {
        let certified_by = self.identity.id();
        self.devices.push(Device { id: key.id().into(), key, certified_by, since, record });
    }

    fn remove(&mut self, gone: impl Fn(&Device) -> bool, at: Millis) {
        let (removed, kept) = std::mem::take(&mut self.devices).into_iter().partition(gone);
        self.devices = kept;
        let removed: Vec<Device> = removed;
        self.removed.extend(removed.into_iter().map(|device| (device, at)));
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
    read(chain, Signatures::Checked)
}

/// Reads a chain all of whose signatures were verified before by whoever keeps it. All else is checked again.
///
/// # Errors
/// As for [`verify_account`].
pub fn read_verified_account(chain: &[Signed]) -> Result<Account, RecordError> {
    read(chain, Signatures::Known)
}

/// Checks the record that comes next in an account's chain, and does what it says. An account that it does not belong to
/// is not to be used afterwards.
///
/// # Errors
/// As for [`verify_account`].
pub fn append_record(account: &mut Account, record: &Signed) -> Result<(), RecordError> {
    follow(account, record, Signatures::Checked)
}

/// What is done about the signatures of a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signatures {
    Checked,
    /// They were verified before.
    Known,
}

fn read(chain: &[Signed], signatures: Signatures) -> Result<Account, RecordError> {
    let (first, later) = chain.split_first().ok_or(RecordError::Chain)?;
    let record: AccountRecord = from_canonical_cbor(&first.body).map_err(|_| RecordError::Malformed)?;
    if record.version != VERSION {
        return Err(RecordError::Malformed);
    }
    if record.index != 0 || record.previous.is_some() {
        return Err(RecordError::Chain);
    }
    let AccountRecordKind::Registration { nickname, identity_key, device_key, color } = record.kind else {
        return Err(RecordError::Chain);
    };
    let identity = PublicKey::from_spki(&identity_key)?;
    let key = PublicKey::from_spki(&device_key)?;
    if record.account != identity.id().into() || identity == key {
        return Err(RecordError::Account);
    }
    if signatures == Signatures::Checked {
        identity.verify(Purpose::AccountRecord, &[&first.body], &first.signature)?;
    }
    let mut account = Account {
        id: record.account,
        color: color.unwrap_or_else(|| Color::derived(&record.account)),
        nickname,
        identity,
        devices: Vec::new(),
        removed: Vec::new(),
        since: record.made_at,
        revoked: None,
        head: Sha256::digest(first.body.as_slice()).into(),
        length: 1,
    };
    account.add(key, record.made_at, account.head);
    later.iter().try_for_each(|record| follow(&mut account, record, signatures))?;
    Ok(account)
}

fn follow(account: &mut Account, signed: &Signed, signatures: Signatures) -> Result<(), RecordError> {
    let record: AccountRecord = from_canonical_cbor(&signed.body).map_err(|_| RecordError::Malformed)?;
    if record.version != VERSION {
        return Err(RecordError::Malformed);
    }
    if record.account != account.id {
        return Err(RecordError::Account);
    }
    let follows = record.index == account.length && record.previous.is_some_and(|hash| *hash == account.head);
    if !follows || account.revoked.is_some() {
        return Err(RecordError::Chain);
    }
    let has_place = match record.kind {
        AccountRecordKind::DeviceAdded { .. } | AccountRecordKind::DeviceRemoved { .. } => {
            account.takes_devices()
        }
        AccountRecordKind::Rekey { .. } => account.takes_keys(),
        AccountRecordKind::Registration { .. } | AccountRecordKind::Revocation => true,
    };
    if !has_place {
        return Err(RecordError::Full);
    }
    let checked = signatures == Signatures::Checked;
    if checked {
        account.identity.verify(Purpose::AccountRecord, &[&signed.body], &signed.signature)?;
    }
    let fresh = |account: &Account, key: &PublicKey| {
        if account.knows(key) { Err(RecordError::Account) } else { Ok(()) }
    };
    let head = Sha256::digest(signed.body.as_slice()).into();
    match record.kind {
        AccountRecordKind::Registration { .. } => return Err(RecordError::Chain),
        AccountRecordKind::Rekey { identity_key, device_key, consent } => {
            let identity = PublicKey::from_spki(&identity_key)?;
            let device = PublicKey::from_spki(&device_key)?;
            fresh(account, &identity)?;
            fresh(account, &device)?;
            if identity == device {
                return Err(RecordError::Account);
            }
            if checked {
                verify_consent(account, &identity, &consent)?;
            }
            account.remove(|_| true, record.made_at);
            account.identity = identity;
            account.add(device, record.made_at, head);
        }
        AccountRecordKind::DeviceAdded { device_key, consent } => {
            let device = PublicKey::from_spki(&device_key)?;
            fresh(account, &device)?;
            if checked {
                verify_consent(account, &device, &consent)?;
            }
            account.add(device, record.made_at, head);
        }
        AccountRecordKind::DeviceRemoved { device } => {
            account.device(&device).ok_or(RecordError::Device)?;
            account.remove(|other| other.id == device, record.made_at);
        }
        AccountRecordKind::Revocation => {
            account.remove(|_| true, record.made_at);
            account.revoked = Some(record.made_at);
        }
    }
    account.head = head;
    account.length += 1;
    Ok(())
}

/// A key that is brought into a chain has to agree: nobody passes another's key for one of their own.
fn verify_consent(account: &Account, key: &PublicKey, consent: &[u8]) -> Result<(), RecordError> {
    let id = key.id();
    let parts: [&[u8]; 3] = [account.id.as_bytes(), &account.head, id.as_bytes()];
    Ok(key.verify(Purpose::Consent, &parts, consent)?)
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
    if account.knows(&key) || said.supersedes == Some(key.id()) {
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

/// The record that puts new keys in the place of all that an account has. Signed by the present identity key, which
/// so vouches for the new one.
///
/// # Errors
/// [`SealError::Sign`] when a key refuses.
#[cfg(feature = "client")]
pub fn rekey(
    account: &Account,
    present: &PrivateKey,
    identity: &PrivateKey,
    device: &PublicKey,
    now: Millis,
) -> Result<Signed, SealError> {
    let new = identity.public();
    let id = new.id();
    let parts: [&[u8]; 3] = [account.id.as_bytes(), &account.head, id.as_bytes()];
    let kind = AccountRecordKind::Rekey {
        identity_key: new.spki().to_vec().into(),
        device_key: device.spki().to_vec().into(),
        consent: identity.sign(Purpose::Consent, &parts)?.into(),
    };
    next_record(account, present, kind, now)
}

/// The record that takes a device from an account.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn remove_device(
    account: &Account,
    identity: &PrivateKey,
    device: DeviceId,
    now: Millis,
) -> Result<Signed, SealError> {
    next_record(account, identity, AccountRecordKind::DeviceRemoved { device }, now)
}

/// The record that ends an account.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn revoke(account: &Account, identity: &PrivateKey, now: Millis) -> Result<Signed, SealError> {
    next_record(account, identity, AccountRecordKind::Revocation, now)
}

/// A record behind the newest of an account's chain.
#[cfg(feature = "client")]
fn next_record(
    account: &Account,
    identity: &PrivateKey,
    kind: AccountRecordKind,
    made_at: Millis,
) -> Result<Signed, SealError> {
    let (index, previous) = (account.length, Some(account.head.into()));
    let record = AccountRecord { version: VERSION, account: account.id, index, previous, made_at, kind };
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
