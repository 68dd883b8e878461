//! Looking people up.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{AccountId, DirectoryEntry, Nickname};
use crate::protocol::message::Answer;
use crate::server::Shared;
use crate::server::session::{Bulk, Done, Pending};
use crate::store::{Store, StoreError, StoredAccount};

/// Accounts in one page, and bytes of them: a page always fits into a frame, and so does the longest chain.
const PAGE: usize = 32;
const PAGE_BYTES: usize = 112 * 1024;

pub fn look_up_name<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    number: u32,
    nickname: Nickname,
) -> Pending {
    let store = Arc::clone(shared);
    answering(shared, bulk, number, async move {
        Ok(store.store.account_named(nickname).await?.into_iter().collect())
    })
}

pub fn look_up_account<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    number: u32,
    account: AccountId,
) -> Pending {
    let store = Arc::clone(shared);
    answering(
        shared,
        bulk,
        number,
        async move { Ok(store.store.account(account).await?.into_iter().collect()) },
    )
}

pub fn list<S: Store>(shared: &Arc<Shared<S>>, bulk: &Bulk, number: u32, after: Option<Nickname>) -> Pending {
    let store = Arc::clone(shared);
    answering(shared, bulk, number, async move { store.store.accounts(after, PAGE + 1).await })
}

/// A request whose answer is a page of what the store gives, when it is its turn.
fn answering<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    number: u32,
    asked: impl Future<Output = Result<Vec<StoredAccount>, StoreError>> + Send + 'static,
) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // Never closed.
        let permit = bulk.acquire_owned().await.ok();
        match asked.await {
            Ok(found) => Done::Bulky(number, page(&shared, found), Bytes::new(), permit),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

fn page<S>(shared: &Shared<S>, mut found: Vec<StoredAccount>) -> Answer {
    let mut bytes = 0;
    let fits = found.iter().take(PAGE).take_while(|stored| {
        let before = bytes;
        let records = stored.chain.iter().chain(&stored.message_keys);
        bytes += records.map(|record| record.body.len() + record.signature.len()).sum::<usize>();
        before == 0 || bytes <= PAGE_BYTES
    });
    let fits = fits.count();
    let more = found.len() > fits;
    found.truncate(fits);
    let entries = found
        .into_iter()
        .map(|stored| DirectoryEntry {
            online: shared.hub.is_online(&stored.account),
            chain: stored.chain,
            message_keys: stored.message_keys,
        })
        .collect();
    Answer::Directory { entries, more }
}
