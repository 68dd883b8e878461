//! The heads of frames: requests of a client, and what a server answers or pushes.
//!
//! A request carries a number of the client's choosing; its reply carries the same number. Replies may
//! come in another order than their requests. Heads are CBOR (RFC 8949); bulky bytes travel as the
//! frame's body, of which each variant says what it is.

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

pub use super::reason::{GoodbyeReason, RefusalCode};
use crate::model::{
    AccountId, BlobId, Conversation, DeviceId, DirectoryEntry, LogCertificate, MessageId, Millis, Nickname,
    Position, Recipient, RoomId, ServerId, Signed, Wrap,
};

/// The head of a frame from a client.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Request {
    /// Repeated in the reply.
    #[n(0)]
    pub number: u32,
    /// What is asked.
    #[n(1)]
    pub verb: Verb,
}

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Verb {
    /// Begin an account, and log its first device in. Repeating a registration that succeeded succeeds.
    /// Reply: [`Answer::LoggedIn`].
    #[n(0)]
    Register {
        /// An [`AccountRecord`](crate::model::AccountRecord) of kind `Registration`.
        #[n(0)]
        record: Signed,
        /// The device's first [`MessageKeyRecord`](crate::model::MessageKeyRecord).
        #[n(1)]
        message_key: Signed,
        /// By the device key, over [`SessionProof`].
        #[n(2)]
        signature: ByteVec,
        /// An invitation, as it was given to a person, for servers that ask for one.
        #[n(3)]
        invite: Option<String>,
    },
    /// Log a device in. Reply: [`Answer::LoggedIn`].
    #[n(1)]
    Login {
        /// The account.
        #[n(0)]
        account: AccountId,
        /// One of its devices.
        #[n(1)]
        device: DeviceId,
        /// By the device key, over [`SessionProof`].
        #[n(2)]
        signature: ByteVec,
    },
    /// One account by name. Reply: [`Answer::Directory`] with one entry or none.
    #[n(2)]
    LookUpName {
        /// In any case.
        #[n(0)]
        nickname: Nickname,
    },
    /// One account by id. Reply: [`Answer::Directory`] with one entry or none.
    #[n(3)]
    LookUpAccount {
        /// The account.
        #[n(0)]
        account: AccountId,
    },
    /// Accounts in order of folded nickname. Reply: [`Answer::Directory`], at most one page.
    #[n(4)]
    ListAccounts {
        /// Start behind this name; absent for the first page.
        #[n(0)]
        after: Option<Nickname>,
    },
    /// Publish a message key of the session's device. Reply: [`Answer::Done`].
    #[n(5)]
    PublishMessageKey {
        /// A [`MessageKeyRecord`](crate::model::MessageKeyRecord).
        #[n(0)]
        record: Signed,
    },
    /// Put an envelope into mailboxes; the frame's body is the envelope. Reply: [`Answer::Accepted`], once
    /// it is durable for every recipient. Repeating is harmless.
    #[n(6)]
    Submit {
        /// Together with the session's device the envelope's name.
        #[n(0)]
        message: MessageId,
        /// Whom it is for.
        #[n(1)]
        conversation: Conversation,
        /// The mailboxes and their wraps.
        #[n(2)]
        recipients: Vec<Recipient>,
        /// Blobs that the content refers to.
        #[n(3)]
        blobs: Vec<BlobId>,
    },
    /// From now on push this account's mailbox, from behind a position. Reply: [`Answer::Subscribed`], then
    /// [`Push::Delivery`] frames, and [`Push::Drained`] each time the mailbox was read to its end.
    #[n(7)]
    Subscribe {
        /// The last entry that the device has stored; absent for all there is. One of another epoch
        /// counts as absent.
        #[n(0)]
        after: Option<Position>,
    },
    /// The device has stored everything up to here, for good. No reply.
    #[n(8)]
    Acknowledge {
        /// The device's cursor.
        #[n(0)]
        position: Position,
    },
    /// Add a sealed chunk to a blob; the frame's body is the chunk. Chunks come in order. Repeating the
    /// newest is harmless. Reply: [`Answer::Done`] (written, not yet durable).
    #[n(9)]
    PutChunk {
        /// The blob, of this device's making.
        #[n(0)]
        blob: BlobId,
        /// From 0.
        #[n(1)]
        index: u32,
    },
    /// Make a blob durable and readable. Reply: [`Answer::Done`].
    #[n(10)]
    SealBlob {
        /// The blob.
        #[n(0)]
        blob: BlobId,
        /// How many chunks it has.
        #[n(1)]
        chunks: u32,
    },
    /// How much of a blob of one's own the server has. Reply: [`Answer::Blob`].
    #[n(11)]
    StatBlob {
        /// The blob.
        #[n(0)]
        blob: BlobId,
    },
    /// One chunk of a sealed blob. Reply: [`Answer::Chunk`].
    #[n(12)]
    FetchChunk {
        /// The blob.
        #[n(0)]
        blob: BlobId,
        /// From 0.
        #[n(1)]
        index: u32,
    },
    /// From now on push who comes and goes. Reply: [`Answer::Online`].
    #[n(13)]
    WatchPresence,
    /// Append a record to the account's chain. Reply: [`Answer::Done`]. Repeating the newest is harmless. Sessions of
    /// devices that are removed by it end, but for the one that asks.
    #[n(18)]
    PublishRecord {
        /// An [`AccountRecord`](crate::model::AccountRecord) of another kind than `Registration`.
        #[n(0)]
        record: Signed,
        /// The first [`MessageKeyRecord`](crate::model::MessageKeyRecord) of a device that comes with it.
        #[n(1)]
        message_key: Option<Signed>,
    },
    /// Nothing but an answer. Reply: [`Answer::Done`].
    #[n(14)]
    Ping,
    /// One chunk of a blob that may still be under way, as soon as it is there. Reply: [`Answer::Chunk`], or
    /// [`Answer::Blob`] when it has not come for 20 s or never will.
    #[n(15)]
    AwaitChunk {
        /// Whose blob it is.
        #[n(0)]
        device: DeviceId,
        /// The blob.
        #[n(1)]
        blob: BlobId,
        /// From 0.
        #[n(2)]
        index: u32,
    },
    /// Leaves of the transparency log, as many as fit. Reply: [`Answer::Log`]; from then on
    /// [`Push::LogGrown`] when there are more.
    #[n(19)]
    ReadLog {
        /// The place of the first.
        #[n(0)]
        from: u64,
    },
    /// The newest leaf of a name, proven. Reply: [`Answer::LogLeaf`].
    #[n(20)]
    ProveLeaf {
        /// In any case.
        #[n(0)]
        nickname: Nickname,
        /// Among so many leaves: the size of a checkpoint.
        #[n(1)]
        size: u64,
    },
    /// That one checkpoint's log has grown out of another's. Reply: [`Answer::LogGrowth`].
    #[n(21)]
    ProveGrowth {
        /// The smaller size, at least 1.
        #[n(0)]
        from: u64,
        /// The larger size.
        #[n(1)]
        to: u64,
    },
    /// Forget a blob of one's own that is not sealed. Reply: [`Answer::Done`], whether or not there was one.
    #[n(16)]
    DropBlob {
        /// The blob.
        #[n(0)]
        blob: BlobId,
    },
    /// From now on drop what this account submits to the session's account, without letting it know.
    /// Reply: [`Answer::Done`].
    #[n(22)]
    Block {
        /// The account.
        #[n(0)]
        account: AccountId,
    },
    /// Deliver what this account submits from now on. Reply: [`Answer::Done`].
    #[n(23)]
    Unblock {
        /// The account.
        #[n(0)]
        account: AccountId,
    },
    /// Begin a room, or append a record to its chain. Reply: [`Answer::Done`]. Repeating the newest is harmless.
    #[n(24)]
    PublishRoomRecord {
        /// A [`RoomRecord`](crate::model::RoomRecord) by the session's device.
        #[n(0)]
        record: Signed,
    },
    /// Records of a room that the account is in, or invited to; of one that it was, up to the one that it left by.
    /// Reply: [`Answer::Room`], at most one page; from then on [`Push::RoomChanged`] for each of the account's rooms.
    #[n(25)]
    ReadRoom {
        /// The room.
        #[n(0)]
        room: RoomId,
        /// The place of the first record.
        #[n(1)]
        from: u32,
    },
}

/// What a device signs to log in or to register, under a purpose tag for each. The server's nonce and the
/// TLS exporter make a signature worthless on any other connection.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct SessionProof {
    /// As in [`Push::Hello`].
    #[n(0)]
    pub server: ServerId,
    /// The account.
    #[n(1)]
    pub account: AccountId,
    /// The device.
    #[n(2)]
    pub device: DeviceId,
    /// As in [`Push::Hello`].
    #[n(3)]
    pub nonce: ByteArray<32>,
    /// 32 bytes of the TLS exporter, without context.
    #[n(4)]
    pub exporter: ByteArray<32>,
}

/// The head of a frame from a server.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Push {
    /// The first frame of a connection.
    #[n(0)]
    Hello {
        /// Protocol versions that the server speaks.
        #[n(0)]
        versions: Vec<u16>,
        /// The server's id.
        #[n(1)]
        server: ServerId,
        /// Fresh random bytes, to be signed.
        #[n(2)]
        nonce: ByteArray<32>,
        /// The server's clock.
        #[n(3)]
        time: Millis,
        /// The key that it signs its transparency log with, certified by its TLS key. There has to be one: it is optional
        /// so that its absence can be said.
        #[n(4)]
        log: Option<LogCertificate>,
    },
    /// The answer to a request.
    #[n(1)]
    Reply {
        /// The request's number.
        #[n(0)]
        number: u32,
        /// The answer.
        #[n(1)]
        answer: Answer,
    },
    /// The refusal of a request.
    #[n(2)]
    Refusal {
        /// The request's number.
        #[n(0)]
        number: u32,
        /// Why.
        #[n(1)]
        code: RefusalCode,
        /// When to try again, in milliseconds; absent where trying again is no use.
        #[n(2)]
        retry_after: Option<u32>,
    },
    /// An envelope from the mailbox; the frame's body is the envelope.
    #[n(3)]
    Delivery {
        /// Its place in the mailbox.
        #[n(0)]
        position: Position,
        /// The sender, as the server's session had it.
        #[n(1)]
        sender: AccountId,
        /// The sender's device, likewise.
        #[n(2)]
        device: DeviceId,
        /// The message id.
        #[n(3)]
        message: MessageId,
        /// Whom it is for.
        #[n(4)]
        conversation: Conversation,
        /// The wrap for this device, if it was sealed for it.
        #[n(5)]
        wrap: Option<Wrap>,
        /// When the server accepted it.
        #[n(6)]
        accepted_at: Millis,
    },
    /// Everything in the mailbox up to here has been pushed.
    #[n(4)]
    Drained {
        /// The newest entry, or one before the first.
        #[n(0)]
        position: Position,
    },
    /// Someone came or went.
    #[n(5)]
    Presence {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// Whether a device of theirs is connected now.
        #[n(1)]
        online: bool,
    },
    /// The last frame of a connection.
    #[n(6)]
    Goodbye {
        /// Why it ends.
        #[n(0)]
        reason: GoodbyeReason,
        /// When connecting again is of use, in milliseconds from now, where the server knows.
        #[n(1)]
        retry_after: Option<u32>,
    },
    /// A room has another record: a hint, which may be lost. Only after [`Verb::ReadRoom`].
    #[n(9)]
    RoomChanged {
        /// The room.
        #[n(0)]
        room: RoomId,
    },
    /// The transparency log has grown. Only after [`Verb::ReadLog`].
    #[n(8)]
    LogGrown {
        /// Leaves it has now.
        #[n(0)]
        size: u64,
    },
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Answer {
    /// Done; there is nothing to add.
    #[n(0)]
    Done,
    /// The session belongs to a device now.
    #[n(1)]
    LoggedIn,
    /// Accounts of the directory.
    #[n(2)]
    Directory {
        /// The accounts.
        #[n(0)]
        entries: Vec<DirectoryEntry>,
        /// Whether there are more behind the last one.
        #[n(1)]
        more: bool,
    },
    /// The envelope is durable for every recipient but those left out.
    #[n(3)]
    Accepted {
        /// When, by the server's clock.
        #[n(0)]
        at: Millis,
        /// Members of a room whose mailbox, or the sender's share of it, is full: it is in all others.
        #[n(1)]
        #[cbor(default)]
        left_out: Vec<AccountId>,
    },
    /// Deliveries follow.
    #[n(4)]
    Subscribed {
        /// Before the oldest entry that is kept: what was between the device's cursor and this is gone.
        #[n(0)]
        oldest: Position,
    },
    /// What the server has of a blob.
    #[n(5)]
    Blob {
        /// Chunks written so far.
        #[n(0)]
        chunks: u32,
        /// Whether it is sealed.
        #[n(1)]
        sealed: bool,
    },
    /// A chunk; the frame's body is its bytes.
    #[n(6)]
    Chunk,
    /// Who is connected now, and in further answers if there are more than fit into one; [`Push::Presence`] follows
    /// for each change. All of it comes again, unasked, when too many changes would have to be told.
    #[n(7)]
    Online {
        /// The accounts.
        #[n(0)]
        accounts: Vec<AccountId>,
        /// Whether another answer to the same request goes on with the list.
        #[n(1)]
        #[cbor(default)]
        more: bool,
    },
    /// Where the transparency log stands; the frame's body is leaves, 72 bytes each.
    #[n(8)]
    Log {
        /// A signed checkpoint of the whole log: see [`LogKey::verify`](crate::crypto::LogKey::verify).
        #[n(0)]
        checkpoint: String,
    },
    /// The newest leaf of a name, if it has one.
    #[n(9)]
    LogLeaf {
        /// The leaf, proven.
        #[n(0)]
        leaf: Option<LeafProof>,
    },
    /// Records of a room, in order.
    #[n(11)]
    Room {
        /// The records.
        #[n(0)]
        records: Vec<Signed>,
        /// Whether there are more behind the last one.
        #[n(1)]
        more: bool,
    },
    /// A consistency proof (RFC 6962, section 2.1.2).
    #[n(10)]
    LogGrowth {
        /// Its hashes.
        #[n(0)]
        proof: Vec<ByteArray<32>>,
    },
}

/// A leaf of the transparency log with its audit path (RFC 6962, section 2.1.1).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct LeafProof {
    /// Its place.
    #[n(0)]
    pub place: u64,
    /// The 72 bytes of a [`Leaf`](crate::model::Leaf).
    #[n(1)]
    pub leaf: ByteVec,
    /// The audit path, from the leaf's neighbour upwards.
    #[n(2)]
    pub proof: Vec<ByteArray<32>>,
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
