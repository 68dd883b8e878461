//! Doing what was typed.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::ChatError;
use super::command::{Command, Line, Verify};
use super::input::Typed;
use super::render::{Marks, help};
use super::rooms::Look;
use super::talk::{Done, Flow, Link, Outgoing, Talk};
use crate::client::ClientError;
use crate::model::{Address, Nickname};

/// How long the server may take to say whether there is somebody of a name, or to do something with a room, and the
/// microphone to open: the next line is not asked for meanwhile.
pub(super) const ASKING: Duration = Duration::from_secs(2);

impl Talk {
    /// Something came from the keyboard.
    pub(super) async fn typed(&mut self, typed: Typed) -> Result<Flow, ChatError> {
        if typed == Typed::Key {
            // What is heard now, and what waits for its turn. What arrives after this key is heard again.
            if self.sound.taking.is_none() {
                self.hush();
            }
            return Ok(Flow::On);
        }
        if let Typed::Press(key) = typed {
            self.press(key);
            return Ok(Flow::On);
        }
        self.face.answered();
        self.forget_heard().await?;
        let cleared = typed == Typed::Cleared;
        let line = match typed {
            Typed::Line(line) => line,
            Typed::Cleared | Typed::Key | Typed::Press(_) => String::new(),
            Typed::End if self.face.is_terminal() => return Ok(Flow::End),
            Typed::End => {
                self.finish();
                return Ok(Flow::On);
            }
            Typed::NotUtf8(line) => return self.unread_input(ChatError::NotUtf8 { line }),
            Typed::Failed(reason) => return self.unread_input(ChatError::Input { reason }),
        };
        let flow = match Line::parse(&line) {
            Line::Empty => {
                if self.sound.taking.is_none() {
                    self.hush();
                } else if !cleared {
                    self.end_recording(true);
                }
                Flow::On
            }
            Line::Text(text) => {
                self.send(text.trim_end());
                Flow::On
            }
            Line::Command(command) => self.command(command).await?,
            Line::Wrong(reason) => {
                self.words(&reason);
                Flow::On
            }
        };
        if flow == Flow::On {
            self.ask_when_settled();
        }
        Ok(flow)
    }

    /// There is no reading on. What came before that is sent first.
    fn unread_input(&mut self, error: ChatError) -> Result<Flow, ChatError> {
        if self.face.is_terminal() {
            return Err(error);
        }
        self.fail(error);
        self.finish();
        Ok(Flow::On)
    }

    fn send(&mut self, text: &str) {
        let Some(to) = self.addressee() else {
            self.words("not sent: to whom? /to NICK, then say it again (the up arrow brings it back)");
            return;
        };
        self.send_out(to, Outgoing::Text(text.to_owned()), watch::Sender::new(()));
    }

    async fn command(&mut self, command: Command) -> Result<Flow, ChatError> {
        match command {
            Command::Help => self.face.help(help(self.view.lines.plain))?,
            Command::Users => self.look_around(true),
            Command::To(Address::Room(room)) => self.turn_to_room(room).await?,
            Command::To(Address::Person(nick)) => self.to(nick).await?,
            Command::Rooms => self.look_at_rooms(Look::List),
            Command::Members(room) => self.members(room),
            Command::Room(room, deed) => self.room(room, deed),
            Command::Block(nick, blocked) => {
                self.under_way += 1;
                self.spawn(move |client| async move {
                    Done::Blocked(match client.block(&nick, blocked).await {
                        Ok(told) => blocking(&nick, blocked, told),
                        Err(error) => error.to_string(),
                    })
                });
            }
            Command::History(count) => {
                let with = self.with.clone();
                let messages = self.client.history(with.as_ref(), None, count).await?;
                for message in &messages {
                    self.show(message, Marks { new: false, number: true })?;
                }
                if messages.is_empty() {
                    self.words("nothing was said yet");
                }
            }
            Command::Unread => {
                let unheard = self.unheard().await?;
                let news = self.view.news(&self.people);
                let line = match self.view.unheard(&unheard) {
                    Some(left) if self.people.with_news().next().is_none() => left,
                    Some(left) => format!("{news}; {left}"),
                    None => news,
                };
                self.face.unread(&self.people, &unheard, line)?;
            }
            Command::Quit => {
                if !self.face.is_terminal() {
                    self.finish();
                    return Ok(Flow::On);
                }
                self.quit_recording();
                return Ok(Flow::End);
            }
            Command::HearUnread(from) => self.hear_unread(from).await?,
            Command::Heard(what) => self.hearing(what),
            Command::Reply => self.reply(),
            Command::VoiceOf(nickname, wish) => self.voice_of(nickname, &wish).await,
            Command::Voice(options) => self.record(None, options, false),
            Command::Live(options) => self.record(None, options, true),
            Command::Listen => self.listen_to_recording(),
            Command::Cancel => self.end_recording(false),
            Command::Play(which, speed) => {
                speed.into_iter().for_each(|speed| self.set_speed(speed));
                self.fetch(which, true);
            }
            Command::Pause => self.pause(),
            Command::Control(control) => self.control(control),
            Command::Next => self.next(),
            Command::Speak(on) => self.speak(on).await?,
            Command::SpeakOne(which) => self.fetch(which, false),
            Command::Stop => self.hush(),
            Command::Verify(what) => {
                // What is accepted is what was shown.
                self.settle_shown().await?;
                self.verify(what);
            }
        }
        Ok(Flow::On)
    }

    async fn to(&mut self, nick: Nickname) -> Result<(), ChatError> {
        let to: Address = nick.clone().into();
        let known = self
            .people
            .find(&to)
            .map(|person| (person.address.clone(), person.talked || person.color.is_some()));
        let to = match known {
            Some((to, true)) => to,
            _ if self.acquainted && self.link == Link::Up => {
                // Perhaps they registered a moment ago.
                match timeout(ASKING, self.client.users()).await {
                    Ok(Ok(users)) => match users.iter().find(|user| user.nickname == nick) {
                        Some(user) => {
                            self.people.learn(user);
                            user.nickname.clone().into()
                        }
                        None => {
                            self.words(&unknown(&nick));
                            return Ok(());
                        }
                    },
                    // It is seen once something is written to them.
                    _ => to,
                }
            }
            _ => to,
        };
        self.with = Some(to.clone());
        if self.face.is_terminal() {
            let online = self.whereabouts(&to);
            self.words(&format!("you talk to {to} now{online}"));
            self.turn_to(&to).await?;
        } else {
            self.show_all_new().await?;
        }
        Ok(())
    }

    fn verify(&self, what: Verify) {
        let Some(with) = self.with.as_ref().and_then(Address::person).cloned() else {
            let _ = self.done.send(Done::Said("whose key? /to NICK first".to_owned()));
            return;
        };
        let terminal = self.face.is_terminal();
        self.spawn(move |client| async move {
            let decided = match what {
                Verify::Show => return Done::Safety(client.safety(&with).await),
                Verify::Code(code) => client.verify(&with, &code).await,
                Verify::Accept => client.accept_change(&with).await,
            };
            match decided {
                // The event says it.
                Ok(_) if terminal => Done::Met(Vec::new()),
                decided => Done::Safety(decided),
            }
        });
    }

    /// Whether somebody is online, to be added to a sentence; nothing while that is not known.
    pub(super) fn whereabouts(&self, to: &Address) -> &'static str {
        match (&self.link, self.people.find(to)) {
            (Link::Up, Some(person)) if person.online => ", who is online",
            (Link::Up, Some(person)) if person.color.is_some() && self.acquainted => {
                ", who is offline: what you write waits on the server"
            }
            _ => "",
        }
    }
}

pub(super) fn unknown(nickname: &Nickname) -> String {
    ClientError::UnknownNickname { nickname: nickname.clone() }.to_string()
}

/// What a block means, in a sentence.
fn blocking(nick: &Nickname, blocked: bool, told: bool) -> String {
    let now = if blocked {
        format!("{nick} is blocked: what they send is dropped, and they can't tell")
    } else {
        format!("{nick} is not blocked any more: what they send from now on arrives")
    };
    let later = if told { "" } else { " (the server hears of it when it is next reached)" };
    format!("{now}{later}")
}
