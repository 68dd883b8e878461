//! What each operation does inside the transaction of its group.
//!
//! Every operation looks first and writes only when nothing speaks against it, so that one which is refused
//! leaves no trace in a transaction that goes on.
//!
//! - `accounts`: invitations, records, message keys
//! - `mail`: mailboxes
//! - `rooms`: who is in which room
//! - `memory`: what need not be read again

mod accounts;
mod mail;
mod memory;
mod rooms;

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Transaction};
use sha2::{Digest as _, Sha256};

use super::prune::{Prune, Pruned};
use super::writer::ReplyTo;
use crate::model::{AccountId, BlobId, DeviceId, Entry, Millis, Submission, to_cbor};
use crate::store::{Accepted, NewAccount, NewInvite, NewMessageKey, NewRecord, NewRoomRecord, StoreError};
use mail::Inserts;
pub use memory::Memory;

/// Something to write, and whom to tell when it is durable.
pub enum Operation {
    Invite(NewInvite, ReplyTo<()>),
    Register(Box<NewAccount>, ReplyTo<()>),
    AppendRecord(Box<NewRecord>, ReplyTo<()>),
    Publish(Box<NewMessageKey>, ReplyTo<()>),
    AppendRoomRecord(Box<NewRoomRecord>, ReplyTo<()>),
    Submit(Box<Prepared>, ReplyTo<Accepted>),
    /// Whose mailbox, whose mail, and whether it is dropped.
    Block(AccountId, AccountId, bool, ReplyTo<()>),
    /// One for each device, no further than its mailbox has come: the writer has seen to both.
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
    /// How many mailboxes it puts something into, at most.
    pub fn mailboxes(&self) -> usize {
        match self {
            Self::Submit(prepared, _) => prepared.wraps.len(),
            _ => 0,
        }
    }

    /// Answers that the store has failed.
    pub fn refuse(self, error: StoreError) {
        match self {
            Self::Invite(_, reply)
            | Self::Block(.., reply)
            | Self::Register(_, reply)
            | Self::AppendRecord(_, reply)
            | Self::Publish(_, reply)
            | Self::AppendRoomRecord(_, reply)
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

/// Answers an operation that has been applied, given whether its group was committed.
pub type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// The mailbox of nobody. What is dropped goes through it, so that dropping takes the same work as keeping; it
/// is emptied at each pruning. No account has this id.
pub const NOBODY: AccountId = AccountId::new([0; 32]);

/// What an entry counts in its mailbox beside body and wraps: it takes rows and their places in indexes however small
/// it is, 356 bytes of them as measured, and grows with its wraps.
pub const ENTRY: u64 = 512;

/// A group's transaction.
pub struct Group<'a> {
    transaction: &'a Transaction<'a>,
    memory: &'a mut Memory,
    /// Once the first submission needs them.
    inserts: Option<Inserts<'a>>,
    /// What has come into mailboxes.
    entries: Vec<(AccountId, Arc<Entry>)>,
    failure: Option<StoreError>,
}

impl<'a> Group<'a> {
    pub fn new(transaction: &'a Transaction<'a>, memory: &'a mut Memory) -> Result<Self, StoreError> {
        memory.bound(transaction)?;
        Ok(Self { transaction, memory, inserts: None, entries: Vec::new(), failure: None })
    }

    /// The failure of the database itself, if there was one: the group is lost.
    pub fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Writes how mailboxes stand.
    pub fn write_counts(&mut self) -> Result<(), StoreError> {
        self.memory.write_counts(self.transaction)
    }

    /// What has come into mailboxes, once all has been applied.
    pub fn into_entries(self) -> Vec<(AccountId, Arc<Entry>)> {
        self.entries
    }

    pub fn apply(&mut self, operation: Operation) -> Answer {
        match operation {
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
            Operation::AppendRoomRecord(new, reply) => {
                let result = self.append_room_record(&new);
                self.answer(result, reply)
            }
            Operation::Submit(prepared, reply) => {
                let result = self.submit(*prepared);
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
        }
    }

    fn note_failure<T>(&mut self, result: &Result<T, StoreError>) {
        if let Err(error @ StoreError::Failed(_)) = result {
            self.failure = Some(error.clone());
        }
    }

    /// Keeps the operation's own result until it is known whether the group is durable.
    fn answer<T: 'static>(&mut self, result: Result<T, StoreError>, reply: ReplyTo<T>) -> Answer {
        self.note_failure(&result);
        // A receiver that is gone has no use for the answer.
        Box::new(move |committed| drop(reply.send(committed.and(result))))
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
