//! Where a conversation is read and shown: a terminal, or stdin and plain output.

use std::io::{self, BufRead, IsTerminal, stdin, stdout};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::complete::Names;
use super::input::{Ask, Busy, Terminal, Typed};
use super::people::People;
use crate::client::{ClientError, Contact, Message, Room, Safety};
use crate::model::{Address, Nickname};

/// Plain output.
pub trait Plain: Send {
    /// A message, and its line for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn message(&mut self, message: &Message, line: &str) -> io::Result<()>;
    /// Who there is, and the same in lines for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn users(&mut self, contacts: &[Contact], lines: &str) -> io::Result<()>;
    /// How many messages of whom are new, how many more were to be heard and were not, and the same in a line for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn unread(&mut self, counts: &[(&Address, usize, usize)], line: &str) -> io::Result<()>;
    /// How it stands with somebody's key, and the same in lines for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn safety(&mut self, safety: &Safety, lines: &str) -> io::Result<()>;
    /// Which rooms there are, and the same in lines for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn rooms(&mut self, rooms: &[Room], lines: &str) -> io::Result<()>;
    /// A room that something was done with, as it is then, and what was done in a line for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn room(&mut self, room: &Room, line: &str) -> io::Result<()>;
    /// What could not be done with a room, and the same in a line for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn room_failed(&mut self, error: &ClientError, line: &str) -> io::Result<()>;
    /// Who is in a room and, where that is known, whom of them one has blocked; and the same in lines for people.
    ///
    /// # Errors
    /// When it can't be written.
    fn members(&mut self, room: &Room, blocked: Option<&[Nickname]>, lines: &str) -> io::Result<()>;
    /// Help, which only people ask for.
    ///
    /// # Errors
    /// When it can't be written.
    fn help(&mut self, lines: &str) -> io::Result<()>;
    /// Something worth saying beside it.
    fn words(&mut self, text: &str);
}

/// Where a conversation is read and shown.
pub(super) struct Face {
    kind: Kind,
    /// Whether a line is being typed.
    asked: bool,
    /// Whether it was left in the middle of a line.
    abandoned: bool,
    /// What is printed before the next prompt, and the messages in it.
    before: Vec<String>,
    numbers: Vec<u64>,
    pub(super) typed: UnboundedReceiver<Typed>,
    pub(super) printed: UnboundedReceiver<Vec<u64>>,
    shown: UnboundedSender<Vec<u64>>,
}

enum Kind {
    Terminal(Terminal),
    Plain(Box<dyn Plain>),
}

impl Face {
    /// The terminal, if there is one that lines can be edited on and nothing else was asked for.
    pub(super) fn open(
        colors: bool,
        names: Names,
        busy: Busy,
        plain: Option<Box<dyn Plain>>,
        fallback: Box<dyn Plain>,
    ) -> io::Result<Self> {
        let (sender, typed) = unbounded_channel();
        let (shown, printed) = unbounded_channel();
        let plain = match plain {
            None if stdin().is_terminal() && stdout().is_terminal() => {
                match Terminal::open(colors, names, busy, sender.clone(), shown.clone())? {
                    Some(terminal) => Ok(terminal),
                    None => Err(fallback),
                }
            }
            None => Err(fallback),
            Some(plain) => Err(plain),
        };
        let kind = match plain {
            Ok(terminal) => Kind::Terminal(terminal),
            Err(plain) => {
                thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&sender))?;
                Kind::Plain(plain)
            }
        };
        Ok(Self {
            kind,
            asked: false,
            abandoned: false,
            before: Vec::new(),
            numbers: Vec::new(),
            typed,
            printed,
            shown,
        })
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.kind, Kind::Terminal(_))
    }

    /// Shows a message.
    pub(super) fn message(&mut self, message: &Message, line: String) -> io::Result<()> {
        match &mut self.kind {
            Kind::Terminal(_) => {
                self.print(line, vec![message.number]);
                Ok(())
            }
            Kind::Plain(plain) => {
                plain.message(message, &line)?;
                // The receiver is this face's own.
                let _ = self.shown.send(vec![message.number]);
                Ok(())
            }
        }
    }

    /// Shows who there is.
    pub(super) fn users(&mut self, contacts: &[Contact], lines: String) -> io::Result<()> {
        self.result(lines, |plain, lines| plain.users(contacts, lines))
    }

    /// Shows how much is new, and from whom.
    pub(super) fn unread(
        &mut self,
        people: &People,
        unheard: &[(Address, usize)],
        line: String,
    ) -> io::Result<()> {
        let left = |address: &Address| {
            unheard.iter().find(|(other, _)| other == address).map_or(0, |(_, count)| *count)
        };
        let news =
            people.with_news().map(|person| (&person.address, person.new.len(), left(&person.address)));
        let mut counts: Vec<_> = news.collect();
        for (address, count) in unheard {
            if !counts.iter().any(|(other, ..)| *other == address) {
                counts.push((address, 0, *count));
            }
        }
        self.result(line, |plain, line| plain.unread(&counts, line))
    }

    /// Shows how it stands with somebody's key.
    pub(super) fn safety(&mut self, safety: &Safety, lines: String) -> io::Result<()> {
        self.result(lines, |plain, lines| plain.safety(safety, lines))
    }

    /// Shows which rooms there are.
    pub(super) fn rooms(&mut self, rooms: &[Room], lines: String) -> io::Result<()> {
        self.result(lines, |plain, lines| plain.rooms(rooms, lines))
    }

    /// Shows that something was done with a room.
    pub(super) fn room(&mut self, room: &Room, line: String) -> io::Result<()> {
        self.result(line, |plain, line| plain.room(room, line))
    }

    /// Shows what could not be done with a room.
    pub(super) fn room_failed(&mut self, error: &ClientError, line: String) -> io::Result<()> {
        self.result(line, |plain, line| plain.room_failed(error, line))
    }

    /// Shows who is in a room, and whom of them one has blocked.
    pub(super) fn members(
        &mut self,
        room: &Room,
        blocked: Option<&[Nickname]>,
        lines: String,
    ) -> io::Result<()> {
        self.result(lines, |plain, lines| plain.members(room, blocked, lines))
    }

    /// Shows what can be typed.
    pub(super) fn help(&mut self, lines: String) -> io::Result<()> {
        self.result(lines, |plain, lines| plain.help(lines))
    }

    fn result(
        &mut self,
        text: String,
        plainly: impl FnOnce(&mut dyn Plain, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.kind {
            Kind::Terminal(_) => {
                self.print(text, Vec::new());
                Ok(())
            }
            Kind::Plain(plain) => plainly(plain.as_mut(), &text),
        }
    }

    /// Says something beside it; safe to print already.
    pub(super) fn words(&mut self, text: String) {
        match &mut self.kind {
            Kind::Terminal(_) => self.print(text, Vec::new()),
            Kind::Plain(plain) => plain.words(&text),
        }
    }

    fn print(&mut self, text: String, numbers: Vec<u64>) {
        match &self.kind {
            Kind::Terminal(terminal) if self.asked => terminal.print(text, numbers),
            _ => {
                self.before.push(text);
                self.numbers.extend(numbers);
            }
        }
    }

    /// Asks for the next line, after all that was shown.
    pub(super) fn ask(&mut self, ask: Ask) {
        let Kind::Terminal(terminal) = &self.kind else { return };
        if self.abandoned {
            return;
        }
        terminal.ask(Ask { before: std::mem::take(&mut self.before).join("\n"), ..ask });
        let _ = self.shown.send(std::mem::take(&mut self.numbers));
        self.asked = true;
    }

    /// A line was typed: no line is being typed now.
    pub(super) fn answered(&mut self) {
        self.asked = false;
    }

    /// Nothing is typed any more: what is said from now on are last words.
    pub(super) fn leave(&mut self) {
        self.abandoned |= std::mem::take(&mut self.asked);
    }

    /// Prints what is left.
    pub(super) fn close(self) {
        let Kind::Terminal(terminal) = self.kind else { return };
        let left = self.before.join("\n");
        if self.abandoned {
            return terminal.abandon(&left);
        }
        if !left.is_empty() {
            terminal.print(left, Vec::new());
        }
        terminal.close();
    }
}

/// Reads stdin line by line.
fn read(typed: &UnboundedSender<Typed>) {
    for (number, line) in (1..).zip(stdin().lock().lines()) {
        let line = match line {
            Ok(line) => Typed::Line(line),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Typed::NotUtf8(number),
            Err(error) => Typed::Failed(error.to_string()),
        };
        let more = matches!(line, Typed::Line(_));
        if typed.send(line).is_err() || !more {
            return;
        }
    }
    let _ = typed.send(Typed::End);
}
