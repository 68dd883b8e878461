//! What the core tells unasked.

use serde::{Deserialize, Serialize};

use crate::model::{Address, MessageId, Millis, Nickname};

use super::Message;

/// Something happened. Every subscriber gets every event from its subscription on, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Connected and logged in.
    Connected,
    /// Not connected. Said once for each time the connection is lost or cannot be made.
    Disconnected {
        /// Why, and what to do if anything can be done.
        reason: String,
        /// When the next attempt is due, in milliseconds.
        retry_in_ms: u64,
    },
    /// A message was received and stored, complete. In order for each sender.
    Message(Message),
    /// A message of one's own was stored in the outbox.
    Queued(Message),
    /// The server has a message of one's own, for good.
    Accepted {
        /// Which.
        id: MessageId,
        /// By the server's clock.
        at: Millis,
    },
    /// The server will not take a message of one's own.
    Refused {
        /// Which.
        id: MessageId,
        /// Why, and what to do.
        reason: String,
    },
    /// The server can't take a message of one's own now. It waits in the outbox, and is tried again.
    Delayed {
        /// Which.
        id: MessageId,
        /// Why, and when it is tried again.
        reason: String,
        /// Whose conversation waits with it; everybody's where this is none.
        to: Option<Address>,
        /// Whether it is one's own sending that has reached a limit: it leaves by itself within a minute.
        limited: bool,
    },
    /// The server takes no more for now, and something that was asked of the core waits for that to end.
    Waits {
        /// Why, and when it is tried again.
        reason: String,
    },
    /// Parts of a voice note of one's own have left.
    Uploading {
        /// Which.
        id: MessageId,
        /// Chunks the server has.
        sent: u32,
        /// Chunks in all.
        total: u32,
    },
    /// A voice note that was heard while it was spoken has ended, or goes no further for now: whole, cut off, or
    /// (a notice in its place) withdrawn or not to be relied on.
    LiveEnded(Message),
    /// Someone came or went. Only after [`Command::WatchPresence`](super::Command::WatchPresence).
    Presence {
        /// Who.
        nickname: Nickname,
        /// Whether they are connected now.
        online: bool,
    },
    /// A person has decided about somebody's key.
    Verified {
        /// Whose.
        nickname: Nickname,
        /// Of the key that is known from now on.
        fingerprint: String,
        /// Whether it was compared and found right; otherwise it was only accepted.
        verified: bool,
    },
    /// The keys have been forgotten: somebody has locked the profile. Nothing works any more.
    Locked,
    /// Everything that waited on the server is here.
    Drained,
}
