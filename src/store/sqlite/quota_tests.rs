use super::tests::{BEFORE_ROOMS, before_shares, files};
use super::*;
use crate::model::limits;
use crate::store::conformance::{self, Person, submission};

#[tokio::test]
async fn a_full_mailbox_takes_no_more_until_it_has_room() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        || SqliteStore::open_with(folder.path(), Quotas { mailbox: 3_000, ..Quotas::default() }).unwrap();
    let store = open();
    let (ayşe, burak) = (Person::new(1), Person::new(2 + 3));
    store.register(ayşe.registration("ayşe")).await.unwrap();
    store.register(burak.registration("burak")).await.unwrap();
    let put = async |store: &SqliteStore, number: u8| {
        store.submit(submission(&ayşe, &burak, number, &[number; 1_500])).await
    };
    put(&store, 1).await.unwrap();
    let first = put(&store, 2).await.unwrap();
    assert_eq!(put(&store, 3).await, Err(StoreError::MailboxFull));
    let small = store.submit(submission(&ayşe, &burak, 4, b"x")).await;
    assert_eq!(small, Err(StoreError::MailboxFull), "a small one does not overtake");
    assert_eq!(put(&store, 2).await, Ok(first), "what is there already needs no room");
    assert!(store.submit(submission(&burak, &ayşe, 5, b"x")).await.is_ok(), "others have room");
    store.close().await.unwrap();
    drop(store);

    let store = open();
    assert_eq!(put(&store, 3).await, Err(StoreError::MailboxFull), "also after a restart");
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 1 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    put(&store, 3).await.unwrap();
    assert_eq!(put(&store, 6).await, Err(StoreError::MailboxFull));
    store.acknowledge(burak.device, Position { epoch, seq: 3 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    for number in [7, 8] {
        put(&store, number).await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_counts_in_its_mailbox_however_small_it_is() {
    const ENTRIES: u8 = 20;
    let folder = tempfile::tempdir().unwrap();
    let quota = u64::from(ENTRIES) * apply::ENTRY;
    let open =
        || SqliteStore::open_with(folder.path(), Quotas { mailbox: quota, ..Quotas::default() }).unwrap();
    let store = open();
    let (ayşe, burak) = conformance::friends(&store).await;
    let put = async |store: &SqliteStore, number: u8| {
        let mut asked = submission(&ayşe, &burak, number, b"x");
        asked.recipients[0].wraps.clear();
        store.submit(asked).await.map(drop)
    };
    for number in 1..=ENTRIES {
        assert_eq!(put(&store, number).await, Ok(()), "{number}");
    }
    assert_eq!(put(&store, 100).await, Err(StoreError::MailboxFull));
    // What goes gives back as much as it counted.
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 3 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    for number in 101..=103 {
        assert_eq!(put(&store, number).await, Ok(()), "{number}");
    }
    assert_eq!(put(&store, 104).await, Err(StoreError::MailboxFull));
    store.close().await.unwrap();
    drop(store);

    // A store of before entries counted.
    let connection = schema::open_writer(&folder.path().join("server.db")).unwrap();
    connection.execute("UPDATE account SET bytes = 40", []).unwrap();
    before_shares(&connection);
    connection.pragma_update(None, "user_version", 4).unwrap();
    drop(connection);
    let store = open();
    assert_eq!(put(&store, 104).await, Err(StoreError::MailboxFull), "they count from now on");
    store.acknowledge(burak.device, Position { epoch, seq: u64::MAX }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    for number in 1..=ENTRIES {
        assert_eq!(put(&store, number + 200).await, Ok(()), "{number}");
    }
    assert_eq!(put(&store, 250).await, Err(StoreError::MailboxFull));
}

#[tokio::test]
async fn a_mailbox_whose_row_is_behind_is_as_full_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        || SqliteStore::open_with(folder.path(), Quotas { mailbox: 6_000, ..Quotas::default() }).unwrap();
    let store = open();
    let (ayşe, burak) = conformance::friends(&store).await;
    let put = async |store: &SqliteStore, number: u8| {
        store.submit(submission(&ayşe, &burak, number, &[number; 1_000])).await.map(drop)
    };
    for number in 1..=4 {
        put(&store, number).await.unwrap();
    }
    assert_eq!(put(&store, 5).await, Err(StoreError::MailboxFull));
    store.close().await.unwrap();
    drop(store);
    let connection = schema::open_writer(&folder.path().join("server.db")).unwrap();
    let row = || {
        let query = "SELECT newest, bytes FROM account WHERE id = ?";
        connection.query_row(query, [burak.account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let (newest, bytes): (i64, i64) = row().unwrap();
    assert_eq!(newest, 4, "a store that is closed has written it");
    // As after a power cut behind the first two, which are half of it.
    let behind = "UPDATE account SET newest = 2, bytes = bytes / 2 WHERE id = ?";
    connection.execute(behind, [burak.account.as_bytes()]).unwrap();
    let store = open();
    assert_eq!(store.bounds(burak.account).await.unwrap().newest, 4);
    assert_eq!(put(&store, 5).await, Err(StoreError::MailboxFull), "all four count");
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 3 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(row().unwrap(), (4, bytes / 4), "what has gone counts no longer");
    put(&store, 5).await.unwrap();
    let held = store.read(burak.account, 0, usize::MAX).await.unwrap();
    assert_eq!(held.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5]);
}

#[tokio::test]
async fn a_sender_whose_row_is_behind_has_used_as_much_of_a_share_as_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas { sender: 3_000, ..Quotas::default() };
    let open = || SqliteStore::open_with(folder.path(), quotas).unwrap();
    let connect = || schema::open_writer(&folder.path().join("server.db")).unwrap();
    let rows = || {
        let connection = connect();
        let mut query = connection.prepare("SELECT bytes FROM mailbox_sender ORDER BY bytes").unwrap();
        let rows = query.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let store = open();
    let (ayşe, burak) = conformance::friends(&store).await;
    let zoé = Person::new(40);
    store.register(zoé.registration("zoé")).await.unwrap();
    let put = async |store: &SqliteStore, from: &Person, number: u8| {
        store.submit(submission(from, &burak, number, &[number; 1_000])).await.map(drop)
    };
    put(&store, &zoé, 1).await.unwrap();
    for number in 2..=3 {
        put(&store, &ayşe, number).await.unwrap();
    }
    assert_eq!(put(&store, &ayşe, 4).await, Err(StoreError::ShareFull));
    store.close().await.unwrap();
    drop(store);
    let [one, two] = rows().try_into().unwrap();
    assert!(one > 1_500 && two == 2 * one, "{one} {two}");

    // As after a power cut behind the first two; and as a store was before senders were counted.
    let behind = "UPDATE account SET newest = 2, bytes = bytes * 2 / 3 WHERE newest = 3;
        UPDATE mailbox_sender SET bytes = bytes / 2 WHERE bytes > 3000";
    let earlier = format!("{BEFORE_ROOMS} DROP TABLE mailbox_sender; PRAGMA user_version = 6");
    for before in [behind, &earlier] {
        connect().execute_batch(before).unwrap();
        let store = open();
        assert_eq!(put(&store, &ayşe, 4).await, Err(StoreError::ShareFull), "both count: {before}");
        store.close().await.unwrap();
        assert_eq!(rows(), [one, two], "{before}");
    }
    let store = open();
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 2 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(rows(), [one], "who has nothing there has no row");
    for number in [5, 6] {
        put(&store, &zoé, number).await.unwrap();
    }
    assert_eq!(put(&store, &zoé, 7).await, Err(StoreError::ShareFull));
    put(&store, &ayşe, 8).await.unwrap();
    assert_eq!(put(&store, &ayşe, 9).await, Err(StoreError::ShareFull));
}

#[tokio::test]
async fn a_quota_of_blobs_counts_what_is_under_way_and_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        || SqliteStore::open_with(folder.path(), Quotas { blobs: 12_000, ..Quotas::default() }).unwrap();
    let store = open();
    let (ayşe, burak) = (Person::new(1), Person::new(5));
    store.register(ayşe.registration("ayşe")).await.unwrap();
    store.register(burak.registration("burak")).await.unwrap();
    let chunk = || Bytes::from(vec![7; 1_000]);
    let (first, second) = (BlobId::new([1; 32]), BlobId::new([2; 32]));
    for index in 0..2 {
        store.put_chunk(ayşe.device, first, index, chunk()).await.unwrap();
        store.put_chunk(ayşe.device, first, index, chunk()).await.unwrap();
    }
    store.seal_blob(ayşe.device, first, 2).await.unwrap();
    for index in 0..2 {
        store.put_chunk(ayşe.device, second, index, chunk()).await.unwrap();
    }
    let refused = || store.put_chunk(ayşe.device, second, 2, chunk());
    assert_eq!(refused().await, Err(StoreError::BlobQuota));
    store.put_chunk(burak.device, second, 0, chunk()).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(refused().await, Err(StoreError::BlobQuota), "measured, it is as much as counted");
    store.close().await.unwrap();
    drop(store);

    let store = open();
    let refused = || store.put_chunk(ayşe.device, second, 2, chunk());
    assert_eq!(refused().await, Err(StoreError::BlobQuota), "also after a restart");
    // Nobody's envelope names the first one: after a day it goes.
    let later = Millis::now().plus(std::time::Duration::from_secs(25 * 3600));
    store.prune(later).await.unwrap();
    assert_eq!(refused().await, Ok(()));
}

#[tokio::test]
async fn a_blob_counts_for_a_day_and_after_that_until_everybody_has_fetched_it() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas { blobs: 10_000, ..Quotas::default() };
    let store = SqliteStore::open_with(folder.path(), quotas).unwrap();
    let (ayşe, burak) = conformance::friends(&store).await;
    let blob = |number: u8| BlobId::new([number; 32]);
    // Two of them are all that there is room for.
    let put = async |number| store.put_chunk(ayşe.device, blob(number), 0, vec![7; 1_000].into()).await;
    for number in [1, 2] {
        put(number).await.unwrap();
        store.seal_blob(ayşe.device, blob(number), 1).await.unwrap();
        let named = submission(&ayşe, &burak, number, b"x");
        store.submit(Submission { blobs: vec![blob(number)], ..named }).await.unwrap();
    }
    assert_eq!(put(3).await, Err(StoreError::BlobQuota));
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    let fetch = async |seq| store.acknowledge(burak.device, Position { epoch, seq }).await.unwrap();
    fetch(1).await;
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(put(3).await, Err(StoreError::BlobQuota), "fetched, and of today");
    assert!(store.fetch_chunk(blob(1), 0).await.is_ok());
    let tomorrow = Millis::now().plus(Duration::from_secs(25 * 3600));
    store.prune(tomorrow).await.unwrap();
    assert_eq!(store.fetch_chunk(blob(1), 0).await, Err(StoreError::BlobMissing));
    assert_eq!(put(3).await, Ok(()), "of yesterday, and fetched");
    assert_eq!(put(4).await, Err(StoreError::BlobQuota), "of yesterday, and not fetched");
    assert!(store.fetch_chunk(blob(2), 0).await.is_ok());
    fetch(2).await;
    store.prune(tomorrow).await.unwrap();
    assert_eq!(put(4).await, Ok(()));
}

#[tokio::test]
async fn an_account_has_a_few_blobs_under_way_and_each_counts_however_small_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let open = |blobs| SqliteStore::open_with(folder.path(), Quotas { blobs, ..Quotas::default() }).unwrap();
    let store = open(u64::MAX);
    let (ayşe, burak) = conformance::friends(&store).await;
    let blob = |number: u8| BlobId::new([number; 32]);
    let chunk = || Bytes::from_static(b"x");
    let mut taken = 0u8;
    while store.put_chunk(ayşe.device, blob(taken), 0, chunk()).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 64);
    let one_more = || store.put_chunk(ayşe.device, blob(99), 0, chunk());
    assert_eq!(one_more().await, Err(StoreError::BlobQuota));
    assert_eq!(files(folder.path(), "blobs/partial").len(), 64);
    assert_eq!(store.put_chunk(ayşe.device, blob(0), 1, chunk()).await, Ok(()), "those go on");
    assert_eq!(store.put_chunk(burak.device, blob(99), 0, chunk()).await, Ok(()), "others have their own");
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(one_more().await, Err(StoreError::BlobQuota), "measured, they are as many as counted");
    store.seal_blob(ayşe.device, blob(0), 2).await.unwrap();
    assert_eq!(one_more().await, Ok(()));
    assert_eq!(one_more().await, Ok(()), "again");
    assert!(store.put_chunk(ayşe.device, blob(98), 0, chunk()).await.is_err());
    store.drop_blob(ayşe.device, blob(1)).await.unwrap();
    assert_eq!(store.put_chunk(ayşe.device, blob(98), 0, chunk()).await, Ok(()));
    store.close().await.unwrap();
    drop(store);

    // 65 files of a few bytes, sealed or not, take the room of 65 files.
    for (quota, taken) in [(65 * 4_096, false), (66 * 4_096, true)] {
        let store = open(quota);
        let put = store.put_chunk(ayşe.device, blob(98), 1, chunk()).await;
        assert_eq!(put.is_ok(), taken, "{put:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_account_has_so_many_others_blocked_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (ayşe, burak) = conformance::friends(&store).await;
    let zoé = Person::new(40);
    store.register(zoé.registration("zoé")).await.unwrap();
    store.set_blocked(burak.account, ayşe.account, true).await.unwrap();
    let others = limits::BLOCKS - 1;
    rusqlite::Connection::open(folder.path().join("server.db"))
        .unwrap()
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             INSERT INTO block (account, other) SELECT ?1, randomblob(32) FROM n",
            (burak.account.as_bytes(), i64::try_from(others).unwrap()),
        )
        .unwrap();
    assert_eq!(store.set_blocked(burak.account, zoé.account, true).await, Err(StoreError::TooLarge));
    assert_eq!(
        store.set_blocked(burak.account, ayşe.account, true).await,
        Ok(()),
        "that it is blocked stays"
    );
    store.set_blocked(burak.account, ayşe.account, false).await.unwrap();
    assert_eq!(store.set_blocked(burak.account, zoé.account, true).await, Ok(()));
}
