//! The databases' threads, and computations. OpenSSL, which SQLCipher encrypts with, takes itself down in an exit
//! handler of the process, and so does AWS-LC, which signs and unwraps; a thread that still uses one then crashes. So
//! the end of the process waits for them.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Threads that run, and those nobody waited for.
struct Threads {
    running: usize,
    left: Vec<JoinHandle<()>>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { running: 0, left: Vec::new() });
static ENDED: Condvar = Condvar::new();

fn threads() -> MutexGuard<'static, Threads> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread. Dropped without having been joined, it is left to [`all_closed`].
pub(super) struct Handle(Option<JoinHandle<()>>);

/// Counts a thread, or a computation, for as long as it runs, however it ends.
pub(in crate::client) struct Running;

/// A computation that is about to begin.
pub(in crate::client) fn computing() -> Running {
    Running::new()
}

/// Starts a thread for a database.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<Handle> {
    let running = Running::new();
    let thread = Builder::new().name("history".to_owned()).spawn(move || {
        let _running = running;
        work();
    })?;
    Ok(Handle(Some(thread)))
}

/// Waits until every history that this process has opened is closed and nothing is computed any more, at most so long;
/// whether that is so.
///
/// For the very end of a process that may have dropped a [`Client`](crate::client::Client) without closing it,
/// once its runtime has been shut down.
pub fn all_closed(patience: Duration) -> bool {
    let guard = threads();
    let waited = ENDED.wait_timeout_while(guard, patience, |threads| threads.running > 0);
    let (mut guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if guard.running > 0 {
        return false;
    }
    let left = std::mem::take(&mut guard.left);
    drop(guard);
    // OpenSSL clears up after each thread as it ends, too.
    left.into_iter().for_each(|thread| drop(thread.join()));
    true
}

impl Handle {
    /// Waits for its end.
    pub fn join(mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut threads = threads();
        threads.left.retain(|thread| !thread.is_finished());
        threads.left.extend(self.0.take());
    }
}

impl Running {
    fn new() -> Self {
        threads().running += 1;
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        threads().running -= 1;
        ENDED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_end_waits_for_threads_that_nobody_joined() {
        let (end, ended) = channel::<()>();
        let handle = spawn(move || while ended.recv().is_ok() {}).unwrap();
        drop(handle);
        assert!(!all_closed(Duration::from_millis(1)));
        drop(end);
        assert!(all_closed(Duration::from_secs(60)));
        // What is computed counts, too.
        let computing = computing();
        assert!(!all_closed(Duration::from_millis(1)));
        drop(computing);
        assert!(all_closed(Duration::from_secs(60)));
    }
}
