//! The embedded store: one SQLite database and a folder of blobs.
//!
//! WAL and `synchronous=FULL`; one thread writes, many submissions in one transaction (group commit), and
//! answers only after the commit. Reading goes through connections of its own and never waits for writing.
//!
//! - `schema`: the tables
//! - `writer`: the thread, and grouping
//! - `checkpoint`: keeping the write-ahead log short
//! - `apply`: what each operation does inside the group's transaction
//! - `read`: queries
//! - `rooms`: who is in which room
//! - `log`: the transparency log
//! - `prune`: forgetting
//! - `blobs`: files of sealed chunks
//! - `usage`: how much room they take, by account

mod apply;
mod blobs;
mod checkpoint;
mod log;
mod prune;
mod read;
mod rooms;
mod schema;
mod usage;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::wake::{Growth, Wakeups, Watchers};
use super::{
    Accepted, Awaited, BlobState, Bounds, NewAccount, NewInvite, NewMessageKey, NewRecord, NewRoomRecord,
    ProvenLeaf, Quotas, Store, StoreError, StoredAccount, StoredRoom,
};
use crate::model::{
    AccountId, BlobId, DeviceId, Entry, Head, Leaf, Millis, NameHash, Nickname, Position, RoomId, ServerId,
    Submission,
};
use apply::Operation;
use blobs::Blobs;
use prune::{Prune, Pruned};
use usage::Usage;
use writer::Writer;

/// How often sealed files without a row are looked for: there is one only after a crash.
const SWEEP: Duration = Duration::from_secs(3600);

/// A [`Store`] in a folder.
#[derive(Debug)]
pub struct SqliteStore {
    server_id: ServerId,
    epoch: u64,
    database: PathBuf,
    /// Connections for reading that nobody uses at the moment.
    idle: Arc<Mutex<Vec<Connection>>>,
    /// How many may read at once. More than a few for each core would make nothing faster, and each has a cache.
    readers: Arc<Semaphore>,
    writer: Writer,
    watchers: Watchers,
    blobs: Blobs,
    usage: Usage,
    quotas: Quotas,
    /// Who waits for more of a blob under way.
    growth: Growth,
    /// When sealed files without a row were looked for last, in milliseconds; 0: never.
    swept: AtomicU64,
    /// Leaves of the log that are durable.
    log: watch::Sender<u64>,
}

impl SqliteStore {
    /// Opens the store in this folder, or makes one there. The folder has to exist.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the folder can't be used, or is of a newer version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, Quotas::default())
    }

    /// The same, with quotas.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`].
    pub fn open_with(folder: &Path, quotas: Quotas) -> Result<Self, StoreError> {
        let database = folder.join("server.db");
        let connection = schema::open_writer(&database)?;
        Self::start(folder, database, connection, quotas)
    }

    /// Whether the store in this folder is as this version has it. Where it is not, opening it changes its tables, and
    /// nothing else may have it open.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when there is no store that can be read.
    pub fn is_current(folder: &Path) -> Result<bool, StoreError> {
        schema::is_current(&folder.join("server.db"))
    }

    /// Has the mailboxes in this folder begin a new epoch, because they are no continuation of what clients have seen,
    /// such as a restored backup: clients read them again from the beginning, and drop what they have. Nothing may
    /// have the store open.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when there is no store that can be used.
    pub fn begin_epoch(folder: &Path) -> Result<(), StoreError> {
        schema::draw_epoch(&schema::open_writer(&folder.join("server.db"))?)
    }

    fn start(
        folder: &Path,
        database: PathBuf,
        connection: Connection,
        quotas: Quotas,
    ) -> Result<Self, StoreError> {
        let (server_id, epoch) = read::identity(&connection)?;
        let log = watch::Sender::new(log::size(&connection)?);
        let watchers = Watchers::default();
        let blobs = Blobs::open(folder.join("blobs"))?;
        let usage = Usage::default();
        usage.measure(&connection, &blobs)?;
        let writer = Writer::start(connection, &database, watchers.clone(), quotas, log.clone())?;
        Ok(Self {
            server_id,
            epoch,
            database,
            idle: Arc::default(),
            readers: Arc::new(Semaphore::new(readers())),
            writer,
            watchers,
            blobs,
            log,
            usage,
            quotas,
            growth: Growth::default(),
            swept: AtomicU64::new(0),
        })
    }

    /// Takes one step after another, as often as there is more to do. The writer has at least as much time for others.
    async fn prune_step(&self, what: Prune, now: Millis) -> Result<(), StoreError> {
        loop {
            let begun = Instant::now();
            let Pruned { more, removed } =
                self.writer.ask(move |reply| Operation::Prune(what, reply)).await?;
            self.remove_orphans(removed, now).await?;
            if !more {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed()).await;
        }
    }

    /// Removes the files of those of these blobs that have no row.
    async fn remove_orphans(&self, among: Vec<BlobId>, now: Millis) -> Result<(), StoreError> {
        if among.is_empty() {
            return Ok(());
        }
        let blobs = self.blobs.clone();
        self.query(move |connection| {
            among.iter().try_for_each(|blob| {
                blobs.remove_orphan(blob, now, || Ok(read::blob(connection, blob)?.is_some()))
            })
        })
        .await
    }

    /// Removes the sealed files that have no row: between a file's name and its row, in either order, a server may
    /// have crashed.
    async fn sweep(&self, now: Millis) -> Result<(), StoreError> {
        let last = self.swept.load(Ordering::Relaxed);
        if last != 0 && now < Millis(last).plus(SWEEP) {
            return Ok(());
        }
        let blobs = self.blobs.clone();
        let old = blocking(move || blobs.old(now)).await?;
        self.remove_orphans(old, now).await?;
        self.swept.store(now.0, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a query on a thread where blocking is allowed.
    fn query<T, F>(&self, query: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (idle, readers) = (Arc::clone(&self.idle), Arc::clone(&self.readers));
        let database = self.database.clone();
        async move {
            // Never closed.
            let _permit = readers.acquire_owned().await;
            blocking(move || {
                let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = free.map_or_else(|| schema::open_reader(&database), Ok)?;
                let result = query(&connection);
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                result
            })
            .await
        }
    }
}

fn readers() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2).max(4)
}

/// Runs work that blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(StoreError::Failed("the store's thread ended".to_owned())))
}

impl Store for SqliteStore {
    fn server_id(&self) -> ServerId {
        self.server_id
    }

    fn invite(&self, invite: NewInvite) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.writer.ask(move |reply| Operation::Invite(invite, reply))
    }

    fn set_blocked(
        &self,
        account: AccountId,
        other: AccountId,
        blocked: bool,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        self.writer.ask(move |reply| Operation::Block(account, other, blocked, reply))
    }

    fn register(&self, new: NewAccount) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.writer.ask(|reply| Operation::Register(Box::new(new), reply))
    }

    fn append_record(&self, new: NewRecord) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.writer.ask(|reply| Operation::AppendRecord(Box::new(new), reply))
    }

    fn publish(&self, new: NewMessageKey) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.writer.ask(|reply| Operation::Publish(Box::new(new), reply))
    }

    async fn account(&self, account: AccountId) -> Result<Option<StoredAccount>, StoreError> {
        self.query(move |connection| read::account(connection, account)).await
    }

    async fn account_named(&self, nickname: Nickname) -> Result<Option<StoredAccount>, StoreError> {
        self.query(move |connection| read::account_named(connection, &nickname)).await
    }

    async fn accounts(
        &self,
        after: Option<Nickname>,
        limit: usize,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        self.query(move |connection| read::accounts(connection, after.as_ref(), limit)).await
    }

    fn append_room_record(&self, new: NewRoomRecord) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.writer.ask(|reply| Operation::AppendRoomRecord(Box::new(new), reply))
    }

    async fn room(
        &self,
        room: RoomId,
        reader: AccountId,
        from: u32,
        bytes: usize,
    ) -> Result<Option<StoredRoom>, StoreError> {
        self.query(move |connection| rooms::read(connection, &room, &reader, from, bytes)).await
    }

    fn submit(
        &self,
        submission: Submission,
    ) -> impl Future<Output = Result<Accepted, StoreError>> + Send + 'static {
        self.writer.ask(|reply| Operation::Submit(Box::new(submission.into()), reply))
    }

    async fn bounds(&self, account: AccountId) -> Result<Bounds, StoreError> {
        let epoch = self.epoch;
        self.query(move |connection| read::bounds(connection, account, epoch)).await
    }

    async fn read(
        &self,
        account: AccountId,
        after: u64,
        bytes: usize,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        self.query(move |connection| read::mailbox(connection, account, after, bytes)).await
    }

    fn acknowledge(
        &self,
        device: DeviceId,
        position: Position,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let seq = if position.epoch == self.epoch { position.seq } else { 0 };
        self.writer.ask(move |reply| Operation::Acknowledge(device, seq, vec![reply]))
    }

    fn watch(&self, account: AccountId) -> Wakeups {
        self.watchers.watch(account)
    }

    async fn log(&self, from: u64, limit: usize) -> Result<(Head, Vec<Leaf>), StoreError> {
        self.query(move |connection| log::read(connection, from, limit)).await
    }

    async fn prove_leaf(&self, name: NameHash, size: u64) -> Result<Option<ProvenLeaf>, StoreError> {
        self.query(move |connection| log::prove_leaf(connection, name, size)).await
    }

    async fn prove_growth(&self, from: u64, to: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.query(move |connection| log::prove_growth(connection, from, to)).await
    }

    fn watch_log(&self) -> watch::Receiver<u64> {
        self.log.subscribe()
    }

    async fn put_chunk(
        &self,
        owner: DeviceId,
        blob: BlobId,
        index: u32,
        chunk: Bytes,
    ) -> Result<(), StoreError> {
        let (blobs, usage, quota) = (self.blobs.clone(), self.usage.clone(), self.quotas.blobs);
        self.query(move |connection| {
            let account = usage.owner(connection, &owner)?;
            if !usage.has_room(&account, owner, blob, quota) {
                return Err(StoreError::BlobQuota);
            }
            let more = blobs.put(&owner, &blob, index, &chunk)?;
            usage.add(account, owner, blob, more);
            Ok(())
        })
        .await?;
        self.growth.tell(owner, blob);
        Ok(())
    }

    async fn seal_blob(&self, owner: DeviceId, blob: BlobId, chunks: u32) -> Result<(), StoreError> {
        let (blobs, usage, writer, growth) =
            (self.blobs.clone(), self.usage.clone(), self.writer.clone(), self.growth.clone());
        // A task of its own: whoever asked may be gone by the time the file has its name, which needs its row then.
        let sealed = tokio::spawn(async move {
            let bytes = blocking(move || blobs.seal(&owner, &blob, chunks)).await?;
            writer.ask(move |reply| Operation::SealBlob { blob, owner, chunks, bytes, reply }).await?;
            usage.end(owner, blob);
            growth.tell(owner, blob);
            Ok(())
        });
        sealed.await.unwrap_or_else(|_| Err(StoreError::Failed("the store's task ended".to_owned())))
    }

    async fn await_chunk(
        &self,
        owner: DeviceId,
        blob: BlobId,
        index: u32,
        patience: Duration,
    ) -> Result<Awaited, StoreError> {
        let deadline = Instant::now() + patience;
        // From before the first look, so that nothing is missed in between.
        let mut growth = self.growth.watch(owner, blob);
        loop {
            let state = self.stat_blob(owner, blob).await?;
            if index < state.chunks {
                let blobs = self.blobs.clone();
                let chunk = blocking(move || match state.sealed {
                    true => blobs.fetch(&blob, index),
                    false => blobs.fetch_unsealed(&owner, &blob, index),
                });
                return Ok(Awaited::Chunk(chunk.await?));
            }
            if state.sealed || timeout_at(deadline, growth.changed()).await.is_err() {
                return Ok(Awaited::Nothing(state));
            }
        }
    }

    async fn drop_blob(&self, owner: DeviceId, blob: BlobId) -> Result<(), StoreError> {
        let blobs = self.blobs.clone();
        blocking(move || blobs.drop_unsealed(&owner, &blob)).await?;
        self.usage.end(owner, blob);
        self.growth.tell(owner, blob);
        Ok(())
    }

    async fn stat_blob(&self, owner: DeviceId, blob: BlobId) -> Result<BlobState, StoreError> {
        let sealed = self.query(move |connection| read::blob(connection, &blob)).await?;
        if let Some((maker, chunks)) = sealed {
            let sealed = maker == owner;
            return Ok(BlobState { chunks: if sealed { chunks } else { 0 }, sealed });
        }
        let blobs = self.blobs.clone();
        blocking(move || blobs.written(&owner, &blob)).await
    }

    async fn fetch_chunk(&self, blob: BlobId, index: u32) -> Result<Bytes, StoreError> {
        let Some((_, chunks)) = self.query(move |connection| read::blob(connection, &blob)).await? else {
            return Err(StoreError::BlobMissing);
        };
        if index >= chunks {
            return Err(StoreError::BlobMissing);
        }
        let blobs = self.blobs.clone();
        blocking(move || blobs.fetch(&blob, index)).await
    }

    async fn prune(&self, now: Millis) -> Result<(), StoreError> {
        // What is due is looked up beside the writer.
        self.writer.ask(Operation::Settle).await?;
        for (account, up_to) in self.query(move |connection| prune::due(connection, now)).await? {
            self.prune_step(Prune::Mailbox(account, up_to), now).await?;
        }
        self.prune_step(Prune::Rest(now), now).await?;
        self.sweep(now).await?;
        let (blobs, usage) = (self.blobs.clone(), self.usage.clone());
        self.query(move |connection| {
            blobs.remove_abandoned(now)?;
            usage.measure(connection, &blobs)
        })
        .await
    }

    fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        self.writer.broken()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.writer.ask(Operation::Close).await
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
mod quota_tests;
