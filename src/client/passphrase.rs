//! The passphrase of a profile that nobody has open: set, changed, removed; and locking one that somebody has open.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::crypto::Passphrase;

use super::local::guest::Guest;
use super::profile::{Home, Profile};
use super::{ClientError, Command, Role};

/// Whether a profile's secrets are sealed under a passphrase.
///
/// # Errors
/// When the profile can't be read.
pub fn has_passphrase(home: impl Into<PathBuf>) -> Result<bool, ClientError> {
    Home::new(home).is_sealed()
}

/// Seals the secrets of a profile under another passphrase, or under none.
///
/// # Errors
/// [`ClientError::WrongPassphrase`]; [`ClientError::Locked`] where `old` is missing;
/// [`ClientError::NoPassphrase`] where there is none to change; [`ClientError::Busy`] while a process has the
/// profile open.
pub async fn change_passphrase(
    home: impl Into<PathBuf>,
    old: Option<Passphrase>,
    new: Option<Passphrase>,
) -> Result<(), ClientError> {
    let home = Home::new(home);
    let change = move || {
        let Some(_lock) = home.try_lock()? else {
            return Err(ClientError::Busy { what: "another tellal".to_owned() });
        };
        home.load()?.filter(Profile::is_registered).ok_or_else(|| home.not_registered())?;
        home.finish_resealing()?;
        match (home.is_sealed()?, &old) {
            (true, None) => return Err(home.locked()),
            (false, Some(_)) => return Err(ClientError::NoPassphrase),
            _ => {}
        }
        home.with_passphrase(old.map(Arc::new)).reseal(new.map(Arc::new)).map(drop)
    };
    let changed = tokio::task::spawn_blocking(change).await;
    changed.map_err(|_| ClientError::Internal("the profile could not be sealed".to_owned()))?
}

/// Makes the process that has a profile open forget its keys and end its work. Whether there was one.
///
/// # Errors
/// [`ClientError::NoPassphrase`] where it would lock nothing.
pub async fn lock(home: impl Into<PathBuf>) -> Result<bool, ClientError> {
    let home = Home::new(home);
    if !home.is_sealed()? {
        return Err(match home.load()? {
            Some(_) => ClientError::NoPassphrase,
            None => home.not_registered(),
        });
    }
    loop {
        if home.try_lock()?.is_some() {
            return Ok(false);
        }
        if let Ok(guest) = Guest::open(&home, Role::Command, broadcast::Sender::new(1)).await?
            && let Ok(done) = guest.call(Command::Lock, bytes::Bytes::new()).await
        {
            done?;
            guest.gone().await;
            return Ok(true);
        }
        // It is about to open its socket, or has ended.
        tokio::time::sleep(super::standing::MOMENT).await;
    }
}
