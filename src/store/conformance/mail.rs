//! Mailboxes.

use std::path::Path;

use bytes::Bytes;

use super::{Person, accepted, friends, held, submission};
use crate::model::{AccountId, BlobId, KeyId, Millis, Position, Submission, limits};
use crate::store::{BlobState, Bounds, Quotas, Store, StoreError};

pub async fn accepting<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let mut asked = submission(&ayşe, &burak, 1, b"merhaba");
    asked.recipients.push(ayşe.recipient());
    let at = store.submit(asked.clone()).await.unwrap().at;
    assert_eq!(store.submit(asked.clone()).await, accepted(at), "again, with the first time");
    for person in [ayşe, burak] {
        let entries = store.read(person.account, 0, usize::MAX).await.unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.seq, entry.accepted_at, &entry.body), (1, at, &asked.body));
        assert_eq!((entry.sender, entry.device), (ayşe.account, ayşe.device));
        assert_eq!((entry.message, entry.conversation), (asked.message, burak.account.into()));
        assert_eq!(entry.wraps, person.recipient().wraps, "its own wraps and no other's");
    }
    let mut other = asked.clone();
    other.body = Bytes::from_static(b"elveda");
    assert_eq!(store.submit(other.clone()).await, Err(StoreError::NameReused));
    // The name is the device's: another's may be equal.
    (other.sender, other.device) = (burak.account, burak.device);
    assert!(store.submit(other).await.is_ok());
    // A repetition is recognised even when its wraps are for a key that has been replaced since.
    let second = KeyId::new([77; 32]);
    store.publish(burak.message_key(second, Some(burak.key))).await.unwrap();
    assert_eq!(store.submit(asked).await, accepted(at));
}

pub async fn refusing<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let stranger = Person::new(90);
    let fine = submission(&ayşe, &burak, 1, b"merhaba");
    let changed = |change: &dyn Fn(&mut Submission)| {
        let mut submission = fine.clone();
        change(&mut submission);
        submission
    };
    type Change<'a> = &'a dyn Fn(&mut Submission);
    let cases: [(Change<'_>, StoreError); 5] = [
        (&|asked| asked.recipients.push(stranger.recipient()), StoreError::UnknownAccount),
        (&|asked| asked.recipients[0].wraps[0].device = stranger.device, StoreError::Conflict),
        (&|asked| asked.recipients[0].wraps[0].device = ayşe.device, StoreError::Conflict),
        (&|asked| asked.recipients[0].wraps[0].key = ayşe.key, StoreError::KeySuperseded),
        (&|asked| asked.blobs.push(BlobId::new([5; 32])), StoreError::BlobMissing),
    ];
    for (change, error) in cases {
        assert_eq!(store.submit(changed(change)).await, Err(error));
        assert_eq!(held(&store, &burak).await, [], "into every mailbox or into none");
    }
    assert!(store.submit(fine).await.is_ok(), "a refusal leaves no trace");
    assert_eq!(held(&store, &burak).await, [(1, 1)]);
}

pub async fn order<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    // Begun in order; that none is polled before the last was begun, and the last first, changes nothing.
    let mut begun: Vec<_> =
        (1..=200).map(|number| store.submit(submission(&ayşe, &burak, number, &[number]))).collect();
    while let Some(last) = begun.pop() {
        last.await.unwrap();
    }
    assert_eq!(
        held(&store, &burak).await,
        (1..=200).map(|number| (number.into(), number)).collect::<Vec<_>>()
    );
}

pub async fn reading<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let bounds = store.bounds(burak.account).await.unwrap();
    assert_eq!((bounds.pruned, bounds.newest), (0, 0));
    for number in 1..=9 {
        store.submit(submission(&ayşe, &burak, number, &[number; 1000])).await.unwrap();
    }
    assert_eq!(store.bounds(burak.account).await, Ok(Bounds { newest: 9, ..bounds }));
    let seqs = async |after, bytes| {
        let entries = store.read(burak.account, after, bytes).await.unwrap();
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(0, usize::MAX).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(seqs(6, usize::MAX).await, [7, 8, 9]);
    assert!(seqs(9, usize::MAX).await.is_empty());
    assert!(seqs(u64::MAX >> 1, usize::MAX).await.is_empty());
    assert_eq!(seqs(3, 1).await, [4], "at least one");
    let some = seqs(0, 3000).await;
    assert!((2..=4).contains(&some.len()), "about so many bytes: {some:?}");
    assert_eq!(store.bounds(AccountId::new([99; 32])).await, Err(StoreError::UnknownAccount));
}

pub async fn waking<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let (mut first, mut second) = (store.watch(burak.account), store.watch(burak.account));
    let other = store.watch(ayşe.account);
    store.submit(submission(&ayşe, &burak, 1, b"merhaba")).await.unwrap();
    let read = store.read(burak.account, 0, usize::MAX).await.unwrap();
    for wakeups in [&mut first, &mut second] {
        assert_eq!(wakeups.next().await.as_deref(), read.first().map(|entry| &**entry));
        assert_eq!(wakeups.newest(), 1);
    }
    assert!(other.is_empty());
    drop(first);
    store.submit(submission(&ayşe, &burak, 1, b"merhaba")).await.unwrap();
    store.submit(submission(&ayşe, &burak, 2, b"merhaba")).await.unwrap();
    assert_eq!(second.next().await.unwrap().seq, 2, "a repetition wakes nobody");
}

pub async fn falling_behind<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let mut wakeups = store.watch(burak.account);
    for number in 1..=200 {
        store.submit(submission(&ayşe, &burak, number, b"merhaba")).await.unwrap();
    }
    let mut seen = 0;
    while !wakeups.is_empty() {
        let seq = wakeups.next().await.unwrap().seq;
        assert!(seq > seen, "in order");
        seen = seq;
    }
    assert_eq!(wakeups.newest(), 200, "who missed some knows it");
}

pub async fn pruning<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let mut at = Millis(0);
    for number in 1..=4 {
        let mut asked = submission(&ayşe, &burak, number, &[number]);
        if number == 1 {
            asked.recipients.push(ayşe.recipient());
        }
        let accepted = store.submit(asked).await.unwrap().at;
        at = if number == 1 { accepted } else { at };
    }
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch: epoch ^ 1, seq: 4 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(held(&store, &burak).await.len(), 4, "another epoch says nothing");

    store.acknowledge(burak.device, Position { epoch, seq: 3 }).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 1 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(4, 4)]);
    assert_eq!(store.bounds(burak.account).await, Ok(Bounds { epoch, pruned: 3, newest: 4 }));
    assert_eq!(held(&store, &ayşe).await, [(1, 1)], "another mailbox keeps what it has");
    assert_eq!(store.submit(submission(&ayşe, &burak, 1, &[1])).await, accepted(at), "its name is kept");
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, b"x")).await, Err(StoreError::NameReused));

    store.acknowledge(burak.device, Position { epoch, seq: u64::MAX }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.bounds(burak.account).await, Ok(Bounds { epoch, pruned: 4, newest: 4 }));
    store.submit(submission(&ayşe, &burak, 5, &[5])).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(5, 5)], "nobody has what has only just come");
}

pub async fn retention<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let mut asked = submission(&ayşe, &burak, 1, b"merhaba");
    let blob = BlobId::new([5; 32]);
    store.put_chunk(ayşe.device, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    store.seal_blob(ayşe.device, blob, 1).await.unwrap();
    asked.blobs.push(blob);
    let at = store.submit(asked.clone()).await.unwrap().at;
    let before = Millis(at.plus(limits::RETENTION).0 - 1000);
    store.prune(before).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1)]);
    assert!(store.fetch_chunk(blob, 0).await.is_ok(), "kept as long as its envelope");
    store.prune(before.plus(std::time::Duration::from_secs(2))).await.unwrap();
    assert_eq!(held(&store, &burak).await, []);
    assert_eq!(store.bounds(burak.account).await.unwrap().pruned, 1, "what expired is seen to have been");
    assert_eq!(store.fetch_chunk(blob, 0).await, Err(StoreError::BlobMissing));
    assert_eq!(store.submit(asked).await, Err(StoreError::BlobMissing), "its name is forgotten too");
}

pub async fn sharing<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let zoé = Person::new(40);
    store.register(zoé.registration("zoé")).await.unwrap();
    // Four of them are a sender's share of a mailbox.
    let large = vec![7; usize::try_from(Quotas::default().sender / 4).unwrap()];
    for number in 1..=4 {
        store.submit(submission(&ayşe, &burak, number, &large)).await.unwrap();
    }
    let one_more = submission(&ayşe, &burak, 5, b"x");
    assert_eq!(store.submit(one_more.clone()).await, Err(StoreError::ShareFull), "however small");
    let with_a_copy =
        Submission { recipients: vec![ayşe.recipient(), burak.recipient()], ..one_more.clone() };
    assert_eq!(store.submit(with_a_copy).await, Err(StoreError::ShareFull), "into both mailboxes or none");
    assert!(store.submit(submission(&ayşe, &burak, 4, &large)).await.is_ok(), "what is there needs no room");
    store.submit(submission(&zoé, &burak, 6, b"x")).await.unwrap();
    store.submit(submission(&ayşe, &zoé, 7, b"x")).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6)]);
    store.close().await.unwrap();
    drop(store);

    let store = open(folder);
    assert_eq!(store.submit(one_more.clone()).await, Err(StoreError::ShareFull), "also after a restart");
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 1 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    store.submit(one_more).await.unwrap();
    for number in 10..=15 {
        let own = submission(&burak, &burak, number, &large);
        assert!(store.submit(own).await.is_ok(), "one's own mailbox has no shares");
    }
}

pub async fn blocking<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let zoé = Person::new(40);
    store.register(zoé.registration("zoé")).await.unwrap();
    let nobody = AccountId::new([0; 32]);
    for unknown in [Person::new(90).account, nobody] {
        let refused = store.set_blocked(burak.account, unknown, true).await;
        assert_eq!(refused, Err(StoreError::UnknownAccount));
    }
    store.submit(submission(&ayşe, &burak, 1, &[1])).await.unwrap();
    let mut wakeups = store.watch(burak.account);
    for _ in 0..2 {
        store.set_blocked(burak.account, ayşe.account, true).await.unwrap();
    }
    let at = store.submit(submission(&ayşe, &burak, 2, &[2])).await.unwrap().at;
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, &[2])).await, accepted(at), "its name is kept");
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, b"x")).await, Err(StoreError::NameReused));
    let mut superseded = submission(&ayşe, &burak, 3, &[3]);
    superseded.recipients[0].wraps[0].key = KeyId::new([9; 32]);
    assert_eq!(store.submit(superseded).await, Err(StoreError::KeySuperseded), "checked as ever");
    store.submit(submission(&zoé, &burak, 4, &[4])).await.unwrap();
    store.submit(submission(&burak, &ayşe, 5, &[5])).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 4)], "numbered without a hole");
    assert_eq!(held(&store, &ayşe).await, [(1, 5)], "the other way it goes on");
    assert_eq!(wakeups.next().await.unwrap().seq, 2, "nobody was woken for what was dropped");
    let dropped = store.read(nobody, 0, usize::MAX).await.unwrap();
    let dropped: Vec<_> = dropped.iter().map(|entry| (entry.sender, entry.body.as_ref())).collect();
    assert_eq!(dropped, [(ayşe.account, &[2][..])], "it is written as for somebody, once");
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, &[2])).await, accepted(at), "still known");
    assert!(store.read(nobody, 0, usize::MAX).await.unwrap().is_empty(), "what was dropped is gone");
    store.close().await.unwrap();
    drop(store);

    let store = open(folder);
    store.submit(submission(&ayşe, &burak, 6, &[6])).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 4)]);
    store.set_blocked(burak.account, ayşe.account, false).await.unwrap();
    store.submit(submission(&ayşe, &burak, 7, &[7])).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 4), (3, 7)]);
}

pub async fn reopening<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let (server_id, bounds) = (store.server_id(), store.bounds(burak.account).await.unwrap());
    let blob = BlobId::new([5; 32]);
    store.put_chunk(ayşe.device, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    for number in 1..=3 {
        store.submit(submission(&ayşe, &burak, number, &[number])).await.unwrap();
    }
    store.acknowledge(burak.device, Position { epoch: bounds.epoch, seq: 3 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    store.close().await.unwrap();
    let refused = store.submit(submission(&ayşe, &burak, 4, &[4])).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "closed: {refused:?}");
    drop(store);

    let store = open(folder);
    assert_eq!(store.server_id(), server_id);
    assert_eq!(store.bounds(burak.account).await, Ok(Bounds { pruned: 3, newest: 3, ..bounds }));
    assert_eq!(store.stat_blob(ayşe.device, blob).await, Ok(BlobState { chunks: 1, sealed: false }));
    store.submit(submission(&ayşe, &burak, 4, &[4])).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(4, 4)], "no seq is given twice");
    assert_eq!(store.submit(submission(&ayşe, &burak, 3, b"x")).await, Err(StoreError::NameReused));
}
