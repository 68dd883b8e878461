//! Accounts: invitations, records, message keys.

use rusqlite::OptionalExtension as _;
use sha2::{Digest as _, Sha256};

use super::super::log;
use super::Group;
use crate::model::{Millis, Signed, to_cbor};
use crate::store::{NewAccount, NewInvite, NewMessageKey, NewRecord, StoreError};

impl Group<'_> {
    pub(super) fn invite(&self, invite: &NewInvite) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT INTO invite (hash, uses, expires_at) VALUES (?, ?, ?)")?
            .execute((invite.hash, invite.uses, invite.expires_at.0.cast_signed()))?;
        Ok(())
    }

    /// Whether an invitation is good for one more account.
    fn is_good(&self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let good = self
            .transaction
            .prepare_cached("SELECT 1 FROM invite WHERE hash = ? AND uses > 0 AND expires_at > ?")?
            .exists((hash, Millis::now().0.cast_signed()))?;
        Ok(good)
    }

    pub(super) fn register(&mut self, new: &NewAccount) -> Result<(), StoreError> {
        let record = to_cbor(&new.record);
        let known: Option<Vec<u8>> = self
            .transaction
            .prepare_cached("SELECT record FROM account_record WHERE account = ? AND place = 0")?
            .query_row([new.account.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(known) = known {
            return if known == record { Ok(()) } else { Err(StoreError::AccountExists) };
        }
        // Before the name, so that without an invitation nothing is learnt about names.
        if let Some(invite) = &new.invite
            && !self.is_good(invite)?
        {
            return Err(StoreError::InviteInvalid);
        }
        let taken = self
            .transaction
            .prepare_cached("SELECT 1 FROM account WHERE nickname = ?")?
            .exists([new.nickname.folded()])?;
        if taken {
            return Err(StoreError::NicknameTaken);
        }
        let known_device = self
            .transaction
            .prepare_cached("SELECT 1 FROM device WHERE id = ?")?
            .exists([new.device.as_bytes()])?;
        if known_device || new.message_key.device != new.device {
            return Err(StoreError::Conflict);
        }
        if let Some(invite) = &new.invite {
            self.transaction
                .prepare_cached("UPDATE invite SET uses = uses - 1 WHERE hash = ?")?
                .execute([invite])?;
        }
        self.transaction
            .prepare_cached("INSERT INTO account (id, nickname) VALUES (?, ?)")?
            .execute((new.account.as_bytes(), new.nickname.folded()))?;
        self.transaction
            .prepare_cached("INSERT INTO account_record (account, place, record) VALUES (?, 0, ?)")?
            .execute((new.account.as_bytes(), record))?;
        self.transaction
            .prepare_cached("INSERT INTO device (id, account) VALUES (?, ?)")?
            .execute((new.device.as_bytes(), new.account.as_bytes()))?;
        self.put_key(&new.message_key)?;
        self.appended(new.nickname.folded(), 0, &new.record)
    }

    /// Whatever appends a record to an account's chain, at this place of it, makes its leaf of the log here.
    fn appended(&mut self, folded: &str, place: u32, record: &Signed) -> Result<(), StoreError> {
        let size = match self.memory.log {
            Some(size) => size,
            None => log::size(self.transaction)?,
        };
        self.memory.log = Some(log::append(self.transaction, size, folded, place, record)?);
        Ok(())
    }

    pub(super) fn append_record(&mut self, new: &NewRecord) -> Result<(), StoreError> {
        let record = to_cbor(&new.record);
        let newest: Option<(i64, Vec<u8>)> = self
            .transaction
            .prepare_cached(
                "SELECT place, record FROM account_record WHERE account = ? ORDER BY place DESC LIMIT 1",
            )?
            .query_row([new.account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((place, newest)) = newest else { return Err(StoreError::UnknownAccount) };
        if newest == record {
            return Ok(());
        }
        let newest: Signed = minicbor::decode(&newest)
            .map_err(|_| StoreError::Failed("a row of the database is damaged".to_owned()))?;
        if <[u8; 32]>::from(Sha256::digest(newest.body.as_slice())) != new.previous {
            return Err(StoreError::Conflict);
        }
        if let Some(added) = &new.added {
            let known = self
                .transaction
                .prepare_cached("SELECT 1 FROM device WHERE id = ?")?
                .exists([added.device.as_bytes()])?;
            if known {
                return Err(StoreError::Conflict);
            }
        }
        self.transaction
            .prepare_cached("INSERT INTO account_record (account, place, record) VALUES (?, ?, ?)")?
            .execute((new.account.as_bytes(), place + 1, record))?;
        let folded: String = self
            .transaction
            .prepare_cached("SELECT nickname FROM account WHERE id = ?")?
            .query_row([new.account.as_bytes()], |row| row.get(0))?;
        let place = u32::try_from(place + 1).unwrap_or(u32::MAX);
        self.appended(&folded, place, &new.record)?;
        // Where the first of those that go stood; a device that comes beside others begins with what is kept.
        let mut stood = None;
        for device in &new.removed {
            let acknowledged: Option<i64> = self
                .transaction
                .prepare_cached(
                    "UPDATE device SET removed = 1 WHERE id = ? AND account = ? RETURNING acknowledged",
                )?
                .query_row((device.as_bytes(), new.account.as_bytes()), |row| row.get(0))
                .optional()?;
            stood = match (stood, acknowledged) {
                (Some(one), Some(other)) => Some(std::cmp::min::<i64>(one, other)),
                (one, other) => one.or(other),
            };
            self.transaction
                .prepare_cached("DELETE FROM message_key WHERE device = ?")?
                .execute([device.as_bytes()])?;
            self.memory.forget_key(device);
        }
        let Some(added) = &new.added else { return Ok(()) };
        self.transaction
            .prepare_cached("INSERT INTO device (id, account, acknowledged) VALUES (?, ?, ?)")?
            .execute((added.device.as_bytes(), new.account.as_bytes(), stood.unwrap_or(0)))?;
        self.put_key(added)
    }

    pub(super) fn publish(&mut self, new: &NewMessageKey) -> Result<(), StoreError> {
        let known: Option<(Vec<u8>, Vec<u8>)> = self
            .transaction
            .prepare_cached("SELECT key, record FROM message_key WHERE device = ?")?
            .query_row([new.device.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((key, record)) = known else { return Err(StoreError::UnknownAccount) };
        if record == to_cbor(&new.record) {
            return Ok(());
        }
        if new.supersedes.is_none_or(|superseded| superseded.as_bytes() != key.as_slice()) {
            return Err(StoreError::KeySuperseded);
        }
        self.memory.forget_key(&new.device);
        self.put_key(new)
    }

    fn put_key(&self, new: &NewMessageKey) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("REPLACE INTO message_key (device, key, until, record) VALUES (?, ?, ?, ?)")?
            .execute((
                new.device.as_bytes(),
                new.key.as_bytes(),
                new.until.0.cast_signed(),
                to_cbor(&new.record),
            ))?;
        Ok(())
    }
}
