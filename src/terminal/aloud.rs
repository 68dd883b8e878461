//! Everything that is heard of a conversation, in one queue: voice notes played and texts read aloud in the
//! order of arrival, each after its sender's name, never over each other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::listening::left_off;
use super::progress;
use crate::audio::{Playback, Speaker, Start};
use crate::client::Client;
use crate::model::Nickname;
use crate::speech::{self, Speech, Utterance};

/// The queue. Clones are the same one; when the last is gone, everything falls silent.
#[derive(Clone)]
pub struct Aloud {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: mpsc::UnboundedSender<Job>,
    now: Arc<Now>,
    speech: Option<Speech>,
    task: AbortHandle,
}

/// What became of a turn in the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was heard to its end.
    Heard,
    /// It was stopped, or never begun.
    Stopped,
    /// It can't be heard: why, and what to do, in one line, which has been told already.
    Unavailable(String),
}

/// A place in the queue. Its turn comes whether or not anybody waits for it.
pub struct Turn {
    done: oneshot::Receiver<Outcome>,
    /// The note, once it is played.
    playback: Arc<OnceLock<Playback>>,
}

impl Turn {
    /// Waits until a note has been heard, or will not be, and keeps in the profile how far it was.
    pub async fn kept(self, client: &Client, number: u64) -> Outcome {
        let playback = self.playback.clone();
        let outcome = self.done().await;
        if let Some(playback) = playback.get() {
            let heard = outcome == Outcome::Heard;
            let left = left_off(playback.position(), heard).unwrap_or_default();
            if let Err(error) = client.mark_heard(number, left, heard).await {
                tracing::warn!(%error, "how far a note was heard is not kept");
            }
        }
        outcome
    }

    /// Waits until it has been heard, or will not be.
    pub async fn done(self) -> Outcome {
        self.done.await.unwrap_or(Outcome::Stopped)
    }
}

struct Job {
    from: String,
    what: What,
    stopped: CancellationToken,
    done: oneshot::Sender<Outcome>,
}

enum What {
    Text(String),
    Note(Vec<u8>, Start, Arc<OnceLock<Playback>>),
    /// Nothing: everything before it is over.
    Mark,
}

/// What stopping needs to know.
#[derive(Default)]
struct Now {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of everything that is in the queue.
    all: CancellationToken,
    /// Of what is heard now.
    one: CancellationToken,
    playing: Option<Playback>,
}

impl Now {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Aloud {
    /// A queue on this loudspeaker and this voice; without a voice notes are played and nobody is named. With `draw`
    /// it is drawn how far a note is. What goes wrong is told as a line, each line once. Within a tokio runtime.
    pub fn new(
        speaker: Speaker,
        speech: impl Into<Option<Speech>>,
        draw: bool,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let speech = speech.into();
        let (jobs, queue) = mpsc::unbounded_channel();
        let now = Arc::new(Now::default());
        let (voice, stops) = (speech.clone(), now.clone());
        let reader = Reader { speaker, speech: voice, now: stops, draw, tell, told: HashSet::new() };
        let task = tokio::spawn(reader.run(queue)).abort_handle();
        Self { inner: Arc::new(Inner { jobs, now, speech, task }) }
    }

    /// Reads a text aloud, after everything that came before.
    pub fn text(&self, from: &Nickname, text: &str) -> Turn {
        self.inner.speech.iter().for_each(|speech| speech.expect(from.as_str(), text));
        self.push(from.as_str(), What::Text(text.to_owned()))
    }

    /// Plays a voice note, after everything that came before. Without a speech service its sender is not named.
    pub fn note(&self, from: &Nickname, wav: Vec<u8>, start: Start) -> Turn {
        let playback = Arc::default();
        let what = What::Note(wav, start, Arc::clone(&playback));
        Turn { playback, ..self.push(from.as_str(), what) }
    }

    /// The note that is played now.
    pub fn playing(&self) -> Option<Playback> {
        self.inner.now.state().playing.clone().filter(|playback| !playback.is_done())
    }

    /// Takes note of what somebody wrote, without reading it: it tells which language their short texts are in.
    pub fn learn(&self, from: &Nickname, text: &str) {
        self.inner.speech.iter().for_each(|speech| speech.learn(from.as_str(), text));
    }

    /// Opens the voices of the languages that were learnt, for programs that go on.
    pub fn prepare(&self) {
        self.inner.speech.iter().for_each(Speech::prepare);
    }

    /// Falls silent at once; what waits is dropped.
    pub fn stop(&self) {
        let mut state = self.inner.now.state();
        std::mem::take(&mut state.all).cancel();
        self.hush(&state);
    }

    /// Goes on to the next in the queue at once.
    pub fn skip(&self) {
        self.hush(&self.inner.now.state());
    }

    /// Waits until everything that is in the queue now has been heard, or will not be.
    pub async fn idle(&self) {
        self.push("", What::Mark).done().await;
    }

    fn hush(&self, state: &State) {
        state.one.cancel();
        state.playing.iter().for_each(Playback::stop);
        // There is never more than one utterance there.
        self.inner.speech.iter().for_each(Speech::stop_all);
    }

    fn push(&self, from: &str, what: What) -> Turn {
        let (done, outcome) = oneshot::channel();
        let stopped = match what {
            What::Mark => CancellationToken::new(),
            _ => self.inner.now.state().all.clone(),
        };
        // Without its task, which only ends with the runtime, nothing is heard.
        let _ = self.inner.jobs.send(Job { from: from.to_owned(), what, stopped, done });
        Turn { done: outcome, playback: Arc::default() }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
        self.now.state().playing.iter().for_each(Playback::stop);
        // The process may be about to end, which the speech service would not notice.
        self.speech.iter().for_each(Speech::silence);
    }
}

/// Takes one turn after the other.
struct Reader<T> {
    speaker: Speaker,
    speech: Option<Speech>,
    now: Arc<Now>,
    draw: bool,
    tell: T,
    told: HashSet<String>,
}

impl<T: Fn(&str)> Reader<T> {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        while let Some(Job { from, what, stopped, done }) = queue.recv().await {
            let one = stopped.child_token();
            self.now.state().one = one.clone();
            let outcome = if one.is_cancelled() {
                Outcome::Stopped
            } else {
                tokio::select! {
                    outcome = self.perform(from, what) => outcome,
                    () = one.cancelled() => Outcome::Stopped,
                }
            };
            self.now.state().playing = None;
            if let Outcome::Unavailable(why) = &outcome {
                self.trouble(why.clone());
            }
            // Nobody has to wait for it.
            let _ = done.send(outcome);
        }
    }

    async fn perform(&mut self, from: String, what: What) -> Outcome {
        // The sound of its arrival is over first.
        self.speaker.idle().await;
        match what {
            What::Mark => Outcome::Heard,
            What::Text(text) => self.say(from, text).await,
            What::Note(wav, start, playback) => {
                match self.say(from, String::new()).await {
                    Outcome::Stopped => return Outcome::Stopped,
                    Outcome::Unavailable(why) => self.trouble(why),
                    Outcome::Heard => {}
                }
                self.play(wav, start, &playback).await
            }
        }
    }

    async fn say(&self, from: String, text: String) -> Outcome {
        let utterance = Utterance { person: Some(from), ..Utterance::new(text) };
        let Some(speech) = &self.speech else { return Outcome::Heard };
        match speech.say(utterance).done().await {
            speech::Outcome::Spoken => Outcome::Heard,
            speech::Outcome::Stopped => Outcome::Stopped,
            speech::Outcome::Unavailable(why) => Outcome::Unavailable(why),
        }
    }

    async fn play(&self, wav: Vec<u8>, start: Start, shared: &OnceLock<Playback>) -> Outcome {
        let playback = {
            let mut state = self.now.state();
            // Stopped between the name and the note.
            if state.one.is_cancelled() {
                return Outcome::Stopped;
            }
            state.playing.insert(self.speaker.play_from(wav, start)).clone()
        };
        // It was empty.
        let _ = shared.set(playback.clone());
        let played = if self.draw { progress::show(&playback).await } else { playback.wait().await };
        match played {
            Ok(()) => Outcome::Heard,
            Err(error) => {
                // It is told here.
                drop(self.speaker.take_trouble());
                Outcome::Unavailable(error.to_string())
            }
        }
    }

    fn trouble(&mut self, line: String) {
        if !self.told.contains(&line) {
            (self.tell)(&line);
            self.told.insert(line);
        }
    }
}
