//! The profile's folder: who one is, on which server, with which keys.
//!
//! - [`record`]: what `profile.json` says
//! - [`seal`]: its secrets under a passphrase
//!
//! Everything in it is readable by its owner alone. What changes is written beside, made durable and
//! renamed into place, so that a crash leaves the old or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::{Passphrase, PrivateKey};
use crate::model::KeyId;

use super::ClientError;
use super::keyring::Entry;
use crate::crypto::passphrase::is_sealed;

mod record;
mod seal;

pub(super) use record::{Met, Pending, Profile, Replaced};
pub use seal::Sealing;

use record::VERSION;

/// A profile's folder.
#[derive(Clone, Debug)]
pub(super) struct Home {
    path: PathBuf,
    /// What its secrets are sealed under, where they are.
    passphrase: Option<Arc<Passphrase>>,
    /// Where the system's keyring has that, if it is from there.
    entry: Option<Entry>,
}

/// The exclusive right to a profile, for as long as it is held.
pub(super) struct Lock {
    _file: File,
}

/// Whether a private key's name is one that a profile gives.
fn is_of_a_profile(name: &str) -> bool {
    let kinds = [IDENTITY, DEVICE, MESSAGE];
    name == IDENTITY
        || name == DEVICE
        || kinds.iter().any(|kind| {
            let id = name.strip_prefix(kind).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
            id.is_some_and(|id| id.parse::<KeyId>().is_ok())
        })
}

/// The keys of a device, by the names of their files.
pub(super) const IDENTITY: &str = "identity";
/// See [`IDENTITY`].
pub(super) const DEVICE: &str = "device";
/// What comes in front of a message key's id.
const MESSAGE: &str = "message-";

impl Home {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), passphrase: None, entry: None }
    }

    /// The same folder, with what its secrets are sealed under.
    pub(super) fn with_passphrase(self, passphrase: Option<Arc<Passphrase>>) -> Self {
        Self { passphrase, entry: None, ..self }
    }

    /// The same folder, with what its secrets are sealed under and where the system's keyring has that.
    pub(super) fn with_passphrase_in_keyring(self, passphrase: Passphrase, entry: Entry) -> Self {
        Self { passphrase: Some(Arc::new(passphrase)), entry: Some(entry), ..self }
    }

    /// Whether it has one.
    pub(super) fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Makes the folder if there is none, for its owner alone.
    pub(super) fn create(&self) -> Result<(), ClientError> {
        let keys = self.path.join("keys");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys);
        let made = made.and_then(|()| fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700)));
        made.map_err(|error| self.error(&self.path, &error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("history.db")
    }

    /// Makes a file that is not there yet, for its owner alone. A failure shows when the file is opened.
    pub(super) fn make_private(&self, path: &Path) {
        let _ = File::options().append(true).create(true).mode(0o600).open(path);
    }

    /// Takes the profile for this process. `None`: another process has it.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>, ClientError> {
        let path = self.path.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.not_registered(),
            _ => self.error(&path, &error),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(self.error(&path, &error)),
        }
    }

    /// The profile; `None` where nothing has been begun.
    pub(super) fn load(&self) -> Result<Option<Profile>, ClientError> {
        let path = self.path.join("profile.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(&path, &error)),
        };
        let profile: Profile = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(&format!("profile.json is not one ({error})"), &path))?;
        if profile.version != VERSION {
            return Err(damaged("profile.json is of a version that is not known here", &path));
        }
        Ok(Some(profile))
    }

    pub(super) fn save(&self, profile: &Profile) -> Result<(), ClientError> {
        let mut bytes = serde_json::to_vec_pretty(profile)
            .map_err(|_| ClientError::Internal("a profile that can't be written".to_owned()))?;
        bytes.push(b'\n');
        self.write(&self.path.join("profile.json"), &bytes)
    }

    /// Takes back what a registration began.
    pub(super) fn discard(&self, begun: &Profile) -> Result<(), ClientError> {
        let path = self.path.join("profile.json");
        fs::remove_file(&path).map_err(|error| self.error(&path, &error))?;
        for name in [IDENTITY, DEVICE, &message_key_name(&begun.message_key)] {
            self.remove_key(name)?;
        }
        Ok(())
    }

    pub(super) fn save_key(&self, name: &str, key: &PrivateKey) -> Result<(), ClientError> {
        let pem = match &self.passphrase {
            Some(passphrase) => key.to_sealed_pem(passphrase).map_err(|_| seal::failed())?,
            None => key.to_pem(),
        };
        self.write(&self.key_path(name), pem.as_bytes())
    }

    /// Destroys a private key. That it is gone already is fine.
    pub(super) fn remove_key(&self, name: &str) -> Result<(), ClientError> {
        let path = self.key_path(name);
        match seal::destroy(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Destroys the private keys that the profile does not name: what replaced them is in force, and their end broke
    /// off. For whoever has the profile locked.
    pub(super) fn destroy_strays(&self, profile: &Profile) -> Result<(), ClientError> {
        let mut named =
            vec![identity_name(profile), device_name(profile), message_key_name(&profile.message_key)];
        named.extend(profile.replaced.iter().map(|replaced| message_key_name(&replaced.key)));
        for pending in profile.pending.iter().chain(&profile.refused) {
            match pending {
                Pending::MessageKey { key, .. } => named.push(message_key_name(key)),
                Pending::Rekey { identity, device, key, .. } => {
                    let new = Profile { identity: Some(*identity), device: *device, ..profile.clone() };
                    named.extend([identity_name(&new), device_name(&new), message_key_name(key)]);
                }
                Pending::Registration { .. } => {}
            }
        }
        for name in self.key_names()? {
            // What somebody has put there themselves is theirs.
            if is_of_a_profile(&name) && !named.contains(&name) {
                tracing::info!(%name, "a private key that is no longer used is destroyed");
                self.remove_key(&name)?;
            }
        }
        Ok(())
    }

    /// The names of all private keys that there are.
    fn key_names(&self) -> Result<Vec<String>, ClientError> {
        let path = self.path.join("keys");
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(|error| self.error(&path, &error))? {
            let name = entry.map_err(|error| self.error(&path, &error))?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".pem")).map(str::to_owned));
        }
        Ok(names)
    }

    pub(super) fn load_key(&self, name: &str) -> Result<PrivateKey, ClientError> {
        let path = self.key_path(name);
        let pem = fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged("a private key is missing", &path),
            _ => self.error(&path, &error),
        })?;
        let pem = Zeroizing::new(pem);
        if is_sealed(&pem) {
            let passphrase = self.passphrase.as_ref().ok_or_else(|| self.locked())?;
            return PrivateKey::from_sealed_pem(&pem, passphrase).map_err(|_| self.wrong_passphrase());
        }
        PrivateKey::from_pem(&pem).map_err(|error| damaged(&format!("a private key ({error})"), &path))
    }

    /// The ids of all message keys that are kept.
    pub(super) fn message_keys(&self) -> Result<Vec<KeyId>, ClientError> {
        let names = self.key_names()?;
        let ids = names.iter().filter_map(|name| name.strip_prefix(MESSAGE)?.parse().ok());
        Ok(ids.collect())
    }

    /// The history's key: 32 random bytes in hexadecimal.
    pub(super) fn history_key(&self) -> Result<Zeroizing<String>, ClientError> {
        let path = self.path.join("history.key");
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged("the history's key is missing", &path),
            _ => self.error(&path, &error),
        })?);
        let (_, sealed) = seal::in_keyring(&text);
        let key = if is_sealed(sealed) { self.open_history_key(sealed)? } else { text };
        if key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(key);
        }
        Err(damaged("the history's key is not one", &path))
    }

    /// The same, made where there is neither a key nor a history.
    pub(super) fn begin_history(&self) -> Result<Zeroizing<String>, ClientError> {
        let path = self.path.join("history.key");
        if path.exists() || self.database().exists() {
            return self.history_key();
        }
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::fill(bytes.as_mut());
        let key = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        self.write(&path, self.sealed_history_key(&key)?.as_bytes())?;
        Ok(key)
    }

    pub(super) fn not_registered(&self) -> ClientError {
        ClientError::NotRegistered { home: self.path.display().to_string() }
    }

    /// What the system said about a file of the profile, for a person.
    pub(super) fn error(&self, path: &Path, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.disk_full(),
            // What should be text is none.
            io::ErrorKind::InvalidData => damaged("a file holds something else", path),
            _ => ClientError::File { path: path.display().to_string(), cause: error.to_string() },
        }
    }

    pub(super) fn disk_full(&self) -> ClientError {
        ClientError::DiskFull { home: self.path.display().to_string() }
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.path.join("keys").join(format!("{name}.pem"))
    }

    /// Writes a file durably: all of it, or nothing.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
        let aside = path.with_extension("new");
        let written = (|| {
            let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
            let mut file = options?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })();
        written.map_err(|error: io::Error| self.error(path, &error))
    }
}

/// The name of the identity key's file: only the first has none of its own.
pub(super) fn identity_name(profile: &Profile) -> String {
    profile.identity.map_or_else(|| IDENTITY.to_owned(), |id| format!("{IDENTITY}-{id}"))
}

/// The name of the device key's file. It changes with the identity key.
pub(super) fn device_name(profile: &Profile) -> String {
    profile.identity.map_or_else(|| DEVICE.to_owned(), |_| format!("{DEVICE}-{}", profile.device))
}

/// The name of a message key's file.
pub(super) fn message_key_name(id: &KeyId) -> String {
    format!("{MESSAGE}{id}")
}

pub(super) fn damaged(what: &str, path: &Path) -> ClientError {
    ClientError::Damaged { what: what.to_owned(), path: path.display().to_string() }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
