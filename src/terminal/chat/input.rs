//! The terminal in a conversation: a line editor on a thread of its own, and lines that appear above the line
//! being typed.
//!
//! Append-only: a line that has been printed is never touched again, the cursor is the terminal's own, and
//! only the line being typed is redrawn. What was typed is remembered in memory alone.

use std::io::{self, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, ExternalPrinter, Helper, KeyCode, RepeatCount,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::choices::that_fit;
use super::complete::Names;
use crate::terminal::keys::Press;

/// What came from the keyboard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Typed {
    /// A line; several, where they were pasted at once.
    Line(String),
    /// A key: what it does to the line is not known here.
    Key,
    /// A key on an empty line, for what is played or recorded.
    Press(Press),
    /// The line was given up (Ctrl-C).
    Cleared,
    /// There is no more (Ctrl-D).
    End,
    /// This line is not UTF-8.
    NotUtf8(u64),
    /// There is no reading on, and why.
    Failed(String),
}

/// Asks for a line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// What is printed before.
    pub before: String,
    /// The prompt without colours.
    pub prompt: String,
    /// The same in colours.
    pub painted: String,
}

/// A line to print, and the messages that it shows.
type Piece = (String, Vec<u64>);
type Lines = Editor<Typist, MemHistory>;

/// A terminal that is typed on and printed to at once.
pub struct Terminal {
    asks: mpsc::Sender<Ask>,
    pieces: mpsc::Sender<Piece>,
    turn: Arc<Turn>,
    screen: thread::JoinHandle<()>,
    restore: Restore,
}

/// Whose turn it is on the terminal.
#[derive(Default)]
struct Turn(Mutex<Phase>, Condvar);

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// No line is being typed: the editor's thread alone may print.
    #[default]
    Between,
    /// A line is being typed: everything is printed through the editor.
    Typing,
    /// No line will be typed any more: anybody may print.
    Over,
}

impl Turn {
    fn set(&self, phase: Phase) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Phase::Over && *now != phase {
            *now = phase;
            self.1.notify_all();
        }
    }

    fn wait_to_print(&self) {
        let now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.1.wait_while(now, |now| *now == Phase::Between);
        drop(done.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Terminal {
    /// Takes the terminal; `None` where there is none that lines can be edited on. What is typed goes to
    /// `typed`; the numbers of messages that are on the screen go to `printed`.
    ///
    /// # Errors
    /// When threads can't be started.
    pub fn open(
        colors: bool,
        names: Names,
        busy: Busy,
        typed: UnboundedSender<Typed>,
        printed: UnboundedSender<Vec<u64>>,
    ) -> io::Result<Option<Self>> {
        let Ok(restore) = Restore::new() else { return Ok(None) };
        let turn = Arc::new(Turn::default());
        let (typist, keys) = (Typist { names, turn: turn.clone() }, Keys { typed: typed.clone(), busy });
        let Some((editor, printer)) = editor(colors, typist, keys) else { return Ok(None) };
        let (asks, asked) = mpsc::channel();
        let (pieces, printing) = mpsc::channel();
        let editing = turn.clone();
        thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read(editor, &asked, &typed, &editing))?;
        let waiting = turn.clone();
        let screen = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || print(printer, &printing, &printed, &waiting))?;
        Ok(Some(Self { asks, pieces, turn, screen, restore }))
    }

    /// Asks for the next line.
    pub fn ask(&self, ask: Ask) {
        // The thread has ended only after it said that there is no more.
        let _ = self.asks.send(ask);
    }

    /// Prints lines above the one being typed.
    pub fn print(&self, text: String, numbers: Vec<u64>) {
        let _ = self.pieces.send((text, numbers));
    }

    /// Prints what is left. Only when no line is being typed.
    pub fn close(self) {
        let Self { pieces, turn, screen, .. } = self;
        turn.set(Phase::Over);
        drop(pieces);
        // A panic there has been reported.
        let _ = screen.join();
    }

    /// Ends in the middle of a line, with some last words. The editor waits for a key, and would print them too late.
    pub fn abandon(self, words: &str) {
        let Self { pieces, turn, screen, restore, .. } = self;
        turn.set(Phase::Over);
        drop(pieces);
        // A panic there has been reported.
        let _ = screen.join();
        drop(restore);
        if !words.is_empty() {
            let mut out = stdout();
            // Where the terminal is gone, nobody reads them.
            let _ = writeln!(out, "{words}").and_then(|()| out.flush());
        }
    }
}

fn editor(
    colors: bool,
    typist: Typist,
    keys: Keys,
) -> Option<(Lines, impl ExternalPrinter + Send + 'static)> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        // Without it, the editor waits for another Tab and prints nothing meanwhile.
        .completion_show_all_if_ambiguous(true)
        // Nor does it ask whether to list that many: it is given what fits on the screen.
        .completion_prompt_limit(usize::MAX)
        .color_mode(if colors { ColorMode::Forced } else { ColorMode::Disabled })
        .build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history).ok()?;
    editor.set_helper(Some(typist));
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
    let printer = editor.create_external_printer().ok()?;
    Some((editor, printer))
}

fn read(mut editor: Lines, asks: &mpsc::Receiver<Ask>, typed: &UnboundedSender<Typed>, turn: &Turn) {
    while let Ok(Ask { before, prompt, painted }) = asks.recv() {
        let mut out = stdout();
        if !before.is_empty() && writeln!(out, "{before}").and_then(|()| out.flush()).is_err() {
            let _ = typed.send(Typed::End);
            return;
        }
        let line = editor.readline(&(prompt, painted));
        turn.set(Phase::Between);
        let said = match line {
            Ok(line) => {
                if !line.trim().is_empty() {
                    // It is kept in memory, where this can't fail.
                    let _ = editor.add_history_entry(line.as_str());
                }
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) => Typed::Cleared,
            Err(ReadlineError::Eof) => Typed::End,
            Err(error) => Typed::Failed(error.to_string()),
        };
        let more = matches!(said, Typed::Line(_) | Typed::Cleared);
        if typed.send(said).is_err() || !more {
            return;
        }
    }
}

fn print(
    mut printer: impl ExternalPrinter,
    pieces: &mpsc::Receiver<Piece>,
    printed: &UnboundedSender<Vec<u64>>,
    turn: &Turn,
) {
    for (text, numbers) in pieces {
        turn.wait_to_print();
        if printer.print(text + "\n").is_err() {
            return;
        }
        if !numbers.is_empty() {
            // Whoever ends has no need to know.
            let _ = printed.send(numbers);
        }
    }
}

/// Helps the editor.
struct Typist {
    names: Names,
    turn: Arc<Turn>,
}

impl Helper for Typist {}
impl Highlighter for Typist {}
impl Validator for Typist {}

impl Completer for Typist {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (begin, completions) = self.names.complete(line, position);
        Ok((begin, that_fit(completions)))
    }
}

impl Hinter for Typist {
    type Hint = String;

    /// Gives no hint. That it is asked for one shows that the editor has the terminal.
    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.turn.set(Phase::Typing);
        None
    }
}

/// What is going on that keys may be meant for. Clones are the same.
#[derive(Clone, Default, Debug)]
pub struct Busy {
    recording: Arc<AtomicBool>,
    notes: Arc<Mutex<Option<watch::Receiver<bool>>>>,
}

impl Busy {
    /// Something is recorded, or no longer.
    pub fn record(&self, recording: bool) {
        self.recording.store(recording, Ordering::Relaxed);
    }

    /// Where it is told whether a note is played.
    pub fn listen(&self, notes: watch::Receiver<bool>) {
        *self.notes() = Some(notes);
    }

    fn is(&self) -> bool {
        self.recording.load(Ordering::Relaxed) || self.notes().as_ref().is_some_and(|notes| *notes.borrow())
    }

    fn notes(&self) -> MutexGuard<'_, Option<watch::Receiver<bool>>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of each key, and leaves what it does to the editor; all but those that control what is played or recorded
/// and begin no text. Of the keys of a command nothing is told: it says itself what it does.
struct Keys {
    typed: UnboundedSender<Typed>,
    busy: Busy,
}

impl ConditionalEventHandler for Keys {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, line: &EventContext<'_>) -> Option<Cmd> {
        let key = event.get(0).map_or(KeyCode::Null, |key| key.0);
        let press = match key {
            KeyCode::Char(' ') => Some(Press::Char(' ')),
            KeyCode::Left => Some(Press::Left),
            KeyCode::Right => Some(Press::Right),
            _ => None,
        };
        // Nobody listens any more only when the conversation has ended.
        match press.filter(|_| line.line().is_empty() && self.busy.is()) {
            Some(press) => {
                let _ = self.typed.send(Typed::Press(press));
                Some(Cmd::Noop)
            }
            // It may be a command for what is heard: /next would find nothing that it could go on to.
            None if line.line().starts_with('/') || (line.line().is_empty() && key == KeyCode::Char('/')) => {
                None
            }
            None => {
                let _ = self.typed.send(Typed::Key);
                None
            }
        }
    }
}

/// Gives the terminal back as it was, however this ends.
struct Restore(Termios);

impl Restore {
    fn new() -> nix::Result<Self> {
        tcgetattr(stdin().as_fd()).map(Self)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let stdin = stdin();
        let Ok(now) = tcgetattr(stdin.as_fd()) else { return };
        if now.local_flags == self.0.local_flags && now.input_flags == self.0.input_flags {
            return;
        }
        // The editor was stopped in the middle of a line: it has no chance to do this itself.
        let _ = tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &self.0);
        let mut out = stdout();
        let _ = out.write_all(b"\x1b[?2004l\r\n").and_then(|()| out.flush());
    }
}
