//! Rooms: conversations of several people, whose members are written down in a chain of signed records.

use std::fmt;
use std::str::FromStr;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{AccountId, DeviceId, Millis, Nickname, NicknameError, RoomId, RosterId};

/// What its members call a room: written like a nickname, and the same in any case. The server never learns it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct RoomName(#[n(0)] Nickname);

impl RoomName {
    /// The name as its founder wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The form that names are compared in.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }
}

impl FromStr for RoomName {
    type Err = NicknameError;

    fn from_str(text: &str) -> Result<Self, NicknameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom something is written to: a person, or the members of a room.
///
/// No nickname has a `#` or a `:`, so that none can be taken for a room.
///
/// ```
/// use tellal::model::Address;
///
/// let room: Address = "#garden".parse()?;
/// assert_eq!(room, "room:Garden".parse::<Address>()?);
/// assert_eq!((room.to_string(), room.written()), ("#garden".to_owned(), "room:garden".to_owned()));
/// assert_eq!("ayşe".parse::<Address>()?.written(), "ayşe");
/// assert!("#".parse::<Address>().is_err());
/// # Ok::<(), tellal::model::NicknameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Address {
    /// One person.
    Person(Nickname),
    /// Everybody in a room.
    Room(RoomName),
}

/// In front of a room's name where scripts and files have it.
const ROOM: &str = "room:";

impl Address {
    /// As scripts and files have it: a nickname, or `room:` and a room's name.
    pub fn written(&self) -> String {
        match self {
            Self::Person(name) => name.as_str().to_owned(),
            Self::Room(name) => format!("{ROOM}{name}"),
        }
    }

    /// The same in the form that names are compared in.
    pub fn folded(&self) -> String {
        match self {
            Self::Person(name) => name.folded().to_owned(),
            Self::Room(name) => format!("{ROOM}{}", name.folded()),
        }
    }

    /// The person, if it is one.
    pub fn person(&self) -> Option<&Nickname> {
        match self {
            Self::Person(name) => Some(name),
            Self::Room(_) => None,
        }
    }

    /// The room, if it is one.
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Person(_) => None,
            Self::Room(name) => Some(name),
        }
    }
}

/// As people are shown it: a nickname, or `#` and a room's name.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => name.fmt(f),
            Self::Room(name) => f.pad(&format!("#{name}")),
        }
    }
}

impl FromStr for Address {
    type Err = NicknameError;

    fn from_str(text: &str) -> Result<Self, NicknameError> {
        match text.strip_prefix(ROOM).or_else(|| text.strip_prefix('#')) {
            Some(room) => room.parse().map(Self::Room),
            None => text.parse().map(Self::Person),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.written()
    }
}

impl TryFrom<String> for Address {
    type Error = NicknameError;

    fn try_from(text: String) -> Result<Self, NicknameError> {
        text.parse()
    }
}

impl From<Nickname> for Address {
    fn from(name: Nickname) -> Self {
        Self::Person(name)
    }
}

impl From<RoomName> for Address {
    fn from(name: RoomName) -> Self {
        Self::Room(name)
    }
}

impl PartialEq<Nickname> for Address {
    fn eq(&self, other: &Nickname) -> bool {
        self.person() == Some(other)
    }
}

/// Whom an envelope is for: in its header, and in the head of the frame that it travels in. Kinds are only ever added.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub enum Conversation {
    /// One account.
    #[n(0)]
    Account(#[n(0)] AccountId),
    /// Whoever was in a room once one of its records was made.
    #[n(1)]
    Room {
        /// The room.
        #[n(0)]
        room: RoomId,
        /// The newest of its records that the sender knew.
        #[n(1)]
        roster: RosterId,
    },
}

impl Conversation {
    /// What the sender's chain is for: the account, or the room as it was after this record.
    pub fn chain(&self) -> [u8; 32] {
        match self {
            Self::Account(account) => *account.as_bytes(),
            Self::Room { roster, .. } => *roster.as_bytes(),
        }
    }
}

impl From<AccountId> for Conversation {
    fn from(account: AccountId) -> Self {
        Self::Account(account)
    }
}

/// One link of a room's chain. Signed by a device of the account that it says something for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RoomRecord {
    /// Always 1.
    #[n(0)]
    pub version: u8,
    /// The room that the chain belongs to; absent in its first record, which the id is the hash of.
    #[n(1)]
    pub room: Option<RoomId>,
    /// Place in the chain, from 0.
    #[n(2)]
    pub index: u32,
    /// The record before this one; absent at index 0.
    #[n(3)]
    pub previous: Option<RosterId>,
    /// When it was made, by its maker's clock.
    #[n(4)]
    pub made_at: Millis,
    /// Who has made it.
    #[n(5)]
    pub account: AccountId,
    /// With which device, whose key has signed.
    #[n(6)]
    pub device: DeviceId,
    /// What it says.
    #[n(7)]
    pub kind: RoomRecordKind,
}

/// What a link of a room's chain says. Kinds are only ever added.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum RoomRecordKind {
    /// The room begins; its maker is in it.
    #[n(0)]
    Founded {
        /// Fresh random bytes, so that no two rooms have one id.
        #[n(0)]
        nonce: ByteArray<32>,
    },
    /// By somebody in the room: this account may come in.
    #[n(1)]
    Invited {
        /// Who, neither in the room nor invited.
        #[n(0)]
        account: AccountId,
    },
    /// By somebody invited: they are in the room.
    #[n(2)]
    Joined,
    /// By somebody in the room, or invited: they are not any more.
    #[n(3)]
    Left,
    /// By the room's founder, who is in it: somebody else is not any more, nor invited.
    #[n(4)]
    Removed {
        /// Who.
        #[n(0)]
        account: AccountId,
    },
}
