//! People as front ends see them: who is in the directory, how it stands with their keys, how they sound.

use serde::{Deserialize, Serialize};

use crate::model::{AccountId, Color, Millis, Nickname};

/// Someone in the directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// The name.
    pub nickname: Nickname,
    /// Whether a device of theirs is connected now.
    pub online: bool,
    /// The identity key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// Whether that fingerprint was compared and found right.
    pub verified: bool,
    /// The colour.
    pub color: Color,
    /// When they registered, by their own clock.
    pub since: Millis,
    /// Whether this is oneself.
    pub me: bool,
    /// Whether what they send is dropped.
    pub blocked: bool,
    /// What there is to be wary of: a changed key, a name that looks like another's, somebody known whom the server does
    /// not show any more.
    pub warning: Option<String>,
    /// A changed key that waits for a decision.
    pub key_change: Option<KeyChange>,
}

/// Whether somebody's key was compared, or has changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyStanding {
    /// Whose.
    pub nickname: Nickname,
    /// Whether it was compared and found right, and nothing speaks against it.
    pub verified: bool,
    /// Another key that has turned up and waits for a decision.
    pub key_change: Option<KeyChange>,
}

/// An identity key that has turned up in place of the known one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyChange {
    /// The fingerprint that is known, `SHA256:…`.
    pub known: String,
    /// The one that is shown now.
    pub shown: String,
    /// When it was seen first, by this machine's clock.
    pub since: Millis,
    /// Whether the known key has signed for the new one.
    pub vouched: bool,
}

/// How it stands with somebody's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Safety {
    /// Whose.
    pub nickname: Nickname,
    /// The safety number: 60 digits, the same on both sides.
    pub number: String,
    /// The known key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// One's own.
    pub own_fingerprint: String,
    /// Whether the number was compared and found right.
    pub verified: bool,
    /// Another key that has turned up and waits for a decision.
    pub key_change: Option<KeyChange>,
    /// The safety number with that one.
    pub new_number: Option<String>,
}

/// What a person's voice is made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PersonVoice {
    /// Their identity; none for somebody who was never met.
    pub account: Option<AccountId>,
    /// What was chosen for them, in front ends' words.
    pub chosen: Option<String>,
}
