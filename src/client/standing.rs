//! What this process is to a profile: its owner, or a guest of the process that is. When the owner ends, a guest takes
//! its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::handle::Role;
use super::link::Address;
use super::local::guest::Guest;
use super::local::owner::Host;
use super::local::roles::{Place, Roles};
use super::profile::{Home, Lock};
use super::subscription::Signal;
use super::{ClientError, Event, passphrase};

/// Between attempts to own a profile or to reach its owner.
pub(super) const MOMENT: Duration = Duration::from_millis(20);
/// How long a profile may be locked by a process that does not answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where commands go.
#[derive(Clone)]
pub(super) enum Backend {
    Owner(Arc<Engine>),
    Guest(Arc<Guest>),
    /// The owner has ended, and the next one is not known yet.
    Between,
    /// There will be none.
    Closed(ClientError),
}

/// What this process is to the profile.
pub(super) enum Standing {
    Owner { engine: Arc<Engine>, host: Host, _place: Place },
    Guest(Arc<Guest>),
}

/// How a profile is opened, and opened again when its owner has ended.
pub(super) struct Opening {
    pub home: Home,
    pub server: Option<Address>,
    pub role: Role,
    pub signals: broadcast::Sender<Signal>,
}

impl Opening {
    /// Becomes the profile's owner, or a guest of its owner.
    pub(super) async fn stand(&self) -> Result<Standing, ClientError> {
        let begun = Instant::now();
        loop {
            if let Some(lock) = self.home.try_lock()? {
                return self.own(lock).await;
            }
            match Guest::open(&self.home, self.role, self.signals.clone()).await? {
                Ok(guest) => return Ok(Standing::Guest(Arc::new(guest))),
                // It is about to open its socket, or to let the lock go.
                Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(MOMENT).await,
                Err(_) => {
                    return Err(ClientError::Busy {
                        what: "another tellal, which does not answer,".to_owned(),
                    });
                }
            }
        }
    }

    async fn own(&self, lock: Lock) -> Result<Standing, ClientError> {
        self.home.finish_resealing()?;
        passphrase::tidy(&self.home).await;
        let home = passphrase::unlock(self.home.clone()).await?;
        let engine = Engine::open(home, lock, self.server.clone(), self.signals.clone()).await?;
        let roles = Roles::default();
        let place = roles.take(self.role)?;
        match Host::open(self.home.clone(), engine.clone(), self.signals.clone(), roles) {
            Ok(host) => Ok(Standing::Owner { engine, host, _place: place }),
            Err(error) => {
                engine.close().await;
                Err(error)
            }
        }
    }
}

impl Standing {
    pub(super) fn backend(&self) -> Backend {
        match self {
            Self::Owner { engine, .. } => Backend::Owner(engine.clone()),
            Self::Guest(guest) => Backend::Guest(guest.clone()),
        }
    }
}

/// Ends the profile's ownership in order, or finds the next owner when the present one has ended.
pub(super) async fn supervise(
    opening: Opening,
    mut standing: Standing,
    backend: watch::Sender<Backend>,
    stop: CancellationToken,
) {
    loop {
        match &standing {
            Standing::Owner { engine, host, .. } => {
                let locked = tokio::select! {
                    () = stop.cancelled() => false,
                    () = engine.locked() => true,
                    () = engine.rekeyed() => {
                        // Another core takes over, with the new keys.
                        host.close().await;
                        backend.send_replace(Backend::Between);
                        engine.close().await;
                        drop(standing);
                        let next = tokio::select! {
                            () = stop.cancelled() => Err(closed()),
                            next = opening.stand() => next,
                        };
                        let Some(next) = resume(&opening, next, &backend) else { return };
                        standing = next;
                        continue;
                    }
                };
                host.close().await;
                let error = if locked { opening.home.locked() } else { closed() };
                backend.send_replace(Backend::Closed(error));
                engine.close().await;
                if locked {
                    // Without subscribers there is nobody to tell.
                    let _ = opening.signals.send(Signal::Event(Event::Locked));
                }
                return;
            }
            Standing::Guest(guest) => tokio::select! {
                () = stop.cancelled() => {
                    backend.send_replace(Backend::Closed(closed()));
                    return;
                }
                () = guest.gone() => {
                    if guest.was_locked() {
                        backend.send_replace(Backend::Closed(opening.home.locked()));
                        return;
                    }
                }
            },
        }
        backend.send_replace(Backend::Between);
        let next = tokio::select! {
            () = stop.cancelled() => Err(closed()),
            next = opening.stand() => next,
        };
        let Some(next) = resume(&opening, next, &backend) else { return };
        standing = next;
    }
}

/// Goes on with the next owner, if there is one.
fn resume(
    opening: &Opening,
    next: Result<Standing, ClientError>,
    backend: &watch::Sender<Backend>,
) -> Option<Standing> {
    match next {
        Ok(next) => {
            backend.send_replace(next.backend());
            // Between the two, events went by.
            let _ = opening.signals.send(Signal::Resync);
            Some(next)
        }
        Err(error) => {
            let locked = error.is_of_a_locked_profile();
            backend.send_replace(Backend::Closed(error));
            let _ = opening.signals.send(if locked { Signal::Event(Event::Locked) } else { Signal::Closed });
            None
        }
    }
}

pub(super) fn closed() -> ClientError {
    ClientError::Internal("the client is closed".to_owned())
}
