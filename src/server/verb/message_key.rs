//! Publishing a message key.

use std::sync::Arc;

use bytes::Bytes;

use super::computed;
use crate::crypto::record::{read_verified_account, verify_message_key};
use crate::model::Signed;
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Done, Pending, Who};
use crate::store::{NewMessageKey, Store};

pub fn publish<S: Store>(shared: &Arc<Shared<S>>, who: Who, number: u32, record: Signed) -> Pending {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let stored = match shared.store.account(who.account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Done::Refused(number, RefusalCode::Invalid),
            Err(error) => return Done::Refusal(number, error),
        };
        let checked = computed(move || {
            let account = read_verified_account(&stored.chain).ok()?;
            let key = verify_message_key(&account, &record).ok()?;
            let new = NewMessageKey {
                device: key.device,
                key: key.key.id(),
                until: key.until,
                supersedes: key.supersedes,
                record,
            };
            (key.device == who.device).then_some(new)
        });
        let Some(new) = checked.await else { return Done::Refused(number, RefusalCode::Invalid) };
        match shared.store.publish(new).await {
            Ok(()) => Done::Answer(number, Answer::Done, Bytes::new()),
            Err(error) => Done::Refusal(number, error),
        }
    })
}
