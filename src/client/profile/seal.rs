//! Sealing a profile's secrets under a passphrase, and under another or none again.
//!
//! All of them change at once: what is new is written beside (`*.next`) and made durable, then a mark is set, and
//! from then on the change is carried out, if need be after a crash. What was there before is overwritten. On
//! disks and file systems that write elsewhere instead (flash, copy-on-write) old bytes may outlive that.
//!
//! Which way the secrets are kept stands in the file of the history's key, and so changes with it: the key itself, the
//! key sealed, or in front of that a line with the entry under which the system's keyring has the passphrase.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Home;
use crate::client::ClientError;
use crate::client::keyring::Entry;
use crate::crypto::passphrase::{SEALED_SECRET, is_sealed};

/// What comes behind the name of a file that is to take another's place.
const NEXT: &str = "next";
/// What comes behind the name of a file that is being written.
const NEW: &str = "new";
/// Set while files take each other's place.
const MARK: &str = "relocking";
/// What the line with the keyring's entry begins with.
const IN_KEYRING: &str = "keyring ";
/// The entries that the keyring may have of this profile, one a line: each from before it is made until it is removed.
const ENTRIES: &str = "keyring";

/// How the secrets of a profile are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sealing {
    /// In files that nobody else may read.
    Open,
    /// Sealed under a passphrase that a person knows.
    Passphrase,
    /// Sealed under a passphrase that the system's keyring has.
    Keyring(Entry),
}

impl Sealing {
    fn of(history_key: &str) -> Self {
        match in_keyring(history_key) {
            (Some(entry), _) => Self::Keyring(entry),
            (None, pem) if is_sealed(pem) => Self::Passphrase,
            _ => Self::Open,
        }
    }
}

/// The keyring's entry in front of a sealed secret, and the secret.
pub(super) fn in_keyring(text: &str) -> (Option<Entry>, &str) {
    let line = text.strip_prefix(IN_KEYRING).and_then(|rest| rest.split_once('\n'));
    match line.and_then(|(entry, pem)| Some((Entry::parse(entry)?, pem))) {
        Some((entry, pem)) if is_sealed(pem) => (Some(entry), pem),
        _ => (None, text),
    }
}

impl Home {
    /// How the profile's secrets are kept.
    pub(in crate::client) fn sealing(&self) -> Result<Sealing, ClientError> {
        let path = self.path.join("history.key");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Sealing::of(&Zeroizing::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Sealing::Open),
            Err(error) => Err(self.error(&path, &error)),
        }
    }

    /// Whether the profile's secrets are sealed.
    pub(in crate::client) fn is_sealed(&self) -> Result<bool, ClientError> {
        Ok(self.sealing()? != Sealing::Open)
    }

    /// The entries that the keyring may have of this profile.
    pub(in crate::client) fn entries(&self) -> Result<Vec<Entry>, ClientError> {
        let path = self.path.join(ENTRIES);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().filter_map(Entry::parse).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.error(&path, &error)),
        }
    }

    /// Notes them, durably.
    pub(in crate::client) fn note_entries(&self, entries: &[Entry]) -> Result<(), ClientError> {
        let path = self.path.join(ENTRIES);
        if entries.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(&path, &error)),
                _ => Ok(()),
            };
        }
        let lines: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        self.write(&path, lines.as_bytes())
    }

    /// The error of whoever opens it without its passphrase.
    pub(in crate::client) fn locked(&self) -> ClientError {
        ClientError::Locked { home: self.path.display().to_string() }
    }

    /// The error of whoever opens it with another passphrase.
    pub(super) fn wrong_passphrase(&self) -> ClientError {
        match &self.entry {
            Some(entry) => self.not_in_keyring(entry),
            None => ClientError::WrongPassphrase,
        }
    }

    /// The error of whoever finds no passphrase in the keyring, or one that is not this profile's.
    pub(in crate::client) fn not_in_keyring(&self, entry: &Entry) -> ClientError {
        ClientError::NotInKeyring { home: self.path.display().to_string(), entry: entry.to_string() }
    }

    /// Seals all secrets as those of the same folder with another passphrase, or none. Only for whoever has the profile
    /// locked.
    pub(in crate::client) fn reseal(&self, resealed: &Self) -> Result<(), ClientError> {
        for name in self.key_names()? {
            let key = self.load_key(&name)?;
            let pem = match &resealed.passphrase {
                Some(passphrase) => key.to_sealed_pem(passphrase).map_err(|_| failed())?,
                None => key.to_pem(),
            };
            let next = next(&self.key_path(&name));
            self.write(&next, pem.as_bytes())?;
        }
        let history_key = resealed.sealed_history_key(&self.history_key()?)?;
        self.write(&next(&self.path.join("history.key")), history_key.as_bytes())?;
        self.write(&self.path.join(MARK), b"")?;
        self.finish_resealing()
    }

    /// Carries out a change that broke off, or forgets one that had not been decided on. For whoever has the profile
    /// locked.
    pub(in crate::client) fn finish_resealing(&self) -> Result<(), ClientError> {
        let mark = self.path.join(MARK);
        let decided = mark.exists();
        let finish = || {
            for folder in [self.path.clone(), self.path.join("keys")] {
                let entries = match fs::read_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    entries => entries?,
                };
                for entry in entries {
                    let path = entry?.path();
                    let extension = path.extension().and_then(|extension| extension.to_str());
                    if extension != Some(NEXT) && extension != Some(NEW) {
                        continue;
                    }
                    let old = path.with_extension("");
                    if decided && extension == Some(NEXT) {
                        match overwrite(&old) {
                            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                            _ => fs::rename(&path, &old)?,
                        }
                    } else {
                        overwrite(&path)?;
                        fs::remove_file(&path)?;
                    }
                }
            }
            if decided {
                fs::File::open(self.path.join("keys"))?.sync_all()?;
                fs::File::open(&self.path)?.sync_all()?;
                fs::remove_file(&mark)?;
            }
            Ok(())
        };
        finish().map_err(|error| self.error(&mark, &error))
    }

    /// What stands in the history key's file.
    pub(super) fn sealed_history_key(
        &self,
        key: &Zeroizing<String>,
    ) -> Result<Zeroizing<String>, ClientError> {
        let Some(passphrase) = &self.passphrase else { return Ok(key.clone()) };
        let mut sealed = passphrase.seal(SEALED_SECRET, key.as_bytes()).map_err(|_| failed())?;
        if let Some(entry) = &self.entry {
            sealed.insert_str(0, &format!("{IN_KEYRING}{entry}\n"));
        }
        Ok(sealed)
    }

    /// The history key, out of what stands in its file.
    pub(super) fn open_history_key(&self, sealed: &str) -> Result<Zeroizing<String>, ClientError> {
        let passphrase = self.passphrase.as_ref().ok_or_else(|| self.locked())?;
        let opened = passphrase.open(SEALED_SECRET, sealed).map_err(|_| self.wrong_passphrase())?;
        let text = std::str::from_utf8(&opened).map_err(|_| self.wrong_passphrase())?;
        if text.len() == 64 { Ok(Zeroizing::new(text.to_owned())) } else { Err(self.wrong_passphrase()) }
    }
}

fn next(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(NEXT);
    name.into()
}

/// Destroys a file. Whatever breaks it off: it has its name and its content, or neither name nor use, and is
/// destroyed when the profile is next opened.
pub(super) fn destroy(path: &Path) -> io::Result<()> {
    let mut dying = path.as_os_str().to_owned();
    dying.push(".");
    dying.push(NEW);
    fs::rename(path, &dying)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    overwrite(Path::new(&dying))?;
    fs::remove_file(&dying)
}

/// Writes zeros over a file's content, durably.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let zeros = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.write_all(&zeros)?;
    file.sync_all()
}

pub(super) fn failed() -> ClientError {
    ClientError::Internal("a key that can't be sealed".to_owned())
}
