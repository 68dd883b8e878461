//! What the core can be asked, and its replies. Both travel between processes as JSON, bulk bytes beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::{AccountId, Color, DeviceId, LogCertificate, MessageId, Millis, Nickname};

use super::live::Ending;
use super::{ClientError, Message, OwnDevice};
use crate::crypto::{Evidence, TwoLogKeys};

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
        to: Nickname,
        /// The words.
        text: String,
    },
    /// Store a voice note, the bulk bytes: a WAV file as it is to arrive. Otherwise like `SendText`.
    SendVoice {
        /// The new message's id.
        id: MessageId,
        /// To whom.
        to: Nickname,
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
        /// Only with this person.
        with: Option<Nickname>,
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
        /// Only of this person.
        from: Option<Nickname>,
    },
    /// The voice note that comes next in the same conversation, received and not listened to. Reply:
    /// [`Reply::Messages`], one or none.
    NextVoice {
        /// After this number.
        after: u64,
    },
    /// How many messages of each person no front end has shown. Reply: [`Reply::Unread`].
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
    /// Unshown messages by person.
    Unread(Vec<(Nickname, u64)>),
    /// How somebody sounds.
    Voice(PersonVoice),
    /// How it stands with keys.
    Standings(Vec<KeyStanding>),
    /// How it stands with somebody's key.
    Safety(Safety),
}

/// What a person's voice is made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PersonVoice {
    /// Their identity; none for somebody who was never met.
    pub account: Option<AccountId>,
    /// What was chosen for them, in front ends' words.
    pub chosen: Option<String>,
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

/// Something that the transparency log has brought to light.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is.
    pub alarm: AlarmKind,
    /// Whose name it is about, if it is about one.
    pub nickname: Option<Nickname>,
    /// In words: what was found, and what to do.
    pub text: String,
    /// When it was found.
    pub at: Millis,
    /// Whether whoever uses this profile has seen it and went on.
    pub accepted: bool,
}

/// What the transparency log can bring to light.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Somebody registered a key in one's own name.
    OwnName,
    /// Somebody who has one's own identity key has changed one's own account.
    OwnAccount,
    /// A name has a second account.
    SecondChain,
    /// A look-up's answer is not in the log.
    NotInLog,
    /// One's own account is not in the log.
    OwnMissing,
    /// The server has signed two logs that contradict each other. There is evidence.
    Forked,
    /// The log is shorter than it was.
    RolledBack,
    /// The server has signed a longer log for somebody else.
    Withheld,
    /// The server's leaves are not what it has signed.
    Contradicts,
    /// The server no longer shows the log whose key is pinned. There may be evidence.
    LogLost,
    /// The server's key has signed for two log keys. There is evidence.
    TwoLogKeys,
}

impl AlarmKind {
    const ALL: [Self; 11] = [
        Self::OwnName,
        Self::OwnAccount,
        Self::SecondChain,
        Self::NotInLog,
        Self::OwnMissing,
        Self::Forked,
        Self::RolledBack,
        Self::Withheld,
        Self::Contradicts,
        Self::LogLost,
        Self::TwoLogKeys,
    ];

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnName => "own_name",
            Self::OwnAccount => "own_account",
            Self::SecondChain => "second_chain",
            Self::NotInLog => "not_in_log",
            Self::OwnMissing => "own_missing",
            Self::Forked => "forked",
            Self::RolledBack => "rolled_back",
            Self::Withheld => "withheld",
            Self::Contradicts => "contradicts",
            Self::LogLost => "log_lost",
            Self::TwoLogKeys => "two_log_keys",
        }
    }

    /// Whether it tells of something that happens, and can happen anew after it was accepted. Others tell of how things
    /// are, such as that the log has a second account of a name, which is found again whenever the log is read anew.
    pub(super) fn recurs(self) -> bool {
        matches!(self, Self::Forked | Self::RolledBack | Self::Withheld | Self::Contradicts | Self::LogLost)
    }

    /// What [`AlarmKind::word`] says. Words of a newer program read as the vaguest kind.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Contradicts)
    }
}

/// How the server's transparency log stands, as far as this profile has verified it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// The log's public key, as tools for signed notes take it.
    pub log_key: Option<String>,
    /// Whose key that is.
    pub log_certificate: Option<CertificateReport>,
    /// Leaves of the newest verified checkpoint.
    pub size: u64,
    /// Its root hash, in hexadecimal.
    pub root: Option<String>,
    /// The signed checkpoint.
    pub checkpoint: Option<String>,
    /// Whether the whole log was just verified anew, with proofs from the server.
    pub rechecked: bool,
    /// Everything that was found wrong, ever.
    pub alarms: Vec<Alarm>,
    /// Proofs of it that others can check: logs that contradict each other.
    pub evidence: Vec<EvidenceReport>,
    /// Likewise: two log keys of one server.
    pub two_log_keys: Vec<TwoLogKeysReport>,
}

/// What a server's TLS key has signed of its log's key, for whoever is shown it: `tellal log key v1`, a zero byte, the
/// 32 bytes of the server's id, and those of the log's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateReport {
    /// The server's id, in hexadecimal.
    pub server: String,
    /// The log's key (Ed25519), in base64.
    pub log_key: String,
    /// Its fingerprint: `SHA256:…` of those bytes.
    pub log_fingerprint: String,
    /// The SPKI of the server's TLS key, in base64.
    pub tls_key: String,
    /// Its fingerprint, as the server prints it.
    pub tls_fingerprint: String,
    /// How that key has signed: a TLS SignatureScheme (RFC 8446, section 4.2.3).
    pub scheme: u16,
    /// Its signature, in base64.
    pub signature: String,
}

impl From<LogCertificate> for CertificateReport {
    fn from(certificate: LogCertificate) -> Self {
        Self {
            server: certificate.server.to_string(),
            log_key: STANDARD.encode(certificate.log_key),
            log_fingerprint: certificate.log_key_id().fingerprint(),
            tls_key: STANDARD.encode(certificate.tls_key.as_slice()),
            tls_fingerprint: certificate.tls_key_id().fingerprint(),
            scheme: certificate.scheme,
            signature: STANDARD.encode(certificate.signature.as_slice()),
        }
    }
}

/// Two certificates by one TLS key for two log keys of one server, for whoever is shown them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TwoLogKeysReport {
    /// What this profile was shown first.
    pub one: CertificateReport,
    /// What it, or somebody else, was shown.
    pub other: CertificateReport,
}

impl From<TwoLogKeys> for TwoLogKeysReport {
    fn from(proven: TwoLogKeys) -> Self {
        Self { one: proven.one.into(), other: proven.other.into() }
    }
}

/// Two checkpoints signed by the log's key that contradict each other, for whoever is shown them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// The signed checkpoint of the smaller log.
    pub smaller: String,
    /// That of the larger one.
    pub larger: String,
    /// What the larger log's first leaves, as many as the smaller has, hash to: in base64, and not the smaller
    /// one's root.
    pub root: String,
    /// The consistency proof from that root to the larger log (RFC 6962, section 2.1.2), in base64.
    pub proof: Vec<String>,
}

impl From<Evidence> for EvidenceReport {
    fn from(evidence: Evidence) -> Self {
        Self {
            root: STANDARD.encode(*evidence.root),
            proof: evidence.proof.iter().map(|hash| STANDARD.encode(**hash)).collect(),
            smaller: evidence.smaller,
            larger: evidence.larger,
        }
    }
}

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
    /// What there is to be wary of: a changed key, a name that looks like another's.
    pub warning: Option<String>,
    /// A changed key that waits for a decision.
    pub key_change: Option<KeyChange>,
}
