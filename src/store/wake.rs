//! The way from a commit to the sessions that wait for it.
//!
//! A wake-up carries the entry itself, so that a session at its mailbox's end reads nothing. It is only a
//! hint: a session that falls behind misses entries here and finds them in the mailbox.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::model::{AccountId, BlobId, DeviceId, Entry};

/// Entries that wait in memory for one session before it is sent to its mailbox instead.
const WAITING: usize = 64;

/// Bytes of them. One entry waits in any case: who waits for the next is woken by nothing else.
const WAITING_BYTES: usize = 256 * 1024;

/// What is put into one mailbox, for one session.
#[derive(Debug)]
pub struct Wakeups {
    newest: Arc<AtomicU64>,
    bytes: Arc<AtomicUsize>,
    entries: mpsc::Receiver<Arc<Entry>>,
}

impl Wakeups {
    /// The next entry. There may have been others before it that are found in the mailbox only.
    pub async fn next(&mut self) -> Option<Arc<Entry>> {
        let entry = self.entries.recv().await?;
        self.bytes.fetch_sub(entry.size(), Ordering::AcqRel);
        Some(entry)
    }

    /// The next entry, if it waits here already.
    pub fn try_next(&mut self) -> Option<Arc<Entry>> {
        let entry = self.entries.try_recv().ok()?;
        self.bytes.fetch_sub(entry.size(), Ordering::AcqRel);
        Some(entry)
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
    /// Of the entries that wait.
    bytes: Arc<AtomicUsize>,
    entries: mpsc::Sender<Arc<Entry>>,
}

impl Watchers {
    /// Begins to watch. Dropping the [`Wakeups`] ends it.
    pub fn watch(&self, account: AccountId) -> Wakeups {
        let (sender, entries) = mpsc::channel(WAITING);
        let (newest, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = watchers.entry(account).or_default();
        of_account.retain(|watcher| !watcher.entries.is_closed());
        of_account.push(Watcher { newest: Arc::clone(&newest), bytes: Arc::clone(&bytes), entries: sender });
        Wakeups { newest, bytes, entries }
    }

    /// Tells those who watch what a group has put into mailboxes. Never waits: who is behind misses it.
    pub fn tell<'a>(&self, group: impl IntoIterator<Item = &'a (AccountId, Arc<Entry>)>) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (account, entry) in group {
            let Some(of_account) = watchers.get_mut(account) else { continue };
            of_account.retain(|watcher| watcher.tell(entry));
            if of_account.is_empty() {
                watchers.remove(account);
            }
        }
    }
}

impl Watcher {
    /// Whether somebody is there still.
    fn tell(&self, entry: &Arc<Entry>) -> bool {
        // Before the entry is sent, so that who finds the channel empty sees what it missed.
        self.newest.store(entry.seq, Ordering::Release);
        let size = entry.size();
        let waiting = self.bytes.fetch_add(size, Ordering::AcqRel);
        let sent = if waiting == 0 || waiting + size <= WAITING_BYTES {
            self.entries.try_send(Arc::clone(entry))
        } else {
            Err(mpsc::error::TrySendError::Full(Arc::clone(entry)))
        };
        if sent.is_err() {
            self.bytes.fetch_sub(size, Ordering::AcqRel);
        }
        !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
    }
}

/// Who waits for more of a blob under way. It says that there is something new, never what.
#[derive(Clone, Debug, Default)]
pub struct Growth(Arc<Mutex<Waiting>>);

type Waiting = HashMap<(DeviceId, BlobId), watch::Sender<()>>;

/// News of one blob, for one who waits. Dropping it ends that.
#[derive(Debug)]
pub struct Growing {
    news: watch::Receiver<()>,
    place: (DeviceId, BlobId),
    growth: Growth,
}

impl Growth {
    /// Begins to wait.
    pub fn watch(&self, owner: DeviceId, blob: BlobId) -> Growing {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = waiting.entry((owner, blob)).or_insert_with(|| watch::Sender::new(())).subscribe();
        Growing { news, place: (owner, blob), growth: self.clone() }
    }

    /// Tells those who wait.
    pub fn tell(&self, owner: DeviceId, blob: BlobId) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(news) = waiting.get(&(owner, blob)) {
            news.send_replace(());
        }
    }
}

impl Growing {
    /// Waits for the next news; what came since the last counts.
    pub async fn changed(&mut self) {
        // The sender stays for as long as this does.
        let _ = self.news.changed().await;
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let mut waiting = self.growth.0.lock().unwrap_or_else(PoisonError::into_inner);
        // This one still counts.
        if waiting.get(&self.place).is_some_and(|news| news.receiver_count() <= 1) {
            waiting.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageId, Millis};

    #[tokio::test]
    async fn large_entries_wait_in_the_mailbox_and_not_in_memory() {
        let (watchers, account) = (Watchers::default(), AccountId::new([1; 32]));
        let mut wakeups = watchers.watch(account);
        let entry = |seq, length| {
            Arc::new(Entry {
                seq,
                sender: account,
                device: DeviceId::new([2; 32]),
                message: MessageId::from_bytes([3; 16]),
                conversation: account.into(),
                wraps: Vec::new(),
                accepted_at: Millis(0),
                body: vec![0; length].into(),
            })
        };
        for round in 0..3 {
            let first = round * 50;
            for seq in first + 1..=first + 50 {
                watchers.tell(&[(account, entry(seq, 100_000))]);
            }
            let mut waited = Vec::new();
            while !wakeups.is_empty() {
                waited.push(wakeups.next().await.unwrap().seq);
            }
            assert_eq!(waited, [first + 1, first + 2], "as many as fit, from the first on");
            assert_eq!(wakeups.newest(), first + 50, "who missed some knows it");
        }
        // One alone wakes whoever waits, however large it is.
        watchers.tell(&[(account, entry(151, 10 * WAITING_BYTES))]);
        assert_eq!(wakeups.next().await.unwrap().seq, 151);
    }

    #[tokio::test]
    async fn news_reach_all_who_wait_and_nothing_is_kept_for_nobody() {
        let growth = Growth::default();
        let (owner, blob) = (DeviceId::new([1; 32]), BlobId::new([2; 32]));
        growth.tell(owner, blob);
        let (mut one, mut other) = (growth.watch(owner, blob), growth.watch(owner, blob));
        growth.tell(owner, blob);
        tokio::join!(one.changed(), other.changed());
        drop(one);
        assert_eq!(growth.0.lock().unwrap().len(), 1);
        drop(other);
        assert!(growth.0.lock().unwrap().is_empty());
    }
}
