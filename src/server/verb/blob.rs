//! Chunks of content that is too large for an envelope.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::{answering, refused};
use crate::model::{BlobId, DeviceId, limits};
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Bulk, Done, Pending, Who};
use crate::store::{Awaited, BlobState, Store};

/// How long a chunk that is not there is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection's requests about blobs of its own wait for one another here, in the order they came in:
/// a client may send many chunks, and the sealing behind them, without waiting for answers.
pub type Turn = Arc<Mutex<()>>;

pub fn put<S: Store>(
    shared: &Arc<Shared<S>>,
    turn: &Turn,
    who: Who,
    number: u32,
    blob: BlobId,
    index: u32,
    chunk: Bytes,
) -> Pending {
    // Whoever fetched it would get a frame that is too large.
    if chunk.len() > limits::BODY {
        return refused(number, RefusalCode::TooLarge);
    }
    let (shared, turn) = (Arc::clone(shared), Arc::clone(turn));
    let written = async move {
        let _turn = turn.lock().await;
        shared.store.put_chunk(who.device, blob, index, chunk).await
    };
    answering(number, written, |()| Answer::Done)
}

pub fn seal<S: Store>(
    shared: &Arc<Shared<S>>,
    turn: &Turn,
    who: Who,
    number: u32,
    blob: BlobId,
    chunks: u32,
) -> Pending {
    let (shared, turn) = (Arc::clone(shared), Arc::clone(turn));
    let sealed = async move {
        let _turn = turn.lock().await;
        shared.store.seal_blob(who.device, blob, chunks).await
    };
    answering(number, sealed, |()| Answer::Done)
}

pub fn stat<S: Store>(shared: &Arc<Shared<S>>, turn: &Turn, who: Who, number: u32, blob: BlobId) -> Pending {
    let (shared, turn) = (Arc::clone(shared), Arc::clone(turn));
    let state = async move {
        let _turn = turn.lock().await;
        shared.store.stat_blob(who.device, blob).await
    };
    answering(number, state, |state| Answer::Blob { chunks: state.chunks, sealed: state.sealed })
}

pub fn forget<S: Store>(
    shared: &Arc<Shared<S>>,
    turn: &Turn,
    who: Who,
    number: u32,
    blob: BlobId,
) -> Pending {
    let (shared, turn) = (Arc::clone(shared), Arc::clone(turn));
    let forgotten = async move {
        let _turn = turn.lock().await;
        shared.store.drop_blob(who.device, blob).await
    };
    answering(number, forgotten, |()| Answer::Done)
}

/// Waits for a chunk, not beyond the server's own end.
pub fn wait<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    number: u32,
    owner: DeviceId,
    blob: BlobId,
    index: u32,
) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // Whoever waits for a chunk that is not there keeps nobody from a chunk that is.
        let mut permit = None;
        let awaited = loop {
            let awaited = tokio::select! {
                () = shared.shutdown.cancelled() => return Done::Refused(number, RefusalCode::ShuttingDown),
                awaited = shared.store.await_chunk(owner, blob, index, PATIENCE) => awaited,
            };
            if permit.is_some() || !matches!(awaited, Ok(Awaited::Chunk(_))) {
                break awaited;
            }
            permit = Arc::clone(&bulk).try_acquire_owned().ok();
            if permit.is_some() {
                break awaited;
            }
            // Read again when it is its turn, so that it is not in memory until then.
            drop(awaited);
            permit = Arc::clone(&bulk).acquire_owned().await.ok();
        };
        match awaited {
            Ok(Awaited::Chunk(chunk)) => answer(number, chunk, permit),
            Ok(Awaited::Nothing(BlobState { chunks, sealed })) => {
                Done::Answer(number, Answer::Blob { chunks, sealed }, Bytes::new())
            }
            Err(error) => Done::Refusal(number, error),
        }
    })
}

pub fn fetch<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    number: u32,
    blob: BlobId,
    index: u32,
) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // Never closed.
        let permit = bulk.acquire_owned().await.ok();
        match shared.store.fetch_chunk(blob, index).await {
            Ok(chunk) => answer(number, chunk, permit),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

/// A chunk, unless it was put while there was no limit and fits into no frame.
fn answer(number: u32, chunk: Bytes, permit: Option<OwnedSemaphorePermit>) -> Done {
    if chunk.len() > limits::BODY {
        return Done::Refused(number, RefusalCode::TooLarge);
    }
    Done::Bulky(number, Answer::Chunk, chunk, permit)
}
