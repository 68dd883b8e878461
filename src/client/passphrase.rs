//! The passphrase of a profile that nobody has open: set, changed, put into the system's keyring, removed; and locking a
//! profile that somebody has open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::crypto::Passphrase;

use super::keyring::{Entry, Keyring};
use super::local::guest::Guest;
use super::profile::{Home, Profile, Sealing};
use super::{ClientError, Command, Role};

/// How long the opening of a profile may be held up by what a change of its passphrase left in the keyring.
const TIDYING: Duration = Duration::from_secs(5);

/// What the secrets of a profile are to be sealed under.
#[derive(Clone, Debug)]
pub enum Seal {
    /// Nothing.
    Nothing,
    /// A passphrase that a person knows.
    Passphrase(Arc<Passphrase>),
    /// One that is made up for it, and that the system's keyring keeps.
    Keyring,
}

/// What a change of the passphrase came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resealed {
    /// Why the keyring still has a passphrase that opens nothing any more, if it does. It is removed later.
    pub left: Option<String>,
}

/// How the secrets of a profile are kept.
///
/// # Errors
/// When the profile can't be read.
pub fn sealing(home: impl Into<PathBuf>) -> Result<Sealing, ClientError> {
    Home::new(home).sealing()
}

/// Seals the secrets of a profile in another way. Whatever breaks it off, the profile opens as before or as it is to be:
/// the keyring has a passphrase before anything is sealed under it, and until nothing is any more.
///
/// # Errors
/// [`ClientError::WrongPassphrase`]; [`ClientError::Locked`] where `old` is missing, and the keyring does not have it;
/// [`ClientError::NoPassphrase`] where there is none to change; [`ClientError::Busy`] while a process has the
/// profile open; [`ClientError::NoKeyring`], [`ClientError::KeyringUnavailable`], [`ClientError::NotInKeyring`].
pub async fn change_passphrase(
    home: impl Into<PathBuf>,
    old: Option<Arc<Passphrase>>,
    new: Seal,
) -> Result<Resealed, ClientError> {
    let home = Home::new(home);
    let Some(_lock) = home.try_lock()? else {
        return Err(ClientError::Busy { what: "another tellal".to_owned() });
    };
    let profile = home.load()?.filter(Profile::is_registered).ok_or_else(|| home.not_registered())?;
    home.finish_resealing()?;
    match (home.sealing()?, &old) {
        (Sealing::Passphrase, None) => return Err(home.locked()),
        (Sealing::Open, Some(_)) => return Err(ClientError::NoPassphrase),
        _ => {}
    }
    let old = unlock(home.with_passphrase(old)).await?;
    let new = match new {
        Seal::Nothing => old.clone().with_passphrase(None),
        Seal::Passphrase(passphrase) => old.clone().with_passphrase(Some(passphrase)),
        Seal::Keyring => {
            // Nothing is stored for somebody who can't open the profile.
            let opened = old.clone();
            blocking(move || opened.history_key().map(drop)).await?;
            let no_keyring = |cause| ClientError::NoKeyring { cause };
            let keyring = Keyring::reach().await.map_err(no_keyring)?;
            let (passphrase, entry) = (Passphrase::random(), Entry::new());
            let mut entries = old.entries()?;
            entries.push(entry.clone());
            old.note_entries(&entries)?;
            let label = format!("Tellal: the passphrase of {}'s profile", profile.nickname);
            keyring.keep(&entry, &label, &passphrase).await.map_err(no_keyring)?;
            old.clone().with_passphrase_in_keyring(passphrase, entry)
        }
    };
    let resealed = new.clone();
    blocking(move || old.reseal(&resealed)).await?;
    Ok(Resealed { left: forget_strays(&new).await.err() })
}

/// The profile's folder with the passphrase that opens it: the one that it has, or else the one that the keyring has.
/// None where nothing is sealed: nobody would have confirmed it.
pub(super) async fn unlock(home: Home) -> Result<Home, ClientError> {
    let entry = match home.sealing()? {
        Sealing::Open => return Ok(home.with_passphrase(None)),
        Sealing::Keyring(entry) if !home.has_passphrase() => entry,
        Sealing::Keyring(_) | Sealing::Passphrase => return Ok(home),
    };
    let fetched = match Keyring::reach().await {
        Ok(keyring) => keyring.fetch(&entry).await,
        Err(cause) => Err(cause),
    };
    let unavailable =
        |cause| ClientError::KeyringUnavailable { home: home.path().display().to_string(), cause };
    let passphrase = fetched.map_err(unavailable)?.ok_or_else(|| home.not_in_keyring(&entry))?;
    Ok(home.with_passphrase_in_keyring(passphrase, entry))
}

/// Removes what the keyring has of the profile, other than what it is sealed under. For whoever has the profile locked.
pub(super) async fn forget_strays(home: &Home) -> Result<(), String> {
    let failed = |error: ClientError| error.to_string();
    let entries = home.entries().map_err(failed)?;
    let current = match home.sealing().map_err(failed)? {
        Sealing::Keyring(entry) => Some(entry),
        Sealing::Open | Sealing::Passphrase => None,
    };
    let strays: Vec<&Entry> = entries.iter().filter(|entry| Some(*entry) != current.as_ref()).collect();
    if strays.is_empty() {
        return Ok(());
    }
    let keyring = Keyring::reach().await?;
    for entry in strays {
        keyring.forget(entry).await?;
    }
    let current: Vec<Entry> = current.into_iter().collect();
    home.note_entries(&current).map_err(failed)
}

/// The same where it matters more that the profile opens soon.
pub(super) async fn tidy(home: &Home) {
    let forgotten = timeout(TIDYING, forget_strays(home)).await.unwrap_or_else(|late| Err(late.to_string()));
    if let Err(cause) = forgotten {
        tracing::debug!(%cause, "the keyring still has a passphrase that opens nothing any more");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ClientError::Internal("the profile could not be sealed".to_owned()))?
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
    let (mut stopped, mut begun) = (false, Instant::now());
    loop {
        // Whoever has it open holds this until its keys are forgotten.
        if home.try_lock()?.is_some() {
            return Ok(stopped);
        }
        if let Ok(guest) = Guest::open(&home, Role::Command, broadcast::Sender::new(1)).await?
            && let Ok(done) = guest.call(Command::Lock, bytes::Bytes::new()).await
        {
            done?;
            guest.gone().await;
            // It takes its leave of others first, and then its own time.
            (stopped, begun) = (true, Instant::now());
        }
        if begun.elapsed() > super::standing::PATIENCE {
            return Err(ClientError::Busy {
                what: "a tellal that has stopped, and does not forget its keys,".to_owned(),
            });
        }
        // It is about to open its socket, or ends.
        tokio::time::sleep(super::standing::MOMENT).await;
    }
}
