//! The directory: accounts, keys, invitations, and the transparency log.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{Person, friends, held, name, signed, submission};
use crate::model::log::record_hash;
use crate::model::{AccountId, KeyId, Leaf, Millis, NameHash, Position};
use crate::store::{NewAccount, NewInvite, NewRecord, Store, StoreError, StoredAccount};

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
