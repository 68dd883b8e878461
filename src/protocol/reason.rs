//! Why a request is refused, and why a connection ends.

use minicbor::{Decode, Encode};

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum RefusalCode {
    /// The request says what can't be: a record that does not verify, a chunk out of order.
    #[n(0)]
    Invalid,
    /// Only registration and login come before login.
    #[n(1)]
    NotLoggedIn,
    /// Another account has this name.
    #[n(2)]
    NicknameTaken,
    /// The account exists with another registration.
    #[n(3)]
    AccountExists,
    /// No such account, or no such device of it, or the signature is not its.
    #[n(4)]
    LoginRefused,
    /// A recipient's account is not in the directory.
    #[n(5)]
    UnknownRecipient,
    /// The device has used this message id for another envelope.
    #[n(6)]
    NameReused,
    /// A wrap is for a message key that has been replaced or has run out: look up the recipient, wrap anew.
    #[n(7)]
    KeySuperseded,
    /// A blob that the envelope refers to is not sealed here.
    #[n(8)]
    BlobMissing,
    /// Over a size that `docs/protocol.md` names.
    #[n(9)]
    TooLarge,
    /// The server's disk is full, or its store fails; nothing was kept.
    #[n(10)]
    StorageFailed,
    /// The server is about to stop.
    #[n(11)]
    ShuttingDown,
    /// More than is allowed in a time; `retry_after` says when it is over.
    #[n(12)]
    Limited,
    /// Registering here takes an invitation, and this is none, or none any more.
    #[n(13)]
    InviteNeeded,
    /// A recipient's mailbox holds as much as it may.
    #[n(14)]
    MailboxFull,
    /// The account's blobs take as much room as they may.
    #[n(15)]
    BlobQuota,
    /// A recipient's mailbox holds as much of this account's as it may.
    #[n(16)]
    ShareFull,
    /// A room has newer records than the one that was acted on: read them, and act anew.
    #[n(17)]
    RoomChanged,
    /// No more people may be in the room, or the account may have no more rooms. No time changes that.
    #[n(18)]
    RoomFull,
    /// The account is not in the room, or there is none.
    #[n(19)]
    NotInRoom,
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum GoodbyeReason {
    /// The server stops.
    #[n(0)]
    ShuttingDown,
    /// A frame was not one.
    #[n(1)]
    Malformed,
    /// A frame was over its limit.
    #[n(2)]
    TooLarge,
    /// No login within the time for it, or nothing heard for too long.
    #[n(3)]
    TimedOut,
    /// The same device has logged in again.
    #[n(4)]
    Replaced,
    /// There are too many connections, in all or from this address, or that one has begun too many of late.
    #[n(5)]
    Limited,
    /// A request came where it could not: before login, or to log in once more.
    #[n(6)]
    OutOfOrder,
}
