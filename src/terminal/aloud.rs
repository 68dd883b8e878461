//! Everything that is heard of a conversation, in one queue: voice notes played and texts read aloud in the
//! order of arrival, each after its sender's name, never over each other and never over a recording.
//!
//! What arrives to be heard is marked in the profile before it comes here, by whoever puts it in the queue; the mark
//! goes when it has been heard, or is passed over. So nothing is forgotten, however a process ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::audio::{Playback, Speaker};
use crate::client::settings::{Quiet, Settings};
use crate::client::{Body, Client, ClientError, Message, PersonVoice};
use crate::model::{Address, Nickname};
use crate::speech::{Manner, Speech};
use crate::terminal::floor::Floor;

mod pace;
mod queue;
mod reader;

pub use pace::Pace;
use pace::STEP;
use queue::{Job, Shared, State, What};
use reader::Reader;

/// How long keeping what was heard may take at the end.
const KEEPING: Duration = Duration::from_secs(2);
/// How long somebody who goes on is not named again.
const GOES_ON: Duration = Duration::from_secs(30);
/// More than these don't wait here: how much others write has an end in memory, if not in the profile.
const WAITING: usize = 1000;

/// The queue. Clones are the same one; when the last is gone, everything falls silent.
#[derive(Clone)]
pub struct Aloud {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    client: Client,
    home: PathBuf,
    tell: Tell,
}

/// Takes what goes wrong, in lines.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What became of a turn in the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was heard to its end, or to where it said that there is more.
    Heard,
    /// It was stopped, or never begun.
    Stopped,
    /// It can't be heard: why, and what to do, in one line, which has been told already.
    Unavailable(String),
}

/// What passing over what is heard leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// To the next in the queue.
    ToNext,
    /// To silence: a text was the last in the queue.
    ToSilence,
    /// To the note that follows this one, by its number; in the queue there is nothing. None if no note was heard yet.
    ToNote(Option<u64>),
}

/// A place in the queue. Its turn comes whether or not anybody waits for it.
pub struct Turn {
    done: oneshot::Receiver<Outcome>,
}

impl Turn {
    /// Waits until it has been heard, or will not be.
    pub async fn done(self) -> Outcome {
        self.done.await.unwrap_or(Outcome::Stopped)
    }
}

/// The tasks of all queues: each ends by itself after its queue.
static READERS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Waits until of all queues that are gone it is kept what was heard of them, and how far.
pub async fn all_kept() {
    READERS.close();
    // Whatever keeps the profile from being written is not waited for any longer.
    let _ = tokio::time::timeout(KEEPING, READERS.wait()).await;
}

impl Aloud {
    /// A queue on this loudspeaker, with a voice or without; without one notes are played and nobody is named. What
    /// goes wrong is told as a line, each line once. Within a tokio runtime.
    pub fn new(
        client: Client,
        home: &Path,
        speaker: Speaker,
        voice: bool,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let tell: Tell = Arc::new(tell);
        let shared = Arc::<Shared>::default();
        let reader = Reader::new(client.clone(), Floor::of(home), speaker, shared.clone(), tell.clone());
        READERS.spawn(reader.run());
        let aloud = Self { inner: Arc::new(Inner { shared, client, home: home.to_owned(), tell }) };
        if voice {
            aloud.give_voice();
        }
        aloud
    }

    /// From now on there is a voice, if there was none. What is heard now goes on.
    pub fn give_voice(&self) {
        let Inner { shared, tell, .. } = &*self.inner;
        let rate = shared.state().pace.rate();
        shared.speech.get_or_init(|| {
            let tell = tell.clone();
            let speech = Speech::new(move |line| tell(line));
            speech.set_rate(rate);
            speech
        });
    }

    /// From now on long texts are cut, and [`Aloud::more`] goes on: for front ends with keys.
    pub fn cut_long_texts(&self) {
        self.inner.shared.state().cut = true;
    }

    /// From now on it is drawn how far a note is.
    pub fn draw_progress(&self) {
        self.inner.shared.state().draw = true;
    }

    /// Quiet hours in place of those that are set for the profile.
    pub fn set_quiet(&self, quiet: Quiet) {
        self.inner.shared.state().quiet = Some(quiet);
    }

    /// Whether what is put in the queue now is heard at once: nothing else is, and nobody records.
    pub fn is_free(&self) -> bool {
        let is_over = {
            let state = self.inner.shared.state();
            // What was stopped is not heard any more, while it is kept how far it was.
            (state.now.is_none() || state.one.is_cancelled()) && state.queue.is_empty()
        };
        is_over && Floor::of(&self.inner.home).is_free()
    }

    /// Whether nothing is heard and nothing waits.
    pub fn is_empty(&self) -> bool {
        let state = self.inner.shared.state();
        state.now.is_none() && state.queue.is_empty()
    }

    /// Whether a message is heard now, or waits for it.
    pub fn has(&self, number: u64) -> bool {
        self.inner.shared.state().numbers().contains(&number)
    }

    /// Tells whether it is a note that is heard: it is played, or about to be, and nothing else comes before it.
    pub fn notes(&self) -> watch::Receiver<bool> {
        self.inner.shared.note.subscribe()
    }

    /// The note that is played now, or was last.
    pub fn last_note(&self) -> Option<u64> {
        self.inner.shared.state().last_note
    }

    /// Hears what has arrived, after everything that came before. In quiet hours, and while very many wait, it is left to
    /// [`Aloud::unheard`].
    pub fn arrived(&self, message: &Message) -> Option<Turn> {
        let quiet = self.inner.shared.state().quiet;
        let quiet = quiet.or_else(|| Settings::load(&self.inner.home).0.quiet);
        if quiet.is_some_and(Quiet::is_now) {
            return None;
        }
        if self.is_full() {
            return None;
        }
        Some(self.hear(message))
    }

    /// Whether no more may wait, which is told when it comes to that.
    fn is_full(&self) -> bool {
        let mut state = self.inner.shared.state();
        let full = state.queue.len() >= WAITING;
        let was = std::mem::replace(&mut state.full, full);
        drop(state);
        if full && !was {
            (self.inner.tell)(&format!(
                "{WAITING} messages wait to be heard: what comes now is left unread, until that is asked for"
            ));
        }
        full
    }

    /// Hears a message that was asked for, after everything that came before.
    pub fn hear(&self, message: &Message) -> Turn {
        self.push(What::Message(message.clone(), None))
    }

    /// The same, of a voice note whose WAV file is here.
    pub fn note(&self, message: &Message, wav: Vec<u8>) -> Turn {
        self.push(What::Message(message.clone(), Some(Arc::new(wav))))
    }

    /// Says somebody's name, in their voice.
    pub fn name(&self, nickname: &Nickname) {
        // Nobody waits for it.
        drop(self.push(What::Name(nickname.clone())));
    }

    /// Hears what was to be heard and was not, here or by a process before, of one conversation or of all, in the order of
    /// arrival; how much that is, beside what is in the queue already. Without a voice only notes.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn unheard(&self, from: Option<&Address>) -> Result<usize, ClientError> {
        // What is heard while the profile is read need not be heard again.
        let mut here = self.inner.shared.state().numbers();
        let mut kept = self.inner.client.to_hear(from).await?;
        here.extend(self.inner.shared.state().numbers());
        kept.retain(|message| !here.contains(&message.number));
        kept.retain(|message| self.has_voice() || matches!(message.body, Body::Voice { .. }));
        // Nobody waits for each of them.
        kept.iter().for_each(|message| drop(self.hear(message)));
        Ok(kept.len())
    }

    /// Hears the rest of a note that has ended, if it was heard as far as it had come and more of it has come since.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn ended(&self, message: &Message) -> Result<(), ClientError> {
        let is_heard = |state: &State| {
            state.numbers().contains(&message.number) || !state.so_far.contains(&message.number)
        };
        if is_heard(&self.inner.shared.state()) {
            return Ok(());
        }
        let more = self.inner.client.to_hear(Some(&message.conversation())).await?;
        let more = more.iter().find(|more| more.number == message.number);
        if let Some(more) = more.filter(|_| !is_heard(&self.inner.shared.state())) {
            // Nobody waits for it.
            drop(self.hear(more));
        }
        Ok(())
    }

    /// Hears what is heard now, or was last, once more from its beginning; whether there is such.
    pub fn repeat(&self) -> bool {
        let mut state = self.inner.shared.state();
        if !state.repeat() {
            return false;
        }
        self.inner.shared.hush(&state);
        self.inner.shared.tell(&state);
        self.inner.shared.wake.notify_one();
        true
    }

    /// Goes on with the long text that was cut last; whether there is one. What is heard now is heard afterwards.
    pub fn more(&self) -> bool {
        let mut state = self.inner.shared.state();
        if !state.more() {
            return false;
        }
        self.inner.shared.hush(&state);
        self.inner.shared.wake.notify_one();
        true
    }

    /// Everybody speaks faster from now on.
    pub fn faster(&self) {
        self.change_rate(STEP);
    }

    /// Everybody speaks slower from now on.
    pub fn slower(&self) {
        self.change_rate(-STEP);
    }

    /// In which conversation what is heard now was said, or what was heard last.
    pub fn last_conversation(&self) -> Option<Address> {
        match &self.inner.shared.state().last {
            Some(What::Message(message, _) | What::More(message, _)) => Some(message.conversation()),
            _ => None,
        }
    }

    /// Takes note of what somebody wrote, without reading it: it tells which language their short texts are in.
    pub fn learn(&self, from: &Nickname, text: &str) {
        self.inner.shared.speech().into_iter().for_each(|speech| speech.learn(from.as_str(), text));
    }

    /// Falls silent at once; what is being heard and what waits is dropped. What of it had arrived is left to
    /// [`Aloud::unheard`]; what was asked for by its number can be asked for again.
    pub fn stop(&self) {
        let mut state = self.inner.shared.state();
        if let Some(What::More(message, rest)) = state.now.take() {
            state.rest = Some((message, rest));
        }
        for Job { what, done, .. } in std::mem::take(&mut state.queue) {
            // Whoever waits until everything is over need not wait any more.
            tell(done, if matches!(what, What::Mark) { Outcome::Heard } else { Outcome::Stopped });
        }
        self.inner.shared.hush(&state);
        self.inner.shared.tell(&state);
    }

    /// Falls silent at once, for somebody who has taken the floor: what is heard now is heard once they let go of it.
    pub fn give_way(&self) {
        self.inner.shared.way.notify_waiters();
    }

    /// Falls silent at once, for good; how fast it was.
    pub fn end(&self) -> Pace {
        self.stop();
        self.inner.shared.state().pace
    }

    /// Goes on as fast as another queue was.
    pub fn take_up(&self, pace: Pace) {
        self.inner.shared.state().pace = pace;
        self.inner.shared.speech().into_iter().for_each(|speech| speech.set_rate(pace.rate()));
    }

    /// Whether texts can be read.
    pub fn has_voice(&self) -> bool {
        self.inner.shared.speech().is_some()
    }

    /// Goes on to the next in the queue at once, text or note; what is heard now is not to be heard any more. What that
    /// leads to.
    pub fn skip(&self) -> Skipped {
        let mut state = self.inner.shared.state();
        state.skipped = true;
        self.inner.shared.hush(&state);
        if !state.queue.is_empty() {
            return Skipped::ToNext;
        }
        match &state.now {
            Some(now) if !now.is_note() => Skipped::ToSilence,
            Some(_) | None => Skipped::ToNote(state.last_note),
        }
    }

    /// Waits until everything that is in the queue now has been heard, or will not be.
    pub async fn idle(&self) {
        self.push(What::Mark).done().await;
    }

    /// The note that is played now.
    pub fn playing(&self) -> Option<Playback> {
        self.inner.shared.state().playing.clone().filter(|playback| !playback.is_done())
    }

    /// How fast notes are played from the next one on.
    pub fn set_speed(&self, speed: f32) {
        self.inner.shared.state().pace.set_speed(speed);
    }

    fn change_rate(&self, step: i32) {
        let mut state = self.inner.shared.state();
        // What is said would begin its sentence again.
        if !state.pace.change(step) {
            return;
        }
        let pace = state.pace;
        state.playing.iter().for_each(|playing| playing.set_speed(pace.speed()));
        self.inner.shared.speech().into_iter().for_each(|speech| speech.set_rate(pace.rate()));
    }

    fn push(&self, what: What) -> Turn {
        let (done, outcome) = oneshot::channel();
        // Without its task, which only ends with the runtime, nothing is heard.
        let mut state = self.inner.shared.state();
        state.queue.push_back(Job { what, named: false, anew: false, done: Some(done) });
        self.inner.shared.tell(&state);
        drop(state);
        self.inner.shared.wake.notify_one();
        Turn { done: outcome }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.queue.clear();
        state.over = true;
        self.shared.hush(&state);
        self.shared.tell(&state);
        drop(state);
        // Its task ends once it is kept what was heard.
        self.shared.wake.notify_one();
        // The process may be about to end, which the speech service would not notice.
        self.shared.speech().into_iter().for_each(Speech::silence);
    }
}

/// How somebody sounds: as was chosen, or as comes of their identity, or where that is not known of their name.
pub fn manner(nickname: &Nickname, voice: &PersonVoice) -> Manner {
    let chosen = voice.chosen.as_deref().and_then(|chosen| chosen.parse().ok());
    chosen.unwrap_or_else(|| match &voice.account {
        Some(account) => Manner::of(account.as_bytes()),
        None => Manner::of(nickname.folded().as_bytes()),
    })
}

fn tell(done: Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    // Nobody has to wait for it.
    let _ = done.map(|done| done.send(outcome));
}
