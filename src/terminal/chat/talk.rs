//! The conversation's state, from its beginning to its end.

use std::collections::HashMap;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

pub use self::ending::counted;
use super::complete::Names;
use super::face::Face;
use super::input::{Busy, Typed};
use super::people::People;
use super::render::Marks;
use super::rooms::{self, Acted, Look};
use super::settling::Settling;
use super::sound::Sound;
use super::{ChatError, Settings, View, here};
use crate::audio::{AudioError, Note};
use crate::client::{Client, ClientError, Command, Contact, Events, Message, Reply, Room, Safety};
use crate::model::{Address, MessageId, Nickname};
use crate::terminal::dictation::{Dictation, Recorded};
use crate::terminal::unsent;

mod asking;
mod ending;

/// Messages of the history shown at the beginning, where nothing more is new.
const RECENT: usize = 10;
/// New messages of one person shown at once, at most.
const MOST_NEW: usize = 200;
/// Messages that tell whom one has talked with.
const MET: u32 = 500;
/// How long a message stands on the screen until it counts as shown.
const SETTLED: Duration = Duration::from_millis(300);
/// Without a terminal: how long the server may be silent before the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How it stands with the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Connecting,
    Up,
    Down { reason: String },
}

/// A message of one's own that the server does not have yet.
pub(super) struct Pending {
    pub(super) to: Address,
    /// It is in the outbox.
    pub(super) stored: bool,
    /// It was said that it waits.
    pub(super) told: bool,
    /// Gone with this, once the server has accepted it, or has not.
    pub(super) under_way: watch::Sender<()>,
}

/// What was done beside the conversation.
pub(super) enum Done {
    /// Something is in the outbox, or will not be; then where it is kept, in words, if it can't be typed again.
    Stored { id: MessageId, to: Address, result: Result<(), ClientError>, kept: Option<String> },
    /// Whether the server was reached at the beginning.
    Reached(Result<(), ClientError>),
    /// Who there is.
    Directory { asked: bool, result: Result<Vec<Contact>, ClientError> },
    /// Messages that tell whom one has talked with.
    Met(Vec<Message>),
    /// Something to be heard, with its sound, asked for before silence was asked for that often. What was asked for
    /// after it comes once `turn` is gone.
    Fetched {
        silences: u64,
        result: Result<(Message, Option<Vec<u8>>), ClientError>,
        turn: oneshot::Sender<()>,
    },
    /// The microphone is open, or is not, and why.
    Recording { id: MessageId, started: Result<Dictation, String> },
    /// A note was recorded; what waits for it is held by `under_way`.
    Recorded { to: Address, recorded: Result<Recorded, AudioError>, under_way: watch::Sender<()> },
    /// What was heard while it was spoken is over; without a result it never began.
    Spoken { id: MessageId, to: Address, result: Option<Result<Message, ClientError>> },
    /// A note was heard, or stopped; how often silence had been asked for when it was begun.
    Heard { number: u64, heard: bool, silences: u64 },
    /// The voice note that comes next.
    Next { asked: bool, next: Result<Option<Message>, ClientError>, silences: u64 },
    /// Something to be said.
    Said(String),
    /// Somebody is blocked, or not any more; in words.
    Blocked(String),
    /// What was still being recorded is kept, or can't be; in words.
    Left(String),
    /// Which rooms there are, and what for; where that is known, whom one has blocked.
    Rooms { look: Look, blocked: Option<Vec<Nickname>>, result: Result<Vec<Room>, ClientError> },
    /// Something was done with a room, or was not.
    Room(Acted),
    /// How it stands with somebody's key.
    Safety(Result<Safety, ClientError>),
}

/// What is sent.
pub(super) enum Outgoing {
    Text(String),
    Voice(Note),
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    On,
    End,
}

/// A conversation.
pub(super) struct Talk {
    pub(super) client: Client,
    pub(super) face: Face,
    pub(super) view: View,
    pub(super) with: Option<Address>,
    /// Whom the prompt names.
    pub(super) asked_for: Option<Address>,
    pub(super) people: People,
    pub(super) names: Names,
    pub(super) link: Link,
    /// Whether the directory has been heard of yet.
    pub(super) acquainted: bool,
    pub(super) unsent: HashMap<MessageId, Pending>,
    /// Notes that were recorded and are not ready yet: for whom, and until when.
    pub(super) finishing: Vec<(Address, watch::Receiver<()>)>,
    /// What has to be done before the end: blocks that are being carried out, and notes that are not in the outbox yet.
    pub(super) under_way: usize,
    /// Messages that were said to wait and have left since.
    pub(super) left: usize,
    pub(super) outgoing: UnboundedSender<(MessageId, Address, Outgoing)>,
    pub(super) done: UnboundedSender<Done>,
    pub(super) sound: Sound,
    /// The newest message that was there at the beginning.
    pub(super) known: u64,
    /// Who has gone, and when that is to be said.
    pub(super) leaving: Vec<(Nickname, Instant)>,
    /// The first thing that went wrong without a terminal.
    pub(super) failed: Option<ChatError>,
    events: Events,
    finished: UnboundedReceiver<Done>,
    settling: Settling,
    /// Stdin has ended; what is under way is waited for until then.
    ending: Option<Instant>,
    /// Deeds done with rooms that are under way: what is typed behind one is done behind it.
    pub(super) deeds: usize,
    /// The next line is to be asked for at this time at the latest.
    asks_at: Option<Instant>,
    terminate: Signal,
    hang_up: Signal,
}

impl Talk {
    /// Shows what was said before and what is new, and asks for the first line.
    pub(super) async fn begin(client: Client, settings: Settings) -> Result<Self, ChatError> {
        let (terminate, hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let events = client.events();
        let status = client.status().await?;
        let with = match settings.with {
            Some(Address::Room(room)) => Some(rooms::known(&client, &room).await?),
            with => with,
        };
        let (names, busy) = (Names::default(), Busy::default());
        let colors = settings.lines.palette != crate::terminal::Palette::None;
        let face = Face::open(colors, names.clone(), busy.clone(), settings.plain, settings.fallback)?;
        let settled = if face.is_terminal() { SETTLED } else { Duration::ZERO };
        let (outgoing, to_send) = unbounded_channel();
        let (done, finished) = unbounded_channel();
        tokio::spawn(send(client.clone(), settings.home.clone(), to_send, done.clone()));
        let view = View { lines: settings.lines, me: status.nickname, color: status.color };
        let mut talk = Self {
            client,
            face,
            view,
            with,
            asked_for: None,
            people: People::default(),
            names,
            link: if status.connected { Link::Up } else { Link::Connecting },
            acquainted: false,
            unsent: HashMap::new(),
            finishing: Vec::new(),
            under_way: 0,
            left: 0,
            outgoing,
            done,
            sound: Sound::new(settings.cues, settings.home, busy),
            known: 0,
            leaving: Vec::new(),
            failed: None,
            events,
            finished,
            settling: Settling::new(settled),
            ending: None,
            deeds: 0,
            asks_at: None,
            terminate,
            hang_up,
        };
        talk.judge().await?;
        talk.look_at_rooms(Look::Names);
        talk.catch_up().await?;
        talk.ask();
        talk.spawn(
            |client| async move { Done::Met(client.history(None, None, MET).await.unwrap_or_default()) },
        );
        if talk.link == Link::Up {
            talk.look_around(false);
        } else {
            // That a first attempt failed may have been told before anybody listened.
            talk.spawn(|client| async move { Done::Reached(client.watch_presence().await.map(drop)) });
        }
        Ok(talk)
    }

    /// What stands on the screen before the first prompt.
    async fn catch_up(&mut self) -> Result<(), ChatError> {
        let newest = self.client.history(None, None, 1).await?;
        self.known = newest.last().map_or(0, |message| message.number);
        for message in self.client.unshown().await? {
            self.people.met(&message);
            if message.number <= self.known {
                self.people.get_or_add(&message.conversation()).new.push(message.number);
            }
        }
        if !self.face.is_terminal() {
            return self.show_all_new().await;
        }
        self.words("/help lists what can be typed, /quit ends");
        if let Some(with) = self.with.clone() {
            self.turn_to(&with).await?;
        }
        if self.people.with_news().next().is_some() {
            let news = self.view.news(&self.people);
            self.face.words(self.view.words("unread: ") + &news);
        }
        if self.with.is_none() {
            self.words("whom do you want to talk to? /to NICK; /users lists who there is");
        }
        Ok(())
    }

    /// Without a terminal: what is new of the one talked with, or of all.
    pub(super) async fn show_all_new(&mut self) -> Result<(), ChatError> {
        for message in self.client.unshown().await? {
            let peer = message.conversation();
            // What has come since the beginning was shown then.
            if message.number > self.known || self.with.as_ref().is_some_and(|with| *with != peer) {
                continue;
            }
            let new = &mut self.people.get_or_add(&peer).new;
            let Some(place) = new.iter().position(|number| *number == message.number) else { continue };
            new.remove(place);
            self.show(&message, Marks::default())?;
        }
        if let Some(with) = &self.with {
            self.people.get_or_add(with).new.clear();
        }
        Ok(())
    }

    /// Shows the conversation with somebody as it stands.
    pub(super) async fn turn_to(&mut self, with: &Address) -> Result<(), ChatError> {
        let new = std::mem::take(&mut self.people.get_or_add(with).new);
        let limit = RECENT.max(new.len().min(MOST_NEW) + 2);
        let messages =
            self.client.history(Some(with), None, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        for message in &messages {
            self.people.met(message);
            self.show(message, Marks { new: new.contains(&message.number), number: false })?;
        }
        if messages.is_empty() {
            self.words(&format!("nothing was said with {with} yet"));
        }
        if new.len() > messages.len() {
            self.words(&format!("more is new: /history {}", new.len()));
        }
        self.settle(new);
        Ok(())
    }

    /// Until there is no more to say. However that comes, what was typed until then is in the outbox first.
    pub(super) async fn run(mut self) -> Result<(), ChatError> {
        let talked = match self.talk().await {
            // From outside: told as an event, unless something asked of the profile shows it before.
            Err(ChatError::Client(error)) if error.is_of_a_locked_profile() => {
                // What the editor is given to print may come too late.
                self.face.leave();
                self.words("the profile is locked now");
                Ok(())
            }
            talked => talked,
        };
        let ended = self.end().await;
        talked.and(ended)
    }

    async fn talk(&mut self) -> Result<(), ChatError> {
        loop {
            let flow = tokio::select! {
                typed = self.face.typed.recv(), if self.is_read() => {
                    self.typed(typed.unwrap_or(Typed::End)).await?
                }
                event = self.events.next() => match event {
                    Some(event) => self.happened(event).await?,
                    None => {
                        // Why nothing happens any more.
                        self.client.status().await?;
                        Flow::End
                    }
                },
                Some(done) = self.finished.recv() => self.done(done)?,
                Some(numbers) = self.face.printed.recv() => {
                    self.settle(numbers);
                    Flow::On
                }
                () = at(self.settling.due()) => {
                    let settled = self.settling.take_due();
                    self.mark_shown(settled).await?;
                    Flow::On
                }
                () = at(self.leaving.iter().map(|(_, due)| *due).min()) => {
                    self.say_left();
                    Flow::On
                }
                () = at(self.sound.taking.as_ref().map(|taking| taking.look)) => {
                    self.look_at_level();
                    Flow::On
                }
                () = at(self.asks_at) => {
                    self.ask();
                    Flow::On
                }
                () = at(self.ending) => {
                    self.link = Link::Down { reason: "the server does not answer".to_owned() };
                    Flow::End
                }
                _ = self.terminate.recv() => Flow::End,
                _ = self.hang_up.recv() => Flow::End,
            };
            if flow == Flow::End || self.is_done() {
                return Ok(());
            }
            self.ask_at_last();
        }
    }

    /// What can't be sent, or read. Without a terminal the first of it is what this ends with.
    pub(super) fn fail(&mut self, error: ChatError) {
        if self.failed.is_some() {
            self.words(&error.to_string());
        }
        self.failed.get_or_insert(error);
    }

    /// Stdin has ended: the rest is sent first.
    pub(super) fn finish(&mut self) {
        self.leave_recording();
        self.ending = Some(Instant::now() + PATIENCE);
    }

    /// Whether nobody can be asked any more.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    fn is_done(&self) -> bool {
        let down = matches!(self.link, Link::Down { .. });
        self.ending.is_some()
            && self.under_way == 0
            && self.unsent.values().all(|pending| down && pending.stored)
    }

    /// Sends something, in its turn.
    pub(super) fn send_out(&mut self, to: Address, what: Outgoing, under_way: watch::Sender<()>) {
        let id = MessageId::generate();
        self.await_outcome(id, &to, under_way);
        // The other end is held for as long as this.
        let _ = self.outgoing.send((id, to, what));
    }

    /// A message of one's own is waited for until the server has it.
    pub(super) fn await_outcome(&mut self, id: MessageId, to: &Address, under_way: watch::Sender<()>) {
        self.events.follow(id);
        self.unsent.insert(id, Pending { to: to.clone(), stored: false, told: false, under_way });
    }

    /// Messages stand on the screen.
    pub(super) fn settle(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.settling.add(numbers);
    }

    /// Says something.
    pub(super) fn words(&mut self, words: &str) {
        let words = here::commands(words, self.with.as_ref());
        self.face.words(self.view.words(&words));
    }

    /// Shows a message.
    pub(super) fn show(&mut self, message: &Message, marks: Marks) -> Result<(), ChatError> {
        let line = self.view.message(message, self.with.as_ref(), marks);
        Ok(self.face.message(message, line)?)
    }

    /// Does something beside the conversation.
    pub(super) fn spawn<F, W>(&self, work: W)
    where
        W: FnOnce(Client) -> F,
        F: Future<Output = Done> + Send + 'static,
    {
        let (work, done) = (work(self.client.clone()), self.done.clone());
        tokio::spawn(async move {
            // The conversation may have ended.
            let _ = done.send(work.await);
        });
    }

    /// Learns how it stands with everybody's key. What the directory told a while ago may be older than that.
    pub(super) async fn judge(&mut self) -> Result<(), ClientError> {
        self.client.standings().await?.iter().for_each(|standing| self.people.judge(standing));
        Ok(())
    }

    /// Asks the server who there is and who comes and goes. `asked`: because someone wants to know.
    pub(super) fn look_around(&self, asked: bool) {
        self.spawn(move |client| async move {
            let result = match client.watch_presence().await {
                Ok(_) => client.users().await,
                Err(error) => Err(error),
            };
            Done::Directory { asked, result }
        });
    }
}

/// Puts messages into the outbox one after the other, in the order they were typed.
async fn send(
    client: Client,
    home: PathBuf,
    mut messages: UnboundedReceiver<(MessageId, Address, Outgoing)>,
    done: UnboundedSender<Done>,
) {
    while let Some((id, to, what)) = messages.recv().await {
        let (command, wav) = match what {
            Outgoing::Text(text) => (Command::SendText { id, to: to.clone(), text }, Vec::new()),
            Outgoing::Voice(Note { wav, duration_ms, sample_rate, peaks, .. }) => {
                (Command::SendVoice { id, to: to.clone(), duration_ms, sample_rate, peaks }, wav)
            }
        };
        let result = client.call_with(command, wav.clone()).await.map(drop::<(Reply, Vec<u8>)>);
        // What was recorded can't be typed again.
        let kept = (result.is_err() && !wav.is_empty()).then(|| unsent::kept(&home, &wav));
        if done.send(Done::Stored { id, to, result, kept }).is_err() {
            return;
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
