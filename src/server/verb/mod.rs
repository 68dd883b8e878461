//! What can be asked, one file for each kind: check, ask the store, answer.

pub mod blob;
pub mod directory;
pub mod log;
pub mod login;
pub mod mailbox;
pub mod message_key;
pub mod register;
pub mod submit;

use std::future::Future;

use bytes::Bytes;

use super::session::{Done, Pending};
use crate::protocol::message::{Answer, RefusalCode};
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
        StoreError::Failed(_) => RefusalCode::StorageFailed,
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

/// Public-key work takes a good part of a millisecond: too long for a thread that serves others.
async fn computed<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok().flatten()
}
