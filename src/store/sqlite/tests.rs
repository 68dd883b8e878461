use super::*;
use crate::store::conformance::{self, Person, submission};

crate::store::conformance::suite!(SqliteStore, |folder: &Path| SqliteStore::open(folder).unwrap());

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_keeps_what_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("server.db");
    let connection = schema::open_writer(&database).unwrap();
    // The database's own way of being on a disk of so many pages: 4 KiB each.
    connection.pragma_update(None, "max_page_count", 80).unwrap();
    let store = SqliteStore::start(folder.path(), database, connection).unwrap();
    let (ayşe, burak) = (Person::new(1), Person::new(2));
    store.register(ayşe.registration("ayşe")).await.unwrap();
    store.register(burak.registration("burak")).await.unwrap();
    let body = |number: u8| vec![number; 9_000];
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    // Many at once, so that several are in the group that does not fit.
    let asked: Vec<_> =
        (0..60).map(|number| store.submit(submission(&ayşe, &burak, number, &body(number)))).collect();
    for (number, asked) in (0..60).zip(asked) {
        match asked.await {
            Ok(_) => accepted.push(number),
            Err(error) => {
                assert_eq!(error, StoreError::Failed("the disk is full".to_owned()));
                refused.push(number);
            }
        }
    }
    assert!(!refused.is_empty());
    // One after the other, until not one more fits.
    let mut more = 100;
    while store.submit(submission(&ayşe, &burak, more, &body(more))).await.is_ok() {
        accepted.push(more);
        more += 1;
    }
    assert!(!accepted.is_empty());
    // It goes on serving, and has what it accepted, and nothing else.
    let held = store.read(burak.account, 0, usize::MAX).await.unwrap();
    assert_eq!(held.iter().map(|entry| entry.body[0]).collect::<Vec<_>>(), accepted);
    assert_eq!(
        held.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=held.len() as u64).collect::<Vec<_>>()
    );
    let first = accepted[0];
    let again = store.submit(submission(&ayşe, &burak, first, &body(first))).await;
    assert_eq!(again, Ok(held[0].accepted_at), "what is there already needs no space");
    store.close().await.unwrap();

    // The disk has space again.
    let store = SqliteStore::open(folder.path()).unwrap();
    for number in refused {
        store.submit(submission(&ayşe, &burak, number, &body(number))).await.unwrap();
        accepted.push(number);
    }
    let held = store.read(burak.account, 0, usize::MAX).await.unwrap();
    assert_eq!(held.iter().map(|entry| entry.body[0]).collect::<Vec<_>>(), accepted);
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_while_costs_no_older_mail() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let people = conformance::friends(&store).await;
    for number in 1..=3 {
        store.submit(submission(&people.0, &people.1, number, b"merhaba")).await.unwrap();
    }
    store.close().await.unwrap();
    let connection = schema::open_writer(&folder.path().join("server.db")).unwrap();
    connection.execute("UPDATE envelope SET accepted_at = 0 WHERE id = 2", []).unwrap();
    drop(connection);
    let store = SqliteStore::open(folder.path()).unwrap();
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.read(people.1.account, 0, usize::MAX).await.unwrap().len(), 3);
    assert_eq!(store.bounds(people.1.account).await.unwrap().pruned, 0);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    let connection = schema::open_writer(&folder.path().join("server.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn a_chunk_that_was_cut_off_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (owner, blob) = (Person::new(1).device, BlobId::new([7; 32]));
    let chunk = Bytes::from(vec![1; 100]);
    store.put_chunk(owner, blob, 0, chunk.clone()).await.unwrap();
    store.put_chunk(owner, blob, 1, chunk.clone()).await.unwrap();
    let partial = folder.path().join("blobs/partial").join(format!("{owner}-{blob}"));
    let file = std::fs::OpenOptions::new().write(true).open(&partial).unwrap();
    // What a kill leaves: half of the second chunk. What a power cut may leave: length without content.
    for (size, zeros, chunks) in [(150, false, 1), (104, false, 1), (0, true, 0)] {
        file.set_len(size).unwrap();
        if zeros {
            file.set_len(208).unwrap();
        }
        assert_eq!(store.stat_blob(owner, blob).await.unwrap(), BlobState { chunks, sealed: false });
        for index in chunks..2 {
            store.put_chunk(owner, blob, index, chunk.clone()).await.unwrap();
        }
    }
    store.seal_blob(owner, blob, 2).await.unwrap();
    assert_eq!(store.fetch_chunk(blob, 1).await.unwrap(), chunk);
}
