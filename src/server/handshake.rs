//! The TLS handshake: in time, and in turns.
//!
//! What a client's first bytes ask for is public-key work, a good part of a millisecond of it, and whoever reaches the
//! port can ask. So no more handshakes are computed at once than there are turns, others queue for theirs, and a
//! flood of them from however many addresses takes no more than that from those who are connected.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::socket::Socket;

/// Turns for half of the threads that serve connections, and one at least.
pub fn turns() -> Semaphore {
    Semaphore::new((Handle::current().metrics().num_workers() / 2).max(1))
}

/// Shakes hands, until this time at the latest.
pub async fn shake_hands<S>(
    shared: &Shared<S>,
    acceptor: TlsAcceptor,
    socket: TcpStream,
    deadline: Instant,
) -> Option<TlsStream<Socket>> {
    // Only latency is at stake.
    let _ = socket.set_nodelay(true);
    let shaking = in_turns(&shared.handshakes, acceptor.accept(Socket::new(socket)));
    let mut tls = tokio::select! {
        () = shared.shutdown.cancelled() => return None,
        shaken = timeout_at(deadline, shaking) => shaken.ok()?.ok()?,
    };
    tls.get_mut().0.trust();
    Some(tls)
}

/// Does each step of some work in a turn of its own. Who only waits for the next step takes nobody's turn.
async fn in_turns<F: Future>(turns: &Semaphore, work: F) -> F::Output {
    let mut work = pin!(work);
    loop {
        // Never closed.
        let turn = turns.acquire().await;
        let step = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        drop(turn);
        match step {
            Poll::Ready(done) => return done,
            Poll::Pending => woken().await,
        }
    }
}

/// Resolves when the task is woken, by whatever it waits for already.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_work_at_once_than_there_are_turns_and_all_of_it_is_done() {
        assert_eq!(turns().available_permits(), 2, "half of the threads");
        let (turns, working, most) =
            (Arc::new(turns()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut all = JoinSet::new();
        for _ in 0..64 {
            let (turns, working, most) = (turns.clone(), working.clone(), most.clone());
            all.spawn(async move {
                let mut steps = 3;
                let work = poll_fn(move |context| {
                    most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // What a handshake computes takes a thread, not only time.
                    std::thread::sleep(std::time::Duration::from_micros(300));
                    working.fetch_sub(1, Ordering::SeqCst);
                    steps -= 1;
                    if steps == 0 {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                });
                in_turns(&turns, work).await;
            });
        }
        all.join_all().await;
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    }

    #[tokio::test]
    async fn who_waits_for_a_slow_client_takes_nobodys_turn() {
        let (turns, bytes) = (Arc::new(turns()), Arc::new(Notify::new()));
        let slow = tokio::spawn({
            let (turns, bytes) = (turns.clone(), bytes.clone());
            async move { in_turns(&turns, async move { bytes.notified().await }).await }
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
            in_turns(&turns, std::future::ready(())).await;
        }
        assert!(!slow.is_finished());
        bytes.notify_one();
        slow.await.unwrap();
    }
}
