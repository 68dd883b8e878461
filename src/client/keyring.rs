//! The keyring of the person who is logged in, which keeps the passphrase of a profile for them: the Secret Service of
//! the D-Bus session (<https://specifications.freedesktop.org/secret-service/>), as GNOME Keyring, KWallet and KeePassXC
//! provide it.
//!
//! Nothing here waits for ever: the keyring has [`ANSWER`] to answer, and where it asks a person, they have [`PERSON`].
//! What goes over the bus is encrypted for the session; copies that the libraries make of it are not wiped.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::crypto::Passphrase;

/// How long the keyring may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a person may take whom the keyring asks: for its own password, or whether they agree.
const PERSON: Duration = Duration::from_secs(60);
/// What the keyring calls what is in an entry.
const TYPE: &str = "text/plain";

/// What the keyring has a passphrase under: nothing secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry(String);

impl Entry {
    /// An entry that there is not yet.
    pub(super) fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The entry of this id; `None` where it is none.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let is_one = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(id.to_owned()))
    }

    /// The attributes that it is found by.
    fn attributes(&self) -> HashMap<&str, &str> {
        HashMap::from([("application", "tellal"), ("entry", &self.0)])
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the keyring does not do what it is asked to, as the end of a sentence that begins with it.
pub(super) type Cause = String;

/// The keyring, reached.
pub(super) struct Keyring(SecretService<'static>);

impl Keyring {
    /// Reaches the keyring. Starts it, where the system does so when somebody asks for it.
    pub(super) async fn reach() -> Result<Self, Cause> {
        match timeout(ANSWER, SecretService::connect(EncryptionType::Dh)).await {
            Ok(Ok(service)) => Ok(Self(service)),
            Ok(Err(error)) => Err(format!("does not answer ({error})")),
            Err(_) => Err(format!("does not answer (within {} s)", ANSWER.as_secs())),
        }
    }

    /// Keeps a passphrase for good, and makes sure that it is there. `label`: what a person sees it as.
    pub(super) async fn keep(
        &self,
        entry: &Entry,
        label: &str,
        passphrase: &Passphrase,
    ) -> Result<(), Cause> {
        let keep = async {
            // Never another collection in its place: that of the session ends with it.
            let collection = self.0.get_default_collection().await?;
            open_collection(&collection).await?;
            let words = passphrase.reveal_for_a_keyring().as_bytes();
            collection.create_item(label, entry.attributes(), words, true, TYPE).await?;
            Ok(())
        };
        in_time(keep).await?;
        match self.fetch(entry).await? {
            Some(kept) if kept.is(passphrase) => Ok(()),
            _ => Err("did not keep what it was given".to_owned()),
        }
    }

    /// What is in an entry. `None`: there is no such entry.
    pub(super) async fn fetch(&self, entry: &Entry) -> Result<Option<Passphrase>, Cause> {
        let fetch = async {
            let mut items = self.items(entry).await?;
            if items.is_empty() {
                // Some show nothing of what is in a collection while it is locked.
                let collection = match self.0.get_default_collection().await {
                    Err(Error::NoResult) => return Ok(None),
                    collection => collection?,
                };
                if !collection.is_locked().await? {
                    return Ok(None);
                }
                open_collection(&collection).await?;
                items = self.items(entry).await?;
            }
            let Some(item) = items.first() else { return Ok(None) };
            if item.is_locked().await? {
                item.unlock().await?;
                item.ensure_unlocked().await?;
            }
            let words = Zeroizing::new(item.get_secret().await?);
            let words = std::str::from_utf8(&words).map(|words| Zeroizing::new(words.to_owned()));
            Ok(words.ok().and_then(Passphrase::new))
        };
        in_time(fetch).await
    }

    /// Removes an entry. That it is gone already is fine. Nobody is asked to unlock anything for it.
    pub(super) async fn forget(&self, entry: &Entry) -> Result<(), Cause> {
        let forget = async {
            for item in self.items(entry).await? {
                item.delete().await?;
            }
            Ok(())
        };
        in_time(forget).await
    }

    async fn items(&self, entry: &Entry) -> Result<Vec<Item<'_>>, Error> {
        let found = self.0.search_items(entry.attributes()).await?;
        Ok(found.unlocked.into_iter().chain(found.locked).collect())
    }
}

async fn open_collection(collection: &Collection<'_>) -> Result<(), Error> {
    if collection.is_locked().await? {
        collection.unlock().await?;
    }
    // Not every keyring says so where nobody has unlocked it.
    collection.ensure_unlocked().await
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Cause> {
    match timeout(PERSON, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Error::Locked | Error::Prompt)) => Err("is locked, and nobody unlocked it".to_owned()),
        Ok(Err(Error::NoResult)) => Err("has no default collection to keep anything in".to_owned()),
        Ok(Err(error)) => Err(format!("refused ({error})")),
        Err(_) => Err(format!("did not answer within {} s", PERSON.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_named_by_32_hexadecimal_digits() {
        let entry = Entry::new();
        assert_eq!(Entry::parse(&entry.to_string()), Some(entry.clone()));
        assert_ne!(entry, Entry::new());
        for other in ["", "../../x", "g0000000000000000000000000000000", &format!("{entry}0")] {
            assert!(Entry::parse(other).is_none(), "{other}");
        }
    }
}
