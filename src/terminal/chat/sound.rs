//! What is heard of a conversation. Nothing here is opened before it is asked for,
//! and nothing that is missing stops a text.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ChatError;
use super::input::Busy;
use super::taking::Taking;
use super::talk::{Done, Talk};
use crate::audio::Cue;
use crate::client::{Body, ClientError, Message, MessageRef};
use crate::model::{Address, Nickname};
use crate::terminal::Cues;
use crate::terminal::aloud::{self, Aloud, Outcome, Pace, Skipped, Turn};
use crate::terminal::floor::Floor;
use crate::terminal::keys::Press;
use crate::terminal::line::duration;
use crate::terminal::listening::{Control, speed, time};

/// Texts that tell which language people write.
const LEARNT: u32 = 100;

/// Loudspeaker, voice and microphone of a conversation.
pub(super) struct Sound {
    pub(super) cues: Cues,
    /// The profile's folder.
    pub(super) home: PathBuf,
    pub(super) aloud: Option<Aloud>,
    /// What arrives is heard.
    speaking: bool,
    /// What has arrived to be heard, of people one did not talk to then, until it has been.
    offered: HashSet<u64>,
    /// What is being recorded, and for whom.
    pub(super) taking: Option<Taking>,
    /// How fast the queue before was.
    pace: Pace,
    /// The note that the queue before heard last.
    last: Option<u64>,
    /// How often silence was asked for: what was begun before that is not gone on with.
    silences: u64,
    /// Ends once what was asked for last has had its turn.
    fetching: Option<oneshot::Receiver<()>>,
    busy: Busy,
}

impl Sound {
    pub(super) fn new(cues: Cues, home: PathBuf, busy: Busy) -> Self {
        Self {
            cues,
            home,
            aloud: None,
            speaking: false,
            offered: HashSet::new(),
            taking: None,
            pace: Pace::default(),
            last: None,
            silences: 0,
            fetching: None,
            busy,
        }
    }
}

impl Talk {
    /// Plays a sound of the program's own.
    pub(super) fn cue(&mut self, cue: Option<Cue>, person: Option<&Nickname>) {
        cue.into_iter().for_each(|cue| self.sound.cues.play(cue, person));
    }

    /// Says once what is wrong with sounds.
    pub(super) fn say_trouble(&mut self) {
        let cues = &self.sound.cues;
        let trouble = cues.speaker().take_trouble().map(|trouble| trouble.to_string());
        for words in cues.take_warnings().into_iter().chain(trouble) {
            self.words(&words);
        }
    }

    /// The queue of what is heard; with a voice from now on, or as it is.
    pub(super) fn aloud(&mut self, voice: bool) -> &Aloud {
        let (done, client) = (self.done.clone(), self.client.clone());
        let Sound { cues, home, aloud, pace, busy, .. } = &mut self.sound;
        let aloud = aloud.get_or_insert_with(|| {
            let tell = move |words: &str| drop(done.send(Done::Said(words.to_owned())));
            let aloud = Aloud::new(client, home, cues.speaker().clone(), voice, tell);
            aloud.cut_long_texts();
            aloud.take_up(std::mem::take(pace));
            busy.listen(aloud.notes());
            aloud
        });
        if voice {
            aloud.give_voice();
        }
        aloud
    }

    /// This queue falls silent for good; another takes its place once it is needed.
    fn leave_queue(&mut self) {
        self.sound.silences += 1;
        if let Some(aloud) = self.sound.aloud.take() {
            self.sound.pace = aloud.end();
            self.sound.last = aloud.last_note().or(self.sound.last);
        }
    }

    /// Hears what was to be heard and was not, of one conversation or of all; how much that is.
    pub(super) async fn hear_kept(&mut self, from: Option<&Address>) -> Result<usize, ChatError> {
        if self.sound.aloud.is_none() && self.client.to_hear(from).await?.is_empty() {
            return Ok(0);
        }
        Ok(self.aloud(true).unheard(from).await?)
    }

    /// Takes note that what has just arrived is to be heard, not forgotten until it has been, however this ends, and
    /// not new once it has been.
    pub(super) async fn offer(&mut self, number: u64) -> Result<(), ChatError> {
        self.to_hear(&[number]).await?;
        self.sound.offered.insert(number);
        Ok(())
    }

    /// What has been heard as it came, or was passed over, is not new any more.
    pub(super) async fn forget_heard(&mut self) -> Result<(), ChatError> {
        if self.sound.offered.is_empty() {
            return Ok(());
        }
        let kept: HashSet<u64> = self.kept(None).await?.iter().map(|message| message.number).collect();
        self.people.forget(|number| self.sound.offered.contains(&number) && !kept.contains(&number));
        self.sound.offered.retain(|number| kept.contains(number));
        Ok(())
    }

    /// What was to be heard and was not, beside what is new and what is in the queue: how much of which conversation.
    pub(super) async fn unheard(&self) -> Result<Vec<(Address, usize)>, ChatError> {
        let mut unheard: Vec<(Address, usize)> = Vec::new();
        for message in self.kept(None).await? {
            let (number, address) = (message.number, message.conversation());
            let is_new = self.people.with_news().any(|person| person.new.contains(&number));
            if is_new || self.sound.aloud.as_ref().is_some_and(|aloud| aloud.has(number)) {
                continue;
            }
            match unheard.iter_mut().find(|(other, _)| *other == address) {
                Some((_, count)) => *count += 1,
                None => unheard.push((address, 1)),
            }
        }
        Ok(unheard)
    }

    async fn kept(&self, from: Option<&Address>) -> Result<Vec<Message>, ChatError> {
        Ok(self.client.to_hear(from).await?)
    }

    /// These are to be heard, and not forgotten until they have been, however this ends.
    pub(super) async fn to_hear(&self, numbers: &[u64]) -> Result<(), ChatError> {
        Ok(self.client.mark_to_hear(numbers, true).await?)
    }

    /// How fast notes are played from the next one on.
    pub(super) fn set_speed(&mut self, speed: f32) {
        match &self.sound.aloud {
            Some(aloud) => aloud.set_speed(speed),
            None => self.sound.pace.set_speed(speed),
        }
    }

    /// Falls silent at once.
    pub(super) fn hush(&mut self) {
        self.sound.silences += 1;
        self.sound.aloud.iter().for_each(Aloud::stop);
    }

    /// Reads what arrives aloud from now on, or no longer.
    pub(super) async fn speak(&mut self, on: bool) -> Result<(), ChatError> {
        self.sound.speaking = on;
        if !on {
            // Silent, and without a voice from now on.
            self.leave_queue();
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
        self.words("what arrives is read aloud; any key but / is silence");
        if let Some(unheard) = self.view.unheard(&self.unheard().await?) {
            self.words(&unheard);
        }
        Ok(())
    }

    /// Fetches something to be heard. It is heard in the order in which it was asked for, whichever is here first.
    pub(super) fn fetch(&mut self, which: MessageRef, voice: bool) {
        let silences = self.sound.silences;
        let (turn, over) = oneshot::channel();
        let before = self.sound.fetching.replace(over);
        self.spawn(move |client| async move {
            let result = if voice {
                client.audio(which).await.map(|(message, wav)| (message, Some(wav)))
            } else {
                client.message(which).await.map(|message| (message, None))
            };
            if let Some(before) = before {
                // It ends with an error: the one before has had its turn.
                let _ = before.await;
            }
            Done::Fetched { silences, result, turn }
        });
    }

    /// Something that was asked for is here, or can't be; unless silence has been asked for since.
    pub(super) fn fetched(&mut self, silences: u64, result: Result<(Message, Option<Vec<u8>>), ClientError>) {
        match result {
            Ok((message, wav)) if silences == self.sound.silences => self.hear(&message, wav),
            Ok(_) => {}
            Err(error) => self.words(&error.to_string()),
        }
    }

    fn hear(&mut self, message: &Message, wav: Option<Vec<u8>>) {
        match (&message.body, wav) {
            (Body::Voice { live: true, .. }, _) => {
                let turn = self.aloud(false).hear(message);
                self.follow(Some(message.number), turn, || {});
            }
            (Body::Voice { duration_ms, position_ms, .. }, wav) => {
                let from = if message.from == self.view.me { "you" } else { message.from.as_str() };
                let left = Duration::from_millis(*position_ms);
                let at = if left.is_zero() { String::new() } else { format!(", from {}", time(left)) };
                let note =
                    format!("voice note {} from {from}, {}{at}", message.number, duration(*duration_ms));
                let words = if self.aloud(false).is_free() {
                    format!("playing {note}")
                } else if Floor::of(&self.sound.home).is_free() {
                    format!("{note}, comes after what is heard now")
                } else {
                    format!("{note}, comes once nothing is recorded any more")
                };
                self.words(&words);
                let aloud = self.aloud(false);
                let turn = match wav {
                    Some(wav) => aloud.note(message, wav),
                    None => aloud.hear(message),
                };
                self.follow(Some(message.number), turn, || {});
            }
            (Body::Text { .. } | Body::Invitation { .. }, _) => {
                drop(self.aloud(true).hear(message));
            }
            (Body::Notice { .. }, _) => self.words("that is a remark of tellal's own: it is not read aloud"),
        }
    }

    /// Whether it is heard as soon as it comes, as is a note that is being spoken whatever is heard now.
    pub(super) fn is_heard_at_once(&self, message: &Message) -> bool {
        self.is_heard(message)
            && (matches!(message.body, Body::Voice { live: true, .. })
                || self.sound.aloud.as_ref().is_none_or(Aloud::is_free))
    }

    /// Whether it is heard without being asked for.
    pub(super) fn is_heard(&self, message: &Message) -> bool {
        self.sound.speaking && message.from != self.view.me && !matches!(message.body, Body::Notice { .. })
    }

    /// Hears what has just arrived, if that is wanted; with this sound if it can't be.
    pub(super) fn hear_arrival(&mut self, message: &Message, otherwise: Option<Cue>) {
        if !self.is_heard(message) {
            return;
        }
        // A note is fetched when its turn comes: nothing overtakes it.
        let Some(turn) = self.aloud(true).arrived(message) else { return };
        let note = matches!(message.body, Body::Voice { .. }).then_some(message.number);
        let (cues, from) = (self.sound.cues.clone(), message.from.clone());
        self.follow(note, turn, move || {
            otherwise.into_iter().for_each(|cue| cues.play(cue, Some(&from)));
        });
    }

    /// Does what is due once something has been heard: a note, if it has a number. Otherwise, if it can't be.
    fn follow(&mut self, note: Option<u64>, turn: Turn, otherwise: impl FnOnce() + Send + 'static) {
        let silences = self.sound.silences;
        let done = self.done.clone();
        tokio::spawn(async move {
            let outcome = turn.done().await;
            if let Outcome::Unavailable(_) = outcome {
                otherwise();
            }
            let heard = outcome == Outcome::Heard;
            // The conversation may have ended.
            note.into_iter().for_each(|number| drop(done.send(Done::Heard { number, heard, silences })));
        });
    }

    /// Pauses what is recorded or played, or goes on.
    pub(super) fn pause(&mut self) {
        if !self.pause_recording() {
            self.control(Control::Toggle);
        }
    }

    /// A key on an empty line, for what is played or recorded.
    pub(super) fn press(&mut self, key: Press) {
        match Control::of_key(key) {
            Some(Control::Toggle) => self.pause(),
            Some(control) => self.control(control),
            None => {}
        }
    }

    /// Does something with the note that is played.
    pub(super) fn control(&mut self, control: Control) {
        if let Control::Speed(speed) = control {
            self.set_speed(speed);
        }
        let words = match self.sound.aloud.as_ref().and_then(Aloud::playing) {
            Some(playback) => control.apply(&playback),
            None => match control {
                Control::Speed(to) => format!("{} from now on", speed(to)),
                _ if self.sound.aloud.as_ref().is_some_and(|aloud| *aloud.notes().borrow()) => {
                    "the note has not begun yet".to_owned()
                }
                _ => "nothing is being played: /play does".to_owned(),
            },
        };
        self.words(&words);
    }

    /// Passes over what is heard now, and goes on with what comes next, text or note: what waits for its turn, and after
    /// the last note of that the next one of its conversation.
    pub(super) fn next(&mut self) {
        let after = match self.sound.aloud.as_ref().map_or(Skipped::ToNote(None), Aloud::skip) {
            Skipped::ToNext | Skipped::ToSilence => return,
            Skipped::ToNote(after) => after.or(self.sound.last),
        };
        match after {
            Some(after) => self.look_for_next(after, true),
            None => self.words("which one? /play N first"),
        }
    }

    fn look_for_next(&self, after: u64, asked: bool) {
        let silences = self.sound.silences;
        self.spawn(move |client| async move {
            Done::Next { asked, next: client.next_voice(after).await, silences }
        });
    }

    /// The next voice note is known.
    pub(super) fn next_found(
        &mut self,
        asked: bool,
        next: Result<Option<Message>, ClientError>,
        silences: u64,
    ) {
        match next {
            // Something was asked for meanwhile: silence, or another note.
            Ok(_) if silences != self.sound.silences => {}
            Ok(Some(message)) if self.sound.aloud.as_ref().is_some_and(|aloud| aloud.has(message.number)) => {
            }
            Ok(Some(message)) => self.hear(&message, None),
            Ok(None) if asked => self.words("that was the last one"),
            Ok(None) => {}
            Err(error) => self.words(&error.to_string()),
        }
    }

    /// A note has been heard, or was stopped.
    pub(super) fn heard(&mut self, number: u64, heard: bool, silences: u64) {
        // What arrives is in the queue anyway, and what was asked for comes first.
        let waits = self.sound.aloud.as_ref().is_some_and(|aloud| !aloud.is_empty());
        if heard && !waits && !self.sound.speaking && silences == self.sound.silences {
            self.look_for_next(number, false);
        }
    }

    /// Keys are for what is recorded, or no longer.
    pub(super) fn busy(&self, recording: bool) {
        self.sound.busy.record(recording);
    }

    /// Falls silent for good, and waits until it is kept what was heard.
    pub(super) async fn end_of_sound(&mut self) {
        self.leave_queue();
        aloud::all_kept().await;
    }
}
