//! The way from a commit to the sessions that wait for it.
//!
//! A wake-up carries the entry itself, so that a session at its mailbox's end reads nothing. It is only a
//! hint: a session that falls behind misses entries here and finds them in the mailbox.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::model::{AccountId, Entry};

/// Entries that wait in memory for one session before it is sent to its mailbox instead.
const WAITING: usize = 64;

/// What is put into one mailbox, for one session.
#[derive(Debug)]
pub struct Wakeups {
    newest: Arc<AtomicU64>,
    entries: mpsc::Receiver<Arc<Entry>>,
}

impl Wakeups {
    /// The next entry. There may have been others before it that are found in the mailbox only.
    pub async fn next(&mut self) -> Option<Arc<Entry>> {
        self.entries.recv().await
    }

    /// Whether no entry waits here at the moment.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The newest entry that was put into the mailbox since the watch began; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }
}

/// Who watches which mailbox.
#[derive(Clone, Debug, Default)]
pub struct Watchers(Arc<Mutex<HashMap<AccountId, Vec<Watcher>>>>);

#[derive(Debug)]
struct Watcher {
    newest: Arc<AtomicU64>,
    entries: mpsc::Sender<Arc<Entry>>,
}

impl Watchers {
    /// Begins to watch. Dropping the [`Wakeups`] ends it.
    pub fn watch(&self, account: AccountId) -> Wakeups {
        let (sender, entries) = mpsc::channel(WAITING);
        let newest = Arc::new(AtomicU64::new(0));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = watchers.entry(account).or_default();
        of_account.retain(|watcher| !watcher.entries.is_closed());
        of_account.push(Watcher { newest: Arc::clone(&newest), entries: sender });
        Wakeups { newest, entries }
    }

    /// Tells those who watch. Never waits: who is behind misses it.
    pub fn tell(&self, account: &AccountId, entry: &Arc<Entry>) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_account) = watchers.get_mut(account) else { return };
        of_account.retain(|watcher| {
            // Before the entry is sent, so that who finds the channel empty sees what it missed.
            watcher.newest.store(entry.seq, Ordering::Release);
            let sent = watcher.entries.try_send(Arc::clone(entry));
            !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
        });
        if of_account.is_empty() {
            watchers.remove(account);
        }
    }
}
