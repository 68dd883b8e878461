//! What can be asked, one file for each kind: check, ask the store, answer.

pub mod account_record;
pub mod blob;
pub mod block;
pub mod directory;
pub mod log;
pub mod login;
pub mod mailbox;
pub mod message_key;
pub mod register;
pub mod room;
pub mod submit;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::session::{Done, Pending};
use crate::protocol::message::{Answer, RefusalCode, Verb};
use crate::store::StoreError;

/// A refusal's code for a store's error.
pub fn code(error: &StoreError) -> RefusalCode {
    match error {
        StoreError::NicknameTaken => RefusalCode::NicknameTaken,
        StoreError::AccountExists => RefusalCode::AccountExists,
        StoreError::UnknownAccount => RefusalCode::UnknownRecipient,
        StoreError::NameReused => RefusalCode::NameReused,
        StoreError::KeySuperseded => RefusalCode::KeySuperseded,
        StoreError::BlobMissing => RefusalCode::BlobMissing,
        StoreError::Conflict => RefusalCode::Invalid,
        StoreError::TooLarge => RefusalCode::TooLarge,
        StoreError::InviteInvalid => RefusalCode::InviteNeeded,
        StoreError::MailboxFull => RefusalCode::MailboxFull,
        StoreError::ShareFull => RefusalCode::ShareFull,
        StoreError::BlobQuota => RefusalCode::BlobQuota,
        StoreError::RoomChanged => RefusalCode::RoomChanged,
        StoreError::RoomFull => RefusalCode::RoomFull,
        StoreError::NotInRoom => RefusalCode::NotInRoom,
        StoreError::Failed(_) => RefusalCode::StorageFailed,
    }
}

/// What a request is counted as.
pub enum Counted {
    /// As something else, or not at all.
    Elsewhere,
    /// As a question.
    Question,
    /// As so many changes to what is kept, each of which takes a commit.
    Changes(u32),
}

/// What a request is counted as, beside what it carries.
pub fn counted(verb: &Verb) -> Counted {
    match verb {
        // Messages are counted as such; acknowledgements are put together; a ping is answered out of hand.
        Verb::Submit { .. } | Verb::Acknowledge { .. } | Verb::Ping => Counted::Elsewhere,
        // Others who write to the device look its new key up and wrap anew: that is not to go on without end.
        Verb::PublishMessageKey { .. } => Counted::Changes(20),
        Verb::PublishRecord { .. }
        | Verb::PublishRoomRecord { .. }
        | Verb::Block { .. }
        | Verb::Unblock { .. }
        | Verb::SealBlob { .. }
        | Verb::DropBlob { .. } => Counted::Changes(1),
        _ => Counted::Question,
    }
}

/// A request whose answer is made of what the store gives.
fn answering<T>(
    number: u32,
    asked: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    answer: impl FnOnce(T) -> Answer + Send + 'static,
) -> Pending {
    Box::pin(async move {
        match asked.await {
            Ok(value) => Done::Answer(number, answer(value), Bytes::new()),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

/// A request that is refused out of hand.
fn refused(number: u32, code: RefusalCode) -> Pending {
    Box::pin(std::future::ready(Done::Refused(number, code)))
}

/// How much public-key work is done at once.
static COMPUTING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(2, NonZeroUsize::get)));

/// Public-key work takes a good part of a millisecond: too long for a thread that serves others.
async fn computed<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    // Never closed. More threads than cores would make nothing faster, and each has a stack and a heap of its own.
    let _permit = COMPUTING.acquire().await;
    tokio::task::spawn_blocking(work).await.ok().flatten()
}
