//! The one thread that writes. It takes what has gathered, applies it in one transaction, and answers after
//! the commit: many envelopes, one fsync.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::apply::{Group, Memory, Operation};
use super::checkpoint::Checkpoints;
use crate::model::DeviceId;
use crate::store::wake::Watchers;
use crate::store::{Quotas, StoreError};

/// Operations in one transaction, at most.
const GROUP: usize = 512;

/// Mailboxes that they put something into, above which no more operations are taken: what is for a room of many takes
/// as long as many that are for one.
const MAILBOXES: usize = 2048;

/// How long acknowledgements wait to be written together: nobody waits for them, and nothing is lost without them, so
/// that none needs a commit of its own. How mailboxes stand is written with them.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is sent back once an operation is durable.
pub type ReplyTo<T> = oneshot::Sender<Result<T, StoreError>>;

/// The way to the writing thread.
///
/// The queue has no bound of its own: it holds no more than each connection may have under way at once.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Until it is closed.
    queue: Arc<Mutex<Option<Sender<Operation>>>>,
    /// The thread has ended, and not because it was closed.
    broken: CancellationToken,
}

impl Writer {
    pub fn start(
        mut connection: Connection,
        database: &Path,
        watchers: Watchers,
        quotas: Quotas,
        log: watch::Sender<u64>,
    ) -> Result<Self, StoreError> {
        let (sender, operations) = channel();
        let checkpoints = Checkpoints::start(&mut connection, database)?;
        let thread = std::thread::Builder::new().name("store".to_owned());
        let broken = CancellationToken::new();
        // A panic drops it.
        let alive = broken.clone().drop_guard();
        thread.spawn(move || {
            write(connection, checkpoints, &operations, &watchers, quotas, &log);
            alive.disarm();
        })?;
        Ok(Self { queue: Arc::new(Mutex::new(Some(sender))), broken })
    }

    /// Resolves when nothing will be written any more though nobody has closed it.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        self.broken.clone().cancelled_owned()
    }

    /// Queues an operation now, and gives the future of its answer.
    pub fn ask<T: Send + 'static>(
        &self,
        operation: impl FnOnce(ReplyTo<T>) -> Operation,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let operation = operation(reply);
        let closing = matches!(operation, Operation::Close(_));
        let mut sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = sender.as_ref() {
            // When the thread has ended, the reply's sender is dropped with the operation.
            let _ = queue.send(operation);
        }
        if closing {
            *sender = None;
        }
        async move {
            let closed = || Err(StoreError::Failed("the store is closed".to_owned()));
            answer.await.unwrap_or_else(|_| closed())
        }
    }
}

fn write(
    mut connection: Connection,
    mut checkpoints: Checkpoints,
    operations: &Receiver<Operation>,
    watchers: &Watchers,
    quotas: Quotas,
    log: &watch::Sender<u64>,
) {
    let mut memory = Memory::new(quotas);
    let mut acknowledged = Acknowledged::default();
    loop {
        let first = acknowledged.receive(operations);
        let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
        let mut group = gather(first.ok(), operations);
        let closing = match group.iter().position(|operation| matches!(operation, Operation::Close(_))) {
            Some(place) => group.drain(place..).next(),
            None => None,
        };
        let mut group = acknowledged.take_from(group, &connection, &mut memory);
        let ending = ended || closing.is_some();
        if group.is_empty() && !ending && acknowledged.may_wait() {
            continue;
        }
        // Anything but a submission may go by what was acknowledged, and by how mailboxes stand.
        let is_submission = |operation: &Operation| matches!(operation, Operation::Submit(..));
        let all = ending || acknowledged.is_due() || !group.iter().all(is_submission);
        if all {
            group.splice(..0, acknowledged.take());
        }
        if !commit(&mut connection, group, &mut memory, watchers, all) {
            checkpoints.make_room(&connection);
        }
        if let Some(size) = memory.log_size() {
            // Committed, or the memory would be empty.
            log.send_if_modified(|known| std::mem::replace(known, size) != size);
        }
        if let Some(Operation::Close(reply)) = closing {
            checkpoints.end();
            let closed = connection.close().map_err(|(_, error)| error.into());
            let _ = reply.send(closed);
            return;
        }
        if ended {
            return checkpoints.end();
        }
        checkpoints.go_on(&connection);
    }
}

/// The first operation, and what has gathered behind it: as much as one transaction takes.
fn gather(first: Option<Operation>, operations: &Receiver<Operation>) -> Vec<Operation> {
    let mut mailboxes = first.as_ref().map_or(0, Operation::mailboxes);
    let mut group = Vec::from_iter(first);
    while group.len() < GROUP
        && mailboxes < MAILBOXES
        && let Ok(next) = operations.try_recv()
    {
        mailboxes += next.mailboxes();
        group.push(next);
    }
    group
}

/// Acknowledgements that wait, at most one for each device: the furthest.
#[derive(Default)]
struct Acknowledged {
    devices: HashMap<DeviceId, (u64, Vec<ReplyTo<()>>)>,
    /// When those that wait have waited for long enough.
    due: Option<Instant>,
    /// When they were written last, and how mailboxes stand with them.
    written: Option<Instant>,
}

impl Acknowledged {
    /// The next operation, or none in time.
    fn receive(&self, operations: &Receiver<Operation>) -> Result<Operation, RecvTimeoutError> {
        match self.due {
            Some(due) => operations.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => operations.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Keeps what is acknowledged, no further than mailboxes have come by now, and gives back the rest.
    fn take_from(
        &mut self,
        group: Vec<Operation>,
        connection: &Connection,
        memory: &mut Memory,
    ) -> Vec<Operation> {
        let mut rest = Vec::with_capacity(group.len());
        for operation in group {
            let Operation::Acknowledge(device, seq, replies) = operation else {
                rest.push(operation);
                continue;
            };
            let seq = match memory.reached(connection, &device, seq) {
                Ok(seq) => seq,
                Err(error) => {
                    Operation::Acknowledge(device, seq, replies).refuse(error);
                    continue;
                }
            };
            let (furthest, waiting) = self.devices.entry(device).or_default();
            *furthest = seq.max(*furthest);
            waiting.extend(replies);
            self.due.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        rest
    }

    /// Whether those that wait need no commit of their own yet.
    fn may_wait(&self) -> bool {
        self.devices.len() < GROUP && self.due.is_none_or(|due| Instant::now() < due)
    }

    /// Whether it is time to write them with what is written anyway.
    fn is_due(&self) -> bool {
        self.devices.len() >= GROUP || self.written.is_none_or(|written| written.elapsed() >= PATIENCE)
    }

    fn take(&mut self) -> impl Iterator<Item = Operation> + use<> {
        self.due = None;
        self.written = Some(Instant::now());
        let devices = std::mem::take(&mut self.devices).into_iter();
        devices.map(|(device, (seq, replies))| Operation::Acknowledge(device, seq, replies))
    }
}

/// Applies a group and answers, and writes how mailboxes stand if that is asked for. What failed for its own sake is
/// answered with that and leaves no trace; when the database itself fails, nothing of the group is kept, and it is
/// false.
fn commit(
    connection: &mut Connection,
    group: Vec<Operation>,
    memory: &mut Memory,
    watchers: &Watchers,
    counts: bool,
) -> bool {
    if group.is_empty() && !(counts && memory.is_ahead()) {
        return true;
    }
    let mut answers = Vec::with_capacity(group.len());
    let mut waiting = group.into_iter();
    let result = (|| {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut group = Group::new(&transaction, memory)?;
        for operation in waiting.by_ref() {
            answers.push(group.apply(operation));
            if let Some(error) = group.take_failure() {
                return Err(error);
            }
        }
        if counts {
            group.write_counts()?;
        }
        let entries = group.into_entries();
        transaction.commit()?;
        Ok(entries)
    })();
    let result = match result {
        Ok(entries) => {
            watchers.tell(&entries);
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "nothing of a group of requests was kept");
            // It may hold what was rolled back.
            memory.forget();
            Err(error)
        }
    };
    for answer in answers {
        answer(result.clone());
    }
    for operation in waiting {
        if let Err(error) = &result {
            operation.refuse(error.clone());
        }
    }
    result.is_ok()
}
