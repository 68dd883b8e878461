#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

/// How long anything may take; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pool is one for all tests: who waits for all of its threads is alone in that.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Work that tells of its beginning and ends once it may.
#[derive(Clone)]
struct Gate {
    begun: mpsc::UnboundedSender<ThreadId>,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn new() -> (Self, mpsc::UnboundedReceiver<ThreadId>) {
        let (begun, beginnings) = mpsc::unbounded_channel();
        (Self { begun, open: Arc::default() }, beginnings)
    }

    /// The work; whether it was let go on.
    fn pass(&self) -> bool {
        self.begun.send(thread::current().id()).unwrap();
        let (open, opened) = &*self.open;
        let waited = opened.wait_timeout_while(open.lock().unwrap(), PATIENCE, |open| !*open);
        let (mut open, waited) = waited.unwrap();
        // Nor does what comes behind wait for what does not come.
        *open = true;
        !waited.timed_out()
    }

    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

/// Waits, on this very thread, until as many are under way at once as the pool has threads.
async fn all_at_work(beginnings: &mut mpsc::UnboundedReceiver<ThreadId>) {
    let mut threads = HashSet::new();
    while threads.len() < rayon::current_num_threads() {
        let begun = timeout(PATIENCE, beginnings.recv()).await.expect("not so many are under way at once");
        threads.insert(begun.unwrap());
    }
    assert!(!threads.contains(&thread::current().id()), "it is done where others are to be served");
}

// The default flavour: a runtime of one thread, which does nothing else while it computes itself.
#[tokio::test]
async fn computations_are_under_way_on_all_threads_of_the_pool_while_the_runtime_turns() {
    let _alone = ALONE.lock().await;
    let (gate, mut beginnings) = Gate::new();
    let works: Vec<_> = (0..rayon::current_num_threads())
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(compute(move || gate.pass()))
        })
        .collect();
    all_at_work(&mut beginnings).await;
    gate.open();
    for work in works {
        assert!(work.await.unwrap().unwrap(), "it was under way alone");
    }
}

#[tokio::test]
async fn a_backlog_is_worked_on_by_all_threads_of_the_pool_and_keeps_its_order() {
    let _alone = ALONE.lock().await;
    let (gate, mut beginnings) = Gate::new();
    let count = 4 * rayon::current_num_threads();
    let inside = gate.clone();
    let works = compute_each((0..count).collect(), move |number| (number, inside.pass()));
    let works = tokio::spawn(works);
    all_at_work(&mut beginnings).await;
    gate.open();
    let expected: Vec<_> = (0..count).map(|number| (number, true)).collect();
    assert_eq!(works.await.unwrap().unwrap(), expected);
}
