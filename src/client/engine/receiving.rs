//! The mailbox: what is pushed is checked and opened in parallel, stored in the mailbox's order, one
//! transaction for a batch with everything that depends on it, and only then acknowledged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Transaction;
use tokio::time::interval;

use crate::client::db::inbox::{self, Fit, Noticed, Place};
use crate::client::db::{Sql, blocks, contacts, fetches, listening, messages};
use crate::client::link::Pushed;
use crate::client::link::wire::Pushes;
use crate::client::{Body, Delivery, Event};
use crate::crypto::PrivateKey;
use crate::crypto::envelope::{
    CheckError, Content, Conversation, Delivered, Header, LiveClosing, LiveEnd, Opened, Recipient, VoiceData,
    parse,
};
use crate::model::{AccountId, DeviceId, EnvelopeHash, MessageId, Millis, Nickname, Position, Wrap, limits};
use crate::protocol::message::{Answer, Push, Verb};

use super::pool::compute_each;
use super::{Engine, Keys, Me, Person, Session, Trouble, audit, lock, notice, wait_out};

/// Envelopes, and bytes of them, that are opened together.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A gap that stands this long while messages come in is announced.
const GAP: Duration = Duration::from_secs(10);
/// So many things that are wrong with what came are said in so much time.
const MOST_SAID: u32 = 64;
const SAID_IN: Duration = Duration::from_secs(3600);
/// A voice note whose sound has not come for this long holds up nothing any more.
const OVERTAKEN_MS: u64 = 60_000;
/// A date further than this from the arrival is marked.
const LATE: Duration = Duration::from_secs(10 * 60);

/// An envelope as it was pushed.
struct Arrived {
    position: Position,
    delivered: Delivered,
    wrap: Option<Wrap>,
    accepted_at: Millis,
    body: Bytes,
}

/// What may still be said of what is wrong, and until when.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    until: Instant,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: MOST_SAID, until: Instant::now() + SAID_IN }
    }
}

impl Allowance {
    /// How much may be said now.
    fn left(&mut self) -> u32 {
        if self.until <= Instant::now() {
            *self = Self::default();
        }
        self.left
    }

    /// Whether one thing more may be said now.
    pub(super) fn any_left(&mut self) -> bool {
        self.left() > 0
    }

    /// One was said.
    pub(super) fn use_up(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// What checking and opening it came to.
enum Outcome {
    /// Stored before.
    Duplicate,
    /// The same name was stored with another content.
    Fork,
    /// Written by this very device.
    OwnCopy {
        hash: EnvelopeHash,
    },
    /// Said to be by this very device, which has not written it to itself.
    Reflected,
    /// What is known of its sender is not what the transparency log has: it is read again later.
    HeldBack,
    /// Not to be opened.
    Broken,
    Opened(Box<Sound>),
}

/// An envelope that is what it should be.
struct Sound {
    header: Header,
    hash: EnvelopeHash,
    header_hash: [u8; 32],
    opened: Opened,
    person: Arc<Person>,
}

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
        let opened = compute_each(batch, move |(arrived, known): (Arrived, Option<EnvelopeHash>)| {
            let person = people.get(&arrived.delivered.sender);
            let outcome = open(&arrived, known, me, &own, person, &keys);
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
        let mut left = lock(&self.allowance).left();
        let (position, keep, fetching, heard, left) = self
            .commit(move |db, events| {
                let (mut last, mut heard) = (None, false);
                for (arrived, outcome) in &opened {
                    store(db, &who, arrived, outcome, &mut left, events)?;
                    if let Outcome::Opened(sound) = outcome {
                        let Sound { header, opened, .. } = &**sound;
                        heard |= audit::note(db, &who, header.account, header.log.as_ref(), &opened.content)?;
                    }
                    inbox::set_cursor(db, arrived.position)?;
                    last = Some(arrived.position);
                }
                let epoch = last.map_or(0, |position| position.epoch);
                Ok((last, fetches::keep_from(db, epoch)?, fetches::any(db)?, heard, left))
            })
            .await?;
        lock(&self.allowance).left = left;
        if let Some(position) = position {
            self.acknowledge(session, position, keep).await;
        }
        if heard {
            self.audit.notify_one();
        }
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
                if inbox::notice_once(db, &late.device, &late.message, Noticed::Overtaken)? {
                    let text = format!(
                        "The sound of a voice note from {name} has not come yet: what came after it is shown before it"
                    );
                    events.push(Event::Message(notice(db, &me, name, text)?));
                }
                for arrival in late.behind {
                    events.push(Event::Message(messages::release(db, arrival)?));
                }
            }
            for (sender, missing) in inbox::announce_gaps(db, before)? {
                let what = if missing == 1 { "1 message".to_owned() } else { format!("{missing} messages") };
                let text = format!("{what} from {sender} did not arrive: ask {sender} to send again");
                events.push(Event::Message(notice(db, &me, &sender, text)?));
            }
            Ok(())
        });
        Ok(announced.await?)
    }
}

/// Size, decoding, version, addressed to me, certified device, signature, replay; only then decryption.
fn open(
    arrived: &Arrived,
    known: Option<EnvelopeHash>,
    me: Recipient,
    own: &PrivateKey,
    person: Option<&Arc<Person>>,
    keys: &Keys,
) -> Outcome {
    let Ok(parsed) = parse(&arrived.body) else { return Outcome::Broken };
    let (header, header_hash, hash) = (parsed.header().clone(), parsed.header_hash(), parsed.hash());
    if header.device == me.device && arrived.delivered.device == me.device {
        let mine = header.account == me.account
            && header.message == arrived.delivered.message
            && header.recipient == Conversation::Account(me.account)
            && parsed.is_signed_by(own.public());
        return match known {
            Some(known) if known == hash => Outcome::Duplicate,
            None if mine => Outcome::OwnCopy { hash },
            _ => Outcome::Reflected,
        };
    }
    let Some(person) = person else { return Outcome::Broken };
    if person.unlogged {
        return Outcome::HeldBack;
    }
    // Mail of a removed device waits for as long as servers keep mail, and no longer.
    let removed = person.account.removed_device(&header.device);
    if removed.is_some_and(|(_, at)| Millis::now().since(at) > limits::RETENTION) {
        return Outcome::Broken;
    }
    let verified = match parsed.check(&arrived.delivered, me, &person.account) {
        Ok(verified) => verified,
        Err(CheckError::Reflected) => return Outcome::Duplicate,
        Err(_) => return Outcome::Broken,
    };
    match known {
        Some(known) if known == hash => return Outcome::Duplicate,
        Some(_) => return Outcome::Fork,
        None => {}
    }
    let key = arrived.wrap.as_ref().and_then(|wrap| Some((keys.get(&wrap.key)?, wrap)));
    match key.map(|(key, wrap)| verified.open(key, wrap)) {
        Some(Ok(opened)) => {
            let person = person.clone();
            Outcome::Opened(Box::new(Sound { header, hash, header_hash, opened, person }))
        }
        _ => Outcome::Broken,
    }
}

/// Stores one, with everything that follows from it.
fn store(
    db: &Transaction<'_>,
    me: &Me,
    arrived: &Arrived,
    outcome: &Outcome,
    left: &mut u32,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Delivered { device, message, sender, .. } = arrived.delivered;
    if !matches!(outcome, Outcome::HeldBack) {
        inbox::release_held_back(db, arrived.position, false)?;
    }
    match outcome {
        Outcome::Duplicate => Ok(()),
        Outcome::HeldBack => {
            inbox::hold_back(db, arrived.position)?;
            say_once(db, me, (sender, device, message), Noticed::HeldBack, left, events)
        }
        Outcome::Broken => say_once(db, me, (sender, device, message), Noticed::Broken, left, events),
        Outcome::Fork => say_once(db, me, (sender, device, message), Noticed::Fork, left, events),
        Outcome::Reflected => say_once(db, me, (sender, device, message), Noticed::Reflected, left, events),
        Outcome::OwnCopy { hash } => {
            if inbox::known(db, &device, &message)?.is_none() {
                inbox::remember(db, &device, &message, hash)?;
                store_own_copy(db, me, arrived, events)?;
            }
            Ok(())
        }
        Outcome::Opened(sound) => match inbox::known(db, &device, &message)? {
            // Twice in one batch.
            Some(hash) if hash == sound.hash => Ok(()),
            Some(_) => say_once(db, me, (sender, device, message), Noticed::Fork, left, events),
            None => store_opened(db, me, arrived, sound, events),
        },
    }
}

fn store_opened(
    db: &Transaction<'_>,
    me: &Me,
    arrived: &Arrived,
    sound: &Sound,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Sound { header, hash, header_hash, opened, person } = sound;
    let Delivered { device, message, .. } = arrived.delivered;
    let Conversation::Account(recipient) = header.recipient;
    inbox::remember(db, &device, &message, hash)?;
    let name = &person.account.nickname;
    let now = Millis::now();
    let blocked = blocks::is_blocked(db, &person.account.id)?;
    if let Some(counter) = header.counter {
        let void = opened.content == Content::Void;
        let (previous, hash) = (header.previous, *hash);
        let place = Place {
            account: person.account.id,
            device,
            recipient,
            counter,
            previous,
            hash,
            void,
            sender: name,
        };
        if inbox::link(db, &place, now)? == Fit::Wrong && !blocked {
            let text = format!(
                "A message from {name} does not follow the one before it: something may be missing or \
                 out of place"
            );
            events.push(Event::Message(notice(db, me, name, text)?));
        }
    }
    // Came before the server was told: as if it had been dropped there.
    if blocked {
        return Ok(());
    }
    let body = match &opened.content {
        Content::Void | Content::Log(_) => return Ok(()),
        Content::Text(text) => Body::Text { text: text.clone() },
        Content::Voice(manifest) => Body::Voice {
            duration_ms: manifest.duration_ms,
            sample_rate: manifest.sample_rate,
            size: manifest.size,
            peaks: manifest.peaks.to_vec(),
            live: false,
            cut_off: false,
            listened: false,
            position_ms: 0,
        },
        Content::LiveOpening(opening) => Body::Voice {
            duration_ms: 0,
            sample_rate: opening.sample_rate,
            size: 0,
            peaks: Vec::new(),
            live: true,
            cut_off: false,
            listened: false,
            position_ms: 0,
        },
        Content::LiveClosing(closing) => {
            return close_live(db, (device, name), closing, arrived.position, events);
        }
    };
    let mine = person.account.id == me.account;
    let to = if recipient == me.account {
        me.nickname.clone()
    } else {
        contacts::by_account(db, &recipient)?.map_or_else(|| me.nickname.clone(), |stored| stored.nickname)
    };
    let blob = match &opened.content {
        Content::Voice(manifest) => manifest.blob(),
        _ => None,
    };
    let known = contacts::by_account(db, &person.account.id)?;
    let certified_by = person.account.device_at(&device, header.sent_at).map(|device| device.certified_by);
    let accepted = known.is_some_and(|known| known.pinned && Some(known.identity) == certified_by);
    let late = now.since(header.sent_at) > LATE || header.sent_at.since(now) > LATE;
    let arrival = messages::insert(
        db,
        &messages::New {
            id: message,
            device,
            own: false,
            peer: if mine { &to } else { name },
            from: name,
            to: &to,
            color: person.account.color,
            body: &body,
            sent_at: header.sent_at,
            received_at: Some(if mine { arrived.accepted_at } else { now }),
            seq: Some(arrived.position.seq),
            delivery: mine.then_some(&Delivery::Accepted),
            late,
            signer: Some((person.account.id, certified_by)),
            key_changed: !accepted,
            complete: blob.is_none(),
        },
    )?;
    match &opened.content {
        Content::Voice(manifest) => match (&manifest.data, blob) {
            (VoiceData::Inline(wav), _) => messages::attach(db, arrival, wav)?,
            (VoiceData::Blob { .. }, Some(blob)) => {
                fetches::begin(db, arrival, blob, &opened.secret, arrived.position)?;
            }
            (VoiceData::Blob { .. }, None) => {}
        },
        Content::LiveOpening(opening) => {
            listening::begin(db, arrival, &person.account.id, opening, header_hash, &opened.secret)?;
            if let Some(closing) = listening::early_closing(db, &device, &message)? {
                close_live(db, (device, name), &closing, arrived.position, events)?;
            }
        }
        Content::Text(_) | Content::Void | Content::LiveClosing(_) | Content::Log(_) => {}
    }
    events.extend(messages::release_ready(db, &device)?.into_iter().map(Event::Message));
    Ok(())
}

/// A note that was heard while it was spoken is over. It is told once all of its sound is here.
fn close_live(
    db: &Transaction<'_>,
    (device, name): (DeviceId, &Nickname),
    closing: &LiveClosing,
    position: Position,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Some(arrival) = listening::close(db, &device, closing, position)? else { return Ok(()) };
    if closing.end == LiveEnd::Withdrawn {
        listening::withdraw(db, arrival, name.as_str())?;
        events.push(Event::LiveEnded(messages::by_arrival(db, arrival)?));
    }
    Ok(())
}

/// A note to oneself has come back: what was written is what has been received.
fn store_own_copy(db: &Transaction<'_>, me: &Me, arrived: &Arrived, events: &mut Vec<Event>) -> Sql<()> {
    let Some(original) = messages::own(db, &arrived.delivered.message)? else { return Ok(()) };
    let message = messages::by_arrival(db, original)?;
    let arrival = messages::insert(
        db,
        &messages::New {
            id: message.id,
            device: me.device,
            own: false,
            peer: &me.nickname,
            from: &me.nickname,
            to: &me.nickname,
            color: me.color,
            body: &message.body,
            sent_at: message.sent_at,
            received_at: Some(Millis::now()),
            seq: Some(arrived.position.seq),
            delivery: None,
            late: false,
            signer: None,
            key_changed: false,
            complete: true,
        },
    )?;
    messages::attach(db, arrival, &messages::sound(db, original)?)?;
    events.push(Event::Message(messages::release(db, arrival)?));
    Ok(())
}

/// Says of a name what is wrong with it; each thing once. Nothing that came over the wire is in it.
fn say_once(
    db: &Transaction<'_>,
    me: &Me,
    (sender, device, message): (AccountId, DeviceId, MessageId),
    what: Noticed,
    left: &mut u32,
    events: &mut Vec<Event>,
) -> Sql<()> {
    if blocks::is_blocked(db, &sender)? {
        return Ok(());
    }
    // Names are anybody's to make up: what can't be opened is not said without end.
    if *left == 0 || !inbox::notice_once(db, &device, &message, what)? {
        return Ok(());
    }
    *left -= 1;
    let known: Option<Nickname> = contacts::by_account(db, &sender)?.map(|stored| stored.nickname);
    let text = match (what, &known) {
        (Noticed::Reflected, _) => {
            "The server has delivered a message to you that this device has sent: nothing of it was taken in"
                .to_owned()
        }
        (Noticed::HeldBack, Some(name)) => format!(
            "A message has come from {name}, whose keys the server shows otherwise than its transparency log has \
             them: it waits on the server until the two agree, see `tellal audit`"
        ),
        (Noticed::HeldBack, None) => {
            "A message has come from somebody whom the server's transparency log does not have: it waits on the \
             server until the log is in order, see `tellal audit`"
                .to_owned()
        }
        (Noticed::Fork, Some(name)) => format!(
            "{name}'s device has sent two different messages under one id: it may be copied or restored \
             from a backup; the first one is kept"
        ),
        (Noticed::Fork, None) => "An unknown device has sent two different messages under one id".to_owned(),
        (_, Some(name)) => {
            format!("A message from {name} could not be opened: ask {name} to send it again")
        }
        (_, None) => "A message from an unknown sender could not be opened".to_owned(),
    };
    let text = if *left == 0 { format!("{text}. No more of this kind is told for an hour") } else { text };
    let peer = known.as_ref().unwrap_or(&me.nickname);
    events.push(Event::Message(notice(db, me, peer, text)?));
    Ok(())
}

#[cfg(test)]
#[path = "receiving_tests.rs"]
mod tests;
