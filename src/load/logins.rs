//! Logins, and connections that only stay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::peer::{Connected, Target};
use super::people::Person;
use super::{LoadError, Times};

/// Connections that are being made at once.
const AT_ONCE: usize = 64;

/// Registers everybody; their connections are closed again.
///
/// # Errors
/// When the server refuses one.
pub async fn register(target: &Target, people: &[Arc<Person>]) -> Result<(), LoadError> {
    let work = |target: Target, person| async move { target.register(&person).await?.close().await };
    each(people, target, AT_ONCE, work).await.map(drop)
}

/// Logs everybody in once, `at_once` at a time, and out again; how long that took for each, and in all.
///
/// # Errors
/// When a login fails.
pub async fn log_in_and_out(
    target: &Target,
    people: &[Arc<Person>],
    at_once: usize,
) -> Result<(Times, Duration), LoadError> {
    let begun = Instant::now();
    let work = |target: Target, person| async move {
        let begun = Instant::now();
        let connected = target.log_in(&person).await?;
        let took = begun.elapsed();
        connected.close().await?;
        Ok(took)
    };
    let times = each(people, target, at_once, work).await?;
    Ok((Times::new(times), begun.elapsed()))
}

/// Logs everybody in. They stay for as long as the connections are held.
///
/// # Errors
/// When a login fails.
pub async fn stay(target: &Target, people: &[Arc<Person>]) -> Result<Vec<Connected>, LoadError> {
    each(people, target, AT_ONCE, |target: Target, person| async move { target.log_in(&person).await }).await
}

/// Does something for everybody, so many at once.
async fn each<T, W>(
    people: &[Arc<Person>],
    target: &Target,
    at_once: usize,
    work: impl Fn(Target, Arc<Person>) -> W,
) -> Result<Vec<T>, LoadError>
where
    T: Send + 'static,
    W: Future<Output = Result<T, LoadError>> + Send + 'static,
{
    let mut results = Vec::with_capacity(people.len());
    let mut tasks = JoinSet::new();
    let ended = |error: tokio::task::JoinError| LoadError::Answer(error.to_string());
    for person in people {
        if tasks.len() >= at_once
            && let Some(done) = tasks.join_next().await
        {
            results.push(done.map_err(ended)??);
        }
        tasks.spawn(work(target.clone(), Arc::clone(person)));
    }
    while let Some(done) = tasks.join_next().await {
        results.push(done.map_err(ended)??);
    }
    Ok(results)
}
