//! The handle that front ends hold: the same whether this process owns the profile or another one does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::crypto::Passphrase;

use super::link::Address;
use super::profile::Home;
use super::standing::{Backend, Opening, closed, supervise};
use super::subscription::Signal;
use super::{ClientError, Command, Reply};

/// How a profile is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The profile's folder.
    pub home: PathBuf,
    /// HOST or HOST:PORT, in place of the server remembered at registration. The pinned fingerprint stays.
    pub server: Option<String>,
    /// What the front end is.
    pub role: Role,
    /// What the profile's secrets are sealed under, if they are and this process is to open them itself.
    pub passphrase: Option<Arc<Passphrase>>,
}

impl Options {
    /// The profile in a folder, for a one-shot command.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), server: None, role: Role::Command, passphrase: None }
    }
}

/// What a front end is. Of `Chat` and `Listen` a profile has one at a time, since both show what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A one-shot command: any number at a time.
    Command,
    /// A conversation on a terminal or in a window.
    Chat,
    /// Hands-free.
    Listen,
}

/// An open profile. Clones are the same one.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
}

/// Events that wait for a slow subscriber before it has to read again.
const EVENTS: usize = 1024;
/// So often an owner may end as soon as it is asked something, before that is given up: it does not understand it.
const MOST_LOST: u32 = 5;
/// As soon as this.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What clones of a handle share.
pub(super) struct Shared {
    pub(super) signals: broadcast::Sender<Signal>,
    backend: watch::Sender<Backend>,
    stop: CancellationToken,
    /// Keeps the profile's place for this front end, where this process owns the profile.
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Client {
    /// Opens a profile, whether or not its server can be reached: as its owner, or through the socket of
    /// the process that is.
    ///
    /// # Errors
    /// [`ClientError::NotRegistered`], [`ClientError::Locked`], [`ClientError::WrongPassphrase`],
    /// [`ClientError::Busy`] for a second `Chat` or `Listen`,
    /// [`ClientError::Damaged`] and [`ClientError::File`] for what can't be read.
    pub async fn open(options: Options) -> Result<Self, ClientError> {
        let server = options.server.as_deref().map(str::parse::<Address>).transpose()?;
        let opening = Opening {
            home: Home::new(options.home).with_passphrase(options.passphrase),
            server,
            role: options.role,
            signals: broadcast::Sender::new(EVENTS),
        };
        let standing = opening.stand().await?;
        let shared = Arc::new(Shared {
            signals: opening.signals.clone(),
            backend: watch::Sender::new(standing.backend()),
            stop: CancellationToken::new(),
            supervisor: Mutex::new(None),
        });
        let supervisor = supervise(opening, standing, shared.backend.clone(), shared.stop.clone());
        *shared.supervisor.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(supervisor));
        Ok(Self { shared })
    }

    /// Asks the core for something without bulk bytes.
    ///
    /// # Errors
    /// Whatever the command can fail with.
    pub async fn call(&self, command: Command) -> Result<Reply, ClientError> {
        self.call_with(command, Vec::new()).await.map(|(reply, _)| reply)
    }

    /// Asks the core for something, bulk bytes beside it in either direction.
    ///
    /// # Errors
    /// Whatever the command can fail with.
    pub async fn call_with(&self, command: Command, bulk: Vec<u8>) -> Result<(Reply, Vec<u8>), ClientError> {
        let bulk = Bytes::from(bulk);
        let mut backend = self.shared.backend.subscribe();
        let mut lost = 0;
        loop {
            let now = backend.borrow_and_update().clone();
            match now {
                Backend::Owner(engine) => {
                    let done = engine.run(command.clone(), bulk.clone()).await;
                    // New keys have ended that core, and no command: the one that has them is asked.
                    if done.is_ok() || !engine.is_rekeyed() {
                        return done;
                    }
                }
                Backend::Guest(guest) => {
                    let asked = Instant::now();
                    if let Ok(answer) = guest.call(command.clone(), bulk.clone()).await {
                        return answer;
                    }
                    lost = if asked.elapsed() < AT_ONCE { lost + 1 } else { 0 };
                    if lost == MOST_LOST {
                        return Err(ClientError::NotUnderstood);
                    }
                }
                Backend::Between => {}
                Backend::Closed(error) => return Err(error),
            }
            // Commands can be repeated: the next owner is asked again.
            backend.changed().await.map_err(|_| closed())?;
        }
    }

    /// Ends it: what others asked through this process is finished first. Without it, dropping the last
    /// clone ends everything too, only less politely.
    pub async fn close(self) {
        self.shared.stop.cancel();
        let supervisor = self.shared.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            // It can only have ended.
            let _ = supervisor.await;
        }
    }
}
