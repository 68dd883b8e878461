//! Showing what happened.

use std::time::Duration;

use tokio::time::Instant;

use super::ChatError;
use super::render::Marks;
use super::talk::{Done, Flow, Link, Talk, counted};
use super::typed::unknown;
use crate::audio::Cue;
use crate::client::{Body, ClientError, Contact, Delivery, Event, Message};
use crate::model::{Address, MessageId, Nickname};
use crate::terminal::cues;
use crate::terminal::safety::{self, Qr};

/// How long somebody is away until it is said: a connection that is lost for a moment is nobody's business.
const AWAY: Duration = Duration::from_secs(3);

impl Talk {
    /// Something came from the core.
    pub(super) async fn happened(&mut self, event: Event) -> Result<Flow, ChatError> {
        self.say_trouble();
        match event {
            Event::Connected => {
                if let Link::Down { .. } = self.link {
                    self.words("connected again");
                }
                self.link = Link::Up;
                self.look_around(false);
            }
            Event::Disconnected { reason, .. } => self.disconnected(reason),
            Event::Message(message) if message.number > self.known => self.arrived(&message).await?,
            Event::Queued(message) if message.number > self.known => {
                // Written by another command beside this one.
                if !self.unsent.contains_key(&message.id) {
                    // While there is a connection, that it waits is over before it is read.
                    let delivery = message.delivery.clone().filter(|_| self.link != Link::Up);
                    let delivery = delivery.or(Some(Delivery::Accepted));
                    self.show(&Message { delivery, ..message }, Marks::default())?;
                }
            }
            Event::Accepted { id, .. } => self.accepted(id),
            Event::Refused { id, reason } => {
                if let Some(pending) = self.unsent.remove(&id) {
                    self.cue(Some(Cue::Error), pending.to.person());
                    self.words(&format!("not sent: the server refused it: {reason}"));
                    self.failed.get_or_insert(ClientError::Refused { reason }.into());
                }
            }
            Event::Delayed { id, reason, limited, .. } => {
                // What is true of all that wait is said once.
                let said = limited && self.unsent.values().any(|pending| pending.told);
                if let Some(pending) = self.unsent.get_mut(&id)
                    && !std::mem::replace(&mut pending.told, true)
                    && !said
                {
                    self.words(&format!("waits: {reason}"));
                }
            }
            Event::LiveEnded(message) => self.live_ended(&message).await?,
            Event::Locked => {
                // Why nothing happens any more.
                self.client.status().await?;
                return Ok(Flow::End);
            }
            Event::Presence { nickname, online } => self.presence(&nickname, online),
            Event::Verified { nickname, fingerprint, verified } => {
                let person = self.people.get_or_add(&nickname.clone().into());
                (person.verified, person.key_changed) = (verified, false);
                let how = if verified { "verified" } else { "accepted, not verified" };
                self.words(&format!("the key of {nickname} is {how}: {fingerprint}"));
            }
            // What waits was asked elsewhere, and is told there.
            Event::Message(_)
            | Event::Queued(_)
            | Event::Uploading { .. }
            | Event::Waits { .. }
            | Event::Drained => {}
        }
        Ok(Flow::On)
    }

    /// Something that was begun beside the conversation is done.
    pub(super) fn done(&mut self, done: Done) -> Result<Flow, ChatError> {
        match done {
            Done::Stored { id, to, result, kept } => {
                if result.is_err() {
                    self.stop_speaking(id);
                }
                self.stored(id, &to, result);
                // Told after why.
                kept.into_iter().for_each(|words| self.words(&words));
            }
            Done::Spoken { id, to, result } => {
                self.under_way -= 1;
                self.spoken(id, &to, result);
            }
            Done::Reached(Err(error)) if self.link == Link::Connecting => {
                self.disconnected(error.to_string())
            }
            Done::Reached(_) => {}
            Done::Directory { asked, result: Ok(contacts) } => self.directory(asked, &contacts)?,
            Done::Directory { asked: true, result: Err(error) } => self.words(&error.to_string()),
            Done::Directory { asked: false, .. } => {}
            Done::Fetched { silences, result, turn } => {
                self.fetched(silences, result);
                drop(turn);
            }
            Done::Recording { id, started } => self.recording(id, started),
            Done::Recorded { to, recorded, under_way } => {
                self.under_way -= 1;
                self.recorded(to, recorded, under_way);
            }
            Done::Heard { number, heard, silences } => self.heard(number, heard, silences),
            Done::Next { asked, next, silences } => self.next_found(asked, next, silences),
            Done::Said(words) => self.words(&words),
            Done::Blocked(words) | Done::Left(words) => {
                self.under_way -= 1;
                self.words(&words);
            }
            Done::Rooms { look, blocked, result } => {
                self.under_way -= 1;
                self.rooms_known(look, blocked.as_deref(), result)?;
            }
            Done::Room(done) => {
                self.under_way -= 1;
                self.deeds -= 1;
                self.room_done(done)?;
            }
            Done::Safety(Ok(safety)) => {
                let lines = safety::shown(&safety, Qr::No, "/verify NUMBER");
                self.face.safety(&safety, lines)?;
            }
            Done::Safety(Err(error)) => self.words(&error.to_string()),
            Done::Met(messages) => {
                messages.iter().for_each(|message| self.people.met(message));
                self.names.add(self.people.talked().map(|person| &person.address));
            }
        }
        Ok(Flow::On)
    }

    fn disconnected(&mut self, reason: String) {
        let said = matches!(self.link, Link::Down { .. });
        self.link = Link::Down { reason: reason.clone() };
        if said {
            return;
        }
        let waiting: Vec<_> = self.unsent.values_mut().filter(|pending| pending.stored).collect();
        let count = waiting.len();
        waiting.into_iter().for_each(|pending| pending.told = true);
        let words = format!("not connected: {reason}");
        self.words(&words);
        if count > 0 {
            let (messages, wait) = counted(count);
            self.words(&format!("{messages} {wait} for the server"));
        }
    }

    async fn arrived(&mut self, message: &Message) -> Result<(), ChatError> {
        let peer = message.conversation();
        self.people.met(message);
        self.names.add([&peer]);
        if let Body::Invitation { room } = &message.body {
            self.names.add([&room.clone().into()]);
        }
        if self.with.as_ref() != Some(&peer) {
            self.people.get_or_add(&peer).new.push(message.number);
        }
        self.show(message, Marks::default())?;
        if matches!(message.body, Body::Notice { .. }) {
            // It may be about a key, which the prompt shows.
            self.judge().await?;
        }
        if self.is_heard(message) {
            self.offer(message.number).await?;
        }
        let cue = cues::of_message(message);
        // What is heard at once needs no other announcement.
        let announced = self.is_heard_at_once(message);
        self.cue(cue.filter(|_| !announced), Some(&message.from));
        self.hear_arrival(message, cue.filter(|_| announced));
        Ok(())
    }

    fn accepted(&mut self, id: MessageId) {
        let Some(pending) = self.unsent.remove(&id) else { return };
        self.cue(Some(Cue::Sent), pending.to.person());
        if pending.told {
            self.left += 1;
            if !self.unsent.values().any(|pending| pending.told) {
                let (messages, _) = counted(std::mem::take(&mut self.left));
                self.words(&format!("sent now: {messages} that waited"));
            }
        }
    }

    fn stored(&mut self, id: MessageId, to: &Address, result: Result<(), ClientError>) {
        match result {
            Ok(()) => {
                let down = matches!(self.link, Link::Down { .. });
                let Some(pending) = self.unsent.get_mut(&id) else { return };
                pending.stored = true;
                if down && !pending.told {
                    pending.told = true;
                    self.words("waits for the server: it leaves by itself once connected");
                }
            }
            Err(error) => {
                self.unsent.remove(&id);
                self.cue(Some(Cue::Error), to.person());
                // Without a terminal the first error is what this ends with.
                if self.face.is_terminal() || self.failed.is_some() {
                    self.words(&format!("not sent to {to}: {error}"));
                }
                self.failed.get_or_insert(error.into());
            }
        }
    }

    fn directory(&mut self, asked: bool, contacts: &[Contact]) -> Result<(), ChatError> {
        contacts.iter().for_each(|contact| self.people.learn(contact));
        let others = contacts.iter().filter(|contact| !contact.me);
        let others: Vec<Address> = others.map(|contact| contact.nickname.clone().into()).collect();
        self.names.add(&others);
        let first = !std::mem::replace(&mut self.acquainted, true);
        if asked {
            let list = self.view.users(contacts);
            self.face.users(contacts, list)?;
        } else if first && self.face.is_terminal() {
            self.greet(contacts);
        }
        Ok(())
    }

    /// The first word from the server.
    fn greet(&mut self, contacts: &[Contact]) {
        match self.with.clone().map(|with| (with.person().cloned(), with)) {
            Some((None, with)) => self.words(&format!("connected; you write to {with}")),
            Some((Some(with), _)) if !contacts.iter().any(|contact| contact.nickname == with) => {
                self.words(&unknown(&with));
                self.words("choose somebody with /to NICK");
                self.asked_for.take_if(|asked_for| *asked_for == with);
                self.with = None;
            }
            Some((Some(with), address))
                if self.people.find(&address).is_some_and(|person| person.key_changed) =>
            {
                self.words(&format!(
                    "connected; the key of {with} has changed: /verify shows it, nothing is sent"
                ));
            }
            Some((Some(with), _)) => {
                let words = if self.people.is_online(&with) {
                    format!("connected; {with} is online")
                } else {
                    format!("connected; {with} is offline: what you write waits on the server")
                };
                self.words(&words);
            }
            None => {
                let online = contacts.iter().filter(|contact| contact.online && !contact.me);
                let online: Vec<&str> = online.map(|contact| contact.nickname.as_str()).collect();
                let words = match online.as_slice() {
                    [] => "connected; nobody else is online".to_owned(),
                    online => format!("connected; online: {}", online.join(", ")),
                };
                self.words(&words);
            }
        }
    }

    fn presence(&mut self, nickname: &Nickname, online: bool) {
        let address = nickname.clone().into();
        let person = self.people.get_or_add(&address);
        let changed = std::mem::replace(&mut person.online, online) != online;
        let matters = person.talked || self.with.as_ref() == Some(&address);
        // Before the first word from the server it is not news.
        if !changed || !matters || !self.acquainted || *nickname == self.view.me {
            return;
        }
        if !online {
            self.leaving.push((nickname.clone(), Instant::now() + AWAY));
        } else if let Some(place) = self.leaving.iter().position(|(other, _)| other == nickname) {
            self.leaving.remove(place);
        } else {
            self.words(&format!("{nickname} is online"));
            self.cue(Some(Cue::Joined), Some(nickname));
        }
    }

    /// Says who has been away for long enough.
    pub(super) fn say_left(&mut self) {
        let now = Instant::now();
        let (left, leaving) = self.leaving.drain(..).partition(|(_, due)| *due <= now);
        self.leaving = leaving;
        let left: Vec<(Nickname, Instant)> = left;
        for (nickname, _) in left {
            self.words(&format!("{nickname} is offline"));
            self.cue(Some(Cue::Left), Some(&nickname));
        }
    }
}
