//! The sound of a voice note that is too long for its envelope: sealed chunks, several under way at a time. What goes to
//! others leaves beside it.

use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::db::{attachments, outbox};
use crate::client::engine::{Engine, Session, Trouble, compute, is_final};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::client::{ClientError, Event};
use crate::crypto::MessageSecret;
use crate::crypto::chunk::seal_chunk;
use crate::model::{Address, BlobId, MessageId};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::Hold;

/// Chunks under way at a time, at most.
const CHUNKS: usize = 8;
/// What is sent beside an upload waits behind its chunks: where they take longer than this, fewer are under way.
const BRISK: Duration = Duration::from_millis(500);

/// Why an upload stopped.
pub(super) enum Stopped {
    /// The server never will have it.
    ForGood(RefusalCode),
    /// It may have it later.
    For(Hold),
}

/// How an upload ended.
pub(super) type Uploaded = Result<Result<(), Stopped>, Trouble>;

/// What has to be at the server.
pub(super) enum Sound {
    /// Of a recorded note.
    Note { place: i64, arrival: i64, id: MessageId, secret: MessageSecret, blob: BlobId, chunks: u32 },
    /// Of a note that was heard while it was spoken: what is left of it.
    Live { arrival: i64 },
}

impl Sound {
    /// The row of its message.
    pub(super) fn arrival(&self) -> i64 {
        match self {
            Self::Note { arrival, .. } | Self::Live { arrival } => *arrival,
        }
    }
}

/// The item of the outbox that an upload is for.
pub(super) struct Upload {
    pub place: i64,
    pub arrival: i64,
    pub id: MessageId,
    pub to: Address,
}

/// Uploads, one after the other, as who sends sees them. They are at work in [`Engine::bring_all`], whatever that waits for.
pub(super) struct Uploads {
    wanted: mpsc::Sender<(Upload, Sound)>,
    ended: mpsc::Receiver<(Upload, Uploaded)>,
    is_under_way: bool,
    /// Conversations that wait for the end of the one under way: the one it is for, and those that have one to begin then.
    waiting: HashSet<Address>,
    /// Places in the outbox whose sound was brought on this connection.
    brought: HashSet<i64>,
}

/// What is to be brought, and where its end is told.
pub(super) struct Wishes {
    wanted: mpsc::Receiver<(Upload, Sound)>,
    ended: mpsc::Sender<(Upload, Uploaded)>,
}

impl Uploads {
    pub(super) fn new() -> (Self, Wishes) {
        let ((wanted, wishes), (tell, ended)) = (mpsc::channel(1), mpsc::channel(1));
        let (waiting, brought) = (HashSet::new(), HashSet::new());
        let uploads = Self { wanted, ended, is_under_way: false, waiting, brought };
        (uploads, Wishes { wanted: wishes, ended: tell })
    }

    /// Whether a conversation waits for an upload.
    pub(super) fn holds(&self, to: &Address) -> bool {
        self.waiting.contains(to)
    }

    /// Whether an upload for this place has ended well.
    pub(super) fn has_brought(&self, place: i64) -> bool {
        self.brought.contains(&place)
    }

    /// What was brought for this place is not all there: it is brought again.
    pub(super) fn forget(&mut self, place: i64) {
        self.brought.remove(&place);
    }

    /// Begins one, or has its conversation wait for the end of the one that is under way.
    pub(super) fn begin(&mut self, of: Upload, sound: Sound) {
        self.waiting.insert(of.to.clone());
        self.is_under_way = self.is_under_way || self.wanted.try_send((of, sound)).is_ok();
    }

    /// Waits for the end of the one under way; for ever where none is. From then on nobody waits for it.
    pub(super) async fn ended(&mut self) -> (Upload, Uploaded) {
        let Some((of, ended)) = self.ended.recv().await else { return pending().await };
        self.is_under_way = false;
        self.waiting.clear();
        if let Ok(Ok(())) = ended {
            self.brought.insert(of.place);
        }
        (of, ended)
    }
}

impl Engine {
    /// Brings what is wished for, until nobody wishes any more.
    pub(super) async fn bring_all(&self, session: &Session, mut wishes: Wishes) {
        while let Some((of, sound)) = wishes.wanted.recv().await {
            let ended = self.bring(session, sound).await;
            // Who has gone needs no word.
            let _ = wishes.ended.send((of, ended)).await;
        }
    }

    async fn bring(&self, session: &Session, sound: Sound) -> Uploaded {
        match sound {
            Sound::Note { place, arrival, id, secret, blob, chunks } => {
                self.upload(session, (place, arrival, id), &secret, blob, chunks).await
            }
            Sound::Live { arrival } => match self.bring_live(session, arrival).await {
                Ok(()) => Ok(Ok(())),
                Err(trouble) => stopped(trouble).map(Err),
            },
        }
    }

    /// Brings a blob to the server, from where it broke off. `Err`: the server does not take it.
    async fn upload(
        &self,
        session: &Session,
        (place, arrival, id): (i64, i64, MessageId),
        secret: &MessageSecret,
        blob: BlobId,
        chunks: u32,
    ) -> Uploaded {
        let (answer, _) = session.wire.ask(Verb::StatBlob { blob }).await?;
        let Answer::Blob { chunks: there, sealed } = answer else { return Err(Trouble::Strange) };
        let mut under_way: VecDeque<(Instant, oneshot::Receiver<Reply>)> = VecDeque::new();
        let mut window = 1;
        let mut index = there;
        let mut done = there;
        while !sealed && done < chunks {
            if index < chunks && under_way.len() < window {
                let data = self.db.run(move |db| attachments::piece(db, arrival, index)).await?;
                let data =
                    data.ok_or_else(|| ClientError::Internal("a voice note without sound".to_owned()))?;
                let secret = secret.clone();
                let last = index + 1 == chunks;
                let token = compute(move || seal_chunk(&secret, &id, index, last, &data)).await?;
                let token = token.map_err(|error| ClientError::Internal(error.to_string()))?;
                let reply = session.wire.send(Verb::PutChunk { blob, index }, token.into()).await;
                under_way.push_back((Instant::now(), reply));
                index += 1;
                continue;
            }
            let Some((sent, reply)) = under_way.pop_front() else { break };
            match reply.await.unwrap_or(Err(Denied::Lost)).map_err(Trouble::from) {
                Ok(_) if sent.elapsed() < BRISK => window = CHUNKS.min(window + 1),
                Ok(_) => window = 1.max(window / 2),
                Err(trouble) => {
                    // Chunks behind one that was refused are out of order, and refused for that alone.
                    for (_, rest) in under_way {
                        let _ = rest.await;
                    }
                    return stopped(trouble).map(Err);
                }
            }
            done += 1;
            self.tell(Event::Uploading { id, sent: done, total: chunks });
        }
        if !sealed {
            match session.wire.ask(Verb::SealBlob { blob, chunks }).await.map_err(Trouble::from) {
                Ok(_) => {}
                Err(trouble) => return stopped(trouble).map(Err),
            }
        }
        self.db.write(move |db| outbox::mark_uploaded(db, place, true)).await?;
        Ok(Ok(()))
    }
}

/// What a refused chunk means for its blob.
fn stopped(trouble: Trouble) -> Result<Stopped, Trouble> {
    match trouble {
        Trouble::Refused { code, .. } if is_final(code) => Ok(Stopped::ForGood(code)),
        Trouble::Refused { code, retry_after: Some(wait) }
            if matches!(code, RefusalCode::Limited | RefusalCode::BlobQuota) =>
        {
            Ok(Stopped::For(Hold::refused(code, wait)))
        }
        trouble => Err(trouble),
    }
}
