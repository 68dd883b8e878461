//! What the core can be asked, and its replies. Both travel between processes as JSON, bulk bytes beside it.

use serde::{Deserialize, Serialize};

use crate::model::{AccountId, Address, Color, DeviceId, MessageId, Nickname, RoomName};

use super::live::Ending;
use super::{AuditReport, ClientError, Contact, KeyStanding, Message, OwnDevice, PersonVoice, Room, Safety};

/// A request to the core.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Who this profile is and how it stands. Reply: [`Reply::Status`].
    Status,
    /// Everybody in the directory. Needs the server. Reply: [`Reply::Contacts`].
    Users,
    /// Drop what somebody sends from now on, here and at the server, or no longer. Reply: [`Reply::Blocked`].
    Block {
        /// Who.
        nickname: Nickname,
        /// Whether it is to be dropped.
        blocked: bool,
    },
    /// From now on tell who comes and goes. Reply: [`Reply::Contacts`], those online.
    WatchPresence,
    /// Store a text in the outbox. Repeating it with the same id is harmless. Reply: [`Reply::Message`]; then
    /// [`Event::Accepted`](super::Event::Accepted) or [`Event::Refused`](super::Event::Refused).
    SendText {
        /// The new message's id.
        id: MessageId,
        /// To whom.
        to: Address,
        /// The words.
        text: String,
    },
    /// Store a voice note, the bulk bytes: a WAV file as it is to arrive. Otherwise like `SendText`.
    SendVoice {
        /// The new message's id.
        id: MessageId,
        /// To whom.
        to: Address,
        /// Its length in time.
        duration_ms: u64,
        /// Samples per second.
        sample_rate: u32,
        /// Loudness over time, at most 64 values.
        peaks: Vec<u8>,
    },
    /// Begin a voice note that is heard while it is spoken. Repeating it with the same id is harmless. Reply:
    /// [`Reply::Message`]; `LiveGroup` and `EndLive` follow. [`Event::Accepted`](super::Event::Accepted) comes when
    /// the server has all of it.
    BeginLive {
        /// The new message's id.
        id: MessageId,
        /// To whom: somebody else.
        to: Nickname,
    },
    /// Store the next group of its sound, the bulk bytes: 400 ms of 16-bit little-endian samples, mono, 16 kHz.
    /// Repeating it is harmless. Where none comes for 10 s, the note is cut off. Reply: [`Reply::Done`].
    LiveGroup {
        /// The message's id.
        id: MessageId,
        /// From 0.
        index: u32,
    },
    /// End it. The bulk bytes are its last samples, less than a group. Reply: [`Reply::Message`].
    EndLive {
        /// The message's id.
        id: MessageId,
        /// How.
        ending: Ending,
    },
    /// Sound of a voice note that may still be coming, from behind the first so many groups: as soon as there is
    /// any, or after 2 s without. Reply: [`Reply::LiveSound`], the samples as bulk bytes.
    LiveSound {
        /// Which.
        which: MessageRef,
        /// Groups that are known.
        after: u32,
    },
    /// Messages that no front end has shown yet, oldest first. Reply: [`Reply::Messages`].
    Unshown,
    /// A front end has shown these. Reply: [`Reply::Done`].
    MarkShown {
        /// Their numbers.
        numbers: Vec<u64>,
    },
    /// Wait until everything that waits on the server is here, voice notes included. Reply: [`Reply::Done`].
    Drain,
    /// The newest messages of the history, oldest of them first. Reply: [`Reply::Messages`].
    History {
        /// Only with this person, or in this room.
        with: Option<Address>,
        /// Only those with all these words.
        search: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// Messages numbered above this one, oldest first. Reply: [`Reply::Messages`].
    Since {
        /// The last number that is known.
        number: u64,
    },
    /// One message. Reply: [`Reply::Message`].
    Message {
        /// Which.
        which: MessageRef,
    },
    /// The WAV file of a voice note. Reply: [`Reply::Audio`], the file as bulk bytes.
    Audio {
        /// Which.
        which: MessageRef,
    },
    /// Replace the message key now. Needs the server. Reply: [`Reply::Done`].
    RenewMessageKey,
    /// Put new keys in the place of all that the account has. Needs the server. Reply: [`Reply::Done`].
    Rekey,
    /// The devices of one's own account. Needs the server. Reply: [`Reply::Devices`].
    Devices,
    /// Take a device from one's own account. Needs the server. Reply: [`Reply::Done`].
    RemoveDevice {
        /// Which; not the one that this is.
        device: DeviceId,
    },
    /// End the account for good. Needs the server. Reply: [`Reply::Done`].
    Revoke,
    /// Forget all keys and end. Only for a profile with a passphrase. Reply: [`Reply::Done`].
    Lock,
    /// Note how far a message was heard. A voice note that was heard to its end stays listened, and nothing that was
    /// is to be heard any more. One that was heard as far as it has come, and of which more may come, is to be heard
    /// once more has. Reply: [`Reply::Done`].
    MarkHeard {
        /// Its number.
        number: u64,
        /// Where listening was left off; 0 for texts. At the end of all that there will be it is not kept.
        position_ms: u64,
        /// Whether it was heard to its end, or as far as it has come.
        listened: bool,
    },
    /// Note that messages are to be heard by themselves, 1000 at most, or need not be any more. Until they have been
    /// heard, [`Command::ToHear`] has them. Reply: [`Reply::Done`].
    MarkToHear {
        /// Their numbers.
        numbers: Vec<u64>,
        /// Whether they are.
        to_hear: bool,
    },
    /// What was to be heard and was not, oldest first. Reply: [`Reply::Messages`].
    ToHear {
        /// Only of the conversation with this person, or in this room.
        from: Option<Address>,
    },
    /// The voice note that comes next in the same conversation, received and not listened to. Reply:
    /// [`Reply::Messages`], one or none.
    NextVoice {
        /// After this number.
        after: u64,
    },
    /// How many messages of each conversation no front end has shown. Reply: [`Reply::Unread`].
    Unread,
    /// Read and verify the whole transparency log anew. Needs the server. Reply: [`Reply::Audit`].
    Audit {
        /// Take the log as it is now for the one to hold the server to, and the alarms as seen.
        accept: bool,
    },
    /// How somebody sounds. Reply: [`Reply::Voice`].
    VoiceOf {
        /// Whose voice.
        nickname: Nickname,
    },
    /// Keep how somebody is to sound. Reply: [`Reply::Done`].
    SetVoiceOf {
        /// Whose voice.
        nickname: Nickname,
        /// In front ends' words, of which the core understands nothing; none for the usual.
        voice: Option<String>,
    },
    /// Whose key was compared, or has changed, as far as is known here. Reply: [`Reply::Standings`].
    Standings,
    /// The safety number with somebody, and how it stands with their key. Reply: [`Reply::Safety`].
    Safety {
        /// With whom.
        nickname: Nickname,
    },
    /// Mark somebody's key as compared and found right. Reply: [`Reply::Safety`].
    Verify {
        /// Whose.
        nickname: Nickname,
        /// The safety number as it was read out: 60 digits, white space between them.
        code: String,
    },
    /// Take the key that has turned up for somebody in place of the known one. Reply: [`Reply::Safety`].
    AcceptChange {
        /// Whose.
        nickname: Nickname,
    },
    /// The rooms that this profile is in, invited to, or was in. Reply: [`Reply::Rooms`].
    Rooms,
    /// Found a room. Needs the server. Reply: [`Reply::Room`].
    CreateRoom {
        /// What it is to be called.
        name: RoomName,
    },
    /// Come into a room that one is invited to. Needs the server. Reply: [`Reply::Room`].
    JoinRoom {
        /// What it is called.
        name: RoomName,
        /// What it is to be called here, where another room has that name.
        as_name: Option<RoomName>,
        /// Whose invitation is meant, where several people have invited one into rooms of that name.
        from: Option<Nickname>,
    },
    /// Leave a room, or turn an invitation down. Needs the server. Reply: [`Reply::Room`].
    LeaveRoom {
        /// Which.
        name: RoomName,
        /// Whose invitation is turned down, where that is meant though one is in a room of that name.
        from: Option<Nickname>,
    },
    /// Invite somebody into a room that one is in. Needs the server. Reply: [`Reply::Room`].
    Invite {
        /// Into which.
        room: RoomName,
        /// Whom.
        nickname: Nickname,
    },
    /// Remove somebody from a room that one has founded, or take their invitation back. Needs the server. Reply:
    /// [`Reply::Room`].
    RemoveFromRoom {
        /// From which.
        room: RoomName,
        /// Whom.
        nickname: Nickname,
    },
}

/// A message as people name it.
///
/// ```
/// use tellal::client::MessageRef;
///
/// assert_eq!("#12".parse::<MessageRef>()?, MessageRef::Number(12));
/// assert_eq!("last".parse::<MessageRef>()?, MessageRef::Last);
/// assert!("the one of yesterday".parse::<MessageRef>().is_err());
/// # Ok::<(), tellal::client::ClientError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRef {
    /// By its id.
    Id(MessageId),
    /// By its number in this profile's history.
    Number(u64),
    /// The newest voice note, or for reading aloud the newest text, received.
    Last,
}

impl std::str::FromStr for MessageRef {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if text == "last" {
            return Ok(Self::Last);
        }
        let digits = text.strip_prefix('#').unwrap_or(text);
        digits
            .parse()
            .map(Self::Number)
            .or_else(|_| text.parse().map(Self::Id))
            .map_err(|_| ClientError::NotAMessageRef { text: text.to_owned() })
    }
}

/// The answer to a [`Command`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
pub enum Reply {
    /// Done; there is nothing to add.
    Done,
    /// How things stand.
    Status(Status),
    /// People.
    Contacts(Vec<Contact>),
    /// It is so here; at the server too, or as soon as it is reached.
    Blocked {
        /// Whether the server knows.
        told: bool,
    },
    /// One message.
    Message(Message),
    /// Messages.
    Messages(Vec<Message>),
    /// The message that the bulk bytes beside this belong to.
    Audio(Message),
    /// A voice note that may still be coming.
    LiveSound {
        /// As it stands.
        message: Message,
        /// Groups that are known now.
        groups: u32,
    },
    /// The transparency log.
    Audit(AuditReport),
    /// The devices of one's own account, the first one first.
    Devices(Vec<OwnDevice>),
    /// Unshown messages by conversation.
    Unread(Vec<(Address, u64)>),
    /// How somebody sounds.
    Voice(PersonVoice),
    /// How it stands with keys.
    Standings(Vec<KeyStanding>),
    /// How it stands with somebody's key.
    Safety(Safety),
    /// Rooms.
    Rooms(Vec<Room>),
    /// A room as it is now.
    Room(Room),
}

/// Who a profile is and how it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The name it is registered under.
    pub nickname: Nickname,
    /// Its account.
    pub account: AccountId,
    /// The identity key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// Its colour.
    pub color: Color,
    /// The server, as HOST:PORT.
    pub server: String,
    /// The server's fingerprint, as pinned; none where the system's roots vouch for the server.
    pub server_fingerprint: Option<String>,
    /// Whether it is connected and logged in now.
    pub connected: bool,
    /// Messages in the outbox.
    pub queued: u64,
    /// How far the server's clock is ahead of this machine's, in milliseconds, at the last login.
    pub clock_ahead_ms: Option<i64>,
}
