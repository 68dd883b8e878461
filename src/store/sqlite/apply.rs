//! What each operation does inside the transaction of its group.
//!
//! Every operation looks first and writes only when nothing speaks against it, so that one which is refused
//! leaves no trace in a transaction that goes on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Transaction};
use sha2::{Digest as _, Sha256};

use super::log;
use super::prune::{self, Prune, Pruned};
use super::writer::ReplyTo;
use crate::model::{
    AccountId, BlobId, DeviceId, Entry, KeyId, Millis, Recipient, Signed, Submission, to_cbor,
};
use crate::store::{NewAccount, NewInvite, NewMessageKey, NewRecord, Quotas, StoreError};

/// Something to write, and whom to tell when it is durable.
pub enum Operation {
    Invite(NewInvite, ReplyTo<()>),
    Register(Box<NewAccount>, ReplyTo<()>),
    AppendRecord(Box<NewRecord>, ReplyTo<()>),
    Publish(Box<NewMessageKey>, ReplyTo<()>),
    Submit(Box<Prepared>, ReplyTo<Millis>),
    /// Whose mailbox, whose mail, and whether it is dropped.
    Block(AccountId, AccountId, bool, ReplyTo<()>),
    /// One for each device: the writer has put them together.
    Acknowledge(DeviceId, u64, Vec<ReplyTo<()>>),
    SealBlob {
        blob: BlobId,
        owner: DeviceId,
        chunks: u32,
        /// Of its file.
        bytes: u64,
        reply: ReplyTo<()>,
    },
    Prune(Prune, ReplyTo<Pruned>),
    /// Nothing but an answer: what waited has been written before it.
    Settle(ReplyTo<()>),
    Close(ReplyTo<()>),
}

/// A submission, with all that can be computed beside the one thread that writes.
pub struct Prepared {
    submission: Submission,
    hash: [u8; 32],
    /// CBOR of each recipient's wraps, in their order.
    wraps: Vec<Vec<u8>>,
}

impl From<Submission> for Prepared {
    fn from(submission: Submission) -> Self {
        let hash = Sha256::digest(&submission.body).into();
        let wraps = submission.recipients.iter().map(|recipient| to_cbor(&recipient.wraps)).collect();
        Self { submission, hash, wraps }
    }
}

impl Operation {
    /// Answers that the store has failed.
    pub fn refuse(self, error: StoreError) {
        match self {
            Self::Invite(_, reply)
            | Self::Block(.., reply)
            | Self::Register(_, reply)
            | Self::AppendRecord(_, reply)
            | Self::Publish(_, reply)
            | Self::Settle(reply)
            | Self::SealBlob { reply, .. }
            | Self::Close(reply) => drop(reply.send(Err(error))),
            Self::Acknowledge(_, _, replies) => {
                for reply in replies {
                    drop(reply.send(Err(error.clone())));
                }
            }
            Self::Submit(_, reply) => drop(reply.send(Err(error))),
            Self::Prune(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// An operation that has been applied, and what is left to do once the group is durable.
pub struct Applied {
    /// Answers, given whether the group was committed.
    pub reply: Box<dyn FnOnce(Result<(), StoreError>)>,
    /// What has come into mailboxes.
    pub entries: Vec<(AccountId, Arc<Entry>)>,
}

/// What the writer remembers from group to group, being the only one who writes it.
#[derive(Default)]
pub struct Memory {
    mailboxes: HashMap<AccountId, Mailbox>,
    keys: HashMap<DeviceId, (AccountId, KeyId, Millis)>,
    /// All there are: who wants no mail, and whose. Looking for one takes as long whether it is there or not.
    blocks: Option<HashSet<(AccountId, AccountId)>>,
    /// Leaves of the transparency log, once one was appended.
    log: Option<u64>,
    quotas: Quotas,
}

impl Memory {
    /// How many leaves the transparency log has, if it may have grown.
    pub fn log_size(&self) -> Option<u64> {
        self.log
    }

    /// Of nothing yet.
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, ..Self::default() }
    }

    /// Forgets what can be read again.
    pub fn forget(&mut self) {
        *self = Self::new(self.quotas);
    }
}

/// How a mailbox stands.
#[derive(Clone, Copy)]
struct Mailbox {
    newest: u64,
    bytes: u64,
}

/// The mailbox of nobody. What is dropped goes through it, so that dropping takes the same work as keeping; it
/// is emptied at each pruning. No account has this id.
pub const NOBODY: AccountId = AccountId::new([0; 32]);

/// How many accounts and devices are remembered before all are forgotten.
const REMEMBERED: usize = 100_000;

/// A group's transaction.
pub struct Group<'a> {
    transaction: &'a Transaction<'a>,
    memory: &'a mut Memory,
    /// Mailboxes that have become longer, or smaller.
    changed: Vec<AccountId>,
    failure: Option<StoreError>,
}

impl<'a> Group<'a> {
    pub fn new(transaction: &'a Transaction<'a>, memory: &'a mut Memory) -> Self {
        if memory.mailboxes.len() + memory.keys.len() > REMEMBERED {
            memory.forget();
        }
        Self { transaction, memory, changed: Vec::new(), failure: None }
    }

    /// The failure of the database itself, if there was one: the group is lost.
    pub fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Writes what is written once for a whole group.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.changed.sort_unstable();
        self.changed.dedup();
        let mut update =
            self.transaction.prepare_cached("UPDATE account SET newest = ?, bytes = ? WHERE id = ?")?;
        for account in &self.changed {
            if let Some(Mailbox { newest, bytes }) = self.memory.mailboxes.get(account) {
                update.execute((newest.cast_signed(), bytes.cast_signed(), account.as_bytes()))?;
            }
        }
        Ok(())
    }

    pub fn apply(&mut self, operation: Operation) -> Applied {
        let mut entries = Vec::new();
        let reply = match operation {
            Operation::Invite(invite, reply) => self.answer(self.invite(&invite), reply),
            Operation::Block(account, other, blocked, reply) => {
                let result = self.set_blocked(account, other, blocked);
                self.answer(result, reply)
            }
            Operation::Register(new, reply) => {
                let result = self.register(&new);
                self.answer(result, reply)
            }
            Operation::AppendRecord(new, reply) => {
                let result = self.append_record(&new);
                self.answer(result, reply)
            }
            Operation::Publish(new, reply) => {
                let result = self.publish(&new);
                self.answer(result, reply)
            }
            Operation::Submit(prepared, reply) => {
                let result = self.submit(*prepared, &mut entries);
                self.answer(result, reply)
            }
            Operation::Acknowledge(device, seq, replies) => {
                let result = self.acknowledge(&device, seq);
                self.note_failure(&result);
                Box::new(move |committed: Result<(), StoreError>| {
                    for reply in replies {
                        drop(reply.send(committed.clone().and(result.clone())));
                    }
                })
            }
            Operation::SealBlob { blob, owner, chunks, bytes, reply } => {
                self.answer(self.seal_blob(&blob, &owner, chunks, bytes), reply)
            }
            Operation::Prune(what, reply) => {
                let result = self.prune(what);
                self.answer(result, reply)
            }
            // The writer takes closing out of every group.
            Operation::Settle(reply) | Operation::Close(reply) => self.answer(Ok(()), reply),
        };
        Applied { reply, entries }
    }

    fn note_failure<T>(&mut self, result: &Result<T, StoreError>) {
        if let Err(error @ StoreError::Failed(_)) = result {
            self.failure = Some(error.clone());
        }
    }

    /// Keeps the operation's own result until it is known whether the group is durable.
    fn answer<T: 'static>(
        &mut self,
        result: Result<T, StoreError>,
        reply: ReplyTo<T>,
    ) -> Box<dyn FnOnce(Result<(), StoreError>)> {
        self.note_failure(&result);
        // A receiver that is gone has no use for the answer.
        Box::new(move |committed| drop(reply.send(committed.and(result))))
    }

    fn invite(&self, invite: &NewInvite) -> Result<(), StoreError> {
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

    fn register(&mut self, new: &NewAccount) -> Result<(), StoreError> {
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

    fn append_record(&mut self, new: &NewRecord) -> Result<(), StoreError> {
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
            self.memory.keys.remove(device);
        }
        let Some(added) = &new.added else { return Ok(()) };
        self.transaction
            .prepare_cached("INSERT INTO device (id, account, acknowledged) VALUES (?, ?, ?)")?
            .execute((added.device.as_bytes(), new.account.as_bytes(), stood.unwrap_or(0)))?;
        self.put_key(added)
    }

    fn publish(&mut self, new: &NewMessageKey) -> Result<(), StoreError> {
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
        self.memory.keys.remove(&new.device);
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

    fn submit(
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
            mailbox.bytes += (submission.body.len() + encoded.len()) as u64;
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

    fn prune(&mut self, what: Prune) -> Result<Pruned, StoreError> {
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

    fn set_blocked(&mut self, account: AccountId, other: AccountId, blocked: bool) -> Result<(), StoreError> {
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

    fn acknowledge(&self, device: &DeviceId, seq: u64) -> Result<(), StoreError> {
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

    fn seal_blob(&self, blob: &BlobId, owner: &DeviceId, chunks: u32, bytes: u64) -> Result<(), StoreError> {
        let known: Option<(Vec<u8>, u32)> = self
            .transaction
            .prepare_cached("SELECT device, chunks FROM blob WHERE id = ?")?
            .query_row([blob.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((device, known)) = known {
            let same = device == owner.as_bytes() && known == chunks;
            return if same { Ok(()) } else { Err(StoreError::Conflict) };
        }
        self.transaction
            .prepare_cached("INSERT INTO blob (id, device, chunks, sealed_at, bytes) VALUES (?, ?, ?, ?, ?)")?
            .execute((
                blob.as_bytes(),
                owner.as_bytes(),
                chunks,
                Millis::now().0.cast_signed(),
                bytes.cast_signed(),
            ))?;
        Ok(())
    }
}
