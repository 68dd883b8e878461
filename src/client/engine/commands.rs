//! What front ends ask, one by one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use crate::client::db::attachments;
use crate::client::db::messages::{self, Kind};
use crate::client::db::{contacts, fetches, inbox, live_sound, outbox, speaking};
use crate::client::{
    Body, ClientError, Command, Delivery, Event, Message, MessageRef, PersonVoice, Reply, Status,
};
use crate::model::{Address, MessageId, Millis, Nickname, limits};
use crate::protocol::message::Verb;

use super::renewal::Renewed;
use super::{Engine, Link, Session, Trouble, lock};

/// How long the server may take to say who somebody is before what is written to them is stored all the same.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of the largest voice note.
const VOICE_BYTES: usize = 64 * 1024 * 1024;
/// The longest.
const VOICE_MS: u64 = 10 * 60 * 1000;

impl Engine {
    /// Does what is asked. Repeating a command is harmless.
    pub(in crate::client) async fn run(
        &self,
        command: Command,
        bulk: Bytes,
    ) -> Result<(Reply, Vec<u8>), ClientError> {
        let reply = match command {
            Command::Audio { which } => return self.audio(which).await,
            Command::Status => Reply::Status(self.status().await?),
            Command::Users => {
                let session = self.session().await?;
                Reply::Contacts(
                    self.users(&session).await.map_err(|trouble| self.explain(&session, trouble))?,
                )
            }
            Command::Block { nickname, blocked } => self.block(nickname, blocked).await?,
            Command::WatchPresence => {
                let session = self.session().await?;
                Reply::Contacts(
                    self.watch(&session).await.map_err(|trouble| self.explain(&session, trouble))?,
                )
            }
            Command::SendText { id, to, text } => {
                if text.len() > limits::INLINE_CONTENT {
                    return Err(too_large("the text", "48 KiB"));
                }
                Reply::Message(self.enqueue(id, to, Body::Text { text }, Bytes::new()).await?)
            }
            Command::SendVoice { id, to, duration_ms, sample_rate, mut peaks } => {
                if bulk.len() > VOICE_BYTES {
                    return Err(too_large("the voice note", "64 MiB"));
                }
                if duration_ms > VOICE_MS {
                    return Err(too_large("the voice note", "10 minutes"));
                }
                peaks.truncate(64);
                let body = Body::voice(duration_ms, sample_rate, bulk.len() as u64, peaks);
                Reply::Message(self.enqueue(id, to, body, bulk).await?)
            }
            live @ (Command::BeginLive { .. }
            | Command::LiveGroup { .. }
            | Command::EndLive { .. }
            | Command::LiveSound { .. }) => return self.run_live(live, bulk).await,
            Command::Unshown => Reply::Messages(self.db.run(|db| messages::unshown(db)).await?),
            Command::MarkShown { numbers } => {
                self.db.write(move |db| messages::mark_shown(db, &numbers)).await?;
                Reply::Done
            }
            Command::Drain => {
                self.drain().await?;
                Reply::Done
            }
            Command::History { with, search, limit } => Reply::Messages(
                self.db.run(move |db| messages::history(db, with.as_ref(), search.as_deref(), limit)).await?,
            ),
            Command::Since { number } => {
                Reply::Messages(self.db.run(move |db| messages::since(db, number)).await?)
            }
            Command::Message { which } => {
                let found = self.db.run(move |db| messages::find(db, which, Kind::Text)).await?;
                Reply::Message(found.ok_or(ClientError::NoSuchMessage)?.1)
            }
            Command::Audit { accept } => {
                let mut session = self.session().await?;
                if accept && self.accept_log_key(&session).await? {
                    session = self.session().await?;
                }
                let report = self.recheck_log(&session, accept).await;
                Reply::Audit(report.map_err(|trouble| self.explain(&session, trouble))?)
            }
            Command::Rekey => {
                self.rekey().await?;
                Reply::Done
            }
            Command::Devices => Reply::Devices(self.devices().await?),
            Command::RemoveDevice { device } => {
                self.remove_device(device).await?;
                Reply::Done
            }
            Command::Revoke => {
                self.revoke().await?;
                Reply::Done
            }
            Command::RenewMessageKey => {
                let session = self.session().await?;
                let renewed = self.replace_key(&session).await;
                let reason = match renewed.map_err(|trouble| self.explain(&session, trouble))? {
                    Renewed::Taken => return Ok((Reply::Done, Vec::new())),
                    Renewed::Refused => {
                        "it holds another message key of this device; this may be an old copy of the profile"
                    }
                    Renewed::Hidden => {
                        "it says that it has taken the new message key, but does not show it in its directory; the \
                         old one is kept: ask whoever runs it"
                    }
                };
                return Err(ClientError::Refused { reason: reason.to_owned() });
            }
            Command::Lock => {
                if !self.home.is_sealed()? {
                    return Err(ClientError::NoPassphrase);
                }
                self.locked.cancel();
                Reply::Done
            }
            Command::Standings => Reply::Standings(self.standings().await?),
            Command::Safety { nickname } => Reply::Safety(self.safety(nickname).await?),
            Command::Verify { nickname, code } => Reply::Safety(self.verify(nickname, &code).await?),
            Command::AcceptChange { nickname } => Reply::Safety(self.accept_change(nickname).await?),
            Command::MarkHeard { number, position_ms, listened } => {
                self.db.write(move |db| messages::mark_heard(db, number, position_ms, listened)).await?;
                Reply::Done
            }
            Command::MarkToHear { numbers, to_hear } => {
                self.db.write(move |db| messages::mark_to_hear(db, &numbers, to_hear)).await?;
                Reply::Done
            }
            Command::ToHear { from } => {
                Reply::Messages(self.db.run(move |db| messages::to_hear(db, from.as_ref())).await?)
            }
            Command::NextVoice { after } => {
                let next = self.db.run(move |db| messages::next_voice(db, after)).await?;
                Reply::Messages(next.into_iter().collect())
            }
            Command::Unread => Reply::Unread(self.db.run(|db| messages::unread(db)).await?),
            of_rooms @ (Command::Rooms
            | Command::CreateRoom { .. }
            | Command::JoinRoom { .. }
            | Command::LeaveRoom { .. }
            | Command::Invite { .. }
            | Command::RemoveFromRoom { .. }) => self.run_room(of_rooms).await?,
            Command::VoiceOf { nickname } => Reply::Voice(self.voice_of(nickname).await?),
            Command::SetVoiceOf { nickname, voice } => {
                self.set_voice_of(nickname, voice).await?;
                Reply::Done
            }
        };
        Ok((reply, Vec::new()))
    }

    pub(in crate::client) async fn status(&self) -> Result<Status, ClientError> {
        let queued = self.db.run(|db| outbox::count(db)).await?;
        let up = match &*self.link.borrow() {
            Link::Up(session) if !session.wire.is_closed() => Some(session.clock_ahead_ms),
            _ => None,
        };
        // Between new keys and the core that begins with them, the profile is ahead.
        let (server_fingerprint, identity) = {
            let profile = lock(&self.profile);
            (profile.server_fingerprint(), profile.identity.unwrap_or(self.me.identity))
        };
        Ok(Status {
            nickname: self.me.nickname.clone(),
            account: self.me.account,
            fingerprint: identity.fingerprint(),
            color: self.me.color,
            server: self.address.to_string(),
            server_fingerprint,
            connected: up.is_some(),
            queued,
            clock_ahead_ms: up,
        })
    }

    async fn voice_of(&self, nickname: Nickname) -> Result<PersonVoice, ClientError> {
        if nickname == self.me.nickname {
            return Ok(PersonVoice { account: Some(self.me.account), chosen: None });
        }
        let wanted = nickname.clone();
        if let Some((account, chosen)) = self.db.run(move |db| contacts::voice(db, &wanted)).await? {
            return Ok(PersonVoice { account: Some(account), chosen });
        }
        // Someone new. Where the server can't be asked, the name has to do.
        let Ok(session) = self.session().await else {
            return Ok(PersonVoice { account: None, chosen: None });
        };
        let found = self
            .look_up_name(&session, &nickname)
            .await
            .map_err(|trouble| self.explain(&session, trouble))?;
        let person = found.ok_or(ClientError::UnknownNickname { nickname })?;
        Ok(PersonVoice { account: Some(person.account.id), chosen: None })
    }

    async fn set_voice_of(&self, nickname: Nickname, voice: Option<String>) -> Result<(), ClientError> {
        let store = |nickname: Nickname, voice: Option<String>| {
            self.db.write(move |db| contacts::set_voice(db, &nickname, voice.as_deref()))
        };
        if store(nickname.clone(), voice.clone()).await? {
            return Ok(());
        }
        let unknown = ClientError::UnknownNickname { nickname: nickname.clone() };
        let session = self.session().await?;
        let found = self
            .look_up_name(&session, &nickname)
            .await
            .map_err(|trouble| self.explain(&session, trouble))?;
        if found.is_some() && store(nickname, voice).await? { Ok(()) } else { Err(unknown) }
    }

    /// Puts a message into the history and the outbox, once.
    pub(super) async fn enqueue(
        &self,
        id: MessageId,
        to: Address,
        body: Body,
        sound: Bytes,
    ) -> Result<Message, ClientError> {
        if let Some(message) = self.stored(id).await? {
            return Ok(message);
        }
        let to = match to {
            Address::Person(name) => {
                self.can_write_to(&name).await?;
                Address::Person(name)
            }
            Address::Room(room) => Address::Room(self.can_write_in(&room).await?),
        };
        let me = self.me.clone();
        let message = self
            .commit(move |db, events| {
                if let Some(arrival) = messages::own(db, &id)? {
                    return messages::by_arrival(db, arrival);
                }
                let arrival = messages::insert(
                    db,
                    &messages::New {
                        id,
                        device: me.device,
                        own: true,
                        peer: &to,
                        from: &me.nickname,
                        to: &to,
                        color: me.color,
                        body: &body,
                        sent_at: Millis::now(),
                        received_at: None,
                        seq: None,
                        counter: None,
                        chain: None,
                        delivery: Some(&Delivery::Queued),
                        late: false,
                        signer: None,
                        key_changed: false,
                        complete: true,
                    },
                )?;
                if let Body::Voice { live: true, .. } = body {
                    speaking::begin(db, arrival, Millis::now())?;
                }
                attachments::put_all(db, arrival, &sound)?;
                outbox::append(db, Some(arrival), &id, &to)?;
                let message = messages::release(db, arrival)?;
                events.push(Event::Queued(message.clone()));
                Ok(message)
            })
            .await?;
        self.outbox.notify_one();
        self.kick.notify_one();
        Ok(message)
    }

    /// Whether something can be written to a person, as far as that can be known at once.
    async fn can_write_to(&self, name: &Nickname) -> Result<(), ClientError> {
        match self.held(name).await? {
            Some(Some(change)) => return Err(ClientError::KeyChanged { nickname: name.clone(), change }),
            Some(None) => {}
            // Someone new: if the server can be asked, it is better to know at once.
            None => match self.session_soon().await {
                Ok(session) => match timeout(PATIENCE, self.look_up_name(&session, name)).await {
                    // What was written is not lost because the server takes its time.
                    Err(_)
                    | Ok(Ok(Some(_)) | Err(Trouble::Lost | Trouble::Strange | Trouble::Refused { .. })) => {}
                    Ok(Ok(None)) => return Err(ClientError::UnknownNickname { nickname: name.clone() }),
                    Ok(Err(Trouble::Local(error))) => return Err(error),
                },
                Err(
                    error @ (ClientError::WrongFingerprint { .. } | ClientError::WrongCertificate { .. }),
                ) => return Err(error),
                Err(_) => {}
            },
        }
        Ok(())
    }

    async fn stored(&self, id: MessageId) -> Result<Option<Message>, ClientError> {
        self.db
            .run(move |db| messages::own(db, &id)?.map(|row| messages::by_arrival(db, row)).transpose())
            .await
    }

    /// Waits for the mailbox's end, as it is now or later, and for all sound.
    async fn drain(&self) -> Result<(), ClientError> {
        let asked = Instant::now();
        let session = self.session().await?;
        self.drain_since(&session, asked).await
    }

    /// The same on one connection, whose end is not waited for: who works on it is what a next one waits for.
    pub(super) async fn drain_on(&self, session: &Session) -> Result<(), ClientError> {
        self.drain_since(session, Instant::now()).await
    }

    async fn drain_since(&self, session: &Session, asked: Instant) -> Result<(), ClientError> {
        let _alone = self.draining.lock().await;
        self.reach_end(session, 1).await?;
        if session.since <= asked {
            // That end may be one of the past: the mailbox is read on from there.
            let begun = session.progress.borrow().subscribed;
            let after = self.db.run(|db| inbox::cursor(db)).await?;
            let answer = session.wire.ask(Verb::Subscribe { after }).await;
            answer.map_err(|denied| self.explain(session, denied.into()))?;
            self.reach_end(session, begun + 1).await?;
        }
        // What has changed in rooms comes with it.
        self.rooms_are_read(session).await.map_err(|trouble| self.explain(session, trouble))?;
        // What came may say something of the transparency log: what there is to be alarmed about comes with it.
        self.audit_soon(session).await.map_err(|trouble| self.explain(session, trouble))
    }

    /// Waits until so many subscriptions have begun and the last of them has reached the mailbox's end.
    async fn reach_end(&self, session: &Session, subscriptions: u64) -> Result<(), ClientError> {
        let mut progress = session.progress.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            let reached = now.subscribed >= subscriptions && now.drained && !now.fetching;
            if reached && !self.db.run(|db| fetches::any(db)).await? {
                return Ok(());
            }
            tokio::select! {
                () = session.wire.ended() => return Err(self.explain(session, Trouble::Lost)),
                changed = progress.changed() => changed.map_err(|_| self.explain(session, Trouble::Lost))?,
            }
        }
    }

    async fn audio(&self, which: MessageRef) -> Result<(Reply, Vec<u8>), ClientError> {
        let found = self
            .db
            .run(move |db| {
                let Some((row, message)) = messages::find(db, which, Kind::Voice)? else { return Ok(None) };
                let sound = match message.body {
                    // What is here of it so far.
                    Body::Voice { live: true, .. } => {
                        let samples = live_sound::samples(db, row, 0)?;
                        Some([live_sound::wav_header(samples.len() as u64), samples].concat())
                    }
                    Body::Voice { .. } => Some(attachments::all(db, row)?),
                    _ => None,
                };
                Ok(Some((message, sound)))
            })
            .await?;
        let (message, sound) = found.ok_or(ClientError::NoSuchMessage)?;
        Ok((Reply::Audio(message), sound.ok_or(ClientError::NotVoice)?))
    }
}

fn too_large(what: &str, limit: &str) -> ClientError {
    ClientError::TooLarge { what: what.to_owned(), limit: limit.to_owned() }
}
