//! RSA, Fernet and other work that takes a processor's time: on a pool of as many threads as there are processors, never
//! on an async worker, which has others to serve.

use rayon::prelude::*;
use tokio::sync::oneshot;

use crate::client::{ClientError, db};

/// Runs a computation on the pool.
pub(in crate::client) async fn compute<T, F>(work: F) -> Result<T, ClientError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let computing = db::computing();
    rayon::spawn(move || {
        let _ = sender.send(work());
        drop(computing);
    });
    receiver.await.map_err(|_| ClientError::Internal("a computation broke off".to_owned()))
}

/// The same for each of many, as many at once as the pool has threads; what came of each, in their order.
pub(in crate::client) async fn compute_each<T, U, F>(items: Vec<T>, work: F) -> Result<Vec<U>, ClientError>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(T) -> U + Send + Sync + 'static,
{
    // In pieces of one: left to itself, rayon may put several behind one another while a thread is idle.
    compute(move || items.into_par_iter().with_max_len(1).map(work).collect()).await
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
