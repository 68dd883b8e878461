//! What every store has to do. An implementation's tests call [`suite!`] with its type and a closure that
//! opens it in a folder; each promise of [`Store`] is a test of its own.
//!
//! - `accounts`: the directory and its log
//! - `mail`: mailboxes
//! - `rooms`: who is in which room, and what is put into its mailboxes
//! - `blobs`: sealed chunks

pub mod accounts;
pub mod blobs;
pub mod mail;
pub mod rooms;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Accepted, NewAccount, NewMessageKey, NewRecord, Store, StoreError};
use crate::model::{
    AccountId, DeviceId, KeyId, MessageId, Millis, Nickname, Recipient, Signed, Submission, Wrap, limits,
};

/// Makes a test of each promise.
macro_rules! suite {
    ($store:ty, $open:expr) => {
        crate::store::conformance::suite!(@ $store, $open,
            accounts: registering, finding, message_keys, account_records, inviting, log;
            mail: accepting, refusing, order, reading, waking, falling_behind, pruning, retention, sharing, blocking,
                reopening;
            rooms: rooms, reading_rooms, rooms_of_an_account, deserted_rooms, to_a_room, refusing_to_a_room,
                leaving_out, blocking_in_a_room, reopening_rooms;
            blobs: blobs, blobs_of_others, blobs_under_way, dropping_blobs);
    };
    (@ $store:ty, $open:expr, $($subject:ident: $($promise:ident),*);*) => {
        $($(
            #[tokio::test]
            async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                crate::store::conformance::$subject::$promise::<$store>(folder.path(), $open).await;
            }
        )*)*
    };
}
pub(crate) use suite;

/// Somebody with one device. A store verifies nothing, so the keys are only names.
#[derive(Clone, Copy)]
pub struct Person {
    pub account: AccountId,
    pub device: DeviceId,
    pub key: KeyId,
}

impl Person {
    pub fn new(number: u8) -> Self {
        Self {
            account: AccountId::new([number; 32]),
            device: DeviceId::new([number + 1; 32]),
            key: KeyId::new([number + 2; 32]),
        }
    }

    pub fn registration(&self, nickname: &str) -> NewAccount {
        NewAccount {
            account: self.account,
            nickname: name(nickname),
            device: self.device,
            record: signed(nickname),
            message_key: self.message_key(self.key, None),
            invite: None,
        }
    }

    fn message_key(&self, key: KeyId, supersedes: Option<KeyId>) -> NewMessageKey {
        let until = Millis::now().plus(limits::MESSAGE_KEY_LIFE);
        NewMessageKey { device: self.device, key, until, supersedes, record: signed(&key.to_string()) }
    }

    /// What puts another device into the place of this one, behind the account's first record.
    pub fn replaced_by(&self, new: &Self, first: &str) -> NewRecord {
        NewRecord {
            account: self.account,
            previous: Sha256::digest(first).into(),
            record: signed("rekey"),
            removed: vec![self.device],
            added: Some(new.message_key(new.key, None)),
        }
    }

    fn recipient(&self) -> Recipient {
        let wrap = Wrap { device: self.device, key: self.key, ciphertext: vec![9; 256].into() };
        Recipient { account: self.account, wraps: vec![wrap] }
    }
}

fn name(text: &str) -> Nickname {
    text.parse().unwrap()
}

fn signed(text: &str) -> Signed {
    Signed { body: text.as_bytes().to_vec().into(), signature: vec![1, 2, 3].into() }
}

/// An envelope from one person to another. The number names it.
pub fn submission(from: &Person, to: &Person, number: u8, body: &[u8]) -> Submission {
    Submission {
        sender: from.account,
        device: from.device,
        message: MessageId::from_bytes([number; 16]),
        conversation: to.account.into(),
        recipients: vec![to.recipient()],
        blobs: Vec::new(),
        body: Bytes::copy_from_slice(body),
    }
}

/// ayşe and burak, registered.
pub async fn friends<S: Store>(store: &S) -> (Person, Person) {
    let (ayşe, burak) = (Person::new(10), Person::new(20));
    store.register(ayşe.registration("ayşe")).await.unwrap();
    store.register(burak.registration("burak")).await.unwrap();
    (ayşe, burak)
}

/// What is answered for an envelope that has come into all of its mailboxes.
pub fn accepted(at: Millis) -> Result<Accepted, StoreError> {
    Ok(Accepted { at, left_out: Vec::new() })
}

async fn held<S: Store>(store: &S, person: &Person) -> Vec<(u64, u8)> {
    let entries = store.read(person.account, 0, usize::MAX).await.unwrap();
    entries.iter().map(|entry| (entry.seq, entry.message.as_bytes()[0])).collect()
}
