//! Rooms as front ends see them: who is in them, and how one stands to them oneself.

use serde::{Deserialize, Serialize};

use crate::model::{Color, Millis, Nickname, RoomId, RoomName};

use super::KeyChange;

/// A room that this profile is in, invited to, or was in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Room {
    /// What it is called here.
    pub name: RoomName,
    /// Which it is, whatever it is called.
    pub id: RoomId,
    /// How one stands to it oneself.
    pub standing: RoomStanding,
    /// Who has founded it, and may remove others.
    pub founder: Nickname,
    /// By whom one was invited; none in a room that one has founded.
    pub invited_by: Option<Nickname>,
    /// Who is in it, or invited, in the order in which they were invited; of a room that one has left, as it was then.
    pub members: Vec<RoomMember>,
    /// Since when one stands to it so, by the clock of whoever has brought it about.
    pub since: Millis,
}

/// How one stands to a room oneself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomStanding {
    /// In it.
    Member,
    /// Invited, and not in it.
    Invited,
    /// Not in it any more: one has left, or was removed.
    Left,
}

/// Somebody in a room, or invited.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomMember {
    /// The name.
    pub nickname: Nickname,
    /// The colour.
    pub color: Color,
    /// Whether they are in it; otherwise they are invited.
    pub joined: bool,
    /// The identity key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// Whether that fingerprint was compared and found right.
    pub verified: bool,
    /// A changed key that waits for a decision: nothing is sent to them meanwhile, here neither.
    pub key_change: Option<KeyChange>,
    /// Whether this is oneself.
    pub you: bool,
}
