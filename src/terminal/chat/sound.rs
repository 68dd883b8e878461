//! What is heard of a conversation, and what is recorded for it. Nothing here is opened before it is asked for,
//! and nothing that is missing stops a text.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ChatError;
use super::talk::{Done, Outgoing, Pending, Talk};
use crate::audio::sound::Blocks;
use crate::audio::{AudioError, Cue, Note, Recorder, Recording, Speaker, recorder};
use crate::client::{Body, ClientError, Ending, Message, MessageRef};
use crate::model::{MessageId, Nickname};
use crate::speech::Speech;
use crate::terminal::aloud::Aloud;
use crate::terminal::line::duration;
use crate::terminal::live::{self, BLOCK};

/// The longest recording.
const LONGEST: Duration = Duration::from_secs(600);
/// How often the level is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// When the level is first said, and how often after that.
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(30);
/// Texts that tell which language people write.
const LEARNT: u32 = 100;

/// Loudspeaker, voice and microphone of a conversation.
pub(super) struct Sound {
    pub(super) speaker: Speaker,
    aloud: Option<Aloud>,
    /// What arrives is heard.
    speaking: bool,
    /// What is being recorded, and for whom.
    pub(super) taking: Option<Taking>,
}

/// A recording under way.
pub(super) struct Taking {
    pub(super) to: Nickname,
    /// Absent until the microphone is open.
    pub(super) recording: Option<Recording>,
    /// It is heard while it is spoken.
    live: Option<Live>,
    /// When the level is looked at next.
    pub(super) look: Instant,
    /// When it is said next, in time recorded.
    say: Duration,
    loudest: f32,
}

/// A note that is heard while it is spoken.
struct Live {
    id: MessageId,
    /// Tells how it ends, once it has begun.
    ending: Option<oneshot::Sender<Ending>>,
}

impl Sound {
    pub(super) fn new(speaker: Speaker) -> Self {
        Self { speaker, aloud: None, speaking: false, taking: None }
    }
}

impl Talk {
    /// Plays a sound of the program's own.
    pub(super) fn cue(&mut self, cue: Option<Cue>) {
        cue.into_iter().for_each(|cue| self.sound.speaker.cue(cue));
    }

    /// Says once what is wrong with the loudspeaker.
    pub(super) fn say_trouble(&mut self) {
        if let Some(trouble) = self.sound.speaker.take_trouble() {
            self.words(&trouble.to_string());
        }
    }

    fn aloud(&mut self, speech: bool) -> &Aloud {
        let done = self.done.clone();
        let speaker = self.sound.speaker.clone();
        self.sound.aloud.get_or_insert_with(|| {
            let tell = move |words: &str| drop(done.send(Done::Said(words.to_owned())));
            Aloud::new(speaker, speech.then(Speech::new), false, tell)
        })
    }

    /// Falls silent at once.
    pub(super) fn hush(&mut self) {
        self.sound.aloud.iter().for_each(Aloud::stop);
    }

    /// Reads what arrives aloud from now on, or no longer.
    pub(super) async fn speak(&mut self, on: bool) -> Result<(), ChatError> {
        self.sound.speaking = on;
        // With a voice it is another queue.
        self.sound.aloud = None;
        if !on {
            self.words("what arrives is not read aloud any more");
            return Ok(());
        }
        let texts = self.client.history(None, None, LEARNT).await?;
        let me = self.view.me.clone();
        let aloud = self.aloud(true);
        for message in texts.iter().filter(|message| message.from != me) {
            if let Body::Text { text } = &message.body {
                aloud.learn(&message.from, text);
            }
        }
        aloud.prepare();
        self.words("what arrives is read aloud; any key is silence");
        Ok(())
    }

    /// Fetches something to be heard.
    pub(super) fn fetch(&self, which: MessageRef, voice: bool) {
        self.spawn(move |client| async move {
            Done::Fetched(if voice {
                client.audio(which).await.map(|(message, wav)| (message, Some(wav)))
            } else {
                client.message(which).await.map(|message| (message, None))
            })
        });
    }

    /// Something to be heard is here.
    pub(super) fn hear(&mut self, message: &Message, wav: Option<Vec<u8>>) {
        match (&message.body, wav) {
            (Body::Voice { live: true, .. }, _) => {
                let client = self.client.clone();
                // Nobody waits for its end.
                drop(self.aloud(false).live(&client, message));
            }
            (Body::Voice { duration_ms, .. }, Some(wav)) => {
                let from = if message.from == self.view.me { "you" } else { message.from.as_str() };
                let words =
                    format!("playing voice note {} from {from}, {}", message.number, duration(*duration_ms));
                self.words(&words);
                let from = message.from.clone();
                // Nobody waits for its end.
                drop(self.aloud(false).note(&from, wav));
            }
            (Body::Text { text }, _) => {
                if !self.sound.speaking && self.sound.aloud.is_some() {
                    // The queue for notes alone has no voice.
                    self.sound.aloud = None;
                }
                let from = message.from.clone();
                drop(self.aloud(true).text(&from, text));
            }
            (Body::Voice { .. }, None) => self.fetch(MessageRef::Number(message.number), true),
            (Body::Notice { .. }, _) => self.words("that is a remark of tellal's own: it is not read aloud"),
        }
    }

    /// Whether it is heard while it is spoken.
    pub(super) fn is_heard_live(&self, message: &Message) -> bool {
        self.sound.speaking
            && message.from != self.view.me
            && matches!(message.body, Body::Voice { live: true, .. })
    }

    /// Hears what has just arrived, if that is wanted.
    pub(super) fn hear_arrival(&mut self, message: &Message) {
        if self.is_heard_live(message) {
            let client = self.client.clone();
            // Nobody waits for its end.
            drop(self.aloud(true).live(&client, message));
            return;
        }
        if self.sound.speaking && message.from != self.view.me && !matches!(message.body, Body::Notice { .. })
        {
            self.hear(message, None);
        }
    }

    /// Begins to record, to be heard after the end or `live`.
    pub(super) fn record(&mut self, live: bool) {
        let Some(to) = self.with.clone() else {
            self.words("for whom? /to NICK first");
            return;
        };
        if self.sound.taking.is_some() {
            self.words("it is being recorded already: Enter sends it, /cancel does not");
            return;
        }
        // The loudspeaker is not to be recorded.
        self.hush();
        let look = Instant::now() + LOOK;
        let live = live.then(|| Live { id: MessageId::generate(), ending: None });
        self.sound.taking = Some(Taking { to, recording: None, live, look, say: FIRST, loudest: 0.0 });
        self.spawn(|_| async { Done::Recording(Recorder::start(recorder::Options::default()).await) });
    }

    /// The microphone is open, or is not.
    pub(super) fn recording(&mut self, started: Result<Recording, AudioError>) {
        match (started, &mut self.sound.taking) {
            (Ok(recording), Some(taking)) => {
                let to = taking.to.clone();
                let mut words = format!("recording for {to}: Enter sends it, /cancel does not");
                let mut begun = None;
                if let Some(live) = &mut taking.live {
                    words = format!("speaking to {to}: Enter ends it, /cancel takes it back");
                    let (ending, ends) = oneshot::channel();
                    live.ending = Some(ending);
                    begun = Some((live.id, recording.sound().blocks(BLOCK), ends));
                }
                taking.recording = Some(recording);
                if let Some((id, blocks, ends)) = begun {
                    self.speak_live(id, to, blocks, ends);
                }
                self.words(&words);
            }
            (Ok(recording), None) => recording.cancel(),
            (Err(error), _) => {
                self.sound.taking = None;
                self.words(&error.to_string());
            }
        }
    }

    /// Looks at the level, and says it now and then. Ends a recording that has reached its limit.
    pub(super) fn look_at_level(&mut self) {
        let Some(taking) = &mut self.sound.taking else { return };
        taking.look = Instant::now() + LOOK;
        let Some(recording) = &taking.recording else { return };
        taking.loudest = taking.loudest.max(recording.level());
        let elapsed = recording.elapsed();
        if elapsed >= LONGEST {
            self.words("10 minutes are over");
            self.end_recording(true);
            return;
        }
        if elapsed < taking.say {
            return;
        }
        taking.say = elapsed + AGAIN;
        let level = level(std::mem::take(&mut taking.loudest));
        let time = duration(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.words(&format!("{time} recorded, {level}"));
    }

    /// Ends the recording: the note is sent, or forgotten.
    pub(super) fn end_recording(&mut self, send: bool) {
        match self.sound.taking.take() {
            None => self.words("nothing is being recorded: /voice begins"),
            Some(Taking { recording: Some(recording), live: Some(live), .. }) => {
                self.end_speaking(recording, live, send);
            }
            Some(Taking { recording: Some(recording), to, .. }) if send => {
                self.spawn(|_| async move {
                    Done::Recorded { to, note: recording.finish().await.and_then(|take| take.note()) }
                });
            }
            Some(_) => self.words("not sent: what was recorded is forgotten"),
        }
    }

    /// Lets somebody hear what is recorded, as it is.
    fn speak_live(&mut self, id: MessageId, to: Nickname, blocks: Blocks, ends: oneshot::Receiver<Ending>) {
        self.unsent.insert(id, Pending { stored: false, told: false });
        let begun = self.done.clone();
        self.spawn(move |client| async move {
            let note = match client.begin_live_as(id, &to).await {
                Ok(note) => note,
                Err(error) => return Done::Stored { id, to, result: Err(error) },
            };
            // The conversation may have ended.
            let _ = begun.send(Done::Stored { id, to: to.clone(), result: Ok(()) });
            let result = live::speak(note, blocks, ends).await;
            Done::Spoken { id, to, result }
        });
    }

    fn end_speaking(&mut self, recording: Recording, live: Live, send: bool) {
        let Some(ending) = live.ending else { return };
        if send {
            tokio::spawn(async move {
                let lost = recording.finish().await.map_or(true, |take| take.lost.is_some());
                // It may have been ended already.
                let _ = ending.send(if lost { Ending::CutOff } else { Ending::Done });
            });
        } else {
            let _ = ending.send(Ending::Withdrawn);
            recording.cancel();
            self.unsent.remove(&live.id);
            self.words("taken back: what was heard was heard, and nothing is kept");
        }
    }

    /// It can't be spoken any more.
    pub(super) fn stop_speaking(&mut self, id: MessageId) {
        let is_it = |taking: &Taking| taking.live.as_ref().is_some_and(|live| live.id == id);
        if self.sound.taking.as_ref().is_some_and(is_it) {
            self.sound.taking = None;
            self.ask();
        }
    }

    /// What was heard while it was spoken is over.
    pub(super) fn spoken(&mut self, id: MessageId, to: &Nickname, result: Result<Message, ClientError>) {
        self.stop_speaking(id);
        match result.map(|message| message.body) {
            Ok(Body::Voice { duration_ms, cut_off, .. }) => {
                let cut_off = if cut_off { "; it was cut off" } else { "" };
                self.words(&format!("spoken to {to}, {}{cut_off}", duration(duration_ms)));
            }
            Ok(Body::Text { .. } | Body::Notice { .. }) => {}
            Err(error) => self.words(&error.to_string()),
        }
    }

    /// A note is ready.
    pub(super) fn recorded(&mut self, to: Nickname, note: Result<Note, AudioError>) {
        match note {
            Ok(note) => {
                let words = format!("voice note for {to}, {}", duration(note.duration_ms));
                self.words(&words);
                self.send_out(to, Outgoing::Voice(note));
            }
            Err(error) => self.words(&format!("not sent: {error}")),
        }
    }
}

/// A level from 0 to 1, in words.
fn level(loudest: f32) -> &'static str {
    match loudest {
        ..0.005 => "silence: is the microphone muted?",
        ..0.05 => "very quiet: closer to the microphone, perhaps",
        ..0.98 => "level good",
        _ => "too loud: a little further away, perhaps",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_said_in_words() {
        assert!(level(0.0).contains("muted"));
        assert!(level(0.01).contains("quiet"));
        assert_eq!(level(0.3), "level good");
        assert!(level(1.0).contains("loud"));
    }
}
