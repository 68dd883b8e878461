//! Reading aloud: one utterance after another, each in a voice of its own language, by the system's speech service.
//!
//! Text in, speech out; nothing here knows of messages. Everything that talks to the service happens on threads
//! of its own and within time limits: a service that is absent, dead or stuck costs one line, never the program.
//!
//! - [`language`]: which languages there are, and which one a text is in
//! - [`text`]: what of a text is spoken: no control characters, no markup, in pieces of bounded length
//! - [`voices`]: which of the service's voices speaks a language
//! - `thread`: the queue
//! - `worker`: a connection to the service for each language
//!
//! The crate `tts` sets the bounds of what is possible here. Found by trying (version 0.26, speech-dispatcher 0.11):
//!
//! - Listing the voices takes two seconds (there are 13,000), and so does choosing one, since it lists them again.
//!   So each language has a connection of its own, which is opened in the background and kept. The first word of
//!   a program's life comes after about four seconds, later ones at once.
//! - Its callbacks panic across a C frame, which aborts the program, if the service has something to say about a
//!   connection that was just dropped. So connections are never dropped, only silenced; the process's end closes them.
//! - A NUL in a text panics while a global mutex is held.
//! - A connection that is closed leaves what it has said last in the service's queue. So there is never more than
//!   one piece there, and [`Speech`] stops before it ends.

pub mod language;
pub mod text;
mod thread;
pub mod voices;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use tokio::sync::oneshot;

pub use language::{Language, detect};

/// How long to wait for the service to have fallen silent.
const SILENCE: Duration = Duration::from_millis(1500);

/// The voice of this program. Clones are the same one; when the last is gone, it falls silent.
#[derive(Clone)]
pub struct Speech {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Sender<Command>,
}

/// Something to be said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Utterance {
    /// The words, as they came: they are cleaned here.
    pub text: String,
    /// The language; found by itself when absent or without a voice.
    pub language: Option<Language>,
    /// The language to take when the text alone does not tell.
    pub hint: Option<Language>,
    /// Whose words these are: named first in the same voice, and known by a pitch of their own. Texts that are
    /// too short to tell are taken to be in the language that the person was last sure to use.
    pub person: Option<String>,
}

impl Utterance {
    /// Words in whatever language they are in.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// What became of an utterance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All of it was spoken.
    Spoken,
    /// It was stopped, or never begun.
    Stopped,
    /// It can't be spoken: why, and what to do, in one line.
    Unavailable(String),
}

/// An utterance on its way. It is spoken whether or not anybody waits for it.
pub struct Saying {
    done: oneshot::Receiver<Outcome>,
}

impl Saying {
    /// Waits until it has been spoken, or will not be. Never longer than the text can take.
    pub async fn done(self) -> Outcome {
        self.done.await.unwrap_or(Outcome::Stopped)
    }
}

/// What somebody wrote.
struct Lesson {
    person: String,
    text: String,
    /// Whether it will be said soon.
    soon: bool,
}

/// What the thread is asked for.
enum Command {
    Say(Utterance, oneshot::Sender<Outcome>),
    Learn(Lesson),
    Prepare,
    /// Who wants to know when it is silent.
    StopAll(Option<mpsc::Sender<()>>),
    Voices(oneshot::Sender<Result<Vec<Language>, String>>),
    Report(u64, worker::Report),
    End,
}

impl Speech {
    /// Opens the speech service in the background; returns at once.
    pub fn new() -> Self {
        let (commands, queue) = mpsc::channel();
        let reports = commands.clone();
        // Without threads nothing is spoken, and everything that is asked for ends as stopped.
        let _ = std::thread::Builder::new()
            .name("speech".to_owned())
            .spawn(move || thread::Thread::new(reports).run(&queue));
        Self { inner: Arc::new(Inner { commands }) }
    }

    /// Says something after everything that was asked for before.
    pub fn say(&self, utterance: Utterance) -> Saying {
        let (done, outcome) = oneshot::channel();
        self.send(Command::Say(utterance, done));
        Saying { done: outcome }
    }

    /// Takes note of what a person wrote, without saying it: their later texts are taken to be in the same
    /// language when they are too short to tell.
    pub fn learn(&self, person: &str, text: &str) {
        self.send(Command::Learn(Lesson { person: person.to_owned(), text: text.to_owned(), soon: false }));
    }

    /// The same of something that will be said soon: its voice is opened ahead.
    pub fn expect(&self, person: &str, text: &str) {
        self.send(Command::Learn(Lesson { person: person.to_owned(), text: text.to_owned(), soon: true }));
    }

    /// Opens the voices of all languages that were learnt, one after the other: for programs that go on.
    pub fn prepare(&self) {
        self.send(Command::Prepare);
    }

    /// Falls silent at once; what waits is dropped.
    pub fn stop_all(&self) {
        self.send(Command::StopAll(None));
    }

    /// Falls silent, and waits until it is: not for long.
    pub fn silence(&self) {
        self.inner.silence();
    }

    /// The languages that have a voice, once the service has told.
    ///
    /// # Errors
    /// Why there is no speech service, and what to do, in one line.
    pub async fn voices(&self) -> Result<Vec<Language>, String> {
        let (answer, voices) = oneshot::channel();
        self.send(Command::Voices(answer));
        voices.await.unwrap_or_else(|_| Err(thread::ABSENT.to_owned()))
    }

    fn send(&self, command: Command) {
        // A thread that has gone says nothing: whoever waits is told by their own channel.
        let _ = self.inner.commands.send(command);
    }
}

impl Default for Speech {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn silence(&self) {
        let (silent, wait) = mpsc::channel();
        if self.commands.send(Command::StopAll(Some(silent))).is_ok() {
            let _ = wait.recv_timeout(SILENCE);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.silence();
        let _ = self.commands.send(Command::End);
    }
}
