//! Who is in a room: chains of signed records, made by those who come and go, checked by everyone alike.
//!
//! A room *is* its first record: its id is that record's hash. Each later record names the one before, so that the
//! hash of any record stands for the whole of the chain up to it, and for who was in the room then: a [`RosterId`].
//! Each is signed by a device of the account that acts. A server that leaves records out, or adds some, or shows
//! different ones to different members, can't make the hashes agree that the members' own messages carry.
//!
//! Rules: who is in the room invites; who is invited comes in; whoever is in it, or invited, leaves; its founder, while
//! in it, removes others. From [`limits::ROOM_RECORDS`] on nobody is invited or comes in any more.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Account;
use super::{BadSignature, Purpose};
use crate::model::{
    AccountId, Millis, RoomId, RoomRecord, RoomRecordKind, RosterId, Signed, from_canonical_cbor, limits,
};
#[cfg(feature = "client")]
use {
    super::{PrivateKey, SealError},
    crate::model::to_cbor,
};

/// The one version of records.
const VERSION: u8 = 1;

/// What is wrong with a record of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// Not the deterministic encoding of a record, or of a version that is not known here.
    #[error("not a room's record")]
    Malformed,
    /// It does not follow the newest one.
    #[error("a broken chain of a room's records")]
    Chain,
    /// Its maker may not do this, or it changes nothing.
    #[error("a room's record that its maker may not make")]
    NotAllowed,
    /// Nobody comes into this room any more.
    #[error("a room whose chain has no place left for this record")]
    Full,
    /// It says that another account has made it than the one it is checked against, or a device that this had not.
    #[error("a room's record by a device that its maker does not have")]
    Device,
    /// Its device has not signed it.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

/// What a record has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Who has done it.
    pub actor: AccountId,
    /// When, by their clock.
    pub made_at: Millis,
    /// What.
    pub what: What,
    /// The room after it.
    pub roster: RosterId,
}

/// What a record does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The room has begun.
    Founded,
    /// Somebody may come in.
    Invited(AccountId),
    /// The actor has come in.
    Joined,
    /// The actor is gone.
    Left,
    /// Somebody was sent out.
    Removed(AccountId),
}

/// A room whose chain has been verified.
#[derive(Clone, Debug)]
pub struct Room {
    /// The hash of its first record.
    pub id: RoomId,
    /// Who has made it.
    pub founder: AccountId,
    /// What each record has done, in order; there is at least one.
    pub changes: Vec<Change>,
    /// Who is in it now.
    pub members: BTreeSet<AccountId>,
    /// Who may come in, and who has invited them.
    pub invited: BTreeMap<AccountId, AccountId>,
}

/// Who says that they have made a record: whose account it is to be checked against.
///
/// # Errors
/// [`RoomError::Malformed`] for what is no record.
pub fn maker(record: &Signed) -> Result<AccountId, RoomError> {
    decode(record).map(|record| record.account)
}

/// The room as it is after a record.
pub fn roster_id(record: &Signed) -> RosterId {
    RosterId::new(Purpose::RoomRecord.hash(&[&record.body]))
}

fn decode(record: &Signed) -> Result<RoomRecord, RoomError> {
    let record: RoomRecord = from_canonical_cbor(&record.body).map_err(|_| RoomError::Malformed)?;
    if record.version == VERSION { Ok(record) } else { Err(RoomError::Malformed) }
}

/// Checks that a device of the maker's has signed a record: one that the account has or had. Its times don't count, which
/// are its maker's word: a chain that verified once has to verify for whoever reads it later, or one member could make the
/// room unreadable for others by removing a device. That a device is not removed yet is looked at by the server.
fn check_signature(record: &RoomRecord, signed: &Signed, maker: &Account) -> Result<(), RoomError> {
    if maker.id != record.account {
        return Err(RoomError::Device);
    }
    let removed = || maker.removed_device(&record.device).map(|(device, _)| device);
    let device = maker.device(&record.device).or_else(removed).ok_or(RoomError::Device)?;
    Ok(device.key.verify(Purpose::RoomRecord, &[&signed.body], &signed.signature)?)
}

impl Room {
    /// A room out of its first record.
    ///
    /// # Errors
    /// [`RoomError`] when this is no room's first record, or not signed by its maker.
    pub fn found(first: &Signed, maker: &Account) -> Result<Self, RoomError> {
        check_signature(&decode(first)?, first, maker)?;
        Self::begin(first)
    }

    /// Checks the record that comes next, and does what it says. A room is unchanged by what is refused.
    ///
    /// # Errors
    /// [`RoomError`] when the record is not what it has to be at its place.
    pub fn append(&mut self, record: &Signed, maker: &Account) -> Result<Change, RoomError> {
        check_signature(&decode(record)?, record, maker)?;
        self.follow(record)
    }

    /// Reads a chain all of whose signatures were verified before by whoever keeps it. All else is checked again.
    ///
    /// # Errors
    /// As for [`Room::append`].
    pub fn read_verified(chain: &[Signed]) -> Result<Self, RoomError> {
        let (first, later) = chain.split_first().ok_or(RoomError::Chain)?;
        let mut room = Self::begin(first)?;
        later.iter().try_for_each(|record| room.follow(record).map(drop))?;
        Ok(room)
    }

    fn begin(signed: &Signed) -> Result<Self, RoomError> {
        let record = decode(signed)?;
        if record.index != 0 || record.previous.is_some() || record.room.is_some() {
            return Err(RoomError::Chain);
        }
        let RoomRecordKind::Founded { .. } = record.kind else { return Err(RoomError::Chain) };
        let (actor, roster) = (record.account, roster_id(signed));
        Ok(Self {
            id: RoomId::new(*roster.as_bytes()),
            founder: actor,
            changes: vec![Change { actor, made_at: record.made_at, what: What::Founded, roster }],
            members: BTreeSet::from([actor]),
            invited: BTreeMap::new(),
        })
    }

    fn follow(&mut self, signed: &Signed) -> Result<Change, RoomError> {
        let record = decode(signed)?;
        let follows = record.room == Some(self.id)
            && record.index as usize == self.changes.len()
            && record.previous == Some(self.roster());
        if !follows {
            return Err(RoomError::Chain);
        }
        let actor = record.account;
        let (member, invited) = (self.members.contains(&actor), self.invited.contains_key(&actor));
        let has_place = self.changes.len() < limits::ROOM_RECORDS;
        let what = match record.kind {
            RoomRecordKind::Founded { .. } => return Err(RoomError::Chain),
            RoomRecordKind::Invited { .. } | RoomRecordKind::Joined if !has_place => {
                return Err(RoomError::Full);
            }
            RoomRecordKind::Invited { account } if member && !self.knows(&account) => {
                self.invited.insert(account, actor);
                What::Invited(account)
            }
            RoomRecordKind::Joined if invited => {
                self.invited.remove(&actor);
                self.members.insert(actor);
                What::Joined
            }
            RoomRecordKind::Left if member || invited => {
                self.drop(&actor);
                What::Left
            }
            RoomRecordKind::Removed { account }
                if member && actor == self.founder && account != actor && self.knows(&account) =>
            {
                self.drop(&account);
                What::Removed(account)
            }
            _ => return Err(RoomError::NotAllowed),
        };
        let change = Change { actor, made_at: record.made_at, what, roster: roster_id(signed) };
        self.changes.push(change);
        Ok(change)
    }

    fn drop(&mut self, account: &AccountId) {
        self.members.remove(account);
        self.invited.remove(account);
    }

    /// Whether an account is in it, or invited.
    pub fn knows(&self, account: &AccountId) -> bool {
        self.members.contains(account) || self.invited.contains_key(account)
    }

    /// How many are in it, or invited: what a server limits.
    pub fn size(&self) -> usize {
        self.members.len() + self.invited.len()
    }

    /// The room as it is now.
    pub fn roster(&self) -> RosterId {
        self.changes.last().map_or(RosterId::new(*self.id.as_bytes()), |change| change.roster)
    }

    /// The place of a record; `None` for what is none of its records.
    pub fn place(&self, roster: &RosterId) -> Option<usize> {
        self.changes.iter().position(|change| change.roster == *roster)
    }

    /// Who was in it once this record was made; `None` for what is none of its records.
    pub fn members_at(&self, roster: &RosterId) -> Option<BTreeSet<AccountId>> {
        let place = self.place(roster)?;
        let mut members = BTreeSet::new();
        for change in self.changes.iter().take(place + 1) {
            match change.what {
                What::Founded | What::Joined => members.insert(change.actor),
                What::Left => members.remove(&change.actor),
                What::Removed(account) => members.remove(&account),
                What::Invited(_) => false,
            };
        }
        Some(members)
    }

    /// When somebody who was in it once this record was made has gone since, by the clock of whoever has said so.
    pub fn gone_since(&self, account: &AccountId, roster: &RosterId) -> Option<Millis> {
        let place = self.place(roster)?;
        let later = self.changes.get(place + 1..)?;
        let gone = later.iter().find(|change| match change.what {
            What::Left => change.actor == *account,
            What::Removed(other) => other == *account,
            _ => false,
        });
        gone.map(|change| change.made_at)
    }
}

/// The record that begins a room.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn found(
    device: &PrivateKey,
    account: AccountId,
    nonce: [u8; 32],
    now: Millis,
) -> Result<Signed, SealError> {
    sign(device, (account, now), None, RoomRecordKind::Founded { nonce: nonce.into() })
}

/// The record behind the newest of a room's.
///
/// # Errors
/// [`SealError::Sign`] when the key refuses.
#[cfg(feature = "client")]
pub fn next(
    room: &Room,
    device: &PrivateKey,
    account: AccountId,
    kind: RoomRecordKind,
    now: Millis,
) -> Result<Signed, SealError> {
    sign(device, (account, now), Some(room), kind)
}

#[cfg(feature = "client")]
fn sign(
    device: &PrivateKey,
    (account, made_at): (AccountId, Millis),
    room: Option<&Room>,
    kind: RoomRecordKind,
) -> Result<Signed, SealError> {
    let record = RoomRecord {
        version: VERSION,
        room: room.map(|room| room.id),
        // A chain that is longer is nobody's.
        index: room.map_or(0, |room| u32::try_from(room.changes.len()).unwrap_or(u32::MAX)),
        previous: room.map(Room::roster),
        made_at,
        account,
        device: device.public().id().into(),
        kind,
    };
    let body = to_cbor(&record);
    let signature = device.sign(Purpose::RoomRecord, &[&body])?;
    Ok(Signed { body: body.into(), signature: signature.into() })
}

#[cfg(test)]
#[cfg(feature = "client")]
#[path = "room_tests.rs"]
mod tests;
