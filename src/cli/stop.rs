//! The signals that ask a command to end: Ctrl-C, `kill`, and a terminal that has gone. The same for all of them, so
//! that each gives the terminal back, falls silent, and keeps how far a note was heard.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::failure::Interrupted;

/// Whether the verb that runs heeds them by now.
static TAKEN_OVER: AtomicBool = AtomicBool::new(false);

/// From now on the verb that runs heeds them. Until then the program itself does: what asks for a passphrase gives the
/// terminal back, and what does not open can be left.
pub fn take_over() {
    TAKEN_OVER.store(true, Ordering::Relaxed);
}

/// Whether it does.
pub fn is_taken_over() -> bool {
    TAKEN_OVER.load(Ordering::Relaxed)
}

/// Whether one of them has come, for whoever looks again and again.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<Interrupted>>);

impl Stop {
    /// Heeds them from now on. Within a tokio runtime.
    pub fn heed() -> Self {
        let (come, came) = watch::channel(None);
        let asked = asked();
        tokio::spawn(async move { come.send(Some(asked.await)) });
        Self(came)
    }

    /// Awaits something, unless one comes before.
    ///
    /// # Errors
    /// Which has come.
    pub async fn unless<T>(&self, awaited: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            interrupted = self.asked() => Err(interrupted),
            done = awaited => Ok(done),
        }
    }

    /// Waits until one has come.
    pub async fn asked(&self) -> Interrupted {
        let mut came = self.0.clone();
        let came = came.wait_for(Option::is_some).await.ok().and_then(|came| *came);
        match came {
            Some(interrupted) => interrupted,
            None => pending().await,
        }
    }
}

/// Waits for one of them in the verb that runs, which heeds them from the moment that this is called. Within a tokio
/// runtime.
pub fn asked() -> impl Future<Output = Interrupted> + Send {
    let come = come();
    take_over();
    come
}

/// Waits for one of them.
pub fn come() -> impl Future<Output = Interrupted> + Send {
    let [interrupt, terminate, hang_up] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(came);
    async move {
        tokio::select! {
            interrupted = interrupt => interrupted,
            interrupted = terminate => interrupted,
            interrupted = hang_up, if !outlives_terminal() => interrupted,
        }
    }
}

fn came(kind: SignalKind) -> impl Future<Output = Interrupted> + Send {
    let signal = signal(kind);
    async move {
        // Where it can't be heeded, it does what the system has it do.
        let Ok(mut signal) = signal else { return pending().await };
        match signal.recv().await {
            Some(()) => Interrupted::by(kind.as_raw_value()),
            None => pending().await,
        }
    }
}

/// Whether it was started so that it outlives its terminal, as by `nohup`, which sees to it that the signal is ignored.
fn outlives_terminal() -> bool {
    // Elsewhere than on Linux that can't be asked.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

/// The lowest bit is that of signal 1, see proc_pid_status(5).
fn ignores_hang_up(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlives_its_terminal_is_seen_in_what_the_system_says() {
        assert!(ignores_hang_up("Name:\ttellal\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hang_up("Name:\ttellal\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hang_up("SigIgn:\n") && !ignores_hang_up(""));
    }
}
