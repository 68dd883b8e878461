//! Moving what is durable in the write-ahead log into the database, so that the log begins anew and stays small.
//!
//! SQLite would do it inside a commit, before anybody is answered. Here the bulk of it is done by a thread of its
//! own while the writer goes on, and the little that has come meanwhile by the writer, between two groups: the log
//! begins anew only once all of it has been moved. Neither touches what makes a commit durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::schema;
use crate::store::StoreError;

/// Pages of 4 KiB in the log before they are moved: 32 MiB. Pages that change all the time are moved once for many
/// changes, and a commit that has to wait for the disk meanwhile is rare: at a thousand messages a second there is a
/// move about every second.
const LOG: u32 = 8192;

/// The writer's side.
pub struct Checkpoints {
    /// Pages in the log since the newest commit.
    pages: Arc<AtomicU32>,
    due: SyncSender<()>,
    done: Receiver<()>,
    /// The thread has been asked, and has not said yet that it is done.
    under_way: bool,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Starts the thread. From now on the writer's own commits move nothing.
    pub fn start(connection: &mut Connection, database: &Path) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        // It takes the place of the hook that would move pages within a commit.
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now: i32| {
            counted.store(now.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let own = schema::open_mover(database)?;
        let ((due, asked), (finished, done)) = (sync_channel(1), sync_channel(1));
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                move_pages(&own);
                if finished.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { pages, due, done, under_way: false, thread })
    }

    /// Between two groups, when all that were waiting have been answered.
    pub fn go_on(&mut self, writer: &Connection) {
        if !self.under_way {
            self.under_way = self.pages.load(Ordering::Relaxed) > LOG && self.due.try_send(()).is_ok();
            return;
        }
        if self.done.try_recv() != Err(TryRecvError::Empty) {
            // Few pages: those that came while the thread was busy.
            move_pages(writer);
            self.under_way = false;
        }
    }

    /// When nothing of a group could be kept: the log may have no room to grow, but can begin anew.
    pub fn make_room(&mut self, writer: &Connection) {
        move_pages(writer);
    }

    /// Ends the thread, which has the database open.
    pub fn end(self) {
        let Self { due, done, thread, .. } = self;
        drop((due, done));
        if thread.join().is_err() {
            tracing::error!("the thread for checkpoints had ended");
        }
    }
}

/// Moves as much as can be without waiting for anybody.
fn move_pages(connection: &Connection) {
    // What can't be moved now is moved the next time.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "could not move the write-ahead log into the database");
    }
}
