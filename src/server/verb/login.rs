//! Logging a device in.

use std::sync::Arc;

use super::computed;
use crate::crypto::record::read_verified_account;
use crate::crypto::{Purpose, session};
use crate::protocol::message::{RefusalCode, SessionProof};
use crate::server::Shared;
use crate::server::session::{Done, Pending, Who};
use crate::store::Store;

pub fn login<S: Store>(
    shared: &Arc<Shared<S>>,
    proof: SessionProof,
    number: u32,
    signature: Vec<u8>,
) -> Pending {
    let shared = Arc::clone(shared);
    let who = Who { account: proof.account, device: proof.device };
    Box::pin(async move {
        // An unknown account, an unknown device and a wrong signature are answered alike.
        let refused = Done::Refused(number, RefusalCode::LoginRefused);
        let stored = match shared.store.account(who.account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return refused,
            Err(error) => return Done::Refusal(number, error),
        };
        let records = stored.chain.len();
        let checked = computed(move || {
            let account = read_verified_account(&stored.chain).ok()?;
            let device = account.device(&proof.device)?;
            session::verify(&device.key, Purpose::Login, &proof, &signature).ok()
        });
        match checked.await {
            Some(()) => Done::LoggedIn(number, who, records),
            None => refused,
        }
    })
}

/// Looks again, once the hub knows the session: a record that takes the device away may have come since its login was
/// checked, and found no session to end. One that comes from here on finds it.
pub fn confirm<S: Store>(shared: &Arc<Shared<S>>, who: Who, number: u32, records: usize) -> Pending {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let stored = match shared.store.account(who.account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Done::Refused(number, RefusalCode::LoginRefused),
            Err(error) => return Done::Refusal(number, error),
        };
        // A chain only grows: one that is as long is the same.
        if stored.chain.len() == records {
            return Done::Confirmed(number);
        }
        let is_its =
            computed(move || read_verified_account(&stored.chain).ok()?.device(&who.device).map(|_| ()))
                .await;
        match is_its {
            Some(()) => Done::Confirmed(number),
            None => Done::Refused(number, RefusalCode::LoginRefused),
        }
    })
}
