//! Who is connected: one session for each device, and news of accounts that come and go.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::model::{AccountId, DeviceId};

/// News that wait in memory for one watcher.
const WAITING: usize = 256;

/// Who came or went.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Whose first device came, or last device went.
    pub account: AccountId,
    /// Came.
    pub online: bool,
}

/// The sessions that are logged in.
#[derive(Debug)]
pub struct Hub {
    /// In order, so that all of them can be gone through part by part.
    online: Mutex<BTreeMap<AccountId, HashMap<DeviceId, CancellationToken>>>,
    changes: broadcast::Sender<Change>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { online: Mutex::default(), changes: broadcast::Sender::new(WAITING) }
    }
}

impl Hub {
    /// A device has logged in. An earlier session of it is told to end. The token is cancelled when this one
    /// is to end for the same reason.
    pub fn enter(&self, account: AccountId, device: DeviceId) -> CancellationToken {
        let token = CancellationToken::new();
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        let devices = online.entry(account).or_default();
        let first = devices.is_empty();
        if let Some(earlier) = devices.insert(device, token.clone()) {
            earlier.cancel();
        }
        if first {
            // Nobody watching is no fault.
            let _ = self.changes.send(Change { account, online: true });
        }
        token
    }

    /// A device is its account's no longer: its session, if there is one, is told to end, unless it is this one.
    pub fn end(&self, account: AccountId, device: DeviceId, but: Option<&CancellationToken>) {
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was replaced is not the device's session any more.
        if but.is_some_and(|but| !but.is_cancelled()) {
            return;
        }
        let Entry::Occupied(mut devices) = online.entry(account) else { return };
        if let Some(session) = devices.get_mut().remove(&device) {
            session.cancel();
        }
        if devices.get().is_empty() {
            devices.remove();
            let _ = self.changes.send(Change { account, online: false });
        }
    }

    /// A session has ended. One that was replaced is gone from here already.
    pub fn leave(&self, account: AccountId, device: DeviceId, token: &CancellationToken) {
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock that `enter` cancels it under.
        if token.is_cancelled() {
            return;
        }
        let Entry::Occupied(mut devices) = online.entry(account) else { return };
        devices.get_mut().remove(&device);
        if devices.get().is_empty() {
            devices.remove();
            let _ = self.changes.send(Change { account, online: false });
        }
    }

    /// Whether a device of the account is connected.
    pub fn is_online(&self, account: &AccountId) -> bool {
        self.online.lock().unwrap_or_else(PoisonError::into_inner).contains_key(account)
    }

    /// At most so many of those who are connected, from behind `after` on, and whether there are more.
    pub fn online(&self, after: Option<AccountId>, most: usize) -> (Vec<AccountId>, bool) {
        let online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = online.range((from, Bound::Unbounded)).map(|(account, _)| *account);
        let some = rest.by_ref().take(most).collect();
        (some, rest.next().is_some())
    }

    /// From now on who comes and goes.
    pub fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_comes_again_replaces_itself_and_is_announced_once() {
        let hub = Hub::default();
        let (account, device) = (AccountId::new([1; 32]), DeviceId::new([2; 32]));
        let mut changes = hub.watch();
        let first = hub.enter(account, device);
        let second = hub.enter(account, device);
        assert!(first.is_cancelled() && !second.is_cancelled());
        hub.leave(account, device, &first);
        assert!(hub.is_online(&account));
        hub.leave(account, device, &second);
        assert!(!hub.is_online(&account));
        assert!(changes.try_recv().unwrap().online);
        assert!(!changes.try_recv().unwrap().online);
        assert!(changes.try_recv().is_err());
    }
}
