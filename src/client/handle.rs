//! The handle that front ends hold: the same whether this process owns the profile or another one does.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::crypto::Passphrase;
use crate::model::{DeviceId, MessageId, Millis, Nickname};

use super::link::Address;
use super::profile::Home;
use super::standing::{Backend, Opening, closed, supervise};
use super::{
    AuditReport, ClientError, Command, Contact, Delivery, Event, KeyStanding, Message, MessageRef, OwnDevice,
    PersonVoice, Reply, Safety, Status,
};

/// How a profile is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The profile's folder.
    pub home: PathBuf,
    /// HOST or HOST:PORT, in place of the server remembered at registration. The pinned fingerprint stays.
    pub server: Option<String>,
    /// What the front end is.
    pub role: Role,
    /// What the profile's secrets are sealed under, if they are and this process is to open them itself.
    pub passphrase: Option<Arc<Passphrase>>,
}

impl Options {
    /// The profile in a folder, for a one-shot command.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), server: None, role: Role::Command, passphrase: None }
    }
}

/// What a front end is. Of `Chat` and `Listen` a profile has one at a time, since both show what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A one-shot command: any number at a time.
    Command,
    /// A conversation on a terminal or in a window.
    Chat,
    /// Hands-free.
    Listen,
}

/// A voice note to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct VoiceNote {
    /// A WAV file, as it is to arrive.
    pub wav: Vec<u8>,
    /// Its length in time.
    pub duration_ms: u64,
    /// Samples per second.
    pub sample_rate: u32,
    /// Loudness over time, at most 64 values.
    pub peaks: Vec<u8>,
}

/// An open profile. Clones are the same one.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What is sent to subscribers.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are events")]
pub(super) enum Signal {
    /// It happened.
    Event(Event),
    /// Something may have happened unseen: read again.
    Resync,
}

/// Events that wait for a slow subscriber before it has to read again.
const EVENTS: usize = 1024;

struct Shared {
    signals: broadcast::Sender<Signal>,
    backend: watch::Sender<Backend>,
    stop: CancellationToken,
    /// Keeps the profile's place for this front end, where this process owns the profile.
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Client {
    /// Opens a profile, whether or not its server can be reached: as its owner, or through the socket of
    /// the process that is.
    ///
    /// # Errors
    /// [`ClientError::NotRegistered`], [`ClientError::Locked`], [`ClientError::WrongPassphrase`],
    /// [`ClientError::Busy`] for a second `Chat` or `Listen`,
    /// [`ClientError::Damaged`] and [`ClientError::File`] for what can't be read.
    pub async fn open(options: Options) -> Result<Self, ClientError> {
        let server = options.server.as_deref().map(address).transpose()?;
        let opening = Opening {
            home: Home::new(options.home).with_passphrase(options.passphrase),
            server,
            role: options.role,
            signals: broadcast::Sender::new(EVENTS),
        };
        let standing = opening.stand().await?;
        let shared = Arc::new(Shared {
            signals: opening.signals.clone(),
            backend: watch::Sender::new(standing.backend()),
            stop: CancellationToken::new(),
            supervisor: Mutex::new(None),
        });
        let supervisor = supervise(opening, standing, shared.backend.clone(), shared.stop.clone());
        *shared.supervisor.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(supervisor));
        Ok(Self { shared })
    }

    /// Asks the core for something without bulk bytes.
    ///
    /// # Errors
    /// Whatever the command can fail with.
    pub async fn call(&self, command: Command) -> Result<Reply, ClientError> {
        self.call_with(command, Vec::new()).await.map(|(reply, _)| reply)
    }

    /// Asks the core for something, bulk bytes beside it in either direction.
    ///
    /// # Errors
    /// Whatever the command can fail with.
    pub async fn call_with(&self, command: Command, bulk: Vec<u8>) -> Result<(Reply, Vec<u8>), ClientError> {
        let bulk = Bytes::from(bulk);
        let mut backend = self.shared.backend.subscribe();
        loop {
            let now = backend.borrow_and_update().clone();
            match now {
                Backend::Owner(engine) => return engine.run(command, bulk).await,
                Backend::Guest(guest) => {
                    if let Ok(answer) = guest.call(command.clone(), bulk.clone()).await {
                        return answer;
                    }
                }
                Backend::Between => {}
                Backend::Closed(error) => return Err(error),
            }
            // Commands can be repeated: the next owner is asked again.
            backend.changed().await.map_err(|_| closed())?;
        }
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        Events {
            signals: self.shared.signals.subscribe(),
            shared: Arc::downgrade(&self.shared),
            waiting: VecDeque::new(),
            begun: Millis::now(),
            seen: None,
        }
    }

    /// Ends it: what others asked through this process is finished first. Without it, dropping the last
    /// clone ends everything too, only less politely.
    pub async fn close(self) {
        self.shared.stop.cancel();
        let supervisor = self.shared.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            // It can only have ended.
            let _ = supervisor.await;
        }
    }

    /// Who this profile is and how it stands.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.call(Command::Status).await? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }

    /// Everybody in the directory.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn users(&self) -> Result<Vec<Contact>, ClientError> {
        match self.call(Command::Users).await? {
            Reply::Contacts(contacts) => Ok(contacts),
            _ => Err(unexpected()),
        }
    }

    /// Drops what somebody sends from now on, here and at the server, or no longer. Whether the server knows
    /// already; otherwise it is told when it is next reached.
    ///
    /// # Errors
    /// [`ClientError::UnknownNickname`], [`ClientError::OwnNickname`]; [`ClientError::Unreachable`] and its like for
    /// somebody who was never met.
    pub async fn block(&self, nickname: &Nickname, blocked: bool) -> Result<bool, ClientError> {
        match self.call(Command::Block { nickname: nickname.clone(), blocked }).await? {
            Reply::Blocked { told } => Ok(told),
            _ => Err(unexpected()),
        }
    }

    /// From now on [`Event::Presence`] tells who comes and goes; those who are online now.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn watch_presence(&self) -> Result<Vec<Contact>, ClientError> {
        match self.call(Command::WatchPresence).await? {
            Reply::Contacts(contacts) => Ok(contacts),
            _ => Err(unexpected()),
        }
    }

    /// Stores a text in the outbox, from where it leaves as soon as it can. See [`Client::accepted`].
    ///
    /// # Errors
    /// [`ClientError::UnknownNickname`] when the server can be asked and knows nobody of that name,
    /// [`ClientError::KeyChanged`], [`ClientError::TooLarge`], [`ClientError::DiskFull`].
    pub async fn send_text(&self, to: &Nickname, text: &str) -> Result<Message, ClientError> {
        let id = MessageId::generate();
        let command = Command::SendText { id, to: to.clone(), text: text.to_owned() };
        one(self.call(command).await?)
    }

    /// Stores a voice note in the outbox. See [`Client::accepted`].
    ///
    /// # Errors
    /// As for [`Client::send_text`]; [`ClientError::TooLarge`] over 10 minutes or 64 MiB.
    pub async fn send_voice(&self, to: &Nickname, note: VoiceNote) -> Result<Message, ClientError> {
        let VoiceNote { wav, duration_ms, sample_rate, peaks } = note;
        let id = MessageId::generate();
        let command = Command::SendVoice { id, to: to.clone(), duration_ms, sample_rate, peaks };
        one(self.call_with(command, wav).await?.0)
    }

    /// Waits for the server's word about a message of one's own, for as long as that takes. When it came,
    /// by the server's clock.
    ///
    /// # Errors
    /// [`ClientError::Refused`]; [`ClientError::NoSuchMessage`].
    pub async fn accepted(&self, id: MessageId) -> Result<Millis, ClientError> {
        let mut events = self.events();
        loop {
            let message = self.message(MessageRef::Id(id)).await?;
            match message.delivery {
                Some(Delivery::Accepted) => return Ok(message.received_at.unwrap_or(message.sent_at)),
                Some(Delivery::Refused { reason }) => return Err(ClientError::Refused { reason }),
                Some(Delivery::Queued) => {}
                None => return Err(ClientError::NoSuchMessage),
            }
            if !events.moved(id).await {
                return Err(unexpected());
            }
        }
    }

    /// Waits until everything that waits on the server is here, voice notes included.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn drain(&self) -> Result<(), ClientError> {
        self.call(Command::Drain).await.map(drop)
    }

    /// Messages that no front end has shown yet, oldest first.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn unshown(&self) -> Result<Vec<Message>, ClientError> {
        many(self.call(Command::Unshown).await?)
    }

    /// Notes that messages have been shown, by their numbers.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn mark_shown(&self, numbers: &[u64]) -> Result<(), ClientError> {
        self.call(Command::MarkShown { numbers: numbers.to_vec() }).await.map(drop)
    }

    /// The newest messages, oldest of them first: all of them, or those with one person, or with all
    /// these words.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn history(
        &self,
        with: Option<&Nickname>,
        search: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Message>, ClientError> {
        let command = Command::History { with: with.cloned(), search: search.map(str::to_owned), limit };
        many(self.call(command).await?)
    }

    /// Messages numbered above this one, oldest first.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn since(&self, number: u64) -> Result<Vec<Message>, ClientError> {
        many(self.call(Command::Since { number }).await?)
    }

    /// One message.
    ///
    /// # Errors
    /// [`ClientError::NoSuchMessage`].
    pub async fn message(&self, which: MessageRef) -> Result<Message, ClientError> {
        one(self.call(Command::Message { which }).await?)
    }

    /// A voice note and its WAV file.
    ///
    /// # Errors
    /// [`ClientError::NoSuchMessage`], [`ClientError::NotVoice`].
    pub async fn audio(&self, which: MessageRef) -> Result<(Message, Vec<u8>), ClientError> {
        match self.call_with(Command::Audio { which }, Vec::new()).await? {
            (Reply::Audio(message), wav) => Ok((message, wav)),
            _ => Err(unexpected()),
        }
    }

    /// Reads and verifies the server's transparency log anew; with `accept`, takes it as it is now for the one to
    /// hold the server to.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn audit(&self, accept: bool) -> Result<AuditReport, ClientError> {
        match self.call(Command::Audit { accept }).await? {
            Reply::Audit(report) => Ok(report),
            _ => Err(unexpected()),
        }
    }

    /// Whose key was compared, or has changed, as far as is known here: everybody else's is neither.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn standings(&self) -> Result<Vec<KeyStanding>, ClientError> {
        match self.call(Command::Standings).await? {
            Reply::Standings(standings) => Ok(standings),
            _ => Err(unexpected()),
        }
    }

    /// The safety number with somebody, and how it stands with their key.
    ///
    /// # Errors
    /// [`ClientError::UnknownNickname`]; for somebody never met, [`ClientError::Unreachable`] and its like.
    pub async fn safety(&self, with: &Nickname) -> Result<Safety, ClientError> {
        safety(self.call(Command::Safety { nickname: with.clone() }).await?)
    }

    /// Marks somebody's key as compared and found right, if `code` is the safety number.
    ///
    /// # Errors
    /// [`ClientError::WrongCode`]; otherwise as for [`Client::safety`].
    pub async fn verify(&self, with: &Nickname, code: &str) -> Result<Safety, ClientError> {
        safety(self.call(Command::Verify { nickname: with.clone(), code: code.to_owned() }).await?)
    }

    /// Takes the key that has turned up for somebody in place of the known one: the one that was last shown, by
    /// [`Client::safety`], [`Client::users`], an error, or a notice that was marked as shown. Where none has turned up,
    /// nothing changes.
    ///
    /// # Errors
    /// [`ClientError::KeyChanged`] with the key that would be accepted, where it was not shown before; otherwise as for
    /// [`Client::safety`].
    pub async fn accept_change(&self, with: &Nickname) -> Result<Safety, ClientError> {
        safety(self.call(Command::AcceptChange { nickname: with.clone() }).await?)
    }

    /// Notes how far a message was heard, by its number: where listening to a note was left off, and whether it was
    /// heard to its end, or as far as it has come.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn mark_heard(
        &self,
        number: u64,
        position: std::time::Duration,
        listened: bool,
    ) -> Result<(), ClientError> {
        let position_ms = u64::try_from(position.as_millis()).unwrap_or(u64::MAX);
        self.call(Command::MarkHeard { number, position_ms, listened }).await.map(drop)
    }

    /// Notes that messages are to be heard by themselves, by their numbers, or need not be any more. Until they have
    /// been heard, [`Client::to_hear`] has them, whatever becomes of this process.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn mark_to_hear(&self, numbers: &[u64], to_hear: bool) -> Result<(), ClientError> {
        self.call(Command::MarkToHear { numbers: numbers.to_vec(), to_hear }).await.map(drop)
    }

    /// What was to be heard and was not, of one person or of all, oldest first.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn to_hear(&self, from: Option<&Nickname>) -> Result<Vec<Message>, ClientError> {
        many(self.call(Command::ToHear { from: from.cloned() }).await?)
    }

    /// The voice note that comes next in the same conversation, received and not listened to.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn next_voice(&self, after: u64) -> Result<Option<Message>, ClientError> {
        Ok(many(self.call(Command::NextVoice { after }).await?)?.into_iter().next())
    }

    /// Replaces the message key now, in place of waiting until it is a week old.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn renew_message_key(&self) -> Result<(), ClientError> {
        self.call(Command::RenewMessageKey).await.map(drop)
    }

    /// Puts new keys in the place of all that the account has: identity, device, message key. Contacts see a changed
    /// key that the old one vouches for.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like; the next opening goes on then where it broke off.
    pub async fn rekey(&self) -> Result<(), ClientError> {
        self.call(Command::Rekey).await.map(drop)
    }

    /// The devices of one's own account, as the server's directory and its log have them.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn devices(&self) -> Result<Vec<OwnDevice>, ClientError> {
        match self.call(Command::Devices).await? {
            Reply::Devices(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }

    /// Takes a device from one's own account. When this returns, directory and log show that it is gone.
    ///
    /// # Errors
    /// [`ClientError::NoSuchDevice`], [`ClientError::ThisDevice`], [`ClientError::LastDevice`];
    /// [`ClientError::Unreachable`] and its like: the next connection goes on then where it broke off.
    pub async fn remove_device(&self, device: DeviceId) -> Result<(), ClientError> {
        self.call(Command::RemoveDevice { device }).await.map(drop)
    }

    /// Ends the account for good. Its nickname stays taken.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and its like.
    pub async fn revoke(&self) -> Result<(), ClientError> {
        self.call(Command::Revoke).await.map(drop)
    }

    /// How many messages of each person no front end has shown.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn unread(&self) -> Result<Vec<(Nickname, u64)>, ClientError> {
        match self.call(Command::Unread).await? {
            Reply::Unread(counts) => Ok(counts),
            _ => Err(unexpected()),
        }
    }

    /// How somebody sounds.
    ///
    /// # Errors
    /// [`ClientError::UnknownNickname`] when the server can be asked and knows nobody of that name.
    pub async fn voice_of(&self, nickname: &Nickname) -> Result<PersonVoice, ClientError> {
        match self.call(Command::VoiceOf { nickname: nickname.clone() }).await? {
            Reply::Voice(voice) => Ok(voice),
            _ => Err(unexpected()),
        }
    }

    /// Keeps how somebody is to sound; `None`: as usual again.
    ///
    /// # Errors
    /// [`ClientError::UnknownNickname`] for somebody who was never met and is not in the directory.
    pub async fn set_voice_of(&self, nickname: &Nickname, voice: Option<String>) -> Result<(), ClientError> {
        self.call(Command::SetVoiceOf { nickname: nickname.clone(), voice }).await.map(drop)
    }
}

/// A subscription to what happens. It loses no message, however slowly it is read.
pub struct Events {
    signals: broadcast::Receiver<Signal>,
    shared: Weak<Shared>,
    /// What was read again.
    waiting: VecDeque<Event>,
    begun: Millis,
    /// The highest message number that came by, once one has.
    seen: Option<u64>,
}

impl Events {
    /// The next event; `None` once the client is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.signals.recv().await {
                Ok(Signal::Event(event)) => {
                    if self.is_new(&event) {
                        return Some(event);
                    }
                }
                Ok(Signal::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => self.read_again().await?,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Whether a message is behind all that came by; other events always are. Notes its number.
    fn is_new(&mut self, event: &Event) -> bool {
        let (Event::Message(message) | Event::Queued(message)) = event else { return true };
        let new = self.seen.is_none_or(|seen| message.number > seen);
        self.seen = self.seen.max(Some(message.number));
        new
    }

    /// What may have been missed. For a subscription that has seen nothing yet, that is what has come since
    /// it began and no front end has shown.
    async fn read_again(&mut self) -> Option<()> {
        let client = Client { shared: self.shared.upgrade()? };
        let messages = match self.seen {
            Some(seen) => client.since(seen).await,
            None => client.unshown().await.map(|mut messages| {
                messages.retain(|message| message.received_at >= Some(self.begun));
                messages
            }),
        };
        for message in messages.unwrap_or_default() {
            self.seen = self.seen.max(Some(message.number));
            let own = message.delivery.is_some();
            self.waiting.push_back(if own { Event::Queued(message) } else { Event::Message(message) });
        }
        Some(())
    }

    /// Waits until something may have changed for a message. `false` once the client is closed.
    async fn moved(&mut self, message: MessageId) -> bool {
        loop {
            match self.signals.recv().await {
                Ok(Signal::Event(Event::Accepted { id, .. } | Event::Refused { id, .. }))
                    if id == message =>
                {
                    return true;
                }
                Ok(Signal::Event(_)) => {}
                Ok(Signal::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}

/// Reads HOST or HOST:PORT.
pub(crate) fn address(text: &str) -> Result<Address, ClientError> {
    text.parse().map_err(|_| ClientError::Unreachable {
        server: text.to_owned(),
        cause: "that is not HOST or HOST:PORT".to_owned(),
    })
}

fn one(reply: Reply) -> Result<Message, ClientError> {
    match reply {
        Reply::Message(message) => Ok(message),
        _ => Err(unexpected()),
    }
}

fn safety(reply: Reply) -> Result<Safety, ClientError> {
    match reply {
        Reply::Safety(safety) => Ok(safety),
        _ => Err(unexpected()),
    }
}

fn many(reply: Reply) -> Result<Vec<Message>, ClientError> {
    match reply {
        Reply::Messages(messages) => Ok(messages),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> ClientError {
    ClientError::Internal("the core gave a reply of another kind".to_owned())
}
