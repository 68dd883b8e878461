//! Answers guests over the profile's socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::engine::Engine;
use crate::client::profile::Home;
use crate::client::subscription::Signal;
use crate::client::{ClientError, Event, Reply};

use super::frame::{self, FromGuest, FromOwner};
use super::roles::Roles;
use super::socket_path;

/// Serves guests until [`Host::close`].
pub(in crate::client) struct Host {
    stop: CancellationToken,
    tasks: TaskTracker,
    home: Home,
}

impl Host {
    /// Opens the socket. Whoever had it before has ended, or the profile could not have been locked.
    pub(in crate::client) fn open(
        home: Home,
        engine: Arc<Engine>,
        signals: broadcast::Sender<Signal>,
        roles: Roles,
    ) -> Result<Self, ClientError> {
        let real = home.path().join("owner.sock");
        let bind = || {
            match fs::remove_file(&real) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let (path, _folder) = socket_path(home.path())?;
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(&real, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = bind().map_err(|error| home.error(&real, &error))?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let host = Self { stop: stop.clone(), tasks: tasks.clone(), home };
        tasks.clone().spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, _)) => {
                        let guest =
                            serve(stream, engine.clone(), signals.clone(), roles.clone(), stop.clone());
                        let ended = overdue(stop.clone(), LEAVE);
                        tasks.spawn(async move {
                            let served = tokio::select! {
                                served = guest => served,
                                () = ended => Err(io::ErrorKind::TimedOut.into()),
                            };
                            if let Err(error) = served {
                                tracing::debug!(%error, "a guest broke off");
                            }
                        });
                    }
                    // Out of descriptors, most likely: guests come back.
                    Err(error) => {
                        tracing::warn!(%error, "no guest can be taken in");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(host)
    }

    /// Takes no more guests, and finishes what those who are here have asked; soon, even if one of them reads nothing.
    pub(in crate::client) async fn close(&self) {
        self.stop.cancel();
        // A guest that comes now finds no socket, and then the lock free.
        let _ = fs::remove_file(self.home.path().join("owner.sock"));
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How long a guest that reads nothing may hold up the owner's end: one that was stopped at its terminal, most likely.
const STUCK: Duration = Duration::from_millis(500);
/// How long commands that were begun may. Something may wait for the server for ever; its guest asks the next owner.
const FINISHING: Duration = Duration::from_secs(5);
/// How long all of that may.
const LEAVE: Duration = Duration::from_secs(6);

/// Resolves so long after the end was asked for.
async fn overdue(stop: CancellationToken, after: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(after).await;
}

/// The number of a command, and what it came to.
type Answered = (u64, Result<(Reply, Vec<u8>), ClientError>);

/// Begins what a guest asks, until it has gone.
async fn read_calls(
    mut reader: OwnedReadHalf,
    engine: Arc<Engine>,
    done: mpsc::Sender<Answered>,
) -> io::Result<()> {
    while let Some((FromGuest::Call { number, command }, bulk)) = frame::read(&mut reader).await? {
        let (engine, done) = (engine.clone(), done.clone());
        tokio::spawn(async move {
            let result = engine.run(command, bulk).await;
            if result.is_err() && engine.is_rekeyed() {
                // New keys have ended this core, and no command: the guest asks the one that has them.
                return;
            }
            // The guest may have gone.
            let _ = done.send((number, result)).await;
        });
    }
    Ok(())
}

/// One guest: commands are carried out side by side, everything is written by this task.
async fn serve(
    stream: UnixStream,
    engine: Arc<Engine>,
    signals: broadcast::Sender<Signal>,
    roles: Roles,
    stop: CancellationToken,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let hello = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        hello = frame::read(&mut reader) => hello?,
    };
    let Some((FromGuest::Hello { role }, _)) = hello else { return Ok(()) };
    let _place = match roles.take(role) {
        Ok(place) => place,
        Err(error) => return frame::write(&mut writer, &FromOwner::Sorry { error }, &[]).await,
    };
    let mut events = signals.subscribe();
    frame::write(&mut writer, &FromOwner::Welcome, &[]).await?;

    let (done, mut answers) = mpsc::channel(16);
    let mut reading = Box::pin(read_calls(reader, engine.clone(), done));
    loop {
        let written = async |writer: &mut _, said: FromOwner| {
            tokio::select! {
                written = frame::write(writer, &said, &[]) => written,
                () = overdue(stop.clone(), STUCK) => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            end = &mut reading => {
                end?;
                break;
            }
            Some((number, result)) = answers.recv() => answer(&mut writer, number, result).await?,
            signal = events.recv() => match signal {
                Ok(Signal::Event(event)) => written(&mut writer, FromOwner::Event { event }).await?,
                Ok(Signal::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    written(&mut writer, FromOwner::Resync).await?;
                }
                Ok(Signal::Closed) | Err(broadcast::error::RecvError::Closed) => break,
            },
        }
    }
    // What was begun is finished and answered; the senders that are left belong to it.
    drop(reading);
    let finishing = async {
        while let Some((number, result)) = answers.recv().await {
            answer(&mut writer, number, result).await?;
        }
        io::Result::Ok(())
    };
    timeout(FINISHING, finishing).await.unwrap_or(Ok(()))?;
    if engine.is_locked() {
        // It could open the profile again, where the keyring has the passphrase, and is not to.
        let told = frame::write(&mut writer, &FromOwner::Event { event: Event::Locked }, &[]);
        timeout(STUCK, told).await.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn answer(
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    number: u64,
    result: Result<(Reply, Vec<u8>), ClientError>,
) -> io::Result<()> {
    let (result, bulk) = match result {
        Ok((reply, bulk)) => (Ok(reply), bulk),
        Err(error) => (Err(error), Vec::new()),
    };
    frame::write(writer, &FromOwner::Done { number, result }, &bulk).await
}
