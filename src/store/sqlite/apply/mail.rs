//! Mailboxes: what is put into them, what is dropped, what is had, what goes.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::OptionalExtension as _;

use super::super::prune::{self, Prune, Pruned};
use super::{ENTRY, Group, Mailbox, NOBODY, Prepared};
use crate::model::{AccountId, DeviceId, Entry, KeyId, Millis, Recipient};
use crate::store::StoreError;

impl Group<'_> {
    pub(super) fn submit(
        &mut self,
        prepared: Prepared,
        entries: &mut Vec<(AccountId, Arc<Entry>)>,
    ) -> Result<Millis, StoreError> {
        let Prepared { submission, hash, wraps: encoded } = prepared;
        let known: Option<(Vec<u8>, i64)> = self
            .transaction
            .prepare_cached("SELECT hash, accepted_at FROM envelope WHERE device = ? AND message = ?")?
            .query_row((submission.device.as_bytes(), submission.message.as_bytes()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        if let Some((known, accepted_at)) = known {
            return if known == hash {
                Ok(Millis(accepted_at.cast_unsigned()))
            } else {
                Err(StoreError::NameReused)
            };
        }
        let now = Millis::now();
        for recipient in &submission.recipients {
            self.check_recipient(recipient, now)?;
        }
        for blob in &submission.blobs {
            let here = self
                .transaction
                .prepare_cached("SELECT 1 FROM blob WHERE id = ?")?
                .exists([blob.as_bytes()])?;
            if !here {
                return Err(StoreError::BlobMissing);
            }
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO envelope (device, message, sender, conversation, hash, accepted_at, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute((
                submission.device.as_bytes(),
                submission.message.as_bytes(),
                submission.sender.as_bytes(),
                submission.conversation.as_bytes(),
                hash,
                now.0.cast_signed(),
                submission.body.as_ref(),
            ))?;
        let envelope = self.transaction.last_insert_rowid();
        for blob in &submission.blobs {
            self.transaction
                .prepare_cached("INSERT OR IGNORE INTO blob_use (blob, envelope) VALUES (?, ?)")?
                .execute((blob.as_bytes(), envelope))?;
        }
        for (Recipient { account, wraps }, encoded) in submission.recipients.into_iter().zip(encoded) {
            let blocked = self.blocks()?.contains(&(account, submission.sender));
            let account = if blocked { NOBODY } else { account };
            let mut mailbox = self.mailbox(&account)?;
            let seq = mailbox.newest + 1;
            self.transaction
                .prepare_cached("INSERT INTO mailbox (account, seq, envelope, wraps) VALUES (?, ?, ?, ?)")?
                .execute((account.as_bytes(), seq.cast_signed(), envelope, &encoded))?;
            mailbox.newest = seq;
            mailbox.bytes += ENTRY + (submission.body.len() + encoded.len()) as u64;
            self.memory.mailboxes.insert(account, mailbox);
            self.changed.push(account);
            let entry = Entry {
                seq,
                sender: submission.sender,
                device: submission.device,
                message: submission.message,
                conversation: submission.conversation,
                wraps,
                accepted_at: now,
                body: submission.body.clone(),
            };
            entries.push((account, Arc::new(entry)));
        }
        Ok(now)
    }

    /// Refuses wraps for devices that are not the recipient's, and for keys that are not in use.
    fn check_recipient(&mut self, recipient: &Recipient, now: Millis) -> Result<(), StoreError> {
        if recipient.account == NOBODY {
            return Err(StoreError::UnknownAccount);
        }
        let mailbox = self.mailbox(&recipient.account)?;
        for wrap in &recipient.wraps {
            let Some((account, key, until)) = self.message_key(&wrap.device)? else {
                let removed = self
                    .transaction
                    .prepare_cached("SELECT 1 FROM device WHERE id = ? AND account = ? AND removed = 1")?
                    .exists((wrap.device.as_bytes(), recipient.account.as_bytes()))?;
                return Err(if removed { StoreError::KeySuperseded } else { StoreError::Conflict });
            };
            if account != recipient.account {
                return Err(StoreError::Conflict);
            }
            if key != wrap.key || until < now {
                return Err(StoreError::KeySuperseded);
            }
        }
        // Full whatever the size of the next one: what is sent in order is also kept in order.
        if mailbox.bytes >= self.memory.quotas.mailbox {
            return Err(StoreError::MailboxFull);
        }
        Ok(())
    }

    /// How an account's mailbox stands.
    fn mailbox(&mut self, account: &AccountId) -> Result<Mailbox, StoreError> {
        if let Some(mailbox) = self.memory.mailboxes.get(account) {
            return Ok(*mailbox);
        }
        let query = if *account == NOBODY {
            "SELECT coalesce(max(seq), 0), 0 FROM mailbox WHERE account = ?"
        } else {
            "SELECT newest, bytes FROM account WHERE id = ?"
        };
        let found = self
            .transaction
            .prepare_cached(query)?
            .query_row([account.as_bytes()], |row| {
                let (newest, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Mailbox { newest: newest.cast_unsigned(), bytes: bytes.cast_unsigned() })
            })
            .optional()?;
        let mailbox = found.ok_or(StoreError::UnknownAccount)?;
        self.memory.mailboxes.insert(*account, mailbox);
        Ok(mailbox)
    }

    pub(super) fn prune(&mut self, what: Prune) -> Result<Pruned, StoreError> {
        let (account, up_to) = match what {
            Prune::Mailbox(account, up_to) => (account, up_to),
            Prune::Rest(now) => return prune::rest(self.transaction, now),
        };
        let mut mailbox = self.mailbox(&account)?;
        let (more, freed) = prune::mailbox(self.transaction, &account, up_to)?;
        mailbox.bytes = mailbox.bytes.saturating_sub(freed);
        self.memory.mailboxes.insert(account, mailbox);
        self.changed.push(account);
        Ok(Pruned { more, removed: Vec::new() })
    }

    /// All blocks.
    fn blocks(&mut self) -> Result<&mut HashSet<(AccountId, AccountId)>, StoreError> {
        if self.memory.blocks.is_none() {
            let mut query = self.transaction.prepare_cached("SELECT account, other FROM block")?;
            let rows = query
                .query_map([], |row| Ok((AccountId::new(row.get(0)?), AccountId::new(row.get(1)?))))?
                .collect::<Result<_, _>>()?;
            self.memory.blocks = Some(rows);
        }
        Ok(self.memory.blocks.get_or_insert_default())
    }

    pub(super) fn set_blocked(
        &mut self,
        account: AccountId,
        other: AccountId,
        blocked: bool,
    ) -> Result<(), StoreError> {
        if other == NOBODY {
            return Err(StoreError::UnknownAccount);
        }
        self.mailbox(&other)?;
        let statement = if blocked {
            "INSERT OR IGNORE INTO block (account, other) VALUES (?, ?)"
        } else {
            "DELETE FROM block WHERE account = ? AND other = ?"
        };
        self.transaction.prepare_cached(statement)?.execute((account.as_bytes(), other.as_bytes()))?;
        let blocks = self.blocks()?;
        if blocked {
            blocks.insert((account, other))
        } else {
            blocks.remove(&(account, other))
        };
        Ok(())
    }

    fn message_key(&mut self, device: &DeviceId) -> Result<Option<(AccountId, KeyId, Millis)>, StoreError> {
        if let Some(known) = self.memory.keys.get(device) {
            return Ok(Some(*known));
        }
        let found = self
            .transaction
            .prepare_cached(
                "SELECT device.account, message_key.key, message_key.until
                 FROM message_key JOIN device ON device.id = message_key.device WHERE device.id = ?",
            )?
            .query_row([device.as_bytes()], |row| {
                let (account, key, until): ([u8; 32], [u8; 32], i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((AccountId::new(account), KeyId::new(key), Millis(until.cast_unsigned())))
            })
            .optional()?;
        if let Some(found) = found {
            self.memory.keys.insert(*device, found);
        }
        Ok(found)
    }

    pub(super) fn acknowledge(&self, device: &DeviceId, seq: u64) -> Result<(), StoreError> {
        // No device has what its mailbox has not had yet.
        self.transaction
            .prepare_cached(
                "UPDATE device SET acknowledged = max(acknowledged,
                     min(?2, (SELECT newest FROM account WHERE account.id = device.account)))
                 WHERE id = ?1",
            )?
            .execute((device.as_bytes(), seq.min(i64::MAX.cast_unsigned()).cast_signed()))?;
        Ok(())
    }
}
