//! Beginning an account.

use std::sync::Arc;

use minicbor::bytes::ByteVec;

use super::computed;
use crate::crypto::record::{verify_account, verify_message_key};
use crate::crypto::{Purpose, session};
use crate::model::{Signed, invite};
use crate::protocol::message::{RefusalCode, SessionProof};
use crate::server::Shared;
use crate::server::session::{Done, Pending, Who};
use crate::store::{NewAccount, NewMessageKey, Store};

/// As in [`Verb::Register`](crate::protocol::message::Verb::Register).
pub struct Register {
    pub record: Signed,
    pub message_key: Signed,
    pub signature: ByteVec,
    /// Where the server asks for one.
    pub invite: Option<String>,
}

pub fn register<S: Store>(
    shared: &Arc<Shared<S>>,
    proof: &SessionProof,
    number: u32,
    asked: Register,
) -> Pending {
    let (shared, proof) = (Arc::clone(shared), proof.clone());
    Box::pin(async move {
        let Some(new) = computed(move || check(asked, proof)).await else {
            return Done::Refused(number, RefusalCode::Invalid);
        };
        let who = Who { account: new.account, device: new.device };
        match shared.store.register(new).await {
            Ok(()) => {
                tracing::info!(account = %who.account, "registered");
                Done::LoggedIn(number, who, 1)
            }
            Err(error) => Done::Refusal(number, error),
        }
    })
}

/// Both records verify, and the device has signed this very connection.
fn check(asked: Register, mut proof: SessionProof) -> Option<NewAccount> {
    let account = verify_account(std::slice::from_ref(&asked.record)).ok()?;
    let key = verify_message_key(&account, &asked.message_key).ok()?;
    let [device] = account.devices.as_slice() else { return None };
    proof.account = account.id;
    proof.device = device.id;
    session::verify(&device.key, Purpose::Registration, &proof, &asked.signature).ok()?;
    Some(NewAccount {
        account: account.id,
        nickname: account.nickname,
        device: device.id,
        record: asked.record,
        message_key: NewMessageKey {
            device: key.device,
            key: key.key.id(),
            until: key.until,
            supersedes: key.supersedes,
            record: asked.message_key,
        },
        invite: asked.invite.as_deref().map(invite::hash),
    })
}
