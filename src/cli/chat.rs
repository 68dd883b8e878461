//! `tellal chat`: a conversation on the terminal.

use std::io;

use anyhow::Result;

use super::app::{App, address};
use super::deliver;
use super::failure::{self, Failure};
use super::meant;
use super::output::{Error, Output, Unread};
use super::room::{Member, Shown};
use super::stop;
use super::verify::Verified;
use crate::client::{ClientError, Contact, Message, Role, Room, Safety};
use crate::model::{Address, Nickname};
use crate::terminal::chat::{self, ChatError, Plain, Settings};

/// What can be pressed meanwhile.
const KEYS: &str = "What is typed is sent; /help lists the commands, /quit or Ctrl-D ends. While a note is recorded or played and nothing \
     is typed: Enter sends it, space pauses and goes on, left and right go 5 s back and ahead. Any key silences what is \
     read aloud.";

/// Options of `chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Args {
    /// With whom, or in which room (`#garden` or `room:garden`); who there is can be asked inside, too
    #[arg(value_name = "NICK|ROOM")]
    pub with: Option<String>,
}

/// Talks until Ctrl-D or /quit. Where stdin or stdout is no terminal, each line of stdin is sent.
///
/// # Errors
/// When another `chat` or `listen` runs on the profile, or it can't be read; without a terminal, also when
/// something was not sent.
pub async fn run(args: Args, app: App) -> Result<()> {
    let with = args.with.as_deref().map(address).transpose()?;
    let client = app.open_as(Role::Chat).await?;
    let events = client.events();
    let lines = app.out.lines.clone();
    let plain = |json| Box::new(Output::new(json, lines.clone())) as Box<dyn Plain>;
    let cues = app.cues();
    let settings = Settings {
        with,
        home: app.home.clone(),
        cues: cues.clone(),
        lines: lines.clone(),
        plain: app.out.json.then(|| plain(true)),
        fallback: plain(false),
    };
    // It ends by SIGTERM and SIGHUP as by /quit.
    stop::take_over();
    let done = chat::run(&client, settings).await.map_err(|error| match error {
        ChatError::Client(error) => error.into(),
        ChatError::NotUtf8 { .. } => Failure::new("not_utf8", error.to_string()).into(),
        ChatError::Waiting { .. } => Failure::new("queued", error.to_string()).into(),
        error => error.into(),
    });
    let done = meant::or(&client, done).await;
    // What was sent last is heard, too.
    let (waiting, ()) = tokio::join!(deliver::close(client, events), cues.speaker().idle());
    if waiting > 0 && done.is_ok() {
        let (messages, wait) = chat::counted(usize::try_from(waiting).unwrap_or(usize::MAX));
        app.out
            .note(&format!("tellal: {messages} still {wait} in the outbox, to leave when tellal next runs"));
    }
    done
}

impl Plain for Output {
    fn message(&mut self, message: &Message, line: &str) -> io::Result<()> {
        self.put(message, || line.to_owned())?;
        self.flush()
    }

    fn users(&mut self, contacts: &[Contact], lines: &str) -> io::Result<()> {
        if self.json {
            contacts.iter().try_for_each(|contact| self.put(contact, String::new))?;
        } else {
            self.put(&(), || lines.to_owned())?;
        }
        self.flush()
    }

    fn unread(&mut self, counts: &[(&Address, usize, usize)], line: &str) -> io::Result<()> {
        if self.json {
            let unread = |&(address, count, unheard): &(&Address, usize, usize)| {
                let nickname = address.written();
                self.put(&Unread { kind: "unread", nickname, count, unheard }, String::new)
            };
            counts.iter().try_for_each(unread)?;
        } else {
            self.put(&(), || line.to_owned())?;
        }
        self.flush()
    }

    fn safety(&mut self, safety: &Safety, lines: &str) -> io::Result<()> {
        self.put(&Verified { kind: "safety", safety }, || lines.to_owned())?;
        self.flush()
    }

    fn rooms(&mut self, rooms: &[Room], lines: &str) -> io::Result<()> {
        if self.json {
            rooms.iter().try_for_each(|room| self.put(&Shown { kind: "room", room }, String::new))?;
        } else {
            self.put(&(), || lines.to_owned())?;
        }
        self.flush()
    }

    fn room(&mut self, room: &Room, line: &str) -> io::Result<()> {
        if !self.json {
            self.note(line);
            return Ok(());
        }
        self.put(&Shown { kind: "room", room }, String::new)?;
        self.flush()
    }

    fn room_failed(&mut self, error: &ClientError, line: &str) -> io::Result<()> {
        self.note(line);
        if self.json {
            let message = error.to_string();
            let error = failure::code(&error.clone().into());
            self.put(&Error { kind: "error", error, message, id: None }, String::new)?;
        }
        self.flush()
    }

    fn members(&mut self, room: &Room, blocked: Option<&[Nickname]>, lines: &str) -> io::Result<()> {
        if self.json {
            Member::all(room, blocked).try_for_each(|member| self.put(&member, String::new))?;
        } else {
            self.put(&(), || lines.to_owned())?;
        }
        self.flush()
    }

    fn help(&mut self, lines: &str) -> io::Result<()> {
        if self.json {
            lines.lines().for_each(|line| self.note(line));
            return Ok(());
        }
        self.put(&(), || lines.to_owned())?;
        self.flush()
    }

    fn words(&mut self, text: &str) {
        self.note(text);
    }
}
