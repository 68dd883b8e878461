use super::*;
use crate::model::limits;
use crate::store::conformance::{self, Person, submission};
use std::os::unix::fs::PermissionsExt as _;

crate::store::conformance::suite!(SqliteStore, |folder: &Path| SqliteStore::open(folder).unwrap());

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_keeps_what_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("server.db");
    let connection = schema::open_writer(&database).unwrap();
    // The database's own way of being on a disk of so many pages: 4 KiB each.
    connection.pragma_update(None, "max_page_count", 80).unwrap();
    let store = SqliteStore::start(folder.path(), database, connection, Quotas::default()).unwrap();
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
    assert_eq!(again, conformance::accepted(held[0].accepted_at), "what is there already needs no space");
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
async fn a_long_mailbox_is_pruned_in_many_steps_and_none_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (ayşe, burak) = conformance::friends(&store).await;
    let accepted: Vec<_> =
        (0..=255).map(|number| store.submit(submission(&ayşe, &burak, number, &[number]))).collect();
    for accepted in accepted {
        accepted.await.unwrap();
    }
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    store.acknowledge(burak.device, Position { epoch, seq: 250 }).await.unwrap();
    store.prune(Millis::now()).await.unwrap();
    let left = store.read(burak.account, 0, usize::MAX).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [251, 252, 253, 254, 255, 256]);
    assert_eq!(store.bounds(burak.account).await.unwrap().pruned, 250);
    // The names of the others go a month later, as do those that nobody fetched.
    store.prune(Millis::now().plus(limits::RETENTION + HOUR)).await.unwrap();
    let connection = schema::open_reader(&folder.path().join("server.db")).unwrap();
    let count = connection.query_row("SELECT count(*) FROM envelope", [], |row| row.get::<_, u32>(0));
    assert_eq!(count.unwrap(), 0);
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_one_and_nobody_else_reads_the_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let writer = schema::open_writer(&folder.path().join("server.db")).unwrap();
    let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: u32 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    // 2: FULL (https://sqlite.org/pragma.html#pragma_synchronous).
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    drop(writer);
    let (owner, blob) = (Person::new(1).device, BlobId::new([7; 32]));
    store.put_chunk(owner, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    store.seal_blob(owner, blob, 1).await.unwrap();
    for (path, mode) in [
        ("server.db".to_owned(), 0o600),
        ("server.db-wal".to_owned(), 0o600),
        ("blobs".to_owned(), 0o700),
        ("blobs/partial".to_owned(), 0o700),
        (format!("blobs/{blob}"), 0o600),
    ] {
        let permissions = std::fs::metadata(folder.path().join(&path)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{path}");
    }
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

#[tokio::test]
async fn a_chunk_that_a_blobs_file_has_lost_is_missing_and_not_to_be_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (owner, blob) = (Person::new(1).device, BlobId::new([7; 32]));
    let chunk = Bytes::from(vec![1; 1000]);
    for index in 0..3 {
        store.put_chunk(owner, blob, index, chunk.clone()).await.unwrap();
    }
    store.seal_blob(owner, blob, 3).await.unwrap();
    let file =
        std::fs::OpenOptions::new().write(true).open(folder.path().join("blobs").join(blob.to_string()));
    // In the middle of the second.
    file.unwrap().set_len(1_500).unwrap();
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(chunk));
    for index in 1..3 {
        assert_eq!(store.fetch_chunk(blob, index).await, Err(StoreError::BlobMissing));
    }
}

/// Names of files in the folder of blobs, or of those under way.
pub(super) fn files(folder: &Path, of: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join(of)).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_sealed_file_without_a_row_goes_after_a_day_and_one_with_a_row_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (ayşe, burak) = conformance::friends(&store).await;
    let (named, orphan) = (BlobId::new([1; 32]), BlobId::new([2; 32]));
    for blob in [named, orphan] {
        store.put_chunk(ayşe.device, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    }
    store.seal_blob(ayşe.device, named, 1).await.unwrap();
    let mut asked = submission(&ayşe, &burak, 1, b"merhaba");
    asked.blobs.push(named);
    store.submit(asked).await.unwrap();
    // As after a crash between the file's name and its row.
    store.blobs.seal(&ayşe.device, &orphan, 1).unwrap();
    std::fs::write(folder.path().join("blobs/README"), "not a blob's").unwrap();

    let now = Millis::now();
    store.prune(now.plus(HOUR * 22)).await.unwrap();
    assert_eq!(files(folder.path(), "blobs").len(), 3, "it may get its row yet");
    store.prune(now.plus(HOUR * 25)).await.unwrap();
    let mut left = files(folder.path(), "blobs");
    left.sort();
    assert_eq!(left, [named.to_string(), "README".to_owned()]);
    assert_eq!(store.fetch_chunk(named, 0).await, Ok(Bytes::from_static(b"chunk")));
}

#[tokio::test]
async fn a_blob_that_lay_under_way_for_days_is_not_old_when_it_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (owner, blob) = (Person::new(1).device, BlobId::new([1; 32]));
    store.put_chunk(owner, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
    let partial = folder.path().join("blobs/partial").join(format!("{owner}-{blob}"));
    let file = std::fs::OpenOptions::new().write(true).open(partial).unwrap();
    file.set_modified(std::time::SystemTime::now() - HOUR * 72).unwrap();
    store.blobs.seal(&owner, &blob, 1).unwrap();
    store.prune(Millis::now()).await.unwrap();
    store.seal_blob(owner, blob, 1).await.unwrap();
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"chunk")));
}

#[tokio::test]
async fn a_seal_that_nobody_waits_for_any_more_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let owner = Person::new(1).device;
    for number in 0..20 {
        let blob = BlobId::new([number; 32]);
        store.put_chunk(owner, blob, 0, Bytes::from_static(b"chunk")).await.unwrap();
        // Begun, and dropped as the connection of whoever asked is.
        tokio::select! {
            biased;
            _ = store.seal_blob(owner, blob, 1) => {}
            () = std::future::ready(()) => {}
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !store.stat_blob(owner, blob).await.unwrap().sealed {
            assert!(Instant::now() < deadline, "the file has its name, but no row");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(files(folder.path(), "blobs").len(), 20);
    assert_eq!(files(folder.path(), "blobs/partial").len(), 0);
}

#[tokio::test]
async fn a_chunk_that_is_refused_begins_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let owner = Person::new(1).device;
    for number in 0..10 {
        let put = |index, chunk| store.put_chunk(owner, BlobId::new([number; 32]), index, chunk);
        assert_eq!(put(7, Bytes::from_static(b"chunk")).await, Err(StoreError::Conflict), "not the first");
        assert_eq!(put(0, Bytes::new()).await, Err(StoreError::Conflict), "empty");
    }
    assert_eq!(files(folder.path(), "blobs/partial"), [""; 0]);
}

/// How often the write-ahead log has begun anew (https://sqlite.org/fileformat2.html#walformat).
fn beginnings(folder: &Path) -> u32 {
    let log = std::fs::read(folder.join("server.db-wal")).unwrap();
    log.get(12..16).map_or(0, |number| u32::from_be_bytes(number.try_into().unwrap()))
}

#[tokio::test]
async fn the_write_ahead_log_begins_anew_again_and_again_while_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        SqliteStore::open_with(
            folder.path(),
            Quotas { mailbox: u64::MAX, sender: u64::MAX, ..Quotas::default() },
        )
        .unwrap()
    };
    let store = open();
    let (ayşe, burak) = conformance::friends(&store).await;
    let body = vec![7; 60_000];
    let (mut sent, first) = (0u32, beginnings(folder.path()));
    // Somebody reads all the time.
    let (reads, mut read) = (std::cell::Cell::new(true), 0);
    let writing = async {
        while beginnings(folder.path()) < first + 3 {
            assert!(sent < 6_000, "360 MB are in the log, and nothing of it was moved");
            let group: Vec<_> = (0..16)
                .map(|_| {
                    sent += 1;
                    let mut asked = submission(&ayşe, &burak, 0, &body);
                    asked.message = crate::model::MessageId::from_bytes(u128::from(sent).to_be_bytes());
                    store.submit(asked)
                })
                .collect();
            for accepted in group {
                accepted.await.unwrap();
            }
        }
        reads.set(false);
    };
    let reading = async {
        while reads.get() {
            let entries = store.read(burak.account, read, 1_000_000).await.unwrap();
            read = entries.last().map_or(read, |entry| entry.seq);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writing, reading);
    store.close().await.unwrap();
    drop(store);

    let store = open();
    assert_eq!(store.bounds(burak.account).await.unwrap().newest, u64::from(sent));
    let entries = store.read(burak.account, u64::from(sent) - 100, usize::MAX).await.unwrap();
    assert_eq!(entries.len(), 100);
    assert!(entries.iter().all(|entry| entry.body == body));
}

/// Makes the tables as they were before there were rooms.
pub(super) const BEFORE_ROOMS: &str = "DROP TABLE room;
    DROP TABLE room_record;
    DROP TABLE room_account;
    ALTER TABLE envelope DROP COLUMN roster;
    ALTER TABLE envelope DROP COLUMN left_out;
    PRAGMA user_version = 7;";

/// The tables as they were before envelopes in several mailboxes were counted.
pub(super) fn before_shares(connection: &Connection) {
    connection.execute_batch(BEFORE_ROOMS).unwrap();
    connection
        .execute_batch(
            "DROP TABLE mailbox_sender;
             DROP TABLE envelope_share;
             CREATE INDEX mailbox_envelope ON mailbox (envelope);
             DROP INDEX envelope_name;
             CREATE UNIQUE INDEX envelope_name ON envelope (device, message);
             PRAGMA user_version = 5",
        )
        .unwrap();
}

#[tokio::test]
async fn an_envelope_in_two_mailboxes_stays_until_both_are_done_with_it() {
    for earlier in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path()).unwrap();
        let (ayşe, burak) = conformance::friends(&store).await;
        let mut asked = submission(&ayşe, &burak, 1, b"merhaba");
        asked.recipients.push(submission(&burak, &ayşe, 1, b"").recipients.remove(0));
        store.submit(asked).await.unwrap();
        if earlier {
            store.close().await.unwrap();
            before_shares(&schema::open_writer(&folder.path().join("server.db")).unwrap());
            store = SqliteStore::open(folder.path()).unwrap();
        }
        let bodies = || {
            let connection = schema::open_reader(&folder.path().join("server.db")).unwrap();
            let query = "SELECT count(body), (SELECT count(*) FROM envelope_share) FROM envelope";
            connection.query_row(query, [], |row| Ok::<(u32, u32), _>((row.get(0)?, row.get(1)?))).unwrap()
        };
        let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
        for (person, left) in [(ayşe, (1, 1)), (burak, (0, 0))] {
            store.acknowledge(person.device, Position { epoch, seq: 1 }).await.unwrap();
            store.prune(Millis::now()).await.unwrap();
            assert_eq!(bodies(), left);
        }
        store.close().await.unwrap();
    }
}

fn acknowledged(folder: &Path, person: &Person) -> u64 {
    let connection = schema::open_reader(&folder.join("server.db")).unwrap();
    let query = "SELECT acknowledged FROM device WHERE id = ?";
    let seq: i64 = connection.query_row(query, [person.device.as_bytes()], |row| row.get(0)).unwrap();
    seq.cast_unsigned()
}

/// Two friends; nine messages of the first wait for the second, in this epoch.
async fn nine_wait(store: &SqliteStore) -> (Person, Person, u64) {
    let (ayşe, burak) = conformance::friends(store).await;
    for number in 1..=9 {
        store.submit(submission(&ayşe, &burak, number, b"merhaba")).await.unwrap();
    }
    let Bounds { epoch, .. } = store.bounds(burak.account).await.unwrap();
    (ayşe, burak, epoch)
}

#[tokio::test]
async fn acknowledgements_are_put_together_and_written_when_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (ayşe, burak, epoch) = nine_wait(&store).await;
    let up_to = |seq| store.acknowledge(burak.device, Position { epoch, seq });
    // In any order, each is answered and the furthest counts. Nothing else is asked meanwhile.
    let asked: Vec<_> = [3, 7, 5, 1].map(up_to).into();
    for answer in asked {
        assert_eq!(answer.await, Ok(()));
    }
    assert_eq!(acknowledged(folder.path(), &burak), 7);
    up_to(2).await.unwrap();
    assert_eq!(acknowledged(folder.path(), &burak), 7, "never back");
    // Acknowledged before it is there: it is not had yet.
    let (early, submitted) = (up_to(10), store.submit(submission(&ayşe, &burak, 10, b"merhaba")));
    early.await.unwrap();
    submitted.await.unwrap();
    assert_eq!(acknowledged(folder.path(), &burak), 9);
}

#[tokio::test]
async fn what_goes_by_acknowledgements_finds_those_that_were_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (_, burak, epoch) = nine_wait(&store).await;
    // None is waited for.
    let up_to = |seq| drop(store.acknowledge(burak.device, Position { epoch, seq }));
    up_to(3);
    store.prune(Millis::now()).await.unwrap();
    assert_eq!(store.bounds(burak.account).await.unwrap().pruned, 3);
    // A device that takes another's place begins where that stood.
    up_to(5);
    let mut second = Person::new(40);
    second.account = burak.account;
    store.append_record(burak.replaced_by(&second, "burak")).await.unwrap();
    assert_eq!(acknowledged(folder.path(), &second), 5);
    drop(store.acknowledge(second.device, Position { epoch, seq: 8 }));
    store.close().await.unwrap();
    assert_eq!(acknowledged(folder.path(), &second), 8);
}

#[tokio::test]
async fn a_read_is_bounded_by_wraps_as_by_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let (ayşe, burak) = conformance::friends(&store).await;
    for number in 1..=200 {
        let mut asked = submission(&ayşe, &burak, number, b"x");
        // Hardly any body, and sometimes no wrap either.
        if number % 2 == 0 {
            asked.recipients[0].wraps.clear();
        }
        store.submit(asked).await.unwrap();
    }
    let some = store.read(burak.account, 0, 10_000).await.unwrap();
    assert!((10..40).contains(&some.len()), "{}", some.len());
}
