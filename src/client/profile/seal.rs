//! Sealing a profile's secrets under a passphrase, and under another or none again.
//!
//! All of them change at once: what is new is written beside (`*.next`) and made durable, then a mark is set, and
//! from then on the change is carried out, if need be after a crash. What was there before is overwritten. On
//! disks and file systems that write elsewhere instead (flash, copy-on-write) old bytes may outlive that.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Home;
use crate::client::ClientError;
use crate::crypto::Passphrase;
use crate::crypto::passphrase::{SEALED_SECRET, is_sealed};

/// What comes behind the name of a file that is to take another's place.
const NEXT: &str = "next";
/// What comes behind the name of a file that is being written.
const NEW: &str = "new";
/// Set while files take each other's place.
const MARK: &str = "relocking";

impl Home {
    /// Whether the profile's secrets are sealed under a passphrase.
    pub(in crate::client) fn is_sealed(&self) -> Result<bool, ClientError> {
        let path = self.path.join("history.key");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(is_sealed(&Zeroizing::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.error(&path, &error)),
        }
    }

    /// The error of whoever opens it without its passphrase.
    pub(in crate::client) fn locked(&self) -> ClientError {
        ClientError::Locked { home: self.path.display().to_string() }
    }

    /// Seals all secrets under another passphrase, or none. Only for whoever has the profile locked.
    pub(in crate::client) fn reseal(&self, new: Option<Arc<Passphrase>>) -> Result<Self, ClientError> {
        let resealed = self.clone().with_passphrase(new);
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
        self.finish_resealing()?;
        Ok(resealed)
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
        match &self.passphrase {
            Some(passphrase) => passphrase.seal(SEALED_SECRET, key.as_bytes()).map_err(|_| failed()),
            None => Ok(key.clone()),
        }
    }

    /// The history key, out of what stands in its file.
    pub(super) fn open_history_key(&self, sealed: &str) -> Result<Zeroizing<String>, ClientError> {
        let passphrase = self.passphrase.as_ref().ok_or_else(|| self.locked())?;
        let opened = passphrase.open(SEALED_SECRET, sealed).map_err(|_| ClientError::WrongPassphrase)?;
        let text = std::str::from_utf8(&opened).map_err(|_| ClientError::WrongPassphrase)?;
        if text.len() == 64 { Ok(Zeroizing::new(text.to_owned())) } else { Err(ClientError::WrongPassphrase) }
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
