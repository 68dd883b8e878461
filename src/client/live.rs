//! Voice notes that are heard while they are spoken: one that is being spoken here, and one that comes from there.

use serde::{Deserialize, Serialize};

use crate::model::{MessageId, Nickname, limits};

use super::{Body, Client, ClientError, Command, Message, MessageRef, Reply};

/// A voice note that is being spoken. What was pushed is durable, and on its way. Dropping it without an end cuts it
/// off after a while.
pub struct LiveNote {
    client: Client,
    message: Message,
    /// Groups that have been stored.
    groups: u32,
    /// Bytes of samples that don't make a group yet.
    rest: Vec<u8>,
}

/// How a voice note that is heard while it is spoken ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its speaker was done.
    Done,
    /// A fault cut it off; what was said is kept.
    CutOff,
    /// Its speaker took it back: nothing is kept of it.
    Withdrawn,
}

/// The sound of a voice note as it comes.
pub struct LiveSound {
    client: Client,
    which: MessageRef,
    groups: u32,
    message: Option<Message>,
}

impl Client {
    /// Begins a voice note that is heard while it is spoken. It goes on whether or not the server can be reached.
    ///
    /// # Errors
    /// As for [`Client::send_text`].
    pub async fn begin_live(&self, to: &Nickname) -> Result<LiveNote, ClientError> {
        self.begin_live_as(MessageId::generate(), to).await
    }

    /// The same, under an id that is known before.
    ///
    /// # Errors
    /// As for [`Client::begin_live`].
    pub async fn begin_live_as(&self, id: MessageId, to: &Nickname) -> Result<LiveNote, ClientError> {
        let command = Command::BeginLive { id, to: to.clone() };
        let message = message(self.call(command).await?)?;
        Ok(LiveNote { client: self.clone(), message, groups: 0, rest: Vec::new() })
    }

    /// The sound of a voice note, from its beginning to its end, as it comes.
    pub fn live_sound(&self, which: MessageRef) -> LiveSound {
        LiveSound { client: self.clone(), which, groups: 0, message: None }
    }
}

impl LiveNote {
    /// The message, as it was at the beginning.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Adds samples: mono, 16 kHz. Those that make up 400 ms are durable when this returns.
    ///
    /// # Errors
    /// [`ClientError::NoteEnded`] when nothing was pushed for 10 s, the server has refused it, or 10 minutes are over;
    /// [`ClientError::DiskFull`].
    pub async fn push(&mut self, samples: &[i16]) -> Result<(), ClientError> {
        self.rest.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        while let Some((group, _)) = self.rest.split_at_checked(limits::LIVE_GROUP) {
            let command = Command::LiveGroup { id: self.message.id, index: self.groups };
            self.client.call_with(command, group.to_vec()).await?;
            self.groups += 1;
            self.rest.drain(..limits::LIVE_GROUP);
        }
        Ok(())
    }

    /// Ends it. See [`Client::accepted`] for when the server has all of it.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn finish(self) -> Result<Message, ClientError> {
        self.end(Ending::Done).await
    }

    /// Takes it back. What was heard was heard; nothing of it is kept, and those who listen are told.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn withdraw(self) -> Result<Message, ClientError> {
        self.end(Ending::Withdrawn).await
    }

    /// Ends it, however.
    ///
    /// # Errors
    /// When the profile can't be written.
    pub async fn end(self, ending: Ending) -> Result<Message, ClientError> {
        let command = Command::EndLive { id: self.message.id, ending };
        message(self.client.call_with(command, self.rest).await?.0)
    }
}

impl LiveSound {
    /// The next samples, mono, 16 kHz, all of them signed by its sender's device; `None` at its end. None for a while
    /// is an empty piece.
    ///
    /// # Errors
    /// [`ClientError::NoSuchMessage`]; when the profile can't be read.
    pub async fn next(&mut self) -> Result<Option<Vec<i16>>, ClientError> {
        let command = Command::LiveSound { which: self.which, after: self.groups };
        let (Reply::LiveSound { message, groups }, bytes) =
            self.client.call_with(command, Vec::new()).await?
        else {
            return Err(ClientError::Internal("the core gave a reply of another kind".to_owned()));
        };
        let over = !matches!(message.body, Body::Voice { live: true, .. });
        // `last` may come to mean another one.
        self.which = MessageRef::Number(message.number);
        (self.groups, self.message) = (groups, Some(message));
        let samples: Vec<i16> = bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
        Ok(if over && samples.is_empty() { None } else { Some(samples) })
    }

    /// The message as it stood at the last piece.
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }
}

fn message(reply: Reply) -> Result<Message, ClientError> {
    match reply {
        Reply::Message(message) => Ok(message),
        _ => Err(ClientError::Internal("the core gave a reply of another kind".to_owned())),
    }
}
