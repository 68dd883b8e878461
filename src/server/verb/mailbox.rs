//! Reading a mailbox, and saying how far.

use std::sync::Arc;

use crate::model::{AccountId, Position};
use crate::server::Shared;
use crate::server::session::{Done, Pending, Who};
use crate::store::Store;

pub fn subscribe<S: Store>(
    shared: &Arc<Shared<S>>,
    who: Who,
    number: u32,
    after: Option<Position>,
) -> Pending {
    let shared = Arc::clone(shared);
    let wakeups = shared.store.watch(who.account);
    Box::pin(async move {
        match shared.store.bounds(who.account).await {
            Ok(bounds) => Done::Subscribed(number, bounds, after, wakeups),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

pub fn read<S: Store>(
    shared: &Arc<Shared<S>>,
    account: AccountId,
    subscription: u64,
    after: u64,
    bytes: usize,
) -> Pending {
    let shared = Arc::clone(shared);
    Box::pin(async move { Done::Entries(subscription, shared.store.read(account, after, bytes).await) })
}

pub fn acknowledge<S: Store>(shared: &Arc<Shared<S>>, who: Who, position: Position) -> Pending {
    let acknowledged = shared.store.acknowledge(who.device, position);
    Box::pin(async move {
        if let Err(error) = acknowledged.await {
            // Nothing is lost by it: the mailbox is pruned later.
            tracing::warn!(%error, "an acknowledgement was not kept");
        }
        Done::Acknowledged
    })
}
