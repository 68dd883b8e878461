//! Sound of received voice notes, chunk by chunk, resumed where it broke off. A note is part of the history
//! once all of its sound is here and has the hash that its sender signed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::client::Event;
use crate::client::db::fetches::{self, Fetch};
use crate::client::db::{attachments, inbox, messages};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::crypto::chunk::open_chunk;
use crate::model::limits;
use crate::protocol::message::{RefusalCode, Verb};

use super::{Engine, Session, Trouble, compute};

/// Chunks under way at a time.
const WINDOW: usize = 8;
/// The pause after a failure of the server's.
const RETRY: Duration = Duration::from_secs(2);

impl Engine {
    /// Fetches what there is to fetch, for as long as the connection lasts.
    pub(super) async fn fetch_sound(&self, session: &Session) -> Result<(), Trouble> {
        loop {
            match self.db.run(|db| fetches::next(db)).await? {
                Some(fetch) => {
                    session.progress.send_modify(|progress| progress.fetching = true);
                    match self.fetch(session, fetch).await {
                        Err(Trouble::Refused { retry_after, .. }) => {
                            tokio::select! {
                                () = session.wire.ended() => return Err(Trouble::Lost),
                                () = tokio::time::sleep(retry_after.unwrap_or(RETRY)) => {}
                            }
                        }
                        other => other?,
                    }
                }
                None => {
                    // Sound of notes that were live is fetched beside this.
                    let more = self.db.run(|db| fetches::any(db)).await?;
                    let done = session.progress.send_if_modified(|progress| {
                        std::mem::replace(&mut progress.fetching, more) && !more && progress.drained
                    });
                    if done {
                        self.tell(Event::Drained);
                    }
                    tokio::select! {
                        () = session.wire.ended() => return Err(Trouble::Lost),
                        () = self.fetches.notified() => {}
                    }
                }
            }
        }
    }

    async fn fetch(&self, session: &Session, fetch: Fetch) -> Result<(), Trouble> {
        let mut under_way: VecDeque<(u32, oneshot::Receiver<Reply>)> = VecDeque::new();
        let mut index = fetch.done;
        let (blob, chunks, arrival) = (fetch.blob, fetch.expected.chunks, fetch.arrival);
        loop {
            while index < chunks && under_way.len() < WINDOW {
                let reply = session.wire.send(Verb::FetchChunk { blob, index }, bytes::Bytes::new()).await;
                under_way.push_back((index, reply));
                index += 1;
            }
            let Some((place, reply)) = under_way.pop_front() else { break };
            let token = match reply.await.unwrap_or(Err(Denied::Lost)).map_err(Trouble::from) {
                Ok((_, token)) => token,
                Err(Trouble::Refused { code: RefusalCode::BlobMissing | RefusalCode::Invalid, .. }) => {
                    return self.give_up(session, &fetch, "is no longer on the server").await;
                }
                Err(trouble) => return Err(trouble),
            };
            let (secret, message) = (fetch.secret.clone(), fetch.message);
            let opened = compute(move || open_chunk(&secret, &message, place, &token)).await?;
            let last = place + 1 == chunks;
            match opened {
                // Every chunk but the last is full; the last one's length shows in the hash.
                Ok(chunk) if chunk.last == last && (last || chunk.data.len() == limits::CHUNK) => {
                    self.db.write(move |db| attachments::put(db, arrival, place, &chunk.data)).await?;
                }
                _ => return self.give_up(session, &fetch, "is damaged").await,
            }
        }
        let expected = fetch.expected;
        let whole = self
            .db
            .run(move |db| {
                let found = attachments::measure(db, arrival)?;
                Ok((found.size, found.sha256) == (expected.size, expected.sha256))
            })
            .await?;
        if !whole {
            return self.give_up(session, &fetch, "is damaged").await;
        }
        self.finish(session, &fetch, None).await
    }

    async fn give_up(&self, session: &Session, fetch: &Fetch, why: &str) -> Result<(), Trouble> {
        self.finish(session, fetch, Some(format!("The sound of this voice note {why}: ask for it again")))
            .await
    }

    /// Lets the message into the history, and the server forget it.
    async fn finish(&self, session: &Session, fetch: &Fetch, notice: Option<String>) -> Result<(), Trouble> {
        let (arrival, device) = (fetch.arrival, fetch.device);
        let (cursor, keep) = self
            .commit(move |db, events| {
                match notice {
                    Some(notice) => fetches::fail(db, arrival, &notice)?,
                    None => fetches::end(db, arrival)?,
                }
                events.extend(messages::release_ready(db, &device)?.into_iter().map(Event::Message));
                let cursor = inbox::cursor(db)?;
                let epoch = cursor.map_or(0, |cursor| cursor.epoch);
                Ok((cursor, fetches::keep_from(db, epoch)?))
            })
            .await?;
        if let Some(cursor) = cursor {
            self.acknowledge(session, cursor, keep).await;
        }
        Ok(())
    }
}
