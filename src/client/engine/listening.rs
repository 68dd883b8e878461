//! Other people's voice notes that are heard while they are spoken: group after group is asked for before it is
//! there, its signature checked, opened, stored, and only then handed on to whoever listens.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use crate::client::Event;
use crate::client::db::inbox::{self, Noticed};
use crate::client::db::listening::{self, Listening};
use crate::client::db::{fetches, messages};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::crypto::PublicKey;
use crate::crypto::live::{self, open_group};
use crate::model::limits;
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::{Engine, Session, Trouble, compute, notice};

/// Notes that are over, and notes that are being spoken, listened to at a time.
const OVER: u32 = 3;
const LIVE: u32 = 8;
/// Groups of each that are asked for at a time. All of them together are well under what a server takes up.
const WINDOW_OVER: usize = 8;
const WINDOW_LIVE: usize = 2;
/// The pause after a failure of the server's, and between questions that it answers too soon.
const RETRY: Duration = Duration::from_millis(500);

/// What has come of asking for a group.
enum Came {
    /// It is stored.
    Stored { last: bool },
    /// It is not there (yet).
    Nothing { chunks: u32, sealed: bool },
    /// It is not what it should be.
    Forged,
}

impl Engine {
    /// Listens to whoever speaks, for as long as the connection lasts.
    pub(super) async fn listen(&self, session: &Session) -> Result<(), Trouble> {
        let mut under_way = FuturesUnordered::new();
        let mut taken = HashSet::new();
        loop {
            for note in self.db.run(|db| listening::due(db, OVER, LIVE)).await? {
                if taken.len() < (OVER + LIVE) as usize && taken.insert(note.arrival) {
                    under_way.push(async move {
                        let arrival = note.arrival;
                        (arrival, self.listen_to(session, note).await)
                    });
                }
            }
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.listening.notified() => {}
                Some((arrival, done)) = under_way.next() => {
                    taken.remove(&arrival);
                    done?;
                }
            }
        }
    }

    /// Listens to one, until it is over or its speaker has begun another.
    async fn listen_to(&self, session: &Session, mut note: Listening) -> Result<(), Trouble> {
        let arrival = note.arrival;
        let mut news = self.live_news.subscribe();
        let sender = self.sender(session, note.account, note.device).await?.filter(|person| !person.unlogged);
        let Some(sender) = sender else { return self.stop_listening(session, &note, None).await };
        // Its opening was taken, by its date: a device that was removed since has signed the sound before.
        let removed = || sender.account.removed_device(&note.device).map(|(device, _)| device);
        let Some(device) = sender.account.device(&note.device).or_else(removed) else {
            return self.stop_listening(session, &note, None).await;
        };
        let key = device.key.clone();
        let name = sender.account.nickname.to_string();
        let mut asked: VecDeque<(u32, oneshot::Receiver<Reply>)> = VecDeque::new();
        let mut ended = note.last;
        loop {
            news.mark_unchanged();
            match self.db.run(move |db| listening::of(db, arrival)).await? {
                Some(now) => note.closing = now.closing,
                None => return Ok(()),
            }
            let state = note.clone();
            if note.closing.is_none() && self.db.run(move |db| listening::is_superseded(db, &state)).await? {
                return Ok(());
            }
            // Until there are news.
            loop {
                let groups = note.manifest().map(|(manifest, _)| manifest.groups());
                if groups.is_some_and(|groups| note.here >= groups) {
                    return self.finish_listening(session, &note, name).await;
                }
                let (window, most) = match groups {
                    Some(groups) => (WINDOW_OVER, groups),
                    None if ended => (0, 0),
                    // No note is longer.
                    None => (WINDOW_LIVE, live::count(limits::LIVE_SIZE)),
                };
                let mut next = asked.back().map_or(note.here, |(index, _)| index + 1);
                while asked.len() < window && next < most {
                    let (device, blob) = (note.device, note.blob);
                    let wait = Verb::AwaitChunk { device, blob, index: next };
                    asked.push_back((next, session.wire.send(wait, bytes::Bytes::new()).await));
                    next += 1;
                }
                let came = tokio::select! {
                    () = session.wire.ended() => return Err(Trouble::Lost),
                    _ = news.changed() => break,
                    came = first(&mut asked) => self.take_group(&note, &key, came).await?,
                };
                match came {
                    Came::Stored { last } => {
                        note.here += 1;
                        ended |= last;
                        self.grown.send_modify(|count| *count += 1);
                    }
                    Came::Forged => {
                        let text = format!(
                            "Part of a voice note from {name} was not made by {name}'s device: what came before \
                             it is kept"
                        );
                        return self.stop_listening(session, &note, Some((name, text))).await;
                    }
                    Came::Nothing { chunks, sealed } => {
                        asked.clear();
                        if groups.is_some() && (sealed || chunks == 0) {
                            // Its sender has brought all of it there before saying so.
                            return self.stop_listening(session, &note, None).await;
                        }
                        ended |= sealed;
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }

    /// Checks, opens and stores a group.
    async fn take_group(
        &self,
        note: &Listening,
        key: &PublicKey,
        (index, reply): (u32, Reply),
    ) -> Result<Came, Trouble> {
        let group = match reply.map_err(Trouble::from) {
            Ok((Answer::Chunk, group)) => group,
            Ok((Answer::Blob { chunks, sealed }, _)) => return Ok(Came::Nothing { chunks, sealed }),
            Ok(_) => return Err(Trouble::Strange),
            Err(Trouble::Refused { code: RefusalCode::BlobMissing | RefusalCode::Invalid, .. }) => {
                return Ok(Came::Nothing { chunks: 0, sealed: false });
            }
            // It passes: asked again.
            Err(Trouble::Refused { .. }) => return Ok(Came::Nothing { chunks: u32::MAX, sealed: false }),
            Err(trouble) => return Err(trouble),
        };
        let (secret, key, place) = (note.secret.clone(), key.clone(), note.note);
        let opened = compute(move || open_group(&secret, &key, &place, index, &group)).await?;
        let Ok(chunk) = opened else { return Ok(Came::Forged) };
        let (arrival, last) = (note.arrival, chunk.last);
        self.db
            .write(move |db| match listening::of(db, arrival)? {
                Some(_) => listening::add(db, arrival, index, &chunk.data, last),
                // Taken back meanwhile.
                None => Ok(()),
            })
            .await?;
        Ok(Came::Stored { last })
    }

    /// All of it is here.
    async fn finish_listening(
        &self,
        session: &Session,
        note: &Listening,
        name: String,
    ) -> Result<(), Trouble> {
        let note = note.clone();
        self.settle_listening(session, note.arrival, move |db| match note.manifest() {
            Some((manifest, cut_off)) => listening::finish(db, &note, manifest, cut_off, &name).map(drop),
            None => Ok(()),
        })
        .await
    }

    /// There will be no more of it. Said with a notice where that is needed.
    async fn stop_listening(
        &self,
        session: &Session,
        note: &Listening,
        said: Option<(String, String)>,
    ) -> Result<(), Trouble> {
        let (note, me) = (note.clone(), self.me.clone());
        if let Some((name, text)) = said {
            let (device, message) = (note.device, note.note.message);
            self.commit(move |db, events| {
                if let (true, Ok(name)) =
                    (inbox::notice_once(db, &device, &message, Noticed::Live)?, name.parse())
                {
                    events.push(Event::Message(notice(db, &me, &name, text)?));
                }
                Ok(())
            })
            .await?;
        }
        self.settle_listening(session, note.arrival, move |db| listening::give_up(db, note.arrival)).await
    }

    async fn settle_listening(
        &self,
        session: &Session,
        arrival: i64,
        settle: impl FnOnce(&rusqlite::Transaction<'_>) -> crate::client::db::Sql<()> + Send + 'static,
    ) -> Result<(), Trouble> {
        let (cursor, keep) = self
            .commit(move |db, events| {
                if listening::of(db, arrival)?.is_some() {
                    settle(db)?;
                    events.push(Event::LiveEnded(messages::by_arrival(db, arrival)?));
                }
                let cursor = inbox::cursor(db)?;
                Ok((cursor, fetches::keep_from(db, cursor.map_or(0, |cursor| cursor.epoch))?))
            })
            .await?;
        if let Some(cursor) = cursor {
            self.acknowledge(session, cursor, keep).await;
        }
        self.grown.send_modify(|count| *count += 1);
        // What is left to be fetched is told there.
        self.fetches.notify_one();
        Ok(())
    }
}

/// The reply to the first of the questions; never without any. Dropping it loses nothing.
async fn first(asked: &mut VecDeque<(u32, oneshot::Receiver<Reply>)>) -> (u32, Reply) {
    let Some((index, reply)) = asked.front_mut() else { return std::future::pending().await };
    let came = (*index, reply.await.unwrap_or(Err(Denied::Lost)));
    asked.pop_front();
    came
}
