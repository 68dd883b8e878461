//! What a server keeps: the directory and its transparency log, who is in which room, mailboxes of sealed
//! envelopes, blobs of sealed chunks.
//!
//! One narrow trait, [`Store`], and its implementations. A store holds what it is given as opaque bytes: it
//! verifies no signature and reads no envelope. What it does promise is durability and order: a future of
//! [`Store::submit`] that has resolved to `Ok` means that the envelope survives a power cut.
//!
//! - [`sqlite`]: the embedded default
//! - [`wake`]: the way from a commit to the sessions that wait for it
//! - `conformance`: what every implementation has to pass

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::model::{
    AccountId, BlobId, DeviceId, Entry, Head, KeyId, Leaf, Millis, NameHash, Nickname, Position, RoomId,
    RosterId, ServerId, Signed, Submission,
};

#[cfg(test)]
mod conformance;
pub mod sqlite;
pub mod wake;

pub use sqlite::SqliteStore;
pub use wake::Wakeups;

/// A new account, verified by the caller.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub account: AccountId,
    /// Its name.
    pub nickname: Nickname,
    /// Its first device.
    pub device: DeviceId,
    /// The record of its registration.
    pub record: Signed,
    /// The first device's message key.
    pub message_key: NewMessageKey,
    /// Where an invitation is asked for: its hash. Adding the account uses it, once.
    pub invite: Option<[u8; 32]>,
}

/// An invitation to register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewInvite {
    /// As [`invite::hash`](crate::model::invite::hash) has it; the invitation itself is kept nowhere.
    pub hash: [u8; 32],
    /// How many accounts it is good for.
    pub uses: u32,
    /// It is good for none from then on.
    pub expires_at: Millis,
}

/// How much is kept for one account, in bytes, rooms excepted. Once it is reached nothing more is taken until there is
/// room again; the last that is taken may be over it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// Mail that waits for it.
    pub mailbox: u64,
    /// Of that, from one sender other than itself.
    pub sender: u64,
    /// Blobs of its devices' making, sealed or under way.
    pub blobs: u64,
    /// Rooms that it is in, or has begun.
    pub rooms: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { mailbox: 256 * MIB, sender: 64 * MIB, blobs: 1024 * MIB, rooms: 200 }
    }
}

/// A record behind the newest of an account's chain, verified by the caller.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Whose.
    pub account: AccountId,
    /// SHA-256 of the body of the record that it follows: has to be the newest one.
    pub previous: [u8; 32],
    /// The record.
    pub record: Signed,
    /// Devices that the account has no longer.
    pub removed: Vec<DeviceId>,
    /// The message key of a device that comes. Where others go, it begins where they stood in the mailbox.
    pub added: Option<NewMessageKey>,
}

/// A message key, verified by the caller.
#[derive(Clone, Debug)]
pub struct NewMessageKey {
    /// The device that published it.
    pub device: DeviceId,
    /// Its id.
    pub key: KeyId,
    /// Wraps for it are refused after this time.
    pub until: Millis,
    /// The key that it replaces: has to be the device's present one.
    pub supersedes: Option<KeyId>,
    /// The signed record.
    pub record: Signed,
}

/// A room's first record, or one behind its newest, verified by the caller.
#[derive(Clone, Debug)]
pub struct NewRoomRecord {
    /// The room.
    pub room: RoomId,
    /// The record that it follows: has to be the newest one. The first follows none.
    pub previous: Option<RosterId>,
    /// The room after it.
    pub roster: RosterId,
    /// The record.
    pub record: Signed,
    /// Who is something else in the room from then on.
    pub account: AccountId,
    /// What.
    pub standing: Standing,
}

/// What somebody is in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// They may come in.
    Invited,
    /// They are in it.
    Member,
    /// They were, or were invited.
    Former,
}

/// What somebody may read of a room: all of its records, or those up to the one that they have gone by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoom {
    /// What they are in it.
    pub standing: Standing,
    /// Records, in order.
    pub records: Vec<Signed>,
    /// Whether there are more behind these.
    pub more: bool,
}

/// An envelope is in its mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Since when.
    pub at: Millis,
    /// But not in those of these members of a room, which are full, or the sender's share of which is.
    pub left_out: Vec<AccountId>,
}

/// The signed records of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// Whose they are.
    pub account: AccountId,
    /// The account's chain, from its first record.
    pub chain: Vec<Signed>,
    /// The newest message key of each device.
    pub message_keys: Vec<Signed>,
}

/// A leaf of the transparency log, and the proof that it is one (RFC 6962, section 2.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvenLeaf {
    /// Its place.
    pub place: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The audit path.
    pub proof: Vec<[u8; 32]>,
}

/// The ends of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Of this mailbox, at present.
    pub epoch: u64,
    /// All entries up to here have been pruned; 0 before the first was.
    pub pruned: u64,
    /// The newest entry; 0 before the first.
    pub newest: u64,
}

/// How much of a blob there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobState {
    /// Chunks that are written.
    pub chunks: u32,
    /// Whether it is complete, durable and readable.
    pub sealed: bool,
}

/// What has come of waiting for a chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Awaited {
    /// The chunk.
    Chunk(Bytes),
    /// It is not there.
    Nothing(BlobState),
}

/// Why a store did not do what it was asked. Nothing of what was asked has been kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another account has the name.
    #[error("the nickname is taken")]
    NicknameTaken,
    /// The account exists with another first record.
    #[error("the account exists with another registration")]
    AccountExists,
    /// An account is not in the directory.
    #[error("no such account")]
    UnknownAccount,
    /// The device has submitted another envelope under this message id.
    #[error("the message id was used for another envelope")]
    NameReused,
    /// A message key is not the device's present one, or has run out.
    #[error("the message key has been replaced or has run out")]
    KeySuperseded,
    /// A blob is not here, or not sealed.
    #[error("no such blob")]
    BlobMissing,
    /// What was asked contradicts what is there.
    #[error("the request contradicts what is stored")]
    Conflict,
    /// Over a limit.
    #[error("over the size limit")]
    TooLarge,
    /// An invitation that does not exist, is used up, or has expired.
    #[error("the invitation is not good, or not any more")]
    InviteInvalid,
    /// A recipient's mailbox is full.
    #[error("the mailbox is full")]
    MailboxFull,
    /// A recipient's mailbox holds as much of this sender's as it may.
    #[error("the sender's share of the mailbox is full")]
    ShareFull,
    /// The room has a newer record.
    #[error("the room has a newer record")]
    RoomChanged,
    /// The account is in as many rooms as it may be.
    #[error("the account is in as many rooms as it may be")]
    RoomFull,
    /// The account is not in the room, or there is none.
    #[error("the account is not in the room")]
    NotInRoom,
    /// The owner's blobs take as much room as they may.
    #[error("the quota of blobs is used up")]
    BlobQuota,
    /// The disk is full or fails.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A server's store. See the module for what it promises.
pub trait Store: Send + Sync + 'static {
    /// The id of the server, or of the cluster, that this store makes.
    fn server_id(&self) -> ServerId;

    /// Adds an invitation.
    fn invite(&self, invite: NewInvite) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds an account. Adding the very same one again succeeds, whatever became of its invitation.
    fn register(&self, new: NewAccount) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Appends a record to an account's chain, and with it what the record says of devices. Appending the very same
    /// one again succeeds, as long as it is the newest.
    fn append_record(&self, new: NewRecord) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Replaces a device's message key. Publishing the very same one again succeeds.
    fn publish(&self, new: NewMessageKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// An account by its id.
    fn account(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Option<StoredAccount>, StoreError>> + Send;

    /// An account by its name, in any case.
    fn account_named(
        &self,
        nickname: Nickname,
    ) -> impl Future<Output = Result<Option<StoredAccount>, StoreError>> + Send;

    /// At most `limit` accounts in the order of their folded names, from behind `after` on.
    fn accounts(
        &self,
        after: Option<Nickname>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredAccount>, StoreError>> + Send;

    /// Appends a record to a room's chain, or begins one with it. Appending the newest again succeeds. An account that
    /// somebody is invited by has to be in the directory, and one that comes in must have a place for the room.
    fn append_room_record(&self, new: NewRoomRecord) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What an account may read of a room, from this place on: as many records as fit into about `bytes`, and at least
    /// one if there is one. `None` for who is not in it and never was, nor invited, and where there is no room.
    fn room(
        &self,
        room: RoomId,
        reader: AccountId,
        from: u32,
        bytes: usize,
    ) -> impl Future<Output = Result<Option<StoredRoom>, StoreError>> + Send;

    /// Puts an envelope into all of its mailboxes or into none, and says when it was accepted first.
    ///
    /// One to a room goes to members only, by a member who names the room's newest record. Mailboxes that are full are
    /// left out, as long as somebody other than the sender gets it. What was accepted once is, whatever has become of
    /// the room since.
    ///
    /// Takes its place in the order of submissions when it is called, not when its future is polled.
    fn submit(
        &self,
        submission: Submission,
    ) -> impl Future<Output = Result<Accepted, StoreError>> + Send + 'static;

    /// From now on drops what `other` submits to the account, or no longer. Whoever submits can't tell: it is
    /// checked, counted, kept by its name and answered for as if it had been put into the mailbox.
    fn set_blocked(
        &self,
        account: AccountId,
        other: AccountId,
        blocked: bool,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static;

    /// The ends of an account's mailbox.
    fn bounds(&self, account: AccountId) -> impl Future<Output = Result<Bounds, StoreError>> + Send;

    /// Entries of a mailbox from behind `after` on, in order: as many as fit into about `bytes`, and at least
    /// one if there is one.
    fn read(
        &self,
        account: AccountId,
        after: u64,
        bytes: usize,
    ) -> impl Future<Output = Result<Vec<Arc<Entry>>, StoreError>> + Send;

    /// The device has everything up to here. A position of another epoch, or before an earlier one, says
    /// nothing. It may wait a little, to be written together with others: nothing is lost without it. It is queued
    /// when it is called, not when its future is polled.
    fn acknowledge(
        &self,
        device: DeviceId,
        position: Position,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static;

    /// From now on tells what is put into an account's mailbox.
    fn watch(&self, account: AccountId) -> Wakeups;

    /// The head of the transparency log, durable when it is given out, and at most `limit` of its leaves from
    /// `from` on. A record and its leaf are appended together or not at all.
    fn log(
        &self,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<(Head, Vec<Leaf>), StoreError>> + Send;

    /// The newest leaf of a name among the log's first `size`, with its proof.
    fn prove_leaf(
        &self,
        name: NameHash,
        size: u64,
    ) -> impl Future<Output = Result<Option<ProvenLeaf>, StoreError>> + Send;

    /// The proof that the log of `to` leaves has grown out of that of `from`, one or more (RFC 6962, section
    /// 2.1.2).
    fn prove_growth(
        &self,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Vec<[u8; 32]>, StoreError>> + Send;

    /// How many leaves of the log are durable, now and from now on.
    fn watch_log(&self) -> watch::Receiver<u64>;

    /// Writes a chunk behind those that are there; writing the newest again is harmless. Not durable yet.
    fn put_chunk(
        &self,
        owner: DeviceId,
        blob: BlobId,
        index: u32,
        chunk: Bytes,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a blob of so many chunks durable and readable. Sealing it again succeeds.
    fn seal_blob(
        &self,
        owner: DeviceId,
        blob: BlobId,
        chunks: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How much there is of a blob.
    fn stat_blob(
        &self,
        owner: DeviceId,
        blob: BlobId,
    ) -> impl Future<Output = Result<BlobState, StoreError>> + Send;

    /// One chunk of a blob that its device has put there, sealed or under way: as soon as it is there, or what
    /// there is once it can't come any more or was waited for long enough.
    fn await_chunk(
        &self,
        owner: DeviceId,
        blob: BlobId,
        index: u32,
        patience: Duration,
    ) -> impl Future<Output = Result<Awaited, StoreError>> + Send;

    /// Forgets a blob under way. That there is none is no error; a sealed one stays.
    fn drop_blob(&self, owner: DeviceId, blob: BlobId)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One chunk of a sealed blob.
    fn fetch_chunk(&self, blob: BlobId, index: u32)
    -> impl Future<Output = Result<Bytes, StoreError>> + Send;

    /// Removes what every device has acknowledged, what is older than the retention time, blobs that nothing refers to
    /// any more, and rooms that nobody has been in for the retention time.
    fn prune(&self, now: Millis) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Resolves when the store can do nothing more though nobody has closed it: who serves from it has to end.
    fn broken(&self) -> impl Future<Output = ()> + Send + 'static;

    /// Finishes what was asked, and closes. Later calls fail.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
