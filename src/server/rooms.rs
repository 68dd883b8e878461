//! Which rooms have changed, told to the sessions that want to know. Each holds a set of them until it comes to telling:
//! however often a room changes meanwhile it is told once, and nobody waits for who is slow.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::limits::lock;
use crate::model::{AccountId, RoomId};

/// Rooms that wait to be told to one session. More are not told: a client looks at all of its rooms whenever it connects.
const WAITING: usize = 1024;

/// The sessions that want to know, by their accounts.
#[derive(Clone, Debug, Default)]
pub struct RoomWatchers(Arc<Mutex<HashMap<AccountId, Vec<Arc<Changed>>>>>);

/// What waits for one session.
#[derive(Debug, Default)]
struct Changed {
    rooms: Mutex<BTreeSet<RoomId>>,
    news: Notify,
}

/// What one session is told. Dropping it ends that.
#[derive(Debug)]
pub struct RoomNews {
    changed: Arc<Changed>,
    account: AccountId,
    watchers: RoomWatchers,
}

impl RoomWatchers {
    /// From now on for this account.
    pub fn watch(&self, account: AccountId) -> RoomNews {
        let changed = Arc::new(Changed::default());
        lock(&self.0).entry(account).or_default().push(Arc::clone(&changed));
        RoomNews { changed, account, watchers: self.clone() }
    }

    /// A room has another record: whom that concerns.
    pub fn tell(&self, room: RoomId, accounts: &BTreeSet<AccountId>) {
        let watchers = lock(&self.0);
        for changed in accounts.iter().filter_map(|account| watchers.get(account)).flatten() {
            let mut rooms = lock(&changed.rooms);
            if rooms.len() < WAITING {
                rooms.insert(room);
            }
            changed.news.notify_one();
        }
    }
}

impl RoomNews {
    /// The next room that has changed. Dropping this future loses nothing.
    pub async fn next(&mut self) -> RoomId {
        loop {
            let next = lock(&self.changed.rooms).pop_first();
            match next {
                Some(room) => return room,
                None => self.changed.news.notified().await,
            }
        }
    }
}

impl Drop for RoomNews {
    fn drop(&mut self) {
        let mut watchers = lock(&self.watchers.0);
        let Some(of_account) = watchers.get_mut(&self.account) else { return };
        of_account.retain(|changed| !Arc::ptr_eq(changed, &self.changed));
        if of_account.is_empty() {
            watchers.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn room(number: u32) -> RoomId {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        RoomId::new(bytes)
    }

    #[tokio::test]
    async fn a_room_that_changes_often_is_told_once_and_only_to_whom_it_concerns() {
        let watchers = RoomWatchers::default();
        let (ayşe, burak) = (AccountId::new([1; 32]), AccountId::new([2; 32]));
        let (mut first, mut second) = (watchers.watch(ayşe), watchers.watch(ayşe));
        let mut other = watchers.watch(burak);
        for number in [1, 2, 1, 1] {
            watchers.tell(room(number), &BTreeSet::from([ayşe]));
        }
        for news in [&mut first, &mut second] {
            assert_eq!((news.next().await, news.next().await), (room(1), room(2)));
            assert_eq!(news.next().now_or_never(), None);
        }
        assert_eq!(other.next().now_or_never(), None);
        // Who waits is woken, and what comes between two looks is not missed.
        let waiting = tokio::spawn(async move { other.next().await });
        tokio::task::yield_now().await;
        watchers.tell(room(3), &BTreeSet::from([ayşe, burak]));
        assert_eq!(waiting.await.unwrap(), room(3));
        drop(first);
        watchers.tell(room(4), &BTreeSet::from([ayşe, burak]));
        assert_eq!((second.next().await, second.next().await), (room(3), room(4)));
        drop(second);
        assert!(lock(&watchers.0).is_empty(), "nothing is kept for nobody");
    }

    #[tokio::test]
    async fn what_waits_for_a_slow_session_is_bounded() {
        let watchers = RoomWatchers::default();
        let ayşe = AccountId::new([1; 32]);
        let mut news = watchers.watch(ayşe);
        let many = u32::try_from(WAITING).unwrap() + 100;
        (0..many).for_each(|number| watchers.tell(room(number), &BTreeSet::from([ayşe])));
        for number in 0..u32::try_from(WAITING).unwrap() {
            assert_eq!(news.next().await, room(number));
        }
        assert_eq!(news.next().now_or_never(), None);
        watchers.tell(room(1), &BTreeSet::from([ayşe]));
        assert_eq!(news.next().await, room(1), "and there is room again");
    }
}
