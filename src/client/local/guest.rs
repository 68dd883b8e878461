//! Asks the process that owns the profile.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::profile::Home;
use crate::client::subscription::Signal;
use crate::client::{ClientError, Command, Event, Reply, Role};

use super::frame::{self, FromGuest, FromOwner};
use super::socket_path;

/// How long an owner may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Result<(Reply, Vec<u8>), ClientError>;

/// A connection to the owner.
pub(in crate::client) struct Guest {
    calls: mpsc::Sender<(Command, Bytes, oneshot::Sender<Answer>)>,
    gone: CancellationToken,
    locked: CancellationToken,
}

/// The owner has ended.
#[derive(Debug)]
pub(in crate::client) struct OwnerGone;

impl Guest {
    /// Connects to the owner. `Ok(Err(_))`: there is none, or none any more.
    pub(in crate::client) async fn open(
        home: &Home,
        role: Role,
        signals: broadcast::Sender<Signal>,
    ) -> Result<Result<Self, OwnerGone>, ClientError> {
        let greeted = async {
            let (path, _folder) = socket_path(home.path())?;
            let mut stream = UnixStream::connect(path).await?;
            frame::write(&mut stream, &FromGuest::Hello { role }, &[]).await?;
            let hello = frame::read::<_, FromOwner>(&mut stream).await?;
            io::Result::Ok((stream, hello))
        };
        // An owner that does not answer is one that has stopped.
        let stream = match timeout(PATIENCE, greeted).await.unwrap_or_else(|late| Err(late.into())) {
            Ok((stream, Some((FromOwner::Welcome, _)))) => stream,
            Ok((_, Some((FromOwner::Sorry { error }, _)))) => return Err(error),
            Ok(_) => return Ok(Err(OwnerGone)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(home.error(&home.path().join("owner.sock"), &error));
            }
            Err(_) => return Ok(Err(OwnerGone)),
        };
        let (calls, queue) = mpsc::channel(16);
        let (gone, locked) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(run(stream, queue, signals, gone.clone(), locked.clone()));
        Ok(Ok(Self { calls, gone, locked }))
    }

    /// Has a command carried out. [`OwnerGone`]: whether it was is not known.
    pub(in crate::client) async fn call(&self, command: Command, bulk: Bytes) -> Result<Answer, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        self.calls.send((command, bulk, reply)).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }

    /// Waits for the owner's end.
    pub(in crate::client) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether the owner has ended because somebody locked the profile. That was told as an event then.
    pub(in crate::client) fn was_locked(&self) -> bool {
        self.locked.is_cancelled()
    }
}

/// Reads in one half and writes in the other, until the owner or all who ask have gone.
async fn run(
    stream: UnixStream,
    mut queue: mpsc::Receiver<(Command, Bytes, oneshot::Sender<Answer>)>,
    signals: broadcast::Sender<Signal>,
    gone: CancellationToken,
    locked: CancellationToken,
) {
    let gone = gone.drop_guard();
    let pending: Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>> = Arc::default();
    let (mut reader, mut writer) = stream.into_split();
    let reading = async {
        while let Ok(Some((said, bulk))) = frame::read::<_, FromOwner>(&mut reader).await {
            match said {
                FromOwner::Done { number, result } => {
                    let asked = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                    if let Some(asked) = asked {
                        // Whoever asked may have gone.
                        let _ = asked.send(result.map(|reply| (reply, Vec::from(bulk))));
                    }
                }
                FromOwner::Event { event } => {
                    if event == Event::Locked {
                        locked.cancel();
                    }
                    drop(signals.send(Signal::Event(event)));
                }
                FromOwner::Resync => drop(signals.send(Signal::Resync)),
                FromOwner::Welcome | FromOwner::Sorry { .. } => break,
            }
        }
    };
    let writing = async {
        let mut number = 0;
        while let Some((command, bulk, reply)) = queue.recv().await {
            number += 1;
            pending.lock().unwrap_or_else(PoisonError::into_inner).insert(number, reply);
            if frame::write(&mut writer, &FromGuest::Call { number, command }, &bulk).await.is_err() {
                // The owner has ended. What it said last is still to be read.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    drop(gone);
    pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // Who has a place in the queue by now still puts a call there: it would stay, and its answer be waited for.
    queue.close();
    while queue.recv().await.is_some() {}
}

#[cfg(test)]
#[path = "guest_tests.rs"]
mod tests;
