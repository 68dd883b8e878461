//! Blobs, sealed and under way.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::{Person, friends, submission};
use crate::model::{BlobId, Submission};
use crate::store::{Awaited, BlobState, Store, StoreError};

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
    let (ayşe, burak) = friends(&store).await;
    let (mine, other, blob) = (ayşe.device, burak.device, BlobId::new([5; 32]));
    store.put_chunk(mine, blob, 0, Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(store.stat_blob(other, blob).await, Ok(BlobState { chunks: 0, sealed: false }));
    store.put_chunk(other, blob, 0, Bytes::from_static(b"other")).await.unwrap();
    store.seal_blob(mine, blob, 1).await.unwrap();
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"mine")));
    assert!(store.put_chunk(other, blob, 1, Bytes::from_static(b"other")).await.is_err());
    assert!(store.seal_blob(other, blob, 1).await.is_err(), "the name is taken");
    assert_eq!(store.fetch_chunk(blob, 0).await, Ok(Bytes::from_static(b"mine")));
    // Nobody keeps another's here by naming it.
    let with_blob = |submission| Submission { blobs: vec![blob], ..submission };
    let named = store.submit(with_blob(submission(&burak, &ayşe, 1, b"x"))).await;
    assert_eq!(named, Err(StoreError::BlobMissing));
    store.submit(with_blob(submission(&ayşe, &burak, 1, b"x"))).await.unwrap();
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
