//! Who has the floor: while somebody is recording, on whichever terminal, nothing is heard.
//!
//! A lock on a file in the profile's folder, so that `listen` in one terminal waits for `voice` in another, and another
//! one by which `voice` knows when `listen` has fallen silent. The system lets go of them when a process ends, however
//! it does.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;

/// How often it is tried whether it is free: who else looks at that moment holds it too.
const TRIES: usize = 5;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// For how long something may still be heard after it was stopped or paused: what the loudspeaker's buffers hold.
const FADES: Duration = Duration::from_millis(250);

/// Whoever records waits no longer than this for silence.
const PATIENCE: Duration = Duration::from_secs(1);

/// The floor of a profile.
#[derive(Clone, Debug)]
pub struct Floor {
    recording: PathBuf,
    sounding: PathBuf,
}

/// The floor, taken: until this is dropped nothing is heard.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "it is held, not read")] Option<File>);

/// Something is heard: until this was dropped, and a moment longer, a recording does not begin.
#[derive(Debug)]
pub struct Sounding(Option<File>);

impl Drop for Sounding {
    fn drop(&mut self) {
        if let (Some(file), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(FADES).await;
                drop(file);
            });
        }
    }
}

impl Floor {
    /// Of the profile in this folder.
    pub fn of(home: &Path) -> Self {
        Self { recording: home.join("recording"), sounding: home.join("sounding") }
    }

    /// Takes it for a recording; several may have it. Where the file can't be locked, nobody waits.
    pub fn take(&self) -> Taken {
        Taken(share(&self.recording))
    }

    /// Waits until whoever was heard when the floor was taken has fallen silent.
    pub async fn silence(&self) {
        let silent = async {
            while is_held(&self.sounding) {
                tokio::time::sleep(LOOK / 10).await;
            }
        };
        // Whoever is heard for longer does not look: nobody is kept from recording by that.
        let _ = tokio::time::timeout(PATIENCE, silent).await;
    }

    /// Waits until nobody is recording; from then on something may be heard, which whoever records is to wait for.
    pub async fn sound(&self) -> Sounding {
        loop {
            self.free().await;
            if let Some(sounding) = self.sound_now() {
                return sounding;
            }
        }
    }

    /// The same at once; `None` while somebody is recording.
    pub fn sound_now(&self) -> Option<Sounding> {
        // In this order, or neither may see the other.
        let mut sounding = Sounding(share(&self.sounding));
        if self.is_free() {
            return Some(sounding);
        }
        // Nothing was heard that could fade.
        sounding.0 = None;
        None
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
        !is_held(&self.recording)
    }
}

/// Holds a lock that several may hold.
fn share(path: &Path) -> Option<File> {
    let file = File::options().append(true).create(true).mode(0o600).open(path);
    file.ok().filter(|file| file.lock_shared().is_ok())
}

/// Whether anybody holds it. What was never held is not.
fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    (0..TRIES).all(|_| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
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

    #[tokio::test(start_paused = true)]
    async fn whoever_records_waits_until_the_others_have_fallen_silent() {
        let home = tempfile::TempDir::new().unwrap();
        let floor = Floor::of(home.path());
        let begun = tokio::time::Instant::now();
        floor.silence().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody was heard");
        let sounding = floor.sound().await;
        let taken = floor.take();
        assert!(floor.sound_now().is_none(), "not over a recording");
        let waits = tokio::spawn({
            let floor = floor.clone();
            async move { floor.silence().await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(sounding);
        waits.await.unwrap();
        let waited = begun.elapsed();
        assert!((Duration::from_millis(350)..Duration::from_millis(400)).contains(&waited), "{waited:?}");
        drop(taken);
        assert!(floor.sound_now().is_some());
    }
}
