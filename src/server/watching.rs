//! Who is connected, told to who asked: a list, in as many answers as it takes, and then each change. Who falls too far
//! behind the changes is told the list anew. No list is in memory: each part is taken when there is room for it.

use std::future::pending;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::hub::{Change, Hub};
use crate::model::AccountId;
use crate::protocol::message::{Answer, Push};

/// Accounts in one answer: 35 KB, which fits into a frame.
const PART: usize = 1024;

/// Where a connection stands that wants to know.
#[derive(Debug)]
pub struct Watching {
    /// Of its request: all parts of all lists answer that.
    number: u32,
    /// From before the list, so that no change is missed in between.
    changes: broadcast::Receiver<Change>,
    list: List,
}

/// How much of the list has been told.
#[derive(Debug)]
enum List {
    /// Up to this account, or nothing yet.
    After(Option<AccountId>),
    All,
}

impl Watching {
    /// Begins, with nothing told.
    pub fn begin(hub: &Hub, number: u32) -> Self {
        Self { number, changes: hub.watch(), list: List::After(None) }
    }

    /// The next part of the list, until all of it has been told.
    pub fn part(&mut self, hub: &Hub) -> Option<Push> {
        let List::After(after) = self.list else { return None };
        let (accounts, more) = hub.online(after, PART);
        self.list = match accounts.last() {
            Some(last) if more => List::After(Some(*last)),
            _ => List::All,
        };
        Some(Push::Reply { number: self.number, answer: Answer::Online { accounts, more } })
    }

    /// What is to be told next. Dropping it loses nothing.
    pub async fn next(&mut self, hub: &Hub) -> Push {
        loop {
            if let Some(part) = self.part(hub) {
                return part;
            }
            match self.changes.recv().await {
                Ok(Change { account, online }) => return Push::Presence { account, online },
                Err(RecvError::Lagged(_)) => *self = Self::begin(hub, self.number),
                // There will be none.
                Err(RecvError::Closed) => return pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::BytesMut;

    use super::*;
    use crate::model::{DeviceId, to_cbor};
    use crate::protocol::frame::{self, Limit};

    fn account(number: u32) -> AccountId {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        AccountId::new(bytes)
    }

    /// What a client knows who takes in what comes, in frames that it holds the server to.
    #[derive(Default)]
    struct Client {
        online: BTreeSet<AccountId>,
        coming: BTreeSet<AccountId>,
        lists: u32,
    }

    impl Client {
        fn take(&mut self, push: &Push) {
            let mut bytes = BytesMut::new();
            frame::put(&mut bytes, &to_cbor(push), &[]);
            let frame = frame::take(&mut bytes, Limit::FROM_SERVER).unwrap().unwrap();
            match minicbor::decode(&frame.head).unwrap() {
                Push::Reply { number: 9, answer: Answer::Online { accounts, more } } => {
                    assert!(self.coming.is_disjoint(&accounts.iter().copied().collect()), "each once");
                    self.coming.extend(accounts);
                    if !more {
                        self.online = std::mem::take(&mut self.coming);
                        self.lists += 1;
                    }
                }
                Push::Presence { account, online: true } => drop(self.online.insert(account)),
                Push::Presence { account, online: false } => drop(self.online.remove(&account)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn any_number_of_accounts_is_told_in_frames_that_a_client_takes() {
        for many in [0, 1, 1023, 1024, 1025, 6_000] {
            let hub = Hub::default();
            let all: BTreeSet<AccountId> = (0..many).map(account).collect();
            for account in &all {
                let _ = hub.enter(*account, DeviceId::new([1; 32]));
            }
            let (mut client, mut watching) = (Client::default(), Watching::begin(&hub, 9));
            while client.lists == 0 {
                client.take(&watching.next(&hub).await);
            }
            assert_eq!(client.online, all);
        }
    }

    #[tokio::test]
    async fn who_falls_behind_is_told_everything_anew_and_knows_in_the_end_who_is_there() {
        let hub = Hub::default();
        let device = DeviceId::new([1; 32]);
        let mut tokens = Vec::new();
        for number in 0..5_000 {
            tokens.push((number, hub.enter(account(number), device)));
        }
        let (mut client, mut watching) = (Client::default(), Watching::begin(&hub, 9));
        client.take(&watching.next(&hub).await);
        // In the middle of the list, and again when it is told, thousands go and others come.
        for round in 1..=2 {
            for (number, token) in tokens.split_off(tokens.len() - 2_000) {
                hub.leave(account(number), device, &token);
            }
            for number in 0..1_500 {
                let number = 10_000 * round + number;
                tokens.push((number, hub.enter(account(number), device)));
            }
            while client.lists <= round {
                client.take(&watching.next(&hub).await);
            }
        }
        let all: BTreeSet<AccountId> = tokens.iter().map(|(number, _)| account(*number)).collect();
        assert_eq!(client.online, all);
        // From then on each change as it comes.
        let _token = hub.enter(account(99_999), device);
        client.take(&watching.next(&hub).await);
        assert!(client.online.contains(&account(99_999)) && client.lists == 3);
    }
}
