//! What is to be heard, in order, as the front end and the reader share it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::audio::Playback;
use crate::client::settings::Quiet;
use crate::client::{Body, Message};
use crate::model::{Address, Nickname};
use crate::speech::{Rest, Speech};

use super::{Outcome, Pace};

/// Something to be heard.
#[derive(Clone)]
pub(super) enum What {
    /// Its sound is fetched when its turn comes, unless it is here already.
    Message(Message, Option<Arc<Vec<u8>>>),
    /// More of a long text.
    More(Message, Rest),
    /// Somebody's name alone, in their voice.
    Name(Nickname),
    /// Nothing: everything before it is over.
    Mark,
}

impl What {
    pub(super) fn is_note(&self) -> bool {
        matches!(self, Self::Message(Message { body: Body::Voice { .. }, .. }, _))
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Message(message, _) => Some(message.number),
            Self::More(..) | Self::Name(_) | Self::Mark => None,
        }
    }
}

/// A turn.
pub(super) struct Job {
    pub what: What,
    /// Whether the sender is named, even if they go on.
    pub named: bool,
    /// Whether a note begins anew, wherever listening to it was left off.
    pub anew: bool,
    pub done: Option<oneshot::Sender<Outcome>>,
}

/// What the front end and the reader share.
#[derive(Default)]
pub(super) struct Shared {
    pub state: Mutex<State>,
    /// Something is in the queue.
    pub wake: Notify,
    /// Whether it is a note that is heard now, or the next of all that is.
    pub note: watch::Sender<bool>,
    /// Somebody has the floor.
    pub way: Notify,
    /// Once there is a voice.
    pub speech: OnceLock<Speech>,
}

/// What is to be heard and how, and how far that is.
#[derive(Default)]
pub(super) struct State {
    pub queue: VecDeque<Job>,
    /// Of what is heard now.
    pub one: CancellationToken,
    /// There are as many in the queue as may wait.
    pub full: bool,
    /// What is being heard, or is about to be, and who waits for it.
    pub now: Option<What>,
    pub done: Option<oneshot::Sender<Outcome>>,
    pub playing: Option<Playback>,
    /// What is heard now, or was heard last.
    pub last: Option<What>,
    /// The note that is played now, or was last.
    pub last_note: Option<u64>,
    /// Notes that were heard while they were spoken, as far as they had come.
    pub so_far: HashSet<u64>,
    /// What is heard now is passed over.
    pub skipped: bool,
    /// Of the text that was cut last.
    pub rest: Option<(Message, Rest)>,
    /// Who was named last, in which conversation, and when they were last heard.
    pub named: Option<(Nickname, Address, Instant)>,
    pub pace: Pace,
    /// Whether long texts are cut.
    pub cut: bool,
    /// Whether it is drawn how far a note is.
    pub draw: bool,
    pub quiet: Option<Quiet>,
    /// Nobody is there any more who could want anything to be heard.
    pub over: bool,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether keys are for a note, after the queue has changed.
    pub(super) fn tell(&self, state: &State) {
        let first = state.now.as_ref().or_else(|| state.queue.front().map(|job| &job.what));
        let is_note = first.is_some_and(What::is_note);
        self.note.send_if_modified(|was| std::mem::replace(was, is_note) != is_note);
    }

    /// Ends what is heard now.
    pub(super) fn hush(&self, state: &State) {
        state.one.cancel();
        state.playing.iter().for_each(Playback::stop);
        // There is never more than one utterance there.
        self.speech().into_iter().for_each(Speech::stop_all);
    }

    pub(super) fn speech(&self) -> Option<&Speech> {
        self.speech.get()
    }
}

impl State {
    /// Whose turn it is, with what ends it.
    pub(super) fn next(&mut self) -> Option<(Job, CancellationToken)> {
        let mut job = self.queue.pop_front()?;
        self.one = CancellationToken::new();
        self.skipped = false;
        self.now = (!matches!(job.what, What::Mark)).then(|| job.what.clone());
        self.done = job.done.take();
        if job.what.is_note() {
            self.last_note = job.what.number();
        }
        if matches!(job.what, What::Message(..) | What::More(..)) {
            self.last = Some(job.what.clone());
        }
        Some((job, self.one.clone()))
    }

    /// Hears what is heard now, or was last, once more from its beginning; whether there is such.
    pub(super) fn repeat(&mut self) -> bool {
        let Some(what) = self.last.clone() else { return false };
        // Of what is heard now this is the same turn: whoever waits for it waits on.
        let is_now = matches!(self.now, Some(What::Message(..) | What::More(..)));
        let done = self.done.take_if(|_| is_now);
        self.queue.push_front(Job { what, named: true, anew: true, done });
        true
    }

    /// Goes on with the text that was cut last, and then with what is heard now; whether there is such.
    pub(super) fn more(&mut self) -> bool {
        let Some((message, rest)) = self.rest.take() else { return false };
        // The text itself, once more: its rest was asked for.
        let now = self.now.clone().filter(|now| now.number() != Some(message.number));
        if let Some(what) = now {
            // Whoever waits for it waits on.
            let done = self.done.take();
            self.queue.push_front(Job { what, named: false, anew: false, done });
        }
        self.queue.push_front(Job { what: What::More(message, rest), named: false, anew: false, done: None });
        true
    }

    /// The messages that are heard now or wait, by their numbers.
    pub(super) fn numbers(&self) -> HashSet<u64> {
        self.now.iter().chain(self.queue.iter().map(|job| &job.what)).filter_map(What::number).collect()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
