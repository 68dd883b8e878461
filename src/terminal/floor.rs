//! Who has the floor: while somebody is recording, on whichever terminal, nothing is heard.
//!
//! A lock on a file in the profile's folder, so that `listen` in one terminal waits for `voice` in another. The system
//! lets go of it when a process ends, however it does.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is tried whether it is free: who else looks at that moment holds it too.
const TRIES: usize = 5;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The floor of a profile.
#[derive(Clone, Debug)]
pub struct Floor(PathBuf);

/// The floor, taken: until this is dropped nothing is heard.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "it is held, not read")] Option<File>);

impl Floor {
    /// Of the profile in this folder.
    pub fn of(home: &Path) -> Self {
        Self(home.join("recording"))
    }

    /// Takes it for a recording; several may have it. Where the file can't be locked, nobody waits.
    pub fn take(&self) -> Taken {
        let file = File::options().append(true).create(true).mode(0o600).open(&self.0);
        Taken(file.ok().filter(|file| file.lock_shared().is_ok()))
    }

    /// Waits until nobody is recording.
    pub async fn free(&self) {
        while !self.is_free() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until somebody is recording.
    pub async fn taken(&self) {
        while self.is_free() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether nobody is recording.
    pub fn is_free(&self) -> bool {
        // What was never taken is free.
        let Ok(file) = File::open(&self.0) else { return true };
        (0..TRIES).any(|_| !matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_free_once_everybody_who_records_has_ended() {
        let home = tempfile::TempDir::new().unwrap();
        let (mine, theirs) = (Floor::of(home.path()), Floor::of(home.path()));
        assert!(mine.is_free());
        let (first, second) = (mine.take(), theirs.take());
        assert!(!mine.is_free() && !theirs.is_free());
        drop(first);
        assert!(!mine.is_free());
        drop(second);
        assert!(mine.is_free() && theirs.is_free());
    }
}
