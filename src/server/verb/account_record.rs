//! Appending a record to one's own chain.

use std::sync::Arc;

use bytes::Bytes;

use super::computed;
use crate::crypto::record::{append_record, read_verified_account, verify_message_key};
use crate::model::{AccountId, Signed};
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Asker, Done, Pending};
use crate::store::{NewMessageKey, NewRecord, Store, StoreError, StoredAccount};

pub fn publish<S: Store>(
    shared: &Arc<Shared<S>>,
    asker: Asker,
    number: u32,
    record: Signed,
    message_key: Option<Signed>,
) -> Pending {
    let shared = Arc::clone(shared);
    let Asker { who, session } = asker;
    Box::pin(async move {
        let stored = match shared.store.account(who.account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Done::Refused(number, RefusalCode::Invalid),
            Err(error) => return Done::Refusal(number, error),
        };
        if stored.chain.last() == Some(&record) {
            return Done::Answer(number, Answer::Done, Bytes::new());
        }
        let new = computed(move || check(who.account, stored, record, message_key)).await;
        let Some(new) = new else { return Done::Refused(number, RefusalCode::Invalid) };
        let removed = new.removed.clone();
        // In a task of its own: whether or not this connection lasts, what is removed ends.
        let appended = tokio::spawn(async move {
            shared.store.append_record(new).await?;
            tracing::info!(account = %who.account, "account record");
            for device in removed {
                // The session that asked may fetch what still waits for its device.
                let but = (device == who.device).then_some(&session);
                shared.hub.end(who.account, device, but);
            }
            Ok::<_, StoreError>(())
        });
        match appended.await {
            Ok(Ok(())) => Done::Answer(number, Answer::Done, Bytes::new()),
            Ok(Err(error)) => Done::Refusal(number, error),
            Err(error) => Done::Refusal(number, StoreError::Failed(error.to_string())),
        }
    })
}

/// The record follows the account's newest, and a device that comes has a message key.
fn check(
    account: AccountId,
    stored: StoredAccount,
    record: Signed,
    message_key: Option<Signed>,
) -> Option<NewRecord> {
    // What is stored was verified when it came: only what is new is, however long the chain.
    let before = read_verified_account(&stored.chain).ok()?;
    let mut after = before.clone();
    append_record(&mut after, &record).ok()?;
    let is_new = |id| before.device(id).is_none();
    let mut added = after.devices.iter().filter(|device| is_new(&device.id));
    let added = match (added.next(), message_key) {
        (Some(device), Some(record)) => {
            let key = verify_message_key(&after, &record).ok().filter(|key| key.device == device.id)?;
            let (device, until, supersedes) = (key.device, key.until, key.supersedes);
            Some(NewMessageKey { device, key: key.key.id(), until, supersedes, record })
        }
        (None, None) => None,
        _ => return None,
    };
    let gone = before.devices.iter().filter(|device| after.device(&device.id).is_none());
    let removed = gone.map(|device| device.id).collect();
    Some(NewRecord { account, previous: before.head, record, removed, added })
}
