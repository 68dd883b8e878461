//! Reading aloud: one utterance after another, each in a voice of its own language, by the system's speech service.
//!
//! Text in, speech out; nothing here knows of messages. Everything that talks to the service happens on threads
//! of its own and within time limits: a service that is absent, dead or stuck costs one line, never the program.
//!
//! - [`language`]: which languages there are, and which one a text is in
//! - [`content`]: links and code, which are announced; signs that repeat
//! - [`parts`]: texts of several scripts, each part for a voice that can read it
//! - [`words`]: what the program itself says beside, in the text's language
//! - [`text`]: what of a text is spoken: no control characters, no markup, in pieces of bounded length
//! - [`manner`]: how one person sounds different from another
//! - [`voices`]: which of the service's voices speaks a language
//! - `catalogue`: which voices there are, and its cache
//! - `plan`: an utterance as pieces for the service
//! - `thread`: the queue
//! - `service`: the connection
//!
//! The crate `tts` speaks. What it takes seconds for on Linux is done beneath it. Found by trying (tts 0.26,
//! speech-dispatcher 0.11, espeak-ng):
//!
//! - Listing the voices takes two seconds (there are 13,000), and so does choosing one, since it lists them again: see
//!   `service::below`, where choosing takes a fraction of a millisecond, and listing half a second, once a day.
//! - Its callbacks panic across a C frame, which aborts the program, if the service has something to say about a
//!   connection that was just dropped. So connections that have spoken are never dropped, only silenced; the process's end
//!   closes them.
//! - A NUL in a text panics while a global mutex is held.
//! - A connection that is closed leaves what it has said last in the service's queue. So there is never more than
//!   one piece there, and [`Speech`] stops before it ends.
//! - speech-dispatcher itself reads emoji by name, in the language that the connection is set to.

mod catalogue;
pub mod content;
pub mod language;
pub mod manner;
pub mod parts;
mod plan;
mod service;
pub mod text;
mod thread;
pub mod voices;
pub mod words;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use tokio::sync::oneshot;

pub use language::{Language, detect};
pub use manner::{Change, Manner};
pub use plan::Rest;

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
    /// Whose words these are. Texts that are too short to tell are taken to be in the language that the person was last
    /// sure to use.
    pub person: Option<String>,
    /// Whether the person's name is said first.
    pub named: bool,
    /// In which room they say it, which is said after the name.
    pub room: Option<String>,
    /// Whether what they say came under a changed key, which is said after the name.
    pub changed_key: bool,
    /// How the person sounds.
    pub manner: Manner,
    /// Whether a long text is cut, and more of it said only when asked for.
    pub cut: bool,
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
    /// Its beginning was spoken, and that there is more.
    Cut(Rest),
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
}

/// What is to be said.
enum What {
    Utterance(Utterance),
    Rest(Rest),
}

/// What the thread is asked for.
enum Command {
    Say(What, oneshot::Sender<Outcome>),
    Learn(Lesson),
    /// How fast everybody speaks.
    Rate(i32),
    /// Who wants to know when it is silent.
    StopAll(Option<mpsc::Sender<()>>),
    Voices(oneshot::Sender<Result<Vec<Language>, String>>),
    Report(u64, service::Report),
    End,
}

impl Speech {
    /// Opens the speech service in the background; returns at once. That it ends in mid-sentence, and is back, is told
    /// as a line; it is started again by itself.
    pub fn new(tell: impl Fn(&str) + Send + 'static) -> Self {
        let (commands, queue) = mpsc::channel();
        let reports = commands.clone();
        // Without threads nothing is spoken, and everything that is asked for ends as stopped.
        let _ = std::thread::Builder::new()
            .name("speech".to_owned())
            .spawn(move || thread::Thread::new(reports, Box::new(tell)).run(&queue));
        Self { inner: Arc::new(Inner { commands }) }
    }

    /// Says something after everything that was asked for before.
    pub fn say(&self, utterance: Utterance) -> Saying {
        self.saying(What::Utterance(utterance))
    }

    /// Says more of a text that was cut; that may be cut again.
    pub fn more(&self, rest: Rest) -> Saying {
        self.saying(What::Rest(rest))
    }

    /// Takes note of what a person wrote, without saying it: their later texts are taken to be in the same
    /// language when they are too short to tell.
    pub fn learn(&self, person: &str, text: &str) {
        self.send(Command::Learn(Lesson { person: person.to_owned(), text: text.to_owned() }));
    }

    /// How fast everybody speaks from now on, -100 to 100. What is being said begins its sentence again.
    pub fn set_rate(&self, rate: i32) {
        self.send(Command::Rate(rate));
    }

    /// Falls silent at once; what waits is dropped.
    pub fn stop_all(&self) {
        self.send(Command::StopAll(None));
    }

    /// Falls silent, and waits until it is: not for long.
    pub fn silence(&self) {
        self.inner.silence();
    }

    /// The languages that have a voice now: the service is asked, whatever it said before.
    ///
    /// # Errors
    /// Why there is no speech service, and what to do, in one line.
    pub async fn voices(&self) -> Result<Vec<Language>, String> {
        let (answer, voices) = oneshot::channel();
        self.send(Command::Voices(answer));
        voices.await.unwrap_or_else(|_| Err(thread::ABSENT.to_owned()))
    }

    fn saying(&self, what: What) -> Saying {
        let (done, outcome) = oneshot::channel();
        self.send(Command::Say(what, done));
        Saying { done: outcome }
    }

    fn send(&self, command: Command) {
        // A thread that has gone says nothing: whoever waits is told by their own channel.
        let _ = self.inner.commands.send(command);
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
