//! Mailboxes: what is put into them, what is dropped, what is had, what goes.

use std::sync::Arc;

use rusqlite::{CachedStatement, OptionalExtension as _, Transaction};

use super::super::prune::{self, Prune, Pruned};
use super::{ENTRY, Group, NOBODY, Prepared};
use crate::model::{AccountId, Conversation, DeviceId, Entry, Millis, Recipient, Submission, limits};
use crate::store::{Accepted, StoreError};

/// What every submission is written with, looked up once for a group.
pub struct Inserts<'a> {
    envelope: CachedStatement<'a>,
    entry: CachedStatement<'a>,
}

impl<'a> Inserts<'a> {
    fn prepare(transaction: &'a Transaction<'a>) -> Result<Self, StoreError> {
        Ok(Self {
            envelope: transaction.prepare_cached(
                "INSERT INTO envelope
                     (device, message, sender, conversation, roster, left_out, hash, accepted_at, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (message, device) DO NOTHING",
            )?,
            entry: transaction
                .prepare_cached("INSERT INTO mailbox (account, seq, envelope, wraps) VALUES (?, ?, ?, ?)")?,
        })
    }
}

impl<'a> Group<'a> {
    pub(super) fn submit(&mut self, prepared: Prepared) -> Result<Accepted, StoreError> {
        let Prepared { submission, hash, wraps: encoded } = prepared;
        let now = Millis::now();
        let left_out = match self.check(&submission, now) {
            Ok(left_out) => left_out,
            Err(error @ StoreError::Failed(_)) => return Err(error),
            // What was accepted once is accepted, whatever has changed since.
            Err(error) => return self.known(&submission, &hash)?.unwrap_or(Err(error)),
        };
        let (conversation, roster) = match &submission.conversation {
            Conversation::Account(account) => (account.as_bytes(), None),
            Conversation::Room { room, roster } => (room.as_bytes(), Some(roster.as_bytes())),
        };
        let inserted = self.inserts()?.envelope.execute((
            submission.device.as_bytes(),
            submission.message.as_bytes(),
            submission.sender.as_bytes(),
            conversation,
            roster,
            (!left_out.is_empty())
                .then(|| left_out.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>()),
            hash,
            now.0.cast_signed(),
            submission.body.as_ref(),
        ))?;
        if inserted == 0 {
            // There is one of this name, or it would have been inserted.
            return self.known(&submission, &hash)?.unwrap_or(Err(StoreError::NameReused));
        }
        let envelope = self.transaction.last_insert_rowid();
        for blob in &submission.blobs {
            self.transaction
                .prepare_cached("INSERT OR IGNORE INTO blob_use (blob, envelope) VALUES (?, ?)")?
                .execute((blob.as_bytes(), envelope))?;
        }
        let mailboxes = submission.recipients.len() - left_out.len();
        if mailboxes > 1 {
            let mailboxes = i64::try_from(mailboxes).unwrap_or(i64::MAX);
            self.transaction
                .prepare_cached("INSERT INTO envelope_share (envelope, mailboxes) VALUES (?, ?)")?
                .execute((envelope, mailboxes))?;
        }
        for (Recipient { account, wraps }, encoded) in submission.recipients.into_iter().zip(encoded) {
            if left_out.contains(&account) {
                continue;
            }
            let blocked = self.memory.blocks(self.transaction)?.contains(&(account, submission.sender));
            let account = if blocked { NOBODY } else { account };
            let bytes = ENTRY + (submission.body.len() + encoded.len()) as u64;
            let seq = self.memory.put(self.transaction, account, submission.sender, bytes)?;
            self.inserts()?.entry.execute((account.as_bytes(), seq.cast_signed(), envelope, &encoded))?;
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
            self.entries.push((account, Arc::new(entry)));
        }
        Ok(Accepted { at: now, left_out })
    }

    fn inserts(&mut self) -> Result<&mut Inserts<'a>, StoreError> {
        let inserts = match self.inserts.take() {
            Some(inserts) => inserts,
            None => Inserts::prepare(self.transaction)?,
        };
        Ok(self.inserts.insert(inserts))
    }

    /// What was answered for the envelope of this name, if there is one.
    fn known(
        &self,
        submission: &Submission,
        hash: &[u8; 32],
    ) -> Result<Option<Result<Accepted, StoreError>>, StoreError> {
        let known: Option<([u8; 32], i64, Option<Vec<u8>>)> = self
            .transaction
            .prepare_cached(
                "SELECT hash, accepted_at, left_out FROM envelope WHERE device = ? AND message = ?",
            )?
            .query_row((submission.device.as_bytes(), submission.message.as_bytes()), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        Ok(known.map(|(known, accepted_at, left_out)| {
            if known != *hash {
                return Err(StoreError::NameReused);
            }
            let ids = left_out.unwrap_or_default();
            let left_out = ids.as_chunks().0.iter().copied().map(AccountId::new).collect();
            Ok(Accepted { at: Millis(accepted_at.cast_unsigned()), left_out })
        }))
    }

    /// Whether it can be put into its mailboxes; for a room, into all but these.
    fn check(&mut self, submission: &Submission, now: Millis) -> Result<Vec<AccountId>, StoreError> {
        self.check_room(submission)?;
        let to_room = matches!(submission.conversation, Conversation::Room { .. });
        let (mut left_out, mut full) = (Vec::new(), None);
        for recipient in &submission.recipients {
            match self.check_recipient(recipient, submission.sender, now) {
                Ok(()) => {}
                Err(error @ (StoreError::MailboxFull | StoreError::ShareFull)) if to_room => {
                    left_out.push(recipient.account);
                    full = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = full {
            // A copy for the sender's own devices reaches nobody.
            let mut others = submission.recipients.iter().filter(|other| other.account != submission.sender);
            if others.all(|other| left_out.contains(&other.account)) {
                return Err(error);
            }
        }
        for blob in &submission.blobs {
            // One's own: whoever could name another's would keep it on its owner's quota.
            let here = self
                .transaction
                .prepare_cached(
                    "SELECT 1 FROM blob JOIN device ON device.id = blob.device WHERE blob.id = ? AND device.account = ?",
                )?
                .exists((blob.as_bytes(), submission.sender.as_bytes()))?;
            if !here {
                return Err(StoreError::BlobMissing);
            }
        }
        Ok(left_out)
    }

    /// Refuses wraps for devices that are not the recipient's, and for keys that are not in use.
    fn check_recipient(
        &mut self,
        recipient: &Recipient,
        sender: AccountId,
        now: Millis,
    ) -> Result<(), StoreError> {
        if recipient.account == NOBODY {
            return Err(StoreError::UnknownAccount);
        }
        let held = self.memory.mailbox(self.transaction, &recipient.account)?.bytes;
        for wrap in &recipient.wraps {
            let Some((account, key, until)) = self.memory.message_key(self.transaction, &wrap.device)? else {
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
        if held >= self.memory.quotas.mailbox {
            return Err(StoreError::MailboxFull);
        }
        // What one's own devices write to each other has all of the room.
        if recipient.account != sender
            && *self.memory.of_sender(self.transaction, recipient.account, sender)?
                >= self.memory.quotas.sender
        {
            return Err(StoreError::ShareFull);
        }
        Ok(())
    }

    pub(super) fn prune(&mut self, what: Prune) -> Result<Pruned, StoreError> {
        let (account, up_to) = match what {
            Prune::Mailbox(account, up_to) => (account, up_to),
            Prune::Rest(now) => return prune::rest(self.transaction, now),
        };
        let mailbox = self.memory.mailbox(self.transaction, &account)?;
        let (more, freed) = prune::mailbox(self.transaction, &account, up_to, mailbox.newest)?;
        for (sender, bytes) in freed {
            self.memory.take(self.transaction, account, sender, bytes)?;
        }
        // What is gone is in no mailbox to be counted again.
        self.write_counts()?;
        Ok(Pruned { more, removed: Vec::new() })
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
        self.memory.mailbox(self.transaction, &other)?;
        if blocked {
            let count: u64 = self
                .transaction
                .prepare_cached("SELECT count(*) FROM block WHERE account = ?1 AND other <> ?2")?
                .query_row((account.as_bytes(), other.as_bytes()), |row| row.get::<_, i64>(0))?
                .cast_unsigned();
            if count >= limits::BLOCKS {
                return Err(StoreError::TooLarge);
            }
        }
        let statement = if blocked {
            "INSERT OR IGNORE INTO block (account, other) VALUES (?, ?)"
        } else {
            "DELETE FROM block WHERE account = ? AND other = ?"
        };
        self.transaction.prepare_cached(statement)?.execute((account.as_bytes(), other.as_bytes()))?;
        let blocks = self.memory.blocks(self.transaction)?;
        if blocked {
            blocks.insert((account, other))
        } else {
            blocks.remove(&(account, other))
        };
        Ok(())
    }

    pub(super) fn acknowledge(&self, device: &DeviceId, seq: u64) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("UPDATE device SET acknowledged = ?2 WHERE id = ?1 AND acknowledged < ?2")?
            .execute((device.as_bytes(), seq.min(i64::MAX.cast_unsigned()).cast_signed()))?;
        Ok(())
    }
}
