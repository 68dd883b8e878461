//! One's own voice notes that are heard while they are spoken: each group is durable here first, then sealed,
//! signed and sent, whether or not the server can be reached while somebody speaks.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::db::speaking::{self, Ended, Speaking};
use crate::client::db::{Sql, listening, live_sound, messages};
use crate::client::link::Denied;
use crate::client::link::wire::Reply as Answered;
use crate::client::live::Ending;
use crate::client::{Body, ClientError, Command, Event, Message, MessageRef, Reply};
use crate::crypto::live::{Note, seal_group};
use crate::model::{BlobId, MessageId, Millis, limits};
use crate::protocol::message::{Answer, Verb};

use super::{Engine, Session, Trouble, compute, is_final, stopped};

/// Groups under way at a time.
const WINDOW: usize = 8;
/// The pause after a failure of the server's.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody still speaks.
const LOOK: Duration = Duration::from_secs(1);
/// One's own note that nothing is added to for so long is cut off: whoever spoke it has gone.
const SILENCE: Duration = Duration::from_secs(10);
/// Another's counts as cut off after so long, until more of it comes.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a command waits for sound.
const WAIT: Duration = Duration::from_secs(2);

impl Engine {
    /// What is asked about live notes.
    pub(super) async fn run_live(
        &self,
        command: Command,
        bulk: Bytes,
    ) -> Result<(Reply, Vec<u8>), ClientError> {
        let reply = match command {
            Command::BeginLive { id, to } => {
                if to == self.me.nickname {
                    return Err(ClientError::Refused {
                        reason: "nobody hears a live note to oneself: `tellal voice` records one".to_owned(),
                    });
                }
                let body = Body::live(limits::LIVE_RATE);
                Reply::Message(self.enqueue(id, to.into(), body, Bytes::new()).await?)
            }
            Command::LiveGroup { id, index } => {
                self.add_group(id, index, bulk).await?;
                Reply::Done
            }
            Command::EndLive { id, ending } => {
                let ended = match ending {
                    Ending::Done => Ended::Done,
                    Ending::CutOff => Ended::CutOff,
                    Ending::Withdrawn => Ended::Withdrawn,
                };
                Reply::Message(self.end_live(id, ended, bulk).await?)
            }
            Command::LiveSound { which, after } => return self.live_sound(which, after).await,
            _ => return Err(ClientError::Internal("not a command of a live note".to_owned())),
        };
        Ok((reply, Vec::new()))
    }

    async fn add_group(&self, id: MessageId, index: u32, samples: Bytes) -> Result<(), ClientError> {
        if samples.len() != limits::LIVE_GROUP {
            return Err(ClientError::Internal("a group of sound has another length".to_owned()));
        }
        let added = self
            .db
            .write(move |db| match own(db, &id)? {
                Some(note) if note.ended == Ended::No || index < note.groups => {
                    speaking::add(db, &note, index, &samples, Millis::now())
                }
                _ => Ok(false),
            })
            .await?;
        if !added {
            return Err(ClientError::NoteEnded);
        }
        self.speaking.notify_one();
        self.grown.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Ends a note of one's own, once.
    async fn end_live(&self, id: MessageId, ended: Ended, rest: Bytes) -> Result<Message, ClientError> {
        if rest.len() >= limits::LIVE_GROUP || !rest.len().is_multiple_of(2) {
            return Err(ClientError::Internal("the rest of a note has a wrong length".to_owned()));
        }
        let message = self
            .commit(move |db, events| {
                let Some(arrival) = messages::own(db, &id)? else { return Ok(None) };
                if let Some(note) = speaking::of(db, arrival)?.filter(|note| note.ended == Ended::No) {
                    speaking::end(db, &note, ended, &rest)?;
                    events.push(Event::LiveEnded(messages::by_arrival(db, arrival)?));
                }
                Ok(Some(messages::by_arrival(db, arrival)?))
            })
            .await?;
        self.note_ended();
        message.ok_or(ClientError::NoSuchMessage)
    }

    fn note_ended(&self) {
        self.outbox.notify_one();
        self.speaking.notify_one();
        self.grown.send_modify(|count| *count += 1);
    }

    /// Sound of a note as it comes.
    async fn live_sound(&self, which: MessageRef, after: u32) -> Result<(Reply, Vec<u8>), ClientError> {
        let mut grown = self.grown.subscribe();
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            grown.mark_unchanged();
            let found = self
                .db
                .run(move |db| {
                    let Some((arrival, message)) = messages::find(db, which, messages::Kind::Voice)? else {
                        return Ok(None);
                    };
                    let samples = live_sound::samples(db, arrival, after)?;
                    Ok(Some((message, live_sound::count(db, arrival)?, samples)))
                })
                .await?;
            let (message, groups, samples) = found.ok_or(ClientError::NoSuchMessage)?;
            let over = !matches!(message.body, Body::Voice { live: true, .. });
            let late = tokio::time::Instant::now() >= deadline;
            if over || late || !samples.is_empty() {
                return Ok((Reply::LiveSound { message, groups }, samples));
            }
            tokio::select! {
                _ = grown.changed() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = self.stop.cancelled() => return Err(stopped()),
            }
        }
    }

    /// Cuts off what nobody adds to any more.
    pub(super) async fn tend_live(self: std::sync::Arc<Self>) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = Millis::now().0;
            let before = |silence: Duration| {
                Millis(now.saturating_sub(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)))
            };
            let (own, other) = (before(SILENCE), before(PATIENCE));
            let cut_off = self.commit(move |db, events| {
                let stale = speaking::stale(db, own)?;
                for arrival in &stale {
                    if let Some(note) = speaking::of(db, *arrival)? {
                        speaking::end(db, &note, Ended::CutOff, &[])?;
                    }
                }
                for arrival in stale.iter().chain(&listening::cut_off_stale(db, other)?) {
                    events.push(Event::LiveEnded(messages::by_arrival(db, *arrival)?));
                }
                Ok(!events.is_empty())
            });
            match cut_off.await {
                Ok(true) => self.note_ended(),
                Ok(false) => {}
                // It is tried again.
                Err(error) => tracing::warn!(%error, "a note could not be cut off"),
            }
        }
    }

    /// Sends the sound of one's own notes as it comes, for as long as the connection lasts.
    pub(super) async fn send_live(&self, session: &Session) -> Result<(), Trouble> {
        loop {
            for arrival in self.db.run(|db| speaking::opened(db)).await? {
                match self.upload_groups(session, arrival).await {
                    Ok(()) => {}
                    Err(Trouble::Refused { code, .. }) if is_final(code) => {
                        tracing::warn!(?code, "the server refused a group of sound");
                    }
                    Err(Trouble::Refused { retry_after, .. }) => {
                        tokio::select! {
                            () = session.wire.ended() => return Err(Trouble::Lost),
                            () = tokio::time::sleep(retry_after.unwrap_or(RETRY)) => {}
                        }
                        self.speaking.notify_one();
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.speaking.notified() => {}
            }
        }
    }

    /// Brings to the server what is here of a note.
    async fn upload_groups(&self, session: &Session, arrival: i64) -> Result<(), Trouble> {
        // One at a time, and each note's place is known to all.
        let mut uploads = session.uploads.lock().await;
        let Some(note) = self.db.run(move |db| speaking::of(db, arrival)).await? else { return Ok(()) };
        let (Some(opening), blob) = (note.opening, note.blob) else { return Ok(()) };
        let mut next = match uploads.remove(&arrival) {
            Some(next) => next,
            None => match session.wire.ask(Verb::StatBlob { blob }).await? {
                (Answer::Blob { sealed: true, .. }, _) => note.groups,
                (Answer::Blob { chunks, .. }, _) => chunks,
                _ => return Err(Trouble::Strange),
            },
        };
        let mut under_way: VecDeque<oneshot::Receiver<Answered>> = VecDeque::new();
        loop {
            if next < note.groups && under_way.len() < WINDOW {
                let token = self.seal_stored(&note, opening, next).await?;
                let put = Verb::PutChunk { blob, index: next };
                under_way.push_back(session.wire.send(put, token.into()).await);
                next += 1;
                continue;
            }
            let Some(reply) = under_way.pop_front() else { break };
            reply.await.unwrap_or(Err(Denied::Lost))?;
        }
        uploads.insert(arrival, next);
        Ok(())
    }

    async fn seal_stored(
        &self,
        note: &Speaking,
        opening: [u8; 32],
        index: u32,
    ) -> Result<Vec<u8>, ClientError> {
        let arrival = note.arrival;
        let samples = self.db.run(move |db| live_sound::group(db, arrival, index)).await?;
        let samples = samples.ok_or_else(|| ClientError::Internal("a note without its sound".to_owned()))?;
        let (secret, key) = (note.secret.clone(), self.device_key.clone());
        let place = Note { opening, message: note.message };
        let last = note.ended != Ended::No && index + 1 == note.groups;
        let sealing = compute(move || seal_group(&secret, &key, &place, index, last, &samples));
        sealing.await?.map_err(|error| ClientError::Internal(error.to_string()))
    }

    /// Brings to the server what it does not have yet of a note that is over, and ends its blob: before its closing.
    pub(super) async fn bring_live(&self, session: &Session, arrival: i64) -> Result<(), Trouble> {
        let Some(note) = self.db.run(move |db| speaking::of(db, arrival)).await? else { return Ok(()) };
        let blob = note.blob;
        let end = if note.ended == Ended::Withdrawn {
            Verb::DropBlob { blob }
        } else {
            self.upload_groups(session, arrival).await?;
            // Asked for anew if it has to be done again.
            session.uploads.lock().await.remove(&arrival);
            Verb::SealBlob { blob, chunks: note.groups }
        };
        session.wire.ask(end).await?;
        Ok(())
    }

    /// The blobs that a closing names.
    pub(super) async fn blobs_of_closing(&self, arrival: i64) -> Result<Vec<BlobId>, ClientError> {
        let note = self.db.run(move |db| speaking::of(db, arrival)).await?;
        let heard = note.filter(|note| note.ended != Ended::Withdrawn);
        Ok(heard.map(|note| note.blob).into_iter().collect())
    }
}

/// One's own note with this id, for as long as it is not all at the server.
fn own(db: &rusqlite::Connection, id: &MessageId) -> Sql<Option<Speaking>> {
    match messages::own(db, id)? {
        Some(arrival) => speaking::of(db, arrival),
        None => Ok(None),
    }
}
