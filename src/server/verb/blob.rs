//! Chunks of content that is too large for an envelope.

use std::sync::Arc;

use bytes::Bytes;

use super::answering;
use crate::model::BlobId;
use crate::protocol::message::Answer;
use crate::server::Shared;
use crate::server::session::{Done, Pending, Who};
use crate::store::Store;

pub fn put<S: Store>(
    shared: &Arc<Shared<S>>,
    who: Who,
    number: u32,
    blob: BlobId,
    index: u32,
    chunk: Bytes,
) -> Pending {
    let shared = Arc::clone(shared);
    let written = async move { shared.store.put_chunk(who.device, blob, index, chunk).await };
    answering(number, written, |()| Answer::Done)
}

pub fn seal<S: Store>(shared: &Arc<Shared<S>>, who: Who, number: u32, blob: BlobId, chunks: u32) -> Pending {
    let shared = Arc::clone(shared);
    answering(number, async move { shared.store.seal_blob(who.device, blob, chunks).await }, |()| {
        Answer::Done
    })
}

pub fn stat<S: Store>(shared: &Arc<Shared<S>>, who: Who, number: u32, blob: BlobId) -> Pending {
    let shared = Arc::clone(shared);
    answering(number, async move { shared.store.stat_blob(who.device, blob).await }, |state| Answer::Blob {
        chunks: state.chunks,
        sealed: state.sealed,
    })
}

pub fn fetch<S: Store>(shared: &Arc<Shared<S>>, number: u32, blob: BlobId, index: u32) -> Pending {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        match shared.store.fetch_chunk(blob, index).await {
            Ok(chunk) => Done::Answer(number, Answer::Chunk, chunk),
            Err(error) => Done::Refusal(number, error),
        }
    })
}
