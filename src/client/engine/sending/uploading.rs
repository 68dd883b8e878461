//! The sound of a voice note that is too long for its envelope: sealed chunks, several under way at a time.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::client::db::{messages, outbox};
use crate::client::engine::{Engine, Session, Trouble, compute, is_final};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::client::{ClientError, Event};
use crate::crypto::MessageSecret;
use crate::crypto::chunk::seal_chunk;
use crate::model::{BlobId, MessageId};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::Hold;

/// Chunks under way at a time.
const CHUNKS: usize = 8;

/// Why an upload stopped.
pub(super) enum Stopped {
    /// The server never will have it.
    ForGood(RefusalCode),
    /// It may have it later.
    For(Hold),
}

impl Engine {
    /// Brings a blob to the server, from where it broke off. `Err`: the server does not take it.
    pub(super) async fn upload(
        &self,
        session: &Session,
        (place, arrival, id): (i64, i64, MessageId),
        secret: &MessageSecret,
        blob: BlobId,
        chunks: u32,
    ) -> Result<Result<(), Stopped>, Trouble> {
        let (answer, _) = session.wire.ask(Verb::StatBlob { blob }).await?;
        let Answer::Blob { chunks: there, sealed } = answer else { return Err(Trouble::Strange) };
        let mut under_way: VecDeque<oneshot::Receiver<Reply>> = VecDeque::new();
        let mut index = there;
        let mut done = there;
        while !sealed && done < chunks {
            if index < chunks && under_way.len() < CHUNKS {
                let data = self.db.run(move |db| messages::sound_piece(db, arrival, index)).await?;
                let data =
                    data.ok_or_else(|| ClientError::Internal("a voice note without sound".to_owned()))?;
                let secret = secret.clone();
                let last = index + 1 == chunks;
                let token = compute(move || seal_chunk(&secret, &id, index, last, &data)).await?;
                let token = token.map_err(|error| ClientError::Internal(error.to_string()))?;
                under_way.push_back(session.wire.send(Verb::PutChunk { blob, index }, token.into()).await);
                index += 1;
                continue;
            }
            let Some(reply) = under_way.pop_front() else { break };
            match reply.await.unwrap_or(Err(Denied::Lost)).map_err(Trouble::from) {
                Ok(_) => {}
                Err(trouble) => {
                    // Chunks behind one that was refused are out of order, and refused for that alone.
                    for rest in under_way {
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
pub(super) fn stopped(trouble: Trouble) -> Result<Stopped, Trouble> {
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
