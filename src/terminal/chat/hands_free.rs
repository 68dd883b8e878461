//! Hearing a conversation with eyes closed: more, again, slower, what is unread, whose voice, replies.

use tokio::time::timeout;

use super::ChatError;
use super::command::Heard;
use super::render::Marks;
use super::talk::Talk;
use super::typed::ASKING;
use crate::client::MessageRef;
use crate::model::{Address, Nickname};
use crate::terminal::aloud::Aloud;
use crate::terminal::dictation::Options;
use crate::terminal::voice_of::{self, Wish};

impl Talk {
    /// Does something with what is heard now, or was heard last.
    pub(super) fn hearing(&mut self, what: Heard) {
        let Some(aloud) = &self.sound.aloud else {
            self.words("nothing has been heard yet: /speak on reads what arrives aloud");
            return;
        };
        match what {
            Heard::More if !aloud.more() => self.words("there is no more"),
            Heard::More => {}
            Heard::Again if !aloud.repeat() => self.words("nothing has been heard yet"),
            Heard::Again => {}
            Heard::Slower => aloud.slower(),
            Heard::Faster => aloud.faster(),
        }
    }

    /// Shows and hears what is new, of one conversation or of all.
    pub(super) async fn hear_unread(&mut self, from: Option<Address>) -> Result<(), ChatError> {
        let people = match &from {
            Some(from) => vec![from.clone()],
            None => self.people.with_news().map(|person| person.address.clone()).collect(),
        };
        let mut messages = Vec::new();
        for person in people {
            let new = std::mem::take(&mut self.people.get_or_add(&person).new);
            for number in new {
                messages.push(self.client.message(MessageRef::Number(number)).await?);
            }
        }
        messages.sort_by_key(|message| message.number);
        for message in &messages {
            self.show(message, Marks { new: true, number: true })?;
        }
        let numbers: Vec<u64> = messages.iter().map(|message| message.number).collect();
        self.to_hear(&numbers).await?;
        self.settle(numbers);
        // What is shown already, but was stopped or kept back, comes with it.
        let heard = self.hear_kept(from.as_ref()).await?;
        if messages.is_empty() && heard == 0 {
            self.words("nothing is unread");
        }
        Ok(())
    }

    /// Shows or changes how somebody sounds, and says their name so.
    pub(super) async fn voice_of(&mut self, nickname: Nickname, wish: &Wish) {
        match timeout(ASKING, voice_of::of(&self.client, &nickname, wish)).await {
            Err(_) => {
                self.words(&format!(
                    "the server does not answer, and {nickname} is not known here: try again later"
                ));
            }
            Ok(Ok(voice)) => {
                self.words(&format!("{nickname} sounds like this: {voice}"));
                self.aloud(true).name(&nickname);
            }
            Ok(Err(error)) => self.words(&error.to_string()),
        }
    }

    /// Begins to record a reply in the conversation of what was heard last.
    pub(super) fn reply(&mut self) {
        match self.sound.aloud.as_ref().and_then(Aloud::last_conversation) {
            Some(from) => self.record(Some(from), Options::default(), false),
            None => self.words("nobody has been heard yet: /voice records for the one you talk to"),
        }
    }
}
