//! Logging a device in.

use std::sync::Arc;

use super::computed;
use crate::crypto::record::verify_account;
use crate::crypto::{Purpose, session};
use crate::protocol::message::{RefusalCode, SessionProof};
use crate::server::Shared;
use crate::server::session::{Done, Pending};
use crate::store::Store;

pub fn login<S: Store>(
    shared: &Arc<Shared<S>>,
    proof: SessionProof,
    number: u32,
    signature: Vec<u8>,
) -> Pending {
    let shared = Arc::clone(shared);
    let (account, device) = (proof.account, proof.device);
    Box::pin(async move {
        // An unknown account, an unknown device and a wrong signature are answered alike.
        let refused = Done::Refused(number, RefusalCode::LoginRefused);
        let stored = match shared.store.account(account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return refused,
            Err(error) => return Done::Refusal(number, error),
        };
        let checked = computed(move || {
            let account = verify_account(&stored.chain).ok()?;
            let device = account.device(&proof.device)?;
            session::verify(&device.key, Purpose::Login, &proof, &signature).ok()
        });
        match checked.await {
            Some(()) => Done::LoggedIn(number, account, device),
            None => refused,
        }
    })
}
