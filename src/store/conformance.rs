//! What every store has to do. An implementation's tests call [`suite!`] with its type and a closure that
//! opens it in a folder; each promise of [`Store`] is a test of its own.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    Awaited, BlobState, Bounds, NewAccount, NewInvite, NewMessageKey, NewRecord, Store, StoreError,
    StoredAccount,
};
use crate::model::log::record_hash;
use crate::model::{
    AccountId, BlobId, DeviceId, KeyId, Leaf, MessageId, Millis, NameHash, Nickname, Position, Recipient,
    Signed, Submission, Wrap, limits,
};

/// Makes a test of each promise.
macro_rules! suite {
    ($store:ty, $open:expr) => {
        crate::store::conformance::suite!(@ $store, $open,
            registering, finding, message_keys, account_records, accepting, refusing, order, reading, waking, falling_behind,
            pruning, retention, blobs, blobs_of_others, blobs_under_way, dropping_blobs, reopening,
            inviting, blocking, log);
    };
    (@ $store:ty, $open:expr, $($promise:ident),*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                crate::store::conformance::$promise::<$store>(folder.path(), $open).await;
            }
        )*
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
        conversation: to.account,
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

async fn held<S: Store>(store: &S, person: &Person) -> Vec<(u64, u8)> {
    let entries = store.read(person.account, 0, usize::MAX).await.unwrap();
    entries.iter().map(|entry| (entry.seq, entry.message.as_bytes()[0])).collect()
}

pub async fn registering<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, zoé) = (Person::new(10), Person::new(30));
    let new = ayşe.registration("ayşe");
    assert_eq!(store.register(new.clone()).await, Ok(()));
    assert_eq!(store.register(new.clone()).await, Ok(()), "again");
    assert_eq!(store.register(ayşe.registration("başka")).await, Err(StoreError::AccountExists));
    assert_eq!(store.register(zoé.registration("AYŞE")).await, Err(StoreError::NicknameTaken));
    assert_eq!(store.account(zoé.account).await, Ok(None), "nothing is left of what was refused");
    // Two at once want one name: one of them has it.
    let (first, second) = (Person::new(40), Person::new(50));
    let (first, second) =
        tokio::join!(store.register(first.registration("小明")), store.register(second.registration("小明")));
    assert!(matches!(
        (first, second),
        (Ok(()), Err(StoreError::NicknameTaken)) | (Err(StoreError::NicknameTaken), Ok(()))
    ));
}

pub async fn finding<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let names = ["ayşe", "burak", "zoé", "小明", "지민"];
    for (number, nickname) in (0..).zip(names) {
        store.register(Person::new(10 * number).registration(nickname)).await.unwrap();
    }
    let ayşe = StoredAccount {
        account: Person::new(0).account,
        chain: vec![signed("ayşe")],
        message_keys: vec![signed(&Person::new(0).key.to_string())],
    };
    assert_eq!(store.account(ayşe.account).await, Ok(Some(ayşe.clone())));
    assert_eq!(store.account_named(name("AYŞE")).await, Ok(Some(ayşe)));
    assert_eq!(store.account_named(name("nobody")).await, Ok(None));
    assert_eq!(store.account(AccountId::new([99; 32])).await, Ok(None));

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.accounts(after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(page.iter().map(|stored| String::from_utf8(stored.chain[0].body.to_vec()).unwrap()));
        after = Some(name(seen.last().unwrap()));
    }
    assert_eq!(seen, names, "each once, in order");
}

pub async fn message_keys<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let (second, third) = (KeyId::new([77; 32]), KeyId::new([78; 32]));
    for wrong in [None, Some(third), Some(ayşe.key)] {
        let refused = store.publish(burak.message_key(second, wrong)).await;
        assert_eq!(refused, Err(StoreError::KeySuperseded), "{wrong:?}");
    }
    let renewed = burak.message_key(second, Some(burak.key));
    assert_eq!(store.publish(renewed.clone()).await, Ok(()));
    assert_eq!(store.publish(renewed).await, Ok(()), "again");
    let stored = store.account(burak.account).await.unwrap().unwrap();
    assert_eq!(stored.message_keys, [signed(&second.to_string())]);

    let old = submission(&ayşe, &burak, 1, b"merhaba");
    assert_eq!(store.submit(old.clone()).await, Err(StoreError::KeySuperseded));
    let mut new = old;
    new.recipients[0].wraps[0].key = second;
    assert!(store.submit(new).await.is_ok());

    let mut expired = burak.message_key(third, Some(second));
    expired.until = Millis(Millis::now().0 - 1000);
    store.publish(expired).await.unwrap();
    let mut late = submission(&ayşe, &burak, 2, b"merhaba");
    late.recipients[0].wraps[0].key = third;
    assert_eq!(store.submit(late).await, Err(StoreError::KeySuperseded), "run out");
    assert_eq!(
        store.publish(Person::new(90).message_key(second, None)).await,
        Err(StoreError::UnknownAccount)
    );
}

pub async fn account_records<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    store.submit(submission(&ayşe, &burak, 1, b"merhaba")).await.unwrap();
    let epoch = store.bounds(burak.account).await.unwrap().epoch;
    store.acknowledge(burak.device, Position { epoch, seq: 1 }).await.unwrap();
    let hash = |text: &str| <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
    let new = Person { account: burak.account, ..Person::new(60) };
    let rekey = burak.replaced_by(&new, "burak");
    let append = |change: &dyn Fn(&mut NewRecord)| {
        let mut record = rekey.clone();
        change(&mut record);
        store.append_record(record)
    };
    assert_eq!(append(&|new| new.previous = hash("other")).await, Err(StoreError::Conflict));
    assert_eq!(append(&|new| new.account = AccountId::new([99; 32])).await, Err(StoreError::UnknownAccount));
    let taken = || ayşe.message_key(new.key, None);
    assert_eq!(append(&|new| new.added = Some(taken())).await, Err(StoreError::Conflict));
    assert_eq!(append(&|_| {}).await, Ok(()));
    assert_eq!(append(&|_| {}).await, Ok(()), "again");
    let stored = store.account(burak.account).await.unwrap().unwrap();
    assert_eq!(stored.chain, [signed("burak"), signed("rekey")]);
    assert_eq!(stored.message_keys, [signed(&new.key.to_string())], "of the device that came alone");

    // What is wrapped for the device that went is to be wrapped anew.
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, b"selam")).await, Err(StoreError::KeySuperseded));
    store.submit(submission(&ayşe, &new, 2, b"selam")).await.unwrap();
    // The device that came stands where the other stood: what both have is forgotten, and no more.
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.bounds(burak.account).await.unwrap().pruned, 1);
    assert_eq!(held(&store, &burak).await, [(2, 2)]);

    let (previous, record) = (hash("rekey"), signed("end"));
    let end = NewRecord { previous, record, removed: vec![new.device], added: None, ..rekey };
    assert_eq!(store.append_record(end).await, Ok(()));
    assert_eq!(store.account(burak.account).await.unwrap().unwrap().message_keys, []);
}

pub async fn accepting<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (ayşe, burak) = friends(&store).await;
    let mut asked = submission(&ayşe, &burak, 1, b"merhaba");
    asked.recipients.push(ayşe.recipient());
    let at = store.submit(asked.clone()).await.unwrap();
    assert_eq!(store.submit(asked.clone()).await, Ok(at), "again, with the first time");
    for person in [ayşe, burak] {
        let entries = store.read(person.account, 0, usize::MAX).await.unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.seq, entry.accepted_at, &entry.body), (1, at, &asked.body));
        assert_eq!((entry.sender, entry.device), (ayşe.account, ayşe.device));
        assert_eq!((entry.message, entry.conversation), (asked.message, burak.account));
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
    assert_eq!(store.submit(asked).await, Ok(at));
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
        let accepted = store.submit(asked).await.unwrap();
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
    assert_eq!(store.submit(submission(&ayşe, &burak, 1, &[1])).await, Ok(at), "its name is kept");
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
    let at = store.submit(asked.clone()).await.unwrap();
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

pub async fn blobs<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (owner, blob) = (Person::new(10).device, BlobId::new([5; 32]));
    let chunk = |byte: u8, length: usize| Bytes::from(vec![byte; length]);
    assert_eq!(store.stat_blob(owner, blob).await, Ok(BlobState { chunks: 0, sealed: false }));
    assert_eq!(store.seal_blob(owner, blob, 1).await, Err(StoreError::BlobMissing));
    assert_eq!(
        store.put_chunk(owner, blob, 1, chunk(1, 9)).await,
        Err(StoreError::Conflict),
        "not the first"
    );
    for index in 0..3u8 {
        store.put_chunk(owner, blob, index.into(), chunk(index, 900)).await.unwrap();
        store.put_chunk(owner, blob, index.into(), chunk(index, 900)).await.unwrap();
    }
    assert_eq!(store.put_chunk(owner, blob, 5, chunk(5, 900)).await, Err(StoreError::Conflict));
    assert_eq!(store.put_chunk(owner, blob, 0, chunk(0, 900)).await, Err(StoreError::Conflict));
    assert_eq!(store.put_chunk(owner, blob, 3, chunk(3, 901)).await, Err(StoreError::Conflict), "too long");
    store.put_chunk(owner, blob, 3, chunk(3, 10)).await.unwrap();
    assert_eq!(
        store.put_chunk(owner, blob, 4, chunk(4, 10)).await,
        Err(StoreError::Conflict),
        "behind the last"
    );
    assert_eq!(store.stat_blob(owner, blob).await, Ok(BlobState { chunks: 4, sealed: false }));
    assert_eq!(store.fetch_chunk(blob, 0).await, Err(StoreError::BlobMissing), "not sealed");
    assert_eq!(store.seal_blob(owner, blob, 3).await, Err(StoreError::Conflict));
    assert_eq!(store.seal_blob(owner, blob, 4).await, Ok(()));
    assert_eq!(store.seal_blob(owner, blob, 4).await, Ok(()), "again");
    assert_eq!(store.stat_blob(owner, blob).await, Ok(BlobState { chunks: 4, sealed: true }));
    assert_eq!(store.put_chunk(owner, blob, 4, chunk(4, 10)).await, Err(StoreError::Conflict), "sealed");
    for index in 0..4u8 {
        let length = if index == 3 { 10 } else { 900 };
        assert_eq!(store.fetch_chunk(blob, index.into()).await, Ok(chunk(index, length)));
    }
    assert_eq!(store.fetch_chunk(blob, 4).await, Err(StoreError::BlobMissing));
    assert_eq!(store.fetch_chunk(blob, u32::MAX).await, Err(StoreError::BlobMissing));
}

pub async fn blobs_of_others<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (mine, other, blob) = (Person::new(10).device, Person::new(20).device, BlobId::new([5; 32]));
    store.put_chunk(mine, blob, 0, Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(store.stat_blob(other, blob).await, Ok(BlobState { chunks: 0, sealed: false }));
    store.put_chunk(other, blob, 0, Bytes::from_static(b"other")).await.unwrap();
    store.seal_blob(mine, blob, 1).await.unwrap();
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"mine")));
    assert!(store.put_chunk(other, blob, 1, Bytes::from_static(b"other")).await.is_err());
    assert!(store.seal_blob(other, blob, 1).await.is_err(), "the name is taken");
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"mine")));
}

pub async fn blobs_under_way<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (owner, other, blob) = (Person::new(10).device, Person::new(20).device, BlobId::new([5; 32]));
    let long = Duration::from_secs(600);
    let nothing = |chunks, sealed| Ok(Awaited::Nothing(BlobState { chunks, sealed }));
    let chunk = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(store.await_chunk(owner, blob, 0, Duration::ZERO).await, nothing(0, false));
    // Those who wait before it is there get it as it comes.
    let waiting = async {
        tokio::join!(store.await_chunk(owner, blob, 0, long), store.await_chunk(owner, blob, 0, long))
    };
    let ((one, two), put) = tokio::join!(waiting, store.put_chunk(owner, blob, 0, chunk("first")));
    assert_eq!(
        (one, two, put),
        (Ok(Awaited::Chunk(chunk("first"))), Ok(Awaited::Chunk(chunk("first"))), Ok(()))
    );
    assert_eq!(store.await_chunk(owner, blob, 1, Duration::ZERO).await, nothing(1, false));
    assert_eq!(
        store.await_chunk(other, blob, 0, Duration::ZERO).await,
        nothing(0, false),
        "of another device"
    );
    store.put_chunk(owner, blob, 1, chunk("2nd")).await.unwrap();
    assert_eq!(store.await_chunk(owner, blob, 0, long).await, Ok(Awaited::Chunk(chunk("first"))));
    assert_eq!(store.await_chunk(owner, blob, 1, long).await, Ok(Awaited::Chunk(chunk("2nd"))));
    // Its end is told to those who wait for more.
    let (more, sealed) =
        tokio::join!(store.await_chunk(owner, blob, 2, long), store.seal_blob(owner, blob, 2));
    assert_eq!((more, sealed), (nothing(2, true), Ok(())));
    assert_eq!(store.await_chunk(owner, blob, 0, long).await, Ok(Awaited::Chunk(chunk("first"))), "sealed");
    assert_eq!(store.await_chunk(owner, blob, 9, long).await, nothing(2, true));
}

pub async fn dropping_blobs<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (owner, other, blob) = (Person::new(10).device, Person::new(20).device, BlobId::new([5; 32]));
    assert_eq!(store.drop_blob(owner, blob).await, Ok(()), "there is none");
    store.put_chunk(owner, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    store.drop_blob(other, blob).await.unwrap();
    assert_eq!(
        store.stat_blob(owner, blob).await,
        Ok(BlobState { chunks: 1, sealed: false }),
        "not another's"
    );
    store.drop_blob(owner, blob).await.unwrap();
    assert_eq!(store.stat_blob(owner, blob).await, Ok(BlobState { chunks: 0, sealed: false }));
    store.put_chunk(owner, blob, 0, Bytes::from_static(b"again")).await.unwrap();
    store.seal_blob(owner, blob, 1).await.unwrap();
    store.drop_blob(owner, blob).await.unwrap();
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"again")), "a sealed one stays");
}

pub async fn log<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let mut size = store.watch_log();
    assert_eq!(*size.borrow_and_update(), 0);
    assert!(store.log(0, 10).await.unwrap().1.is_empty());
    let names = ["ayşe", "burak", "지민", "小明", "zoé"];
    for (number, nickname) in (0..).zip(names) {
        let new = Person::new(10 * number).registration(nickname);
        store.register(new.clone()).await.unwrap();
        store.register(new).await.unwrap();
        let _ = store.register(Person::new(10 * number + 5).registration(nickname)).await;
    }
    assert_eq!(*size.borrow_and_update(), 5, "told, and each accepted record once");
    let (head, leaves) = store.log(0, 10).await.unwrap();
    assert_eq!((head.size, leaves.len()), (5, 5));
    for (nickname, leaf) in names.iter().zip(&leaves) {
        assert_eq!(*leaf, leaf_of(nickname));
    }
    assert_eq!(store.log(3, 1).await.unwrap(), (head, leaves[3..4].to_vec()));
    assert_eq!(store.log(9, 1).await.unwrap(), (head, vec![]));

    let proven = store.prove_leaf(NameHash::of(&name("지민")), 5).await.unwrap().unwrap();
    assert_eq!((proven.place, proven.leaf), (2, leaf_of("지민")));
    let hashes = |proof: Vec<[u8; 32]>| proof.into_iter().map(tlog_tiles::Hash).collect::<Vec<_>>();
    let leaf = tlog_tiles::record_hash(&proven.leaf.to_bytes());
    tlog_tiles::check_record(&hashes(proven.proof), 5, tlog_tiles::Hash(head.root), 2, leaf).unwrap();
    assert_eq!(store.prove_leaf(NameHash::of(&name("지민")), 2).await, Ok(None), "it came later");
    assert_eq!(store.prove_leaf(NameHash::of(&name("nobody")), 5).await, Ok(None));
    assert_eq!(store.prove_leaf(NameHash::of(&name("ayşe")), 6).await, Err(StoreError::Conflict));
    for (from, to) in [(0, 5), (3, 6), (4, 3)] {
        assert_eq!(store.prove_growth(from, to).await, Err(StoreError::Conflict));
    }
    store.close().await.unwrap();
    drop(store);

    let store = open(folder);
    assert_eq!(*store.watch_log().borrow(), 5);
    assert_eq!(store.log(0, 10).await.unwrap(), (head, leaves));
    store.register(Person::new(60).registration("altıncı")).await.unwrap();
    let grown = store.log(5, 10).await.unwrap().0;
    let proof = hashes(store.prove_growth(5, 6).await.unwrap());
    tlog_tiles::check_tree(&proof, 6, tlog_tiles::Hash(grown.root), 5, tlog_tiles::Hash(head.root)).unwrap();
}

fn leaf_of(nickname: &str) -> Leaf {
    Leaf { name: NameHash::of(&name(nickname)), previous: None, record: record_hash(&signed(nickname)) }
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

pub async fn inviting<S: Store>(folder: &Path, open: impl Fn(&Path) -> S) {
    let store = open(folder);
    let (hash, other) = ([1; 32], [2; 32]);
    let later = Millis::now().plus(std::time::Duration::from_secs(3600));
    let with = |person: u8, nickname: &str, invite: [u8; 32]| NewAccount {
        invite: Some(invite),
        ..Person::new(person).registration(nickname)
    };
    assert_eq!(store.register(with(10, "ayşe", hash)).await, Err(StoreError::InviteInvalid));
    store.invite(NewInvite { hash, uses: 2, expires_at: later }).await.unwrap();
    store.invite(NewInvite { hash: other, uses: 1, expires_at: Millis(1) }).await.unwrap();
    assert_eq!(store.register(with(10, "ayşe", other)).await, Err(StoreError::InviteInvalid), "expired");
    assert_eq!(store.register(with(10, "ayşe", hash)).await, Ok(()));
    assert_eq!(store.register(with(20, "Ayşe", hash)).await, Err(StoreError::NicknameTaken));
    assert_eq!(store.register(with(20, "burak", hash)).await, Ok(()), "what was refused has used nothing");
    assert_eq!(store.register(with(30, "zoé", hash)).await, Err(StoreError::InviteInvalid), "used up");
    assert_eq!(store.register(with(20, "burak", hash)).await, Ok(()), "again");
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.register(with(20, "burak", hash)).await, Ok(()), "again, when it is long forgotten");
    assert_eq!(store.register(Person::new(30).registration("zoé")).await, Ok(()), "where none is asked for");
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
    let at = store.submit(submission(&ayşe, &burak, 2, &[2])).await.unwrap();
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, &[2])).await, Ok(at), "its name is kept");
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, b"x")).await, Err(StoreError::NameReused));
    let mut superseded = submission(&ayşe, &burak, 3, &[3]);
    superseded.recipients[0].wraps[0].key = KeyId::new([9; 32]);
    assert_eq!(store.submit(superseded).await, Err(StoreError::KeySuperseded), "checked as ever");
    store.submit(submission(&zoé, &burak, 4, &[4])).await.unwrap();
    store.submit(submission(&burak, &ayşe, 5, &[5])).await.unwrap();
    assert_eq!(held(&store, &burak).await, [(1, 1), (2, 4)], "numbered without a hole");
    assert_eq!(held(&store, &ayşe).await, [(1, 5)], "the other way it goes on");
    assert_eq!(wakeups.next().await.unwrap().seq, 2, "nobody was woken for what was dropped");
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.submit(submission(&ayşe, &burak, 2, &[2])).await, Ok(at), "still known");
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
