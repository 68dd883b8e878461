//! The mailbox: what is pushed is checked and opened in parallel, stored in the mailbox's order, one
//! transaction for a batch with everything that depends on it, and only then acknowledged.
//!
//! - [`opening`]: an envelope that was pushed is checked, then opened
//! - [`storing`]: what has come of that, and all that follows from it

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::client::Event;
use crate::client::db::inbox::{self, Noticed};
use crate::client::db::{Sql, fetches, messages, rooms};
use crate::client::link::Pushed;
use crate::client::link::wire::Pushes;
use crate::crypto::envelope::{Content, Delivered, Recipient};
use crate::model::{AccountId, Conversation, DeviceId, EnvelopeHash, MessageId, Millis, Position, RoomId};
use crate::protocol::message::{Answer, Push, Verb};

use super::pool::compute_each;
use super::rooms::RoomAsRead;
use super::{Engine, Person, Session, Trouble, audit, lock, notice_to, wait_out};

use self::opening::{Arrived, Known, Outcome, Sound, open};
use self::storing::store;

mod opening;
mod storing;

/// Envelopes, and bytes of them, that are opened together.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A gap that stands this long while messages come in is announced; what came behind it waits so long to be shown.
const GAP: Duration = Duration::from_secs(10);
/// A voice note whose sound has not come for this long holds up nothing any more.
const OVERTAKEN_MS: u64 = 60_000;

impl Engine {
    /// Stores what is pushed, for as long as the connection lasts.
    pub(super) async fn receive(&self, session: &Session, mut pushes: Pushes) -> Result<(), Trouble> {
        // What was held back may be right by now.
        self.db.write(|db| inbox::go_back(db)).await?;
        self.subscribe(session).await?;
        let mut check = interval(GAP / 4);
        loop {
            let first = tokio::select! {
                pushed = pushes.next() => pushed.ok_or(Trouble::Lost)?,
                _ = check.tick() => {
                    let before = Millis(Millis::now().0.saturating_sub(10_000));
                    self.announce_gaps(before).await?;
                    continue;
                }
            };
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            let mut other = None;
            while let Some(Pushed { push, body, .. }) = next.take() {
                let Push::Delivery { position, sender, device, message, conversation, wrap, accepted_at } =
                    push
                else {
                    other = Some(push);
                    break;
                };
                bytes += body.len();
                let delivered = Delivered { sender, device, message, conversation };
                batch.push(Arrived { position, delivered, wrap, accepted_at, body });
                if batch.len() < BATCH && bytes < BATCH_BYTES {
                    next = pushes.ready();
                }
            }
            if !batch.is_empty() {
                self.take_in(session, batch).await?;
            }
            match other {
                Some(Push::Reply { answer: Answer::Subscribed { .. }, .. }) => {
                    session.progress.send_modify(|progress| {
                        progress.subscribed += 1;
                        progress.drained = false;
                    });
                }
                Some(Push::Drained { position }) => self.drained(session, position).await?,
                Some(Push::Reply { number, answer }) => self.note_list(session, number, answer),
                Some(Push::Presence { account, online }) => self.note_presence(account, online),
                Some(Push::LogGrown { .. }) => self.audit.notify_one(),
                Some(Push::RoomChanged { room }) => self.note_room(room),
                // Nothing else is pushed after a login; what a newer server adds is not for this program.
                _ => {}
            }
        }
    }

    /// Checks, opens, stores and acknowledges a batch.
    async fn take_in(&self, session: &Session, batch: Vec<Arrived>) -> Result<(), Trouble> {
        let senders: HashSet<(AccountId, DeviceId)> =
            batch.iter().map(|arrived| (arrived.delivered.sender, arrived.delivered.device)).collect();
        let mut people: HashMap<AccountId, Arc<Person>> = HashMap::new();
        for (account, device) in senders {
            if device != self.me.device {
                // Mail is not given up, nor the connection, for having asked too often.
                let sender = loop {
                    match self.sender(session, account, device).await {
                        Err(trouble) => wait_out(session, trouble).await?,
                        sender => break sender?,
                    }
                };
                people.extend(sender.map(|person| (account, person)));
            }
        }
        let rooms = self.rooms_of(session, &batch).await?;
        let names: Vec<(DeviceId, MessageId)> =
            batch.iter().map(|arrived| (arrived.delivered.device, arrived.delivered.message)).collect();
        let known = self
            .db
            .run(move |db| names.iter().map(|(d, m)| inbox::known(db, d, m)).collect::<Sql<Vec<_>>>())
            .await?;
        let keys = lock(&self.message_keys).clone();
        let me = Recipient { account: self.me.account, device: self.me.device };
        let own = self.device_key.clone();
        let batch = batch.into_iter().zip(known).collect();
        let opened = compute_each(batch, move |(arrived, hash): (Arrived, Option<EnvelopeHash>)| {
            let person = people.get(&arrived.delivered.sender);
            let read = room_of(&arrived).and_then(|room| rooms.get(&room));
            let (room, unread) = read.map_or((None, false), |read| (read.room.as_ref(), read.behind));
            let outcome = open(&arrived, Known { person, room, unread, hash }, me, &own, &keys);
            (arrived, outcome)
        })
        .await?;
        let live = opened.iter().any(|(_, outcome)| match outcome {
            Outcome::Opened(sound) => {
                matches!(sound.opened.content, Content::LiveOpening(_) | Content::LiveClosing(_))
            }
            _ => false,
        });
        let who = self.me.clone();
        let mut allowance = lock(&self.allowance).clone();
        let (position, keep, fetching, heard, invited, allowance) = self
            .commit(move |db, events| {
                let (mut last, mut heard, mut invited) = (None, false, Vec::new());
                for (arrived, outcome) in &opened {
                    store(db, &who, arrived, outcome, &mut allowance, events)?;
                    if let Outcome::Opened(sound) = outcome {
                        let Sound { header, opened, .. } = &**sound;
                        heard |= audit::note(db, &who, header.account, header.log.as_ref(), &opened.content)?;
                        if let Content::Invitation(way) = &opened.content
                            && rooms::joining(db, &way.room)?.is_some()
                        {
                            invited.push(way.room);
                        }
                    }
                    inbox::set_cursor(db, arrived.position)?;
                    last = Some(arrived.position);
                }
                let epoch = last.map_or(0, |position| position.epoch);
                let (keep, fetching) = (fetches::keep_from(db, epoch)?, fetches::any(db)?);
                Ok((last, keep, fetching, heard, invited, allowance))
            })
            .await?;
        *lock(&self.allowance) = allowance;
        if let Some(position) = position {
            self.acknowledge(session, position, keep).await;
        }
        if heard {
            self.audit.notify_one();
        }
        // Who is in a room that one is invited to is known before one comes in.
        invited.into_iter().for_each(|room| self.note_room(room));
        session.progress.send_modify(|progress| progress.fetching |= fetching);
        if live {
            self.listening.notify_one();
            self.live_news.send_modify(|count| *count += 1);
            self.grown.send_modify(|count| *count += 1);
        }
        if fetching {
            self.fetches.notify_one();
        }
        Ok(())
    }

    /// The rooms that things of a batch are for, as far as they are known here. The server is asked for what is not, once
    /// for each room.
    async fn rooms_of(
        &self,
        session: &Session,
        batch: &[Arrived],
    ) -> Result<HashMap<RoomId, RoomAsRead>, Trouble> {
        let mut rooms: HashMap<RoomId, RoomAsRead> = HashMap::new();
        let mut asked = HashSet::new();
        for arrived in batch {
            let Conversation::Room { room: id, roster } = arrived.delivered.conversation else { continue };
            let mut room = match rooms.remove(&id) {
                Some(room) => room,
                None => self.room_as_read(id).await,
            };
            if !room.has(&roster) && asked.insert(id) {
                room = self.ask_for_record(session, id, roster, room).await?;
            }
            rooms.insert(id, room);
        }
        Ok(rooms)
    }

    /// Tells the server what it need not keep for this device any more.
    pub(super) async fn acknowledge(&self, session: &Session, position: Position, keep: Option<u64>) {
        let seq = keep.map_or(position.seq, |keep| position.seq.min(keep.saturating_sub(1)));
        session.wire.tell(Verb::Acknowledge { position: Position { seq, ..position } }).await;
    }

    /// The mailbox's end.
    async fn drained(&self, session: &Session, position: Position) -> Result<(), Trouble> {
        self.db
            .write(move |db| {
                let behind = inbox::cursor(db)?.is_none_or(|cursor| cursor.epoch != position.epoch);
                if behind { inbox::set_cursor(db, position) } else { Ok(()) }
            })
            .await?;
        self.announce_gaps(Millis::now()).await?;
        let fetching = self.db.run(|db| fetches::any(db)).await?;
        session.progress.send_modify(|progress| {
            progress.drained = true;
            progress.fetching = fetching;
        });
        if fetching {
            self.fetches.notify_one();
        } else {
            self.tell(Event::Drained);
        }
        Ok(())
    }

    async fn announce_gaps(&self, before: Millis) -> Result<(), Trouble> {
        let (me, now) = (self.me.clone(), Millis::now());
        let announced = self.commit(move |db, events| {
            for late in messages::overtaken(db, Millis(now.0.saturating_sub(OVERTAKEN_MS)))? {
                let name = &late.sender;
                let peer = &late.peer;
                if inbox::notice_once(db, &late.device, &late.message, Noticed::Overtaken)? {
                    let text = format!(
                        "The sound of a voice note from {name} has not come yet: what came after it is shown before it"
                    );
                    events.push(Event::Message(notice_to(db, &me, peer, text)?));
                }
                for arrival in late.behind {
                    events.push(Event::Message(messages::release(db, arrival)?));
                }
            }
            let gaps = inbox::announce_gaps(db, before)?;
            events.extend(messages::release_all_ready(db)?.into_iter().map(Event::Message));
            for (sender, peer, missing) in gaps {
                let what = if missing == 1 { "1 message".to_owned() } else { format!("{missing} messages") };
                let text = format!("{what} from {sender} did not arrive: ask {sender} to send again");
                events.push(Event::Message(notice_to(db, &me, &peer, text)?));
            }
            Ok(())
        });
        Ok(announced.await?)
    }
}

/// The room that something is for, by the server's word.
fn room_of(arrived: &Arrived) -> Option<RoomId> {
    match arrived.delivered.conversation {
        Conversation::Room { room, .. } => Some(room),
        Conversation::Account(_) => None,
    }
}

#[cfg(test)]
#[path = "receiving_tests.rs"]
mod tests;
