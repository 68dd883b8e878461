//! A voice note of a conversation that is heard while it is spoken.

use tokio::sync::{oneshot, watch};

use super::ChatError;
use super::talk::{Done, Talk};
use crate::audio::sound::Blocks;
use crate::client::{Body, ClientError, Ending, Message};
use crate::model::{Address, MessageId, Nickname};
use crate::terminal::dictation::Dictation;
use crate::terminal::floor::Taken;
use crate::terminal::line::{duration, voice};
use crate::terminal::live::{self, BLOCK};

/// A note that is being spoken.
pub(super) struct Live {
    id: MessageId,
    /// Who hears it.
    to: Nickname,
    /// Tells how it ends, once it has begun.
    ending: Option<oneshot::Sender<Ending>>,
}

/// One that has just begun.
pub(super) struct Begun {
    id: MessageId,
    to: Nickname,
    blocks: Blocks,
    ends: oneshot::Receiver<Ending>,
}

impl Live {
    /// One that is about to begin.
    pub(super) fn new(id: MessageId, to: Nickname) -> Self {
        Self { id, to, ending: None }
    }

    /// Whether anybody can hear it.
    pub(super) fn has_begun(&self) -> bool {
        self.ending.is_some()
    }

    /// The microphone is open.
    pub(super) fn begin(&mut self, dictation: &Dictation) -> Begun {
        let (ending, ends) = oneshot::channel();
        self.ending = Some(ending);
        Begun { id: self.id, to: self.to.clone(), blocks: dictation.sound().blocks(BLOCK), ends }
    }
}

impl Talk {
    /// Lets somebody hear what is recorded, as it is.
    pub(super) fn speak_live(&mut self, begun: Begun) {
        let Begun { id, to: nickname, blocks, ends } = begun;
        let to: Address = nickname.clone().into();
        self.await_outcome(id, &to, watch::Sender::new(()));
        // Until it is said how it ends: otherwise it would be cut off, or not taken back.
        self.under_way += 1;
        let done = self.done.clone();
        self.spawn(move |client| async move {
            let begun = client.begin_live_as(id, &nickname).await;
            let (note, result) = match begun {
                Ok(note) => (Some(note), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // The conversation may have ended.
            let _ = done.send(Done::Stored { id, to: to.clone(), result, kept: None });
            let result = match note {
                Some(note) => Some(live::speak(note, blocks, ends).await),
                None => None,
            };
            Done::Spoken { id, to, result }
        });
    }

    /// Ends it, or takes it back.
    pub(super) fn end_speaking(
        &mut self,
        dictation: Dictation,
        live: Option<Live>,
        floor: Option<Taken>,
        send: bool,
    ) {
        self.busy(false);
        let Some(Live { id, ending: Some(ending), .. }) = live else { return };
        if send {
            tokio::spawn(async move {
                let lost = dictation.end().await.map_or(true, |take| take.lost.is_some());
                // Nothing is heard before the microphone is closed.
                drop(floor);
                // It may have been ended already.
                let _ = ending.send(if lost { Ending::CutOff } else { Ending::Done });
            });
        } else {
            let _ = ending.send(Ending::Withdrawn);
            drop(dictation);
            self.unsent.remove(&id);
            self.words("taken back: what was heard was heard, and nothing is kept");
        }
    }

    /// It can't be spoken any more.
    pub(super) fn stop_speaking(&mut self, id: MessageId) {
        let taking = self.sound.taking.as_ref();
        if taking.and_then(|taking| taking.live.as_ref()).is_some_and(|live| live.id == id) {
            self.sound.taking = None;
            self.busy(false);
        }
    }

    /// What was heard while it was spoken here is over.
    pub(super) fn spoken(
        &mut self,
        id: MessageId,
        to: &Address,
        result: Option<Result<Message, ClientError>>,
    ) {
        self.stop_speaking(id);
        let Some(result) = result else { return };
        match result.map(|message| message.body) {
            Ok(Body::Voice { duration_ms, cut_off, .. }) => {
                let cut_off = if cut_off { "; it was cut off" } else { "" };
                self.words(&format!("spoken to {to}, {}{cut_off}", duration(duration_ms)));
            }
            Ok(Body::Text { .. } | Body::Notice { .. } | Body::Invitation { .. }) => {}
            Err(error) => self.words(&error.to_string()),
        }
    }

    /// Somebody's voice note that was heard while it was spoken is over.
    pub(super) async fn live_ended(&mut self, message: &Message) -> Result<(), ChatError> {
        if let Some(aloud) = &self.sound.aloud {
            aloud.ended(message).await?;
        }
        if message.from != self.view.me {
            let words = match &message.body {
                Body::Voice { duration_ms, live, cut_off, .. } => {
                    let what = voice(*duration_ms, *live, *cut_off);
                    format!("{} has ended: {what} (/play {})", message.from, message.number)
                }
                Body::Text { text } | Body::Notice { text } => format!("{}: {text}", message.number),
                Body::Invitation { .. } => return Ok(()),
            };
            self.words(&words);
        }
        Ok(())
    }
}
