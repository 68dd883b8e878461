//! A message as front ends see it. Its JSON form is the contract of `docs/json.md`.

use serde::{Deserialize, Serialize};

use crate::model::{Address, Color, MessageId, Millis, Nickname, RoomName};

/// A message of the local history, received or sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The id its sender gave it.
    pub id: MessageId,
    /// Its number in this profile's history: short enough to type, never used twice.
    pub number: u64,
    /// Who wrote it.
    pub from: Nickname,
    /// Whom it was written to: a person, or a room.
    pub to: Address,
    /// Its content, tagged by `kind`.
    #[serde(flatten)]
    pub body: Body,
    /// When it was sent, by its sender's clock, which its signature covers.
    pub sent_at: Millis,
    /// When it was stored here; for a message of one's own, when the server accepted it.
    pub received_at: Option<Millis>,
    /// Whether the identity key that it came under is the one known for its sender now, and was compared and found
    /// right. Never of a message of one's own, nor of a notice.
    pub verified: bool,
    /// Whether it came under another identity key than the one known for its sender now, and than those of the same
    /// account that were known before it.
    pub key_changed: bool,
    /// Its place in the mailbox it came from; absent for a message of one's own and for a notice.
    pub seq: Option<u64>,
    /// Where a message of one's own stands; absent for a received one.
    pub delivery: Option<Delivery>,
    /// Whether its date is far from when it arrived.
    pub late: bool,
    /// The sender's colour.
    pub color: Color,
}

impl Message {
    /// The conversation that it belongs to: a room's, or the one with the other person.
    pub fn conversation(&self) -> Address {
        match &self.to {
            Address::Person(_) if self.delivery.is_none() => self.from.clone().into(),
            to => to.clone(),
        }
    }
}

#[cfg(test)]
impl Message {
    /// One that ayşe has written to burak, for unit tests.
    pub(crate) fn example(body: Body) -> Self {
        Self {
            id: MessageId::from_bytes([1; 16]),
            number: 12,
            from: "ayşe".parse().unwrap(),
            to: "burak".parse().unwrap(),
            body,
            sent_at: Millis(1_795_233_600_000),
            received_at: Some(Millis(1_795_233_601_000)),
            verified: false,
            key_changed: false,
            seq: Some(7),
            delivery: None,
            late: false,
            color: "green".parse().unwrap(),
        }
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Words. As they came: front ends must not print them raw.
    Text {
        /// The words.
        text: String,
    },
    /// A voice note, all of which is here and matches its hash, unless it is `live` or `cut_off`.
    Voice {
        /// Its length in time.
        duration_ms: u64,
        /// Samples per second.
        sample_rate: u32,
        /// Bytes of the WAV file.
        size: u64,
        /// Loudness over time, 0 to 255, evenly spaced: for drawing.
        peaks: Vec<u8>,
        /// It is being spoken, or its sound is still coming: there is no length yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        live: bool,
        /// It ends where a fault cut it off.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut_off: bool,
        /// Whether it was heard to its end on this profile.
        listened: bool,
        /// Where listening was left off.
        position_ms: u64,
    },
    /// The way into a room.
    Invitation {
        /// What the one who invites calls it.
        room: RoomName,
    },
    /// Something the client has to say about a conversation: a gap, a changed key, what could not be opened.
    Notice {
        /// In words.
        text: String,
    },
}

impl Body {
    /// A voice note that nobody has listened to.
    pub(crate) fn voice(duration_ms: u64, sample_rate: u32, size: u64, peaks: Vec<u8>) -> Self {
        let (live, cut_off, listened, position_ms) = (false, false, false, 0);
        Self::Voice { duration_ms, sample_rate, size, peaks, live, cut_off, listened, position_ms }
    }

    /// One that is being spoken, of which nothing is here yet.
    pub(crate) fn live(sample_rate: u32) -> Self {
        let (duration_ms, size, peaks) = (0, 0, Vec::new());
        let (live, cut_off, listened, position_ms) = (true, false, false, 0);
        Self::Voice { duration_ms, sample_rate, size, peaks, live, cut_off, listened, position_ms }
    }
}

/// Where a message of one's own stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    /// Stored here, and leaves when the server can be reached.
    Queued,
    /// The server has it, for good.
    Accepted,
    /// The server will not take it.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}
