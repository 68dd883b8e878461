//! The server: connections in front of a [`Store`].
//!
//! It checks signatures and sizes, keeps order, and never reads an envelope. [`run`] takes a bound listener
//! and a token to stop it, so that whoever runs it decides on both.
//!
//! - [`tls`]: the server's key, made at first start, and its fingerprint
//! - [`log`]: the transparency log's key, and its checkpoints
//! - [`config`]: what its operator allows, from a file
//! - `limits`: counting what is done, against what is allowed
//! - `gate`: who is let in
//! - `handshake`: the TLS handshake
//! - `socket`: a socket that bounds a handshake
//! - `hub`: who is connected
//! - `rooms`: telling who asked that a room has changed
//! - `watching`: telling who asked who is connected
//! - `connection`: bytes in and out of one connection, and its one task
//! - `session`: what a connection may ask, and what it is answered and told
//! - `mailbox`: where a device stands in its mailbox, and what of it is sent next
//! - `acknowledging`: what a connection says it has, written one word after another
//! - `verb`: one file for each thing that can be asked

mod acknowledging;
pub mod config;
mod connection;
mod gate;
mod handshake;
mod hub;
mod limits;
pub mod log;
mod mailbox;
mod rooms;
mod session;
mod socket;
pub mod tls;
mod verb;
mod watching;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::{AccountId, LogCertificate, Millis};
use crate::store::{Store, StoreError};
pub use config::Config;
use connection::Connection;
use gate::{Admission, Gate};
use hub::Hub;
pub use limits::Limits;
use limits::{Source, Windows};
pub use log::LogSigner;
use rooms::RoomWatchers;

/// How long things may take, and how much is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The TLS handshake and the login together.
    pub login: Duration,
    /// Silence, after which a connection counts as dead. Clients send something every 30 s.
    pub idle: Duration,
    /// Finishing what is under way when the server stops.
    pub drain: Duration,
    /// Between two rounds of removing what is no longer needed.
    pub prune: Duration,
    /// How much is allowed.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            drain: Duration::from_secs(10),
            prune: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// What all connections share.
struct Shared<S> {
    store: S,
    log: LogSigner,
    /// Says that this is the log's key.
    certificate: LogCertificate,
    hub: Hub,
    rooms: RoomWatchers,
    options: Options,
    shutdown: CancellationToken,
    /// Turns to compute a TLS handshake.
    handshakes: Semaphore,
    logins: Windows<Source>,
    registrations: Windows<Source>,
    sending: Windows<AccountId>,
    asking: Windows<AccountId>,
    changing: Windows<AccountId>,
}

/// Why serving came to another end than the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The TLS key does not sign.
    #[error(transparent)]
    Key(#[from] tls::TlsError),
    /// The store can do nothing more.
    #[error(
        "the store has stopped working: what was accepted is kept, and nothing more can be; start the server again, \
         and report what it has logged"
    )]
    StoreBroken,
    /// The store can't be closed.
    #[error("the store could not be closed in good order, the next start will repair it: {0}")]
    Closing(#[from] StoreError),
}

/// Serves until `shutdown` is cancelled, then finishes what is under way and closes the store. When the store stops
/// working it cancels `shutdown` itself: a server that can only refuse is better seen to have ended.
///
/// # Errors
/// When the TLS key can't sign for the log's, the store has stopped working, or can't be closed. A connection that fails
/// ends alone.
pub async fn run<S: Store>(
    listener: TcpListener,
    store: S,
    identity: tls::Identity,
    log: LogSigner,
    options: Options,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let Options { limits, .. } = options;
    let shared = Arc::new(Shared {
        certificate: log.certify(store.server_id(), &identity)?,
        store,
        log,
        hub: Hub::default(),
        rooms: RoomWatchers::default(),
        options,
        shutdown: shutdown.clone(),
        handshakes: handshake::turns(),
        logins: Windows::new(limits.minute),
        registrations: Windows::new(limits.hour),
        sending: Windows::new(limits.minute),
        asking: Windows::new(limits.minute),
        changing: Windows::new(limits.minute),
    });
    let gate = Gate::new(&limits);
    let acceptor = TlsAcceptor::from(identity.config);
    let connections = TaskTracker::new();
    let pruning = tokio::spawn(prune(Arc::clone(&shared)));
    let broken = shared.store.broken();
    tokio::pin!(broken);
    let mut ended = Ok(());
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            () = &mut broken => {
                tracing::error!("the store has stopped working");
                ended = Err(ServeError::StoreBroken);
                shutdown.cancel();
                break;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                match gate.enter(peer.into()) {
                    Admission::Welcome(place) => {
                        drop(connections.spawn(Connection::serve(shared, acceptor, socket, peer, place)));
                    }
                    Admission::Full(place, wait) => {
                        let told = (place, wait);
                        drop(connections.spawn(connection::turn_away(shared, acceptor, socket, told)));
                    }
                    // Closed without a word: a flood must not cost a handshake each, nor be remembered by the system
                    // for a minute as what was closed in good order is.
                    Admission::TurnedAway => {
                        let _ = socket.set_zero_linger();
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                if is_exhausted(&error) {
                    // Nothing but time frees file descriptors.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(listener);
    tracing::info!(
        connections = connections.len(),
        "draining: no new connections, finishing what is under way"
    );
    connections.close();
    connections.wait().await;
    pruning.abort();
    let closed = shared.store.close().await;
    tracing::info!("stopped");
    ended.and(closed.map_err(ServeError::from))
}

/// The milliseconds after which something may be tried again.
fn retry_after(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Whether the error speaks of this process's or machine's limits, not of the one connection.
fn is_exhausted(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn prune<S: Store>(shared: Arc<Shared<S>>) {
    let mut due = tokio::time::interval(shared.options.prune);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if let Err(error) = shared.store.prune(Millis::now()).await {
            tracing::warn!(%error, "could not remove what is no longer needed");
        }
    }
}
