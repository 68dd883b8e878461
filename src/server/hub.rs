//! Who is connected: one session for each device, and news of accounts that come and go.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
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
    online: Mutex<Online>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug, Default)]
struct Online {
    sessions: HashMap<AccountId, HashMap<DeviceId, CancellationToken>>,
    /// Devices that were removed while this process runs: a login that was checked before that may come in after. No
    /// device is ever added again, and an account has a few.
    removed: HashSet<DeviceId>,
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
        if online.removed.contains(&device) {
            token.cancel();
            return token;
        }
        let devices = online.sessions.entry(account).or_default();
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

    /// A device is its account's no longer: its session, if there is one, is told to end, and none begins any more.
    /// One that has removed itself ends when it likes.
    pub fn remove(&self, account: AccountId, device: DeviceId, itself: bool) {
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        online.removed.insert(device);
        if itself {
            return;
        }
        let Entry::Occupied(mut devices) = online.sessions.entry(account) else { return };
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
        let Entry::Occupied(mut devices) = online.sessions.entry(account) else { return };
        devices.get_mut().remove(&device);
        if devices.get().is_empty() {
            devices.remove();
            let _ = self.changes.send(Change { account, online: false });
        }
    }

    /// Whether a device of the account is connected.
    pub fn is_online(&self, account: &AccountId) -> bool {
        self.online.lock().unwrap_or_else(PoisonError::into_inner).sessions.contains_key(account)
    }

    /// Who is connected now, and from now on who comes and goes.
    pub fn watch(&self) -> (Vec<AccountId>, broadcast::Receiver<Change>) {
        let online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        (online.sessions.keys().copied().collect(), self.changes.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_comes_again_replaces_itself_and_is_announced_once() {
        let hub = Hub::default();
        let (account, device) = (AccountId::new([1; 32]), DeviceId::new([2; 32]));
        let (_, mut changes) = hub.watch();
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

    #[test]
    fn a_device_that_was_removed_ends_and_a_login_that_was_checked_before_comes_too_late() {
        let hub = Hub::default();
        let account = AccountId::new([1; 32]);
        let [one, other, third] = [2, 3, 4].map(|byte| DeviceId::new([byte; 32]));
        let (session, remover) = (hub.enter(account, one), hub.enter(account, other));
        hub.remove(account, one, false);
        hub.remove(account, third, false);
        assert!(session.is_cancelled() && !remover.is_cancelled());
        for removed in [one, third] {
            assert!(hub.enter(account, removed).is_cancelled());
        }
        hub.remove(account, other, true);
        assert!(!remover.is_cancelled(), "it is to hear the answer, and to read its mailbox to the end");
        assert!(hub.is_online(&account));
        hub.leave(account, other, &remover);
        assert!(!hub.is_online(&account));
        assert!(hub.enter(account, other).is_cancelled());
    }
}
