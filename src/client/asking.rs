//! What front ends ask of a profile: a method for each [`Command`], which knows the kind of its reply.

use crate::crypto::SafetyNumber;
use crate::model::{Address, DeviceId, MessageId, Millis, Nickname, RoomName};

use super::{
    AuditReport, Client, ClientError, Command, Contact, Delivery, KeyStanding, Message, MessageRef,
    OwnDevice, PersonVoice, Reply, Room, Safety, Status,
};

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

impl Client {
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

    /// From now on [`Event::Presence`](super::Event::Presence) tells who comes and goes; those who are online now.
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
    /// [`ClientError::NotInRoom`], [`ClientError::KeyChanged`], [`ClientError::TooLarge`], [`ClientError::DiskFull`].
    pub async fn send_text(&self, to: &Address, text: &str) -> Result<Message, ClientError> {
        let id = MessageId::generate();
        let command = Command::SendText { id, to: to.clone(), text: text.to_owned() };
        one(self.call(command).await?)
    }

    /// Stores a voice note in the outbox. See [`Client::accepted`].
    ///
    /// # Errors
    /// As for [`Client::send_text`]; [`ClientError::TooLarge`] over 10 minutes or 64 MiB.
    pub async fn send_voice(&self, to: &Address, note: VoiceNote) -> Result<Message, ClientError> {
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
                return Err(self.status().await.err().unwrap_or_else(unexpected));
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

    /// The newest messages, oldest of them first: all of them, or those with one person or in one room,
    /// or with all these words.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn history(
        &self,
        with: Option<&Address>,
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
    /// [`ClientError::WrongCode`], [`ClientError::NotACode`]; otherwise as for [`Client::safety`].
    pub async fn verify(&self, with: &Nickname, code: &str) -> Result<Safety, ClientError> {
        SafetyNumber::check(code).map_err(|digits| ClientError::NotACode { digits })?;
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

    /// What was to be heard and was not, of one conversation or of all, oldest first.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn to_hear(&self, from: Option<&Address>) -> Result<Vec<Message>, ClientError> {
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

    /// How many messages of each conversation no front end has shown.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn unread(&self) -> Result<Vec<(Address, u64)>, ClientError> {
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

    /// The rooms that this profile is in, invited to, or was in.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn rooms(&self) -> Result<Vec<Room>, ClientError> {
        match self.call(Command::Rooms).await? {
            Reply::Rooms(rooms) => Ok(rooms),
            _ => Err(unexpected()),
        }
    }

    /// Founds a room.
    ///
    /// # Errors
    /// When a room of that name is here already; [`ClientError::Unreachable`] and its like.
    pub async fn create_room(&self, name: &RoomName) -> Result<Room, ClientError> {
        room(self.call(Command::CreateRoom { name: name.clone() }).await?)
    }

    /// Comes into a room that one is invited to; it is called `as_name` here, or as its invitation says. `from`: whose
    /// invitation is meant.
    ///
    /// # Errors
    /// [`ClientError::NotInvited`] where there is no invitation, [`ClientError::SeveralInvitations`] where there are ones into
    /// several rooms and it is not said whose is meant; when a room of that name is here already;
    /// [`ClientError::Unreachable`] and its like.
    pub async fn join_room(
        &self,
        name: &RoomName,
        as_name: Option<&RoomName>,
        from: Option<&Nickname>,
    ) -> Result<Room, ClientError> {
        let (name, as_name, from) = (name.clone(), as_name.cloned(), from.cloned());
        room(self.call(Command::JoinRoom { name, as_name, from }).await?)
    }

    /// Leaves a room, or turns an invitation down: that of `from` somebody where one is in a room of that name, too.
    ///
    /// # Errors
    /// [`ClientError::NotInRoom`]; [`ClientError::Unreachable`] and its like.
    pub async fn leave_room(&self, name: &RoomName, from: Option<&Nickname>) -> Result<Room, ClientError> {
        room(self.call(Command::LeaveRoom { name: name.clone(), from: from.cloned() }).await?)
    }

    /// Invites somebody into a room that one is in.
    ///
    /// # Errors
    /// [`ClientError::NotInRoom`], [`ClientError::UnknownNickname`], [`ClientError::KeyChanged`];
    /// [`ClientError::Unreachable`] and its like.
    pub async fn invite(&self, to: &RoomName, nickname: &Nickname) -> Result<Room, ClientError> {
        room(self.call(Command::Invite { room: to.clone(), nickname: nickname.clone() }).await?)
    }

    /// Removes somebody from a room that one has founded, or takes their invitation back.
    ///
    /// # Errors
    /// [`ClientError::NotInRoom`]; [`ClientError::Unreachable`] and its like.
    pub async fn remove_from_room(&self, from: &RoomName, nickname: &Nickname) -> Result<Room, ClientError> {
        room(self.call(Command::RemoveFromRoom { room: from.clone(), nickname: nickname.clone() }).await?)
    }
}

fn room(reply: Reply) -> Result<Room, ClientError> {
    match reply {
        Reply::Room(room) => Ok(room),
        _ => Err(unexpected()),
    }
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
