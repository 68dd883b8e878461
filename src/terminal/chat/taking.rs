//! What is recorded for a conversation.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::live::Live;
use super::talk::{Done, Outgoing, Talk};
use crate::audio::{AudioError, Note};
use crate::model::{Address, MessageId};
use crate::terminal::aloud::Aloud;
use crate::terminal::dictation::{Dictation, Options, Recorded};
use crate::terminal::floor::{Floor, Taken};
use crate::terminal::line::duration;
use crate::terminal::unsent;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// When the level is first said, and how often after that.
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(30);
/// What can be done while it is recorded.
const HOW: &str = "Enter sends it, space pauses, /listen plays it, /cancel forgets it";

/// A recording, and for whom.
pub(super) struct Taking {
    /// Tells it from one that was begun before.
    id: MessageId,
    pub(super) to: Address,
    pub(super) stage: Stage,
    /// When it is looked at next.
    pub(super) look: Instant,
    /// When the level is said next, in time recorded.
    say: Duration,
    /// What arrives waits until this ends.
    floor: Option<Taken>,
    /// It is heard while it is spoken.
    pub(super) live: Option<Live>,
}

/// How far it has come.
pub(super) enum Stage {
    /// The microphone is not open yet.
    Opening,
    /// It is recorded.
    Recording(Box<Dictation>),
    /// It has ended by itself, which has been said.
    Ended(Box<Dictation>),
    /// Nobody is heard in it: it is sent only when that is wanted all the same.
    Silent(Note),
}

impl Taking {
    /// Whether the microphone is not open yet.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening)
    }
}

impl Talk {
    /// Begins to record, for somebody or the one whom the prompt names; to be heard after the end or `live`.
    pub(super) fn record(&mut self, to: Option<Address>, options: Options, live: bool) {
        let Some(to) = to.or_else(|| self.addressee()) else {
            self.words("for whom? /to NICK first");
            return;
        };
        if self.sound.taking.is_some() {
            self.words(&format!("it is being recorded already: {HOW}"));
            return;
        }
        let id = MessageId::generate();
        let live = match (live, to.person()) {
            (false, _) => None,
            (true, Some(nickname)) => Some(Live::new(id, nickname.clone())),
            (true, None) => {
                self.words("a room hears a voice note once it is recorded: /voice records one");
                return;
            }
        };
        let look = Instant::now() + LOOK;
        let floor = Floor::of(&self.sound.home);
        let taken = Some(floor.take());
        // The loudspeaker is not to be recorded. What was heard, and what waits, goes on afterwards.
        self.sound.aloud.iter().for_each(Aloud::give_way);
        let taking =
            Taking { id, to: to.clone(), stage: Stage::Opening, look, say: FIRST, floor: taken, live };
        self.sound.taking = Some(taking);
        self.spawn(move |client| async move {
            if let Err(error) = unsent::check_known(&client, &to).await {
                return Done::Recording { id, started: Err(format!("nothing is recorded: {error}")) };
            }
            floor.silence().await;
            let started = Dictation::start(options).await.map_err(|error| error.to_string());
            Done::Recording { id, started }
        });
    }

    /// The microphone is open, or is not.
    pub(super) fn recording(&mut self, id: MessageId, started: Result<Dictation, String>) {
        match (started, self.sound.taking.as_mut().filter(|taking| taking.id == id)) {
            (Ok(dictation), Some(taking)) => {
                let words = match &mut taking.live {
                    None => format!("recording for {}: {HOW}", taking.to),
                    Some(_) => format!("speaking to {}: Enter ends it, /cancel takes it back", taking.to),
                };
                let begun = taking.live.as_mut().map(|live| live.begin(&dictation));
                taking.stage = Stage::Recording(Box::new(dictation));
                self.busy(true);
                self.words(&words);
                if let Some(begun) = begun {
                    self.speak_live(begun);
                }
            }
            (Err(error), Some(_)) => {
                self.sound.taking = None;
                self.words(&error);
            }
            // Given up before it was open; another may have been begun since.
            (_, None) => {}
        }
    }

    /// Looks at how it goes, and says it now and then.
    pub(super) fn look_at_level(&mut self) {
        let Some(taking) = &mut self.sound.taking else { return };
        taking.look = Instant::now() + LOOK;
        let mut words = Vec::new();
        match &mut taking.stage {
            Stage::Recording(dictation) => {
                words = dictation.look();
                if dictation.elapsed() >= taking.say {
                    taking.say = dictation.elapsed() + AGAIN;
                    words.push(dictation.line(true));
                }
            }
            Stage::Ended(dictation) => words = dictation.look(),
            Stage::Opening | Stage::Silent(_) => {}
        }
        if let Stage::Recording(dictation) = &mut taking.stage
            && dictation.has_ended()
        {
            if taking.live.is_some() {
                // It is at an end for those who hear it, too.
                words.push(dictation.end_in_words());
                words.iter().for_each(|words| self.words(words));
                self.end_recording(true);
                return;
            }
            words.push(format!(
                "{}: Enter sends it, /listen plays it, /cancel forgets it",
                dictation.end_in_words()
            ));
            taking.stage = match std::mem::replace(&mut taking.stage, Stage::Opening) {
                Stage::Recording(dictation) => Stage::Ended(dictation),
                other => other,
            };
        }
        words.iter().for_each(|words| self.words(words));
    }

    /// Pauses the recording, or goes on. Whether there is one.
    pub(super) fn pause_recording(&mut self) -> bool {
        let live = self.sound.taking.as_ref().is_some_and(|taking| taking.live.is_some());
        let words = match self.sound.taking.as_mut().map(|taking| &mut taking.stage) {
            None => return false,
            Some(_) if live => "what is heard while you speak can't be paused: Enter ends it".to_owned(),
            Some(Stage::Recording(dictation)) => dictation.toggle(),
            Some(_) => "nothing is being recorded now: Enter sends what there is".to_owned(),
        };
        self.words(&words);
        true
    }

    /// Lets what was recorded so far be heard.
    pub(super) fn listen_to_recording(&mut self) {
        let speaker = self.sound.cues.speaker().clone();
        let live = self.sound.taking.as_ref().is_some_and(|taking| taking.live.is_some());
        let words = match self.sound.taking.as_mut().map(|taking| &mut taking.stage) {
            Some(_) if live => "it is being heard by somebody else already".to_owned(),
            Some(Stage::Recording(dictation) | Stage::Ended(dictation)) => {
                format!("{}; Enter sends it", dictation.listen(&speaker))
            }
            Some(_) => "there is nothing to be heard".to_owned(),
            None => "nothing is being recorded: /voice begins; /play plays a note that came".to_owned(),
        };
        self.words(&words);
    }

    /// Ends the recording: the note is sent, or forgotten.
    pub(super) fn end_recording(&mut self, send: bool) {
        let Some(taking) = self.sound.taking.take() else {
            self.words("nothing is being recorded: /voice begins");
            return;
        };
        let Taking { id, to, stage, floor, live, .. } = taking;
        match stage {
            Stage::Recording(dictation) | Stage::Ended(dictation) if live.is_some() => {
                self.end_speaking(*dictation, live, floor, send);
            }
            Stage::Recording(dictation) | Stage::Ended(dictation) if send => {
                if dictation.wants_review() {
                    self.sound.taking = Some(Taking {
                        id,
                        to,
                        stage: Stage::Recording(dictation),
                        look: Instant::now(),
                        say: AGAIN,
                        floor,
                        live: None,
                    });
                    self.listen_to_recording();
                    return;
                }
                self.busy(false);
                self.under_way += 1;
                // What is done with a room behind it waits until the server has it.
                let (under_way, until) = watch::channel(());
                self.finishing.push((to.clone(), until));
                self.spawn(|_| async move {
                    let recorded = dictation.finish().await;
                    // Nothing is heard before the microphone is closed.
                    drop(floor);
                    Done::Recorded { to, recorded, under_way }
                });
            }
            Stage::Silent(note) if send => self.send_note(to, note, watch::Sender::new(())),
            _ => {
                self.busy(false);
                self.words("not sent: what was recorded is forgotten");
            }
        }
    }

    /// Nobody is there any more who could end it: what was heard while it was spoken ends here, and another is not sent
    /// but kept.
    pub(super) fn leave_recording(&mut self) {
        let Some(taking) = self.sound.taking.take() else { return };
        if let Some(live) = &taking.live {
            let begun = live.has_begun();
            self.sound.taking = Some(taking);
            return self.end_recording(begun);
        }
        let Taking { to, stage, floor, .. } = taking;
        self.busy(false);
        let home = self.sound.home.clone();
        let words = move |kept| format!("the note for {to} is not sent: {kept}");
        match stage {
            Stage::Opening => {}
            Stage::Recording(dictation) | Stage::Ended(dictation) => {
                self.under_way += 1;
                self.spawn(|_| async move {
                    let kept = unsent::left(&home, *dictation).await;
                    drop(floor);
                    Done::Left(words(kept))
                });
            }
            Stage::Silent(note) => self.words(&words(unsent::kept(&home, &note.wav))),
        }
    }

    /// Whoever leaves the conversation in so many words leaves what is still being recorded, too; what was heard while it
    /// was spoken ends as it is.
    pub(super) fn quit_recording(&mut self) {
        if let Some(taking) = &self.sound.taking {
            let begun = taking.live.as_ref().is_some_and(Live::has_begun);
            self.end_recording(begun);
        }
    }

    /// A note is ready.
    pub(super) fn recorded(
        &mut self,
        to: Address,
        recorded: Result<Recorded, AudioError>,
        under_way: watch::Sender<()>,
    ) {
        self.finishing.retain(|(_, until)| !until.same_channel(&under_way.subscribe()));
        match recorded {
            Ok(Recorded { note, words, silent }) => {
                words.iter().for_each(|words| self.words(words));
                if silent && (self.sound.taking.is_some() || self.is_ending()) {
                    // Nobody can be asked now.
                    let kept = unsent::kept(&self.sound.home, &note.wav);
                    self.words(&format!("nobody is heard in the note for {to}, and it is not sent: {kept}"));
                    return;
                }
                if silent {
                    self.words("nobody is heard in it: Enter sends it all the same, /cancel forgets it");
                    let look = Instant::now() + AGAIN;
                    let (id, stage) = (MessageId::generate(), Stage::Silent(note));
                    self.sound.taking =
                        Some(Taking { id, to, stage, look, say: AGAIN, floor: None, live: None });
                    return;
                }
                self.send_note(to, note, under_way);
            }
            Err(error) => self.words(&format!("not sent: {error}")),
        }
    }

    fn send_note(&mut self, to: Address, note: Note, under_way: watch::Sender<()>) {
        self.words(&format!("voice note for {to}, {}", duration(note.duration_ms)));
        self.send_out(to, Outgoing::Voice(note), under_way);
    }
}
